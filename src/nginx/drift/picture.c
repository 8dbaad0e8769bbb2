#include "nginx/drift/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "nginx/drift/named.h"
#include "nginx/language/walk.h"

/* Times of files are of a coarse clock: one that was written this short a time ago may be written
 * once more and look the same. */
static const uint64_t young_ns = 50 * OTR_NS_PER_MS;

enum { PERMISSIONS = 07777 };

/* ---- shots ---- */

static uint64_t ns_of(struct timespec t)
{
    return (uint64_t)t.tv_sec * OTR_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void stamp(otr_shot *s, const struct stat *st)
{
    s->dev = st->st_dev;
    s->ino = st->st_ino;
    s->size = (uint64_t)st->st_size;
    s->mtime_ns = ns_of(st->st_mtim);
    s->ctime_ns = ns_of(st->st_ctim);
    s->mode = st->st_mode & PERMISSIONS;
    s->uid = st->st_uid;
    s->gid = st->st_gid;
    s->young = s->ctime_ns + young_ns > otr_wall_ns();
}

static bool same_stamp(const otr_shot *a, const otr_shot *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static int by_path(const void *a, const void *b)
{
    const otr_shot *x = a;
    const otr_shot *y = b;
    int order = strcmp(x->path, y->path);
    return order != 0 ? order : (x->role > y->role) - (x->role < y->role);
}

const otr_shot *otr_picture_find(const otr_picture *picture, const char *path)
{
    size_t from = 0;
    size_t to = picture->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = strcmp(picture->shots[mid].path, path);
        if (order == 0) {
            return &picture->shots[mid];
        }
        if (order < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return NULL;
}

static void sort(otr_picture *p)
{
    size_t kept = 0;
    if (p->n > 0) {
        qsort(p->shots, p->n, sizeof(*p->shots), by_path);
    }
    for (size_t i = 0; i < p->n; i++) {
        if (kept > 0 && strcmp(p->shots[kept - 1].path, p->shots[i].path) == 0) {
            otr_free(p->shots[i].path);
        } else {
            p->shots[kept++] = p->shots[i];
        }
    }
    p->n = kept;
}

void otr_picture_deinit(otr_picture *picture)
{
    for (size_t i = 0; i < picture->n; i++) {
        otr_free(picture->shots[i].path);
    }
    otr_free(picture->shots);
    otr_paths_deinit(&picture->patterns);
    *picture = (otr_picture){ 0 };
}

static otr_code add(otr_picture *p, const char *path, otr_shot_role role, otr_shot **ret,
                    otr_err *err)
{
    if (p->n >= 2U * OTR_LIMIT_DRIFT_FILES) {
        return otr_fail(err, OTR_EQUOTA, "the configuration has more than %d files",
                        OTR_LIMIT_DRIFT_FILES);
    }
    otr_code rc = otr_grow(&p->shots, p->n, &p->cap, sizeof(*p->shots), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_shot *s = &p->shots[p->n];
    *s = (otr_shot){ .role = role, .state = OTR_SHOT_CLOSED };
    s->path = otr_strdup(path);
    if (s->path == NULL) {
        return otr_fail_nomem(err);
    }
    p->n++;
    *ret = s;
    return OTR_OK;
}

/* When the file went, at the latest: its folder has changed since. */
static void stamp_absent(const otr_root *root, otr_shot *s)
{
    char folder[OTR_NGINX_PATH_BYTES];
    struct stat st;
    int fd;
    const char *slash = strrchr(s->path, '/');
    (void)snprintf(folder, sizeof(folder), "%.*s",
                   slash != NULL && slash > s->path ? (int)(slash - s->path) : 1, s->path);
    if (otr_root_open(root, folder, O_PATH, &fd, NULL) == OTR_OK) {
        s->ctime_ns = fstat(fd, &st) == 0 ? ns_of(st.st_mtim) : 0;
        close(fd);
    }
}

/* Reads the file, unless it is as it was. */
static otr_code shoot(const otr_root *root, const otr_shot *was, otr_picture *p, otr_shot *s,
                      otr_err *err)
{
    struct stat st;
    otr_err why = { 0 };
    int fd;
    otr_code rc = otr_root_open_file(root, s->path, &fd, &st, &why);
    if (rc == OTR_ENOMEM) {
        *err = why;
        return rc;
    }
    if (rc != OTR_OK) {
        s->state = rc == OTR_ENOTFOUND || why.sys == ENOENT || why.sys == ENOTDIR ? OTR_SHOT_ABSENT
                                                                                  : OTR_SHOT_CLOSED;
        if (s->state == OTR_SHOT_ABSENT) {
            stamp_absent(root, s);
        }
        return OTR_OK;
    }
    stamp(s, &st);
    s->state = OTR_SHOT_READ;
    if (was != NULL && was->state == OTR_SHOT_READ && !was->young && same_stamp(was, s)) {
        memcpy(s->digest, was->digest, sizeof(s->digest));
        close(fd);
        return OTR_OK;
    }
    otr_buf text;
    otr_buf_init(&text, s->role == OTR_SHOT_NAMED ? OTR_LIMIT_DRIFT_NAMED_BYTES
                                                  : OTR_LIMIT_NGINX_CONFIG_BYTES);
    rc = otr_buf_read_fd(&text, fd, &why);
    close(fd);
    p->reads++;
    if (rc == OTR_OK) {
        (void)otr_sha256_hex(otr_buf_bytes(&text), s->digest);
    } else {
        s->state = OTR_SHOT_CLOSED;
    }
    otr_buf_deinit(&text);
    return rc == OTR_ENOMEM ? otr_fail_nomem(err) : OTR_OK;
}

/* ---- a walk ---- */

typedef struct taker {
    const otr_root *root;
    const otr_picture *was;
    otr_picture *p;
    const char *folder; /* of the main file */
    otr_paths named;
} taker;

static otr_code visit(void *arg, const char *path, const struct stat *st, const otr_bytes *text,
                      otr_err *err)
{
    taker *t = arg;
    otr_shot *s;
    if (text == NULL) {
        return OTR_OK;
    }
    otr_code rc = add(t->p, path, OTR_SHOT_TEXT, &s, err);
    if (rc != OTR_OK) {
        return rc;
    }
    stamp(s, st);
    s->state = OTR_SHOT_READ;
    t->p->reads++;
    const otr_shot *was = t->was != NULL ? otr_picture_find(t->was, path) : NULL;
    if (was != NULL && was->state == OTR_SHOT_READ && !was->young && same_stamp(was, s)) {
        memcpy(s->digest, was->digest, sizeof(s->digest));
    } else {
        (void)otr_sha256_hex(*text, s->digest);
    }
    return OTR_OK;
}

static otr_code keep_path(const taker *t, const char *path, otr_paths *out, size_t max,
                          otr_err *err)
{
    otr_buf full;
    otr_buf_init(&full, OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(t->folder, path, &full, err);
    if (rc == OTR_EQUOTA) {
        rc = OTR_OK; /* longer than any path: no file */
    } else if (rc == OTR_OK) {
        rc = out->n < max ? otr_paths_add(out, otr_buf_text(&full), max, err) : OTR_OK;
    }
    otr_buf_deinit(&full);
    return rc;
}

static otr_code enter(void *arg, const otr_directive *directive, otr_err *err)
{
    taker *t = arg;
    const char *named = otr_drift_named(directive);
    if (named != NULL) {
        return keep_path(t, named, &t->named, OTR_LIMIT_DRIFT_NAMED, err);
    }
    if (!directive->block && directive->n_args == 1 && strcmp(directive->name, "include") == 0) {
        return keep_path(t, directive->args[0], &t->p->patterns, OTR_LIMIT_NGINX_CONFIG_FILES, err);
    }
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

/* ---- patterns ---- */

static otr_code digest_paths(const otr_paths *paths, char out[OTR_SHA256_HEX_BYTES], otr_err *err)
{
    otr_buf all;
    otr_buf_init(&all, 2ULL * OTR_LIMIT_NGINX_CONFIG_FILES * OTR_NGINX_PATH_BYTES);
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < paths->n; i++) {
        rc = otr_buf_add(
            &all, (otr_bytes){ (const uint8_t *)paths->items[i], strlen(paths->items[i]) + 1 },
            err);
    }
    (void)otr_blake2b_hex(otr_buf_bytes(&all), out);
    otr_buf_deinit(&all);
    return rc;
}

/* What all patterns match, as one digest. More than there may be is "": always another. So is a
 * match that the walk could not read (`seen`; NULL: not asked): nothing else tells that it can be.
 */
static otr_code match(const otr_root *root, const otr_paths *patterns, const otr_picture *seen,
                      char out[OTR_SHA256_HEX_BYTES], otr_err *err)
{
    otr_paths found = { 0 };
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < patterns->n; i++) {
        if (otr_is_glob(patterns->items[i])) {
            otr_glob glob = { .pattern = patterns->items[i], .max = OTR_LIMIT_NGINX_CONFIG_FILES };
            rc = otr_root_glob(root, &glob, &found, err);
        }
    }
    out[0] = '\0';
    rc = rc == OTR_OK ? digest_paths(&found, out, err) : rc == OTR_ENOMEM ? rc : OTR_OK;
    for (size_t i = 0; seen != NULL && i < found.n; i++) {
        if (otr_picture_find(seen, found.items[i]) == NULL) {
            out[0] = '\0';
        }
    }
    otr_paths_deinit(&found);
    return rc;
}

/* ---- pictures ---- */

/* A file of `path` that nobody has shot yet. */
static otr_code add_shot(const taker *t, const char *path, otr_shot_role role, otr_err *err)
{
    otr_shot *s;
    otr_code rc = add(t->p, path, role, &s, err);
    const otr_shot *was = t->was != NULL ? otr_picture_find(t->was, path) : NULL;
    return rc == OTR_OK ? shoot(t->root, was, t->p, s, err) : rc;
}

static otr_code add_rest(const taker *t, const otr_drift_files *also, otr_err *err)
{
    otr_code rc = OTR_OK;
    sort(t->p);
    size_t n = t->p->n;
    otr_picture walked = *t->p; /* what is added stands behind it */
    for (size_t i = 0; rc == OTR_OK && i < t->p->patterns.n; i++) {
        const char *path = t->p->patterns.items[i];
        walked = (otr_picture){ .shots = t->p->shots, .n = n };
        if (!otr_is_glob(path) && otr_picture_find(&walked, path) == NULL) {
            rc = add_shot(t, path, OTR_SHOT_TEXT, err);
        }
    }
    for (size_t i = 0; rc == OTR_OK && i < t->named.n; i++) {
        rc = add_shot(t, t->named.items[i], OTR_SHOT_NAMED, err);
    }
    for (size_t i = 0; rc == OTR_OK && also != NULL && i < also->n; i++) {
        walked = (otr_picture){ .shots = t->p->shots, .n = n };
        if (otr_picture_find(&walked, also->items[i].path) == NULL) {
            rc = add_shot(t, also->items[i].path, OTR_SHOT_ALSO, err);
        }
    }
    sort(t->p);
    return rc;
}

static void folder_of(const char *path, char out[OTR_NGINX_PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash != NULL ? (size_t)(slash - path) : 0;
    (void)snprintf(out, OTR_NGINX_PATH_BYTES, "%.*s", (int)n, path);
}

static otr_code walk(const otr_root *root, const char *config, const otr_picture *was,
                     const otr_drift_files *also, otr_picture *ret, otr_err *err)
{
    char folder[OTR_NGINX_PATH_BYTES];
    folder_of(config, folder);
    taker t = { .root = root, .was = was, .p = ret, .folder = folder };
    otr_visitor visitor = {
        .enter = enter, .leave = leave, .unseen = unseen, .visit = visit, .arg = &t
    };
    otr_err why = { 0 };
    otr_code rc = otr_nginx_walk(root, config, &visitor, NULL, &why);
    if (rc != OTR_OK && rc != OTR_ENOMEM) {
        ret->partial = true;
        (void)snprintf(ret->error, sizeof(ret->error), "%s", why.msg);
        rc = OTR_OK;
    }
    otr_paths_unique(&ret->patterns);
    otr_paths_unique(&t.named);
    if (rc == OTR_OK) {
        sort(ret);
        rc = otr_picture_find(ret, config) == NULL ? add_shot(&t, config, OTR_SHOT_TEXT, &why)
                                                   : OTR_OK;
    }
    rc = rc == OTR_OK ? add_rest(&t, also, &why) : rc;
    rc = rc == OTR_OK ? match(root, &ret->patterns, ret, ret->matched, &why) : rc;
    otr_paths_deinit(&t.named);
    if (rc != OTR_OK && err != NULL) {
        *err = why;
    }
    ret->fresh = true;
    return rc;
}

/* The files of `was` as they are now. `ret_again`: the configuration is to be walked anew. */
static otr_code look(const otr_root *root, const otr_picture *was, otr_picture *ret,
                     bool *ret_again, otr_err *err)
{
    char matched[OTR_SHA256_HEX_BYTES];
    otr_code rc = match(root, &was->patterns, NULL, matched, err);
    *ret_again = matched[0] == '\0' || strcmp(matched, was->matched) != 0;
    for (size_t i = 0; rc == OTR_OK && !*ret_again && i < was->n; i++) {
        otr_shot *s;
        const otr_shot *old = &was->shots[i];
        rc = add(ret, old->path, old->role, &s, err);
        rc = rc == OTR_OK ? shoot(root, old, ret, s, err) : rc;
        if (rc != OTR_OK) {
            return rc;
        }
        bool same = s->state == old->state && strcmp(s->digest, old->digest) == 0;
        ret->fresh |= !same || !same_stamp(s, old);
        *ret_again = !same && s->role == OTR_SHOT_TEXT;
    }
    return rc;
}

static bool has_all(const otr_picture *was, const otr_drift_files *also)
{
    for (size_t i = 0; also != NULL && i < also->n; i++) {
        if (otr_picture_find(was, also->items[i].path) == NULL) {
            return false;
        }
    }
    return true;
}

static otr_code copy_patterns(const otr_picture *from, otr_picture *to, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < from->patterns.n; i++) {
        rc = otr_paths_add(&to->patterns, from->patterns.items[i], from->patterns.n, err);
    }
    memcpy(to->matched, from->matched, sizeof(to->matched));
    memcpy(to->error, from->error, sizeof(to->error));
    to->partial = from->partial;
    return rc;
}

otr_code otr_picture_take(const otr_root *root, const char *config, const otr_picture *was,
                          const otr_drift_files *also, otr_picture *ret, otr_err *err)
{
    otr_picture p = { 0 };
    bool again = was == NULL || was->n == 0 || !has_all(was, also);
    otr_code rc = OTR_OK;
    if (!again) {
        rc = look(root, was, &p, &again, err);
        rc = rc == OTR_OK && !again ? copy_patterns(was, &p, err) : rc;
    }
    if (rc == OTR_OK && again) {
        uint64_t reads = p.reads;
        otr_picture_deinit(&p);
        rc = walk(root, config, was, also, &p, err);
        p.reads += reads;
    }
    if (rc != OTR_OK) {
        otr_picture_deinit(&p);
        return rc;
    }
    *ret = p;
    return OTR_OK;
}
