#include "nginx/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/path.h"

enum { FD_LINK_BYTES = 40 };

typedef struct change {
    otr_overlay_entry entry;
    char *path;
    otr_buf kept; /* the text, when it is ours */
    char *real;   /* where it stands or would stand, without links; NULL: nobody knows */
    bool once;    /* it has this one name: whatever leads to `dev`, `ino` leads here */
    dev_t dev;
    ino_t ino;
} change;

struct otr_overlay {
    const otr_root *root;
    change *items;
    size_t n, cap;
    size_t last; /* the one that was put last */
    size_t gone; /* how many take something away */
};

/* ---- places ---- */

typedef struct place { /* what a path leads to, or would */
    char *real;
    bool exists;
    struct stat st; /* when it exists */
} place;

/* The name of what `fd` is, as the kernel says it; NULL: unknown, or memory is out. */
static char *name_of(int fd)
{
    char link[FD_LINK_BYTES], to[OTR_NGINX_PATH_BYTES];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, to, sizeof(to));
    return n > 0 && (size_t)n < sizeof(to) && to[0] == '/' ? otr_strndup(to, (size_t)n) : NULL;
}

static bool is_absent(const otr_err *why)
{
    return why->sys == ENOENT || why->sys == ENOTDIR;
}

static bool is_fatal(otr_code rc)
{
    return rc == OTR_ENOMEM || rc == OTR_EDENIED;
}

/* "<folder's name>/<rest>" of what is not there, by the nearest folder that is. */
static otr_code find_above(const otr_root *root, const char *path, place *ret, otr_err *err)
{
    OTR_CLEANUP(otr_freep) char *folder = otr_strdup(path);
    if (folder == NULL) {
        return otr_fail_nomem(err);
    }
    otr_err why = { .sys = ENOENT };
    otr_code rc = OTR_ENOTFOUND;
    int fd = -1;
    char *slash = NULL;
    while (rc != OTR_OK && is_absent(&why) && (slash = strrchr(folder, '/')) != NULL) {
        *slash = '\0';
        why = (otr_err){ 0 };
        rc = otr_root_open(root, folder[0] != '\0' ? folder : "/", O_PATH | O_DIRECTORY, &fd, &why);
    }
    if (rc != OTR_OK) {
        return is_fatal(rc) ? otr_fail(err, rc, "%s", why.msg) : OTR_OK;
    }
    OTR_CLEANUP(otr_freep) char *name = name_of(fd);
    (void)close(fd);
    if (name == NULL) {
        return OTR_OK;
    }
    otr_buf real;
    otr_buf_init(&real, 2 * OTR_NGINX_PATH_BYTES);
    rc = otr_path_join(name, path + strlen(folder) + 1, &real, err);
    if (rc == OTR_OK) {
        ret->real = otr_steal(&real.p);
    }
    otr_buf_deinit(&real);
    return rc;
}

/* `flags`: O_NOFOLLOW for a link itself. What nobody can tell leaves `real` NULL. */
static otr_code find_place(const otr_root *root, const char *path, int flags, place *ret,
                           otr_err *err)
{
    int fd;
    otr_err why = { 0 };
    *ret = (place){ 0 };
    otr_code rc = otr_root_open(root, path, O_PATH | flags, &fd, &why);
    if (rc != OTR_OK) {
        return is_absent(&why) ? find_above(root, path, ret, err)
               : is_fatal(rc)  ? otr_fail(err, rc, "%s", why.msg)
                               : OTR_OK;
    }
    ret->exists = fstat(fd, &ret->st) == 0;
    ret->real = name_of(fd);
    (void)close(fd);
    return OTR_OK;
}

/* ---- the list ---- */

otr_code otr_overlay_new(const otr_root *root, otr_overlay **ret, otr_err *err)
{
    otr_overlay *o = otr_zalloc(sizeof(*o));
    if (o == NULL) {
        return otr_fail_nomem(err);
    }
    o->root = root;
    *ret = o;
    return OTR_OK;
}

static void change_deinit(change *c)
{
    otr_free(c->path);
    otr_free(c->real);
    otr_buf_deinit(&c->kept);
}

void otr_overlay_free(otr_overlay *overlay)
{
    if (overlay == NULL) {
        return;
    }
    for (size_t i = 0; i < overlay->n; i++) {
        change_deinit(&overlay->items[i]);
    }
    otr_free(overlay->items);
    otr_free(overlay);
}

void otr_overlay_freep(void *slot)
{
    otr_overlay_free(*(otr_overlay **)slot);
}

size_t otr_overlay_count(const otr_overlay *overlay)
{
    return overlay->n;
}

const otr_overlay_entry *otr_overlay_at(const otr_overlay *overlay, size_t i)
{
    return &overlay->items[i].entry;
}

static change *by_path(const otr_overlay *overlay, const char *path)
{
    for (size_t i = 0; i < overlay->n; i++) {
        if (strcmp(overlay->items[i].path, path) == 0) {
            return &overlay->items[i];
        }
    }
    return NULL;
}

static otr_code locate(const otr_overlay *o, change *made, otr_err *err)
{
    place at;
    otr_code rc = find_place(o->root, made->path, made->entry.gone ? O_NOFOLLOW : 0, &at, err);
    made->entry.exists = at.exists;
    made->real = at.real;
    made->once = at.exists && at.st.st_nlink == 1;
    made->dev = at.st.st_dev;
    made->ino = at.st.st_ino;
    return rc;
}

/* Takes `made` over on success. */
static otr_code keep(otr_overlay *o, const change *made, otr_err *err)
{
    change *old = by_path(o, made->path);
    if (old == NULL) {
        otr_code rc = o->n < OTR_LIMIT_NGINX_CONFIG_FILES
                          ? otr_grow(&o->items, o->n, &o->cap, sizeof(*o->items), err)
                          : otr_fail(err, OTR_EQUOTA, "a change of more than %d files",
                                     OTR_LIMIT_NGINX_CONFIG_FILES);
        if (rc != OTR_OK) {
            return rc;
        }
        old = &o->items[o->n++];
    } else {
        o->gone -= old->entry.gone;
        change_deinit(old);
    }
    *old = *made;
    o->last = (size_t)(old - o->items);
    o->gone += made->entry.gone;
    return OTR_OK;
}

static otr_code set(otr_overlay *o, const char *path, const otr_overlay_entry *to, otr_err *err)
{
    if (path[0] != '/') {
        return otr_fail(err, OTR_EINVAL, "%s: a change names an absolute path", path);
    }
    change made = { .entry = *to, .path = otr_strdup(path) };
    if (made.path == NULL) {
        return otr_fail_nomem(err);
    }
    (void)otr_path_clean(made.path);
    made.entry.path = made.path;
    otr_code rc = locate(o, &made, err);
    rc = rc == OTR_OK ? keep(o, &made, err) : rc;
    if (rc != OTR_OK) {
        change_deinit(&made);
    }
    return rc;
}

otr_code otr_overlay_put(otr_overlay *overlay, const char *path, otr_bytes text, otr_err *err)
{
    return set(overlay, path, &(otr_overlay_entry){ .text = text }, err);
}

otr_code otr_overlay_take(otr_overlay *overlay, const char *path, otr_buf *text, otr_err *err)
{
    otr_code rc = otr_overlay_put(overlay, path, otr_buf_bytes(text), err);
    if (rc == OTR_OK) {
        overlay->items[overlay->last].kept = *text;
        otr_buf_init(text, text->max_bytes);
    }
    return rc;
}

otr_code otr_overlay_remove(otr_overlay *overlay, const char *path, otr_err *err)
{
    return set(overlay, path, &(otr_overlay_entry){ .gone = true }, err);
}

/* ---- what it means for a path ---- */

static const otr_overlay_entry *by_place(const otr_overlay *o, const place *at)
{
    for (size_t i = 0; i < o->n; i++) {
        const change *c = &o->items[i];
        bool same = at->real != NULL && c->real != NULL && strcmp(c->real, at->real) == 0;
        if (same || (at->exists && c->once && c->dev == at->st.st_dev && c->ino == at->st.st_ino)) {
            return &c->entry;
        }
    }
    return NULL;
}

static otr_code find_through(const otr_overlay *o, const char *path, int flags,
                             const otr_overlay_entry **ret, otr_err *err)
{
    place at;
    otr_err why = { 0 };
    otr_code rc = find_place(o->root, path, flags, &at, &why);
    *ret = rc == OTR_OK ? by_place(o, &at) : NULL;
    otr_free(at.real);
    return rc == OTR_ENOMEM ? otr_fail(err, rc, "%s", why.msg) : OTR_OK;
}

otr_code otr_overlay_find(const otr_overlay *overlay, const char *path,
                          const otr_overlay_entry **ret, otr_err *err)
{
    *ret = NULL;
    if (overlay == NULL || overlay->n == 0) {
        return OTR_OK;
    }
    OTR_CLEANUP(otr_freep) char *clean = otr_strdup(path);
    if (clean == NULL) {
        return otr_fail_nomem(err);
    }
    (void)otr_path_clean(clean);
    const change *same = by_path(overlay, clean);
    if (same != NULL) {
        *ret = &same->entry;
        return OTR_OK;
    }
    otr_code rc = find_through(overlay, clean, 0, ret, err);
    if (rc == OTR_OK && *ret == NULL && overlay->gone > 0) {
        rc = find_through(overlay, clean, O_NOFOLLOW, ret, err);
        *ret = *ret != NULL && (*ret)->gone ? *ret : NULL;
    }
    return rc;
}

static otr_code fail_gone(const otr_root *root, const char *path, otr_err *err)
{
    return otr_fail_sys(err, ENOENT, "cannot open %s%s", root->path, path);
}

otr_code otr_overlay_read(const otr_overlay *overlay, const otr_root *root, const char *path,
                          otr_buf *out, otr_err *err)
{
    const otr_overlay_entry *entry;
    otr_code rc = otr_overlay_find(overlay, path, &entry, err);
    if (rc != OTR_OK || entry == NULL) {
        return rc != OTR_OK ? rc : otr_root_read(root, path, out, NULL, err);
    }
    return entry->gone ? fail_gone(root, path, err) : otr_buf_add(out, entry->text, err);
}

otr_code otr_overlay_probe(const otr_overlay *overlay, const otr_root *root, const char *path,
                           otr_err *err)
{
    const otr_overlay_entry *entry;
    otr_code rc = otr_overlay_find(overlay, path, &entry, err);
    if (rc != OTR_OK || entry != NULL) {
        return rc == OTR_OK && entry->gone ? fail_gone(root, path, err) : rc;
    }
    int fd = -1;
    rc = otr_root_open_file(root, path, &fd, NULL, err);
    if (rc == OTR_OK) {
        (void)close(fd);
    }
    return rc;
}

/* ---- patterns ---- */

/* Does the relative `pattern` match the relative `path`, part by part? */
static bool matches(const char *pattern, const char *path)
{
    char word[256], name[256];
    for (;;) {
        pattern += strspn(pattern, "/");
        path += strspn(path, "/");
        if (*pattern == '\0' || *path == '\0') {
            return *pattern == *path;
        }
        size_t n = strcspn(pattern, "/"), m = strcspn(path, "/");
        if (n >= sizeof(word) || m >= sizeof(name)) {
            return false;
        }
        memcpy(word, pattern, n);
        memcpy(name, path, m);
        word[n] = name[m] = '\0';
        if (fnmatch(word, name, FNM_PERIOD) != 0) {
            return false;
        }
        pattern += n;
        path += m;
    }
}

/* Adds the new files that match below `folder`, the part of the pattern without wildcards, whose
 * real name is `real`. */
static otr_code add_new(const otr_overlay *o, const char *folder, const char *real,
                        const otr_glob *glob, otr_paths *out, otr_err *err)
{
    otr_buf path;
    otr_code rc = OTR_OK;
    size_t n = strcmp(real, "/") == 0 ? 0 : strlen(real);
    otr_buf_init(&path, 2 * OTR_NGINX_PATH_BYTES);
    for (size_t i = 0; rc == OTR_OK && i < o->n; i++) {
        const change *c = &o->items[i];
        if (c->entry.exists || c->entry.gone || c->real == NULL || strncmp(c->real, real, n) != 0 ||
            c->real[n] != '/' || !matches(glob->pattern + strlen(folder), c->real + n)) {
            continue;
        }
        otr_buf_clear(&path);
        rc = otr_buf_addf(&path, err, "%s%s", folder, c->real + n);
        rc = rc == OTR_OK ? otr_paths_add(out, otr_buf_text(&path), glob->max, err) : rc;
    }
    otr_buf_deinit(&path);
    return rc;
}

static otr_code glob_new(const otr_overlay *o, const otr_glob *glob, otr_paths *out, otr_err *err)
{
    size_t n = strcspn(glob->pattern, "*?[");
    while (n > 0 && glob->pattern[n] != '/') {
        n--;
    }
    OTR_CLEANUP(otr_freep) char *folder = otr_strndup(glob->pattern, n);
    if (folder == NULL) {
        return otr_fail_nomem(err);
    }
    place at;
    otr_err why = { 0 };
    otr_code rc = find_place(o->root, n > 0 ? folder : "/", 0, &at, &why);
    if (rc == OTR_OK && at.real != NULL) {
        rc = add_new(o, folder, at.real, glob, out, err);
    } else if (rc == OTR_ENOMEM) {
        rc = otr_fail(err, rc, "%s", why.msg);
    } else {
        rc = OTR_OK; /* what cannot be looked into was told of by otr_root_glob() */
    }
    otr_free(at.real);
    return rc;
}

static otr_code leave_out_gone(const otr_overlay *o, size_t first, otr_paths *out, otr_err *err)
{
    size_t kept = first;
    otr_code rc = OTR_OK;
    for (size_t i = first; i < out->n; i++) {
        const otr_overlay_entry *entry = NULL;
        if (rc == OTR_OK) {
            rc = otr_overlay_find(o, out->items[i], &entry, err);
        }
        if (entry != NULL && entry->gone) {
            otr_free(out->items[i]);
        } else {
            out->items[kept++] = out->items[i];
        }
    }
    out->n = kept;
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

otr_code otr_overlay_glob(const otr_overlay *overlay, const otr_root *root, const otr_glob *glob,
                          otr_paths *out, otr_err *err)
{
    size_t first = out->n;
    otr_code rc = otr_root_glob(root, glob, out, err);
    if (rc != OTR_OK || overlay == NULL || overlay->n == 0) {
        return rc;
    }
    rc = overlay->gone > 0 ? leave_out_gone(overlay, first, out, err) : OTR_OK;
    size_t there = out->n;
    rc = rc == OTR_OK ? glob_new(overlay, glob, out, err) : rc;
    if (rc == OTR_OK && out->n > there) {
        qsort(out->items + first, out->n - first, sizeof(*out->items), by_name);
    }
    return rc;
}
