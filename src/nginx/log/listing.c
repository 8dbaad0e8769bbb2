#include "nginx/log/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "nginx/files.h"

enum {
    COPIES_MOST = 256,
    PAUSE = 4 /* times that it takes to list a folder, before it is listed again */
};
static const uint64_t fresh_ns = 50 * OTR_NS_PER_MS;

typedef struct entry {
    uint64_t ino;
    size_t name; /* offset in the names */
} entry;

struct otr_log_listing {
    char *folder; /* with its root in front */
    uint64_t begun_ns, made_ns;
    entry *entries; /* by inode */
    size_t n, cap;
    otr_buf names;
    size_t *by_name; /* n offsets in the names, in their order; NULL: not asked for yet */
};

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash > path ? (size_t)(slash - path) : 1;
}

static int by_inode(const void *a, const void *b)
{
    uint64_t x = ((const entry *)a)->ino, y = ((const entry *)b)->ino;
    return (x > y) - (x < y);
}

void otr_log_listing_free(otr_log_listing *listing)
{
    if (listing != NULL) {
        otr_buf_deinit(&listing->names);
        otr_free(listing->entries);
        otr_free(listing->by_name);
        otr_free(listing->folder);
        otr_free(listing);
    }
}

static bool add(otr_log_listing *l, const struct dirent *e)
{
    if (l->n == OTR_LIMIT_NGINX_LOG_FOLDER) {
        return false;
    }
    if (otr_grow(&l->entries, l->n, &l->cap, sizeof(*l->entries), NULL) != OTR_OK) {
        return false;
    }
    size_t at = l->names.n;
    otr_bytes name = { (const uint8_t *)e->d_name, strlen(e->d_name) + 1 };
    if (otr_buf_add(&l->names, name, NULL) != OTR_OK) {
        return false;
    }
    l->entries[l->n++] = (entry){ .ino = e->d_ino, .name = at };
    return true;
}

static otr_log_listing *list(otr_log_reader *reader, const otr_root *root, const char *folder,
                             const char *key)
{
    int fd;
    otr_err err;
    if (otr_root_open(root, folder, O_RDONLY | O_DIRECTORY, &fd, &err) != OTR_OK) {
        reader->exhausted |= err.sys == EMFILE || err.sys == ENFILE;
        return NULL;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return NULL;
    }
    otr_log_listing *l = otr_zalloc(sizeof(*l));
    if (l != NULL) {
        otr_buf_init(&l->names, (size_t)OTR_LIMIT_NGINX_LOG_FOLDER * 64);
        l->folder = otr_strdup(key);
        l->begun_ns = otr_now_ns();
        const struct dirent *e;
        while ((e = readdir(dir)) != NULL && add(l, e)) {
        }
        l->made_ns = otr_now_ns();
        if (l->n > 0) {
            qsort(l->entries, l->n, sizeof(*l->entries), by_inode);
        }
    }
    closedir(dir);
    return l;
}

/* A listing of the folder of `path` that is as good as new; NULL: not to be had. */
static otr_log_listing *listing_of(otr_log_reader *reader, const otr_root *root, const char *path)
{
    char key[2 * OTR_NGINX_PATH_BYTES], folder[OTR_NGINX_PATH_BYTES];
    int n = (int)folder_length(path);
    (void)snprintf(folder, sizeof(folder), "%.*s", n, path);
    (void)snprintf(key, sizeof(key), "%s%s", root->path, folder);
    otr_log_listing *have = reader->listing;
    if (have != NULL && have->folder != NULL && strcmp(have->folder, key) == 0 &&
        otr_now_ns() - have->made_ns < fresh_ns) {
        return have;
    }
    otr_log_listing_free(have);
    reader->listing = list(reader, root, folder, key);
    return reader->listing;
}

char *otr_log_path_beside(const char *path, const char *name)
{
    size_t n = folder_length(path), length = strlen(name);
    char *out = otr_alloc(n + length + 2);
    if (out != NULL) {
        (void)snprintf(out, n + length + 2, "%.*s/%s", n > 1 ? (int)n : 0, path, name);
    }
    return out;
}

static char *find_inode(const otr_log_listing *l, const otr_root *root, const char *path,
                        const otr_log_file *file)
{
    const entry key = { .ino = file->ino };
    const entry *e = l->n > 0 ? bsearch(&key, l->entries, l->n, sizeof(key), by_inode) : NULL;
    if (e == NULL) {
        return NULL;
    }
    char *found = otr_log_path_beside(path, (const char *)l->names.p + e->name);
    struct stat st;
    if (found != NULL &&
        (otr_log_stat_path(root, found, &st) != 0 || !otr_log_file_is(file, &st))) {
        otr_free(found);
        return NULL;
    }
    return found;
}

char *otr_log_find_moved(otr_log_reader *reader, const otr_root *root, const char *path,
                         otr_log_file *file, bool *ret_sure)
{
    file->gone_ns = file->gone_ns != 0 ? file->gone_ns : otr_now_ns();
    for (;;) {
        const otr_log_listing *l = listing_of(reader, root, path);
        *ret_sure = l != NULL ? l->begun_ns >= file->gone_ns : !reader->exhausted;
        char *found = l != NULL ? find_inode(l, root, path, file) : NULL;
        if (found != NULL) {
            file->gone_ns = 0;
            *ret_sure = true;
            return found;
        }
        /* Large folders are not listed for each log of them, but by and by. */
        if (*ret_sure || l == NULL ||
            otr_now_ns() - l->made_ns < PAUSE * (l->made_ns - l->begun_ns)) {
            return NULL;
        }
        otr_log_listing_free(reader->listing);
        reader->listing = NULL;
    }
}

/* ---- names in their order ---- */

size_t otr_log_stem_length(const char *log)
{
    const char *point = strrchr(log, '.');
    return point != NULL && point > log ? (size_t)(point - log) : strlen(log);
}

/* Named after the log: what stands before the last point of its name begins the other, too. */
static bool is_named_after(const char *name, const char *log)
{
    return strncmp(name, log, otr_log_stem_length(log)) == 0 && strcmp(name, log) != 0;
}

static int by_text(const void *a, const void *b, void *names)
{
    const char *text = names;
    return strcmp(text + *(const size_t *)a, text + *(const size_t *)b);
}

static bool sort_names(otr_log_listing *l)
{
    if (l->by_name == NULL && l->n > 0) {
        l->by_name = otr_calloc(l->n, sizeof(*l->by_name));
        for (size_t i = 0; l->by_name != NULL && i < l->n; i++) {
            l->by_name[i] = l->entries[i].name;
        }
        if (l->by_name != NULL) {
            qsort_r(l->by_name, l->n, sizeof(*l->by_name), by_text, l->names.p);
        }
    }
    return l->by_name != NULL;
}

void otr_log_each_named_after(otr_log_reader *reader, const otr_root *root, const char *path,
                              void (*fn)(void *arg, const char *name), void *arg)
{
    otr_log_listing *l = listing_of(reader, root, path);
    if (l == NULL || !sort_names(l)) {
        return;
    }
    size_t folder = folder_length(path);
    const char *log = path + folder + (folder > 1), *names = (const char *)l->names.p;
    size_t n = otr_log_stem_length(log), low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strncmp(names + l->by_name[middle], log, n) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t i = low; i < l->n && strncmp(names + l->by_name[i], log, n) == 0; i++) {
        if (is_named_after(names + l->by_name[i], log)) {
            fn(arg, names + l->by_name[i]);
        }
    }
}

/* ---- copies ---- */

/* Younger than `*newest` and with the text of `file`: then `*ret_fd` is replaced. */
static void consider(const otr_root *root, const char *path, const otr_log_file *file,
                     uint64_t *newest, int *ret_fd)
{
    int fd;
    struct stat st;
    otr_err err;
    if (otr_root_open_file(root, path, &fd, &st, &err) != OTR_OK) {
        return;
    }
    uint64_t changed = (uint64_t)st.st_ctim.tv_sec * OTR_NS_PER_S + (uint64_t)st.st_ctim.tv_nsec;
    if (otr_log_file_is(file, &st) || !otr_log_file_is_kin(file, &st) ||
        (uint64_t)st.st_size < file->offset || changed < *newest ||
        !otr_log_file_matches(file, fd)) {
        close(fd);
        return;
    }
    if (*ret_fd >= 0) {
        close(*ret_fd);
    }
    *ret_fd = fd;
    *newest = changed;
}

int otr_log_find_copy(otr_log_reader *reader, const otr_root *root, const char *path,
                      const otr_log_file *file)
{
    otr_log_listing_free(reader->listing); /* an older one may not have the copy yet */
    reader->listing = NULL;
    const otr_log_listing *l = listing_of(reader, root, path);
    size_t folder = folder_length(path);
    const char *log = path + folder + (folder > 1);
    uint64_t newest = 0;
    unsigned looked_at = 0;
    int fd = -1;
    for (size_t i = 0; l != NULL && i < l->n && looked_at < COPIES_MOST; i++) {
        const char *name = (const char *)l->names.p + l->entries[i].name;
        char *candidate = is_named_after(name, log) ? otr_log_path_beside(path, name) : NULL;
        if (candidate != NULL) {
            consider(root, candidate, file, &newest, &fd);
            looked_at++;
            otr_free(candidate);
        }
    }
    return fd;
}
