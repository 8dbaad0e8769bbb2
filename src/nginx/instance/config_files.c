#include "nginx/instance/config_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "nginx/language/walk.h"

enum { LOOKS_MOST = 256 }; /* in one call */

static uint64_t ns_of(struct timespec t)
{
    return (uint64_t)t.tv_sec * OTR_NS_PER_S + (uint64_t)t.tv_nsec;
}

static otr_config_stamp stamp_of(const struct stat *st)
{
    return (otr_config_stamp){ .dev = st->st_dev,
                               .ino = st->st_ino,
                               .size = (uint64_t)st->st_size,
                               .mtime_ns = ns_of(st->st_mtim),
                               .ctime_ns = ns_of(st->st_ctim) };
}

static void add_to_digest(otr_config_files *files, const char *path, otr_bytes text)
{
    char parts[3][OTR_SHA256_HEX_BYTES];
    memcpy(parts[0], files->digest, sizeof(parts[0]));
    (void)otr_blake2b_hex(otr_bytes_of(path), parts[1]);
    (void)otr_blake2b_hex(text, parts[2]);
    (void)otr_blake2b_hex((otr_bytes){ (const uint8_t *)parts, sizeof(parts) }, files->digest);
}

otr_code otr_config_files_add(otr_config_files *files, const char *path, const struct stat *st,
                              const otr_bytes *text, otr_err *err)
{
    if (files->n == files->cap) {
        size_t cap = files->cap > 0 ? 2 * files->cap : 8;
        otr_config_stamp *items = otr_realloc(files->items, cap * sizeof(*items));
        if (items == NULL) {
            return otr_fail_nomem(err);
        }
        files->items = items;
        files->cap = cap;
    }
    otr_config_stamp stamp = stamp_of(st);
    stamp.folder = text == NULL;
    stamp.path = otr_strdup(path);
    if (stamp.path == NULL) {
        return otr_fail_nomem(err);
    }
    files->items[files->n++] = stamp;
    if (text != NULL) {
        add_to_digest(files, path, *text);
    }
    return OTR_OK;
}

void otr_config_files_deinit(otr_config_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        otr_free(files->items[i].path);
    }
    otr_free(files->items);
    *files = (otr_config_files){ 0 };
}

static bool is_as_it_was(const otr_config_stamp *was, const otr_root *root)
{
    int fd;
    struct stat st;
    if (otr_root_open(root, was->path, O_PATH, &fd, NULL) != OTR_OK) {
        return false;
    }
    bool ok = fstat(fd, &st) == 0;
    close(fd);
    otr_config_stamp now = ok ? stamp_of(&st) : (otr_config_stamp){ 0 };
    return ok && was->dev == now.dev && was->ino == now.ino && was->mtime_ns == now.mtime_ns &&
           was->ctime_ns == now.ctime_ns && (was->folder || was->size == now.size);
}

static otr_code enter(void *arg, const otr_directive *directive, otr_err *err)
{
    (void)arg;
    (void)directive;
    (void)err;
    return OTR_OK;
}

static void leave(void *arg)
{
    (void)arg;
}

static otr_code unseen(void *arg, const otr_unseen *what, otr_err *err)
{
    (void)arg;
    (void)what;
    (void)err;
    return OTR_OK;
}

static otr_code visit(void *arg, const char *path, const struct stat *st, const otr_bytes *text,
                      otr_err *err)
{
    return otr_config_files_add(arg, path, st, text, err);
}

/* Of what was reached; the rest stays as it was. */
static void take_stamps(otr_config_files *files, const otr_config_files *now)
{
    for (size_t i = 0; i < now->n; i++) {
        if (strcmp(files->items[i].path, now->items[i].path) != 0) {
            return;
        }
        char *path = files->items[i].path;
        files->items[i] = now->items[i];
        files->items[i].path = path;
    }
}

/* The files as they are now take the place of the old ones; the digest stays. */
static otr_code read_again(otr_config_files *files, const otr_root *root, const char *config,
                           otr_err *err)
{
    otr_config_files now = { 0 };
    otr_visitor visitor = {
        .enter = enter, .leave = leave, .unseen = unseen, .visit = visit, .arg = &now
    };
    otr_code rc = otr_nginx_walk(root, config, &visitor, NULL, err);
    if (rc == OTR_ENOMEM) {
        otr_config_files_deinit(&now);
        return rc;
    }
    now.changed = strcmp(now.digest, files->digest) != 0;
    if (rc != OTR_OK && now.n < files->n) {
        files->changed = now.changed;
        take_stamps(files, &now);
        otr_config_files_deinit(&now);
        return OTR_OK;
    }
    memcpy(now.digest, files->digest, sizeof(now.digest));
    otr_config_files_deinit(files);
    *files = now;
    return OTR_OK;
}

otr_code otr_config_files_look(otr_config_files *files, const otr_root *root, const char *config,
                               otr_err *err)
{
    for (size_t i = 0; i < LOOKS_MOST && i < files->n; i++) {
        files->next = files->next < files->n ? files->next : 0;
        if (!is_as_it_was(&files->items[files->next], root)) {
            return read_again(files, root, config, err);
        }
        files->next++;
    }
    return OTR_OK;
}

const char *otr_config_files_newer(const otr_config_files *files, uint64_t wall_ns)
{
    for (size_t i = 0; i < files->n; i++) {
        if (files->items[i].ctime_ns > wall_ns) {
            return files->items[i].path;
        }
    }
    return NULL;
}
