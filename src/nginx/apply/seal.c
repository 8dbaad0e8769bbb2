#include "nginx/apply/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/escape.h"
#include "base/limits.h"
#include "nginx/files.h"
#include "nginx/language/walk.h"

/* The clock of inodes moves in steps of a few milliseconds. */
enum { STEP_MS = 50, SHOWN_BYTES = 600 };

typedef struct mark {
    char *path;
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
    bool folder;
    char digest[OTR_SHA256_HEX_BYTES]; /* of one that was written just now; else "" */
} mark;

struct otr_seal {
    char *config;
    mark *items; /* in the order of the walk; a file may come often */
    size_t n, cap;
    char doubt[OTR_ERR_MSG_BYTES];
};

static uint64_t ns_of(struct timespec t)
{
    return (uint64_t)t.tv_sec * OTR_NS_PER_S + (uint64_t)t.tv_nsec;
}

static mark mark_of(const struct stat *st)
{
    return (mark){ .dev = st->st_dev,
                   .ino = st->st_ino,
                   .size = (uint64_t)st->st_size,
                   .mtime_ns = ns_of(st->st_mtim),
                   .ctime_ns = ns_of(st->st_ctim),
                   .folder = S_ISDIR(st->st_mode) };
}

static bool is_fresh(const mark *m)
{
    return m->ctime_ns + (uint64_t)STEP_MS * OTR_NS_PER_MS >= otr_wall_ns();
}

/* ---- making ---- */

otr_code otr_seal_new(const char *config, otr_seal **ret, otr_err *err)
{
    otr_seal *s = otr_zalloc(sizeof(*s));
    if (s != NULL) {
        s->config = otr_strdup(config);
    }
    if (s == NULL || s->config == NULL) {
        otr_seal_free(s);
        return otr_fail_nomem(err);
    }
    *ret = s;
    return OTR_OK;
}

otr_code otr_seal_add(otr_seal *seal, const char *path, const struct stat *st,
                      const otr_bytes *text, otr_err *err)
{
    otr_code rc = otr_grow(&seal->items, seal->n, &seal->cap, sizeof(*seal->items), err);
    if (rc != OTR_OK) {
        return rc;
    }
    mark m = mark_of(st);
    m.folder = text == NULL;
    m.path = otr_strdup(path);
    if (m.path == NULL) {
        return otr_fail_nomem(err);
    }
    if (text != NULL && is_fresh(&m)) {
        (void)otr_blake2b_hex(*text, m.digest);
    }
    seal->items[seal->n++] = m;
    return OTR_OK;
}

void otr_seal_doubt(otr_seal *seal, const char *why)
{
    if (seal->doubt[0] == '\0') {
        (void)snprintf(seal->doubt, sizeof(seal->doubt), "%s", why);
    }
}

void otr_seal_free(otr_seal *seal)
{
    if (seal == NULL) {
        return;
    }
    for (size_t i = 0; i < seal->n; i++) {
        otr_free(seal->items[i].path);
    }
    otr_free(seal->items);
    otr_free(seal->config);
    otr_free(seal);
}

otr_code otr_seal_folders(const otr_seal *seal, otr_seal_folder_fn *fn, void *arg, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < seal->n; i++) {
        rc = seal->items[i].folder ? fn(arg, seal->items[i].dev, seal->items[i].ino, err) : OTR_OK;
    }
    return rc;
}

/* ---- looking ---- */

typedef struct look {
    const otr_seal *seal;
    const otr_root *root;
    otr_seal_state state;
    char *text;
    size_t cap;
    bool moved; /* of a folder: names may have come or gone */
} look;

static void say(look *l, otr_seal_state state, const char *path, const char *what)
{
    char shown[SHOWN_BYTES];
    if (l->state == OTR_SEAL_HOLDS || (state == OTR_SEAL_BROKEN && l->state == OTR_SEAL_UNKNOWN)) {
        l->state = state;
        (void)otr_escape_text(otr_bytes_of(path), shown, sizeof(shown));
        (void)snprintf(l->text, l->cap, "%s%s%s", shown, path[0] != '\0' ? " " : "", what);
    }
}

static otr_code look_at_text(look *l, const mark *was, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    char digest[OTR_SHA256_HEX_BYTES];
    otr_err why = { 0 };
    otr_buf_init(&text, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_code rc = otr_root_read(l->root, was->path, &text, NULL, &why);
    if (rc == OTR_ENOMEM) {
        return otr_fail_nomem(err);
    }
    if (rc != OTR_OK) {
        say(l, OTR_SEAL_UNKNOWN, "", why.msg);
    } else if (strcmp(otr_blake2b_hex(otr_buf_bytes(&text), digest), was->digest) != 0) {
        say(l, OTR_SEAL_BROKEN, was->path, "was changed by somebody else");
    }
    return OTR_OK;
}

static void cannot_open(look *l, const mark *was, otr_code rc, const otr_err *why)
{
    if (rc == OTR_ENOTFOUND || why->sys == ENOENT || why->sys == ENOTDIR) {
        say(l, OTR_SEAL_BROKEN, was->path, "was taken away by somebody else");
    } else {
        say(l, OTR_SEAL_UNKNOWN, "", why->msg);
    }
}

static otr_code look_at(look *l, const mark *was, otr_err *err)
{
    int fd;
    struct stat st = { 0 };
    otr_err why = { 0 };
    otr_code rc = otr_root_open(l->root, was->path, O_PATH, &fd, &why);
    if (rc == OTR_ENOMEM) {
        return otr_fail_nomem(err);
    }
    if (rc != OTR_OK) {
        cannot_open(l, was, rc, &why);
        return OTR_OK;
    }
    bool ok = fstat(fd, &st) == 0;
    int sys = errno;
    (void)close(fd);
    if (!ok) {
        (void)otr_fail_sys(&why, sys, "%s cannot be looked at", was->path);
        say(l, OTR_SEAL_UNKNOWN, "", why.msg);
        return OTR_OK;
    }
    const mark now = mark_of(&st);
    bool same = was->dev == now.dev && was->ino == now.ino && was->mtime_ns == now.mtime_ns &&
                was->ctime_ns == now.ctime_ns && was->folder == now.folder;
    if (was->folder) {
        l->moved |= !same;
    } else if (!same || was->size != now.size) {
        say(l, OTR_SEAL_BROKEN, was->path, "was changed by somebody else");
    } else if (was->digest[0] != '\0') {
        return look_at_text(l, was, err);
    }
    return OTR_OK;
}

/* ---- where a folder has moved: which files are there now ---- */

typedef struct again {
    look *l;
    size_t at; /* in the items of the seal */
} again;

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
    (void)err;
    say(((again *)arg)->l, OTR_SEAL_UNKNOWN, "", what->why->msg);
    return OTR_OK;
}

/* The same files in the same order. */
static otr_code visit(void *arg, const char *path, const struct stat *st, const otr_bytes *text,
                      otr_err *err)
{
    again *a = arg;
    const otr_seal *seal = a->l->seal;
    (void)st;
    (void)err;
    if (text == NULL) {
        return OTR_OK;
    }
    while (a->at < seal->n && seal->items[a->at].folder) {
        a->at++;
    }
    if (a->at == seal->n) {
        say(a->l, OTR_SEAL_BROKEN, path, "was added by somebody else");
    } else if (strcmp(seal->items[a->at].path, path) != 0) {
        say(a->l, OTR_SEAL_BROKEN, path,
            "was added by somebody else, or another one was taken away");
    }
    a->at++;
    return OTR_OK;
}

static otr_code walk_again(look *l, otr_err *err)
{
    again a = { .l = l };
    otr_err why = { 0 };
    otr_visitor visitor = {
        .enter = enter, .leave = leave, .unseen = unseen, .visit = visit, .arg = &a
    };
    otr_code rc = otr_nginx_walk(l->root, l->seal->config, &visitor, NULL, &why);
    if (rc == OTR_ENOMEM) {
        return otr_fail_nomem(err);
    }
    while (a.at < l->seal->n && l->seal->items[a.at].folder) {
        a.at++;
    }
    if (rc != OTR_OK) {
        say(l, OTR_SEAL_UNKNOWN, "", why.msg);
    } else if (a.at < l->seal->n) {
        say(l, OTR_SEAL_BROKEN, l->seal->items[a.at].path,
            "is not a part of the configuration any more");
    }
    return OTR_OK;
}

otr_code otr_seal_look(const otr_seal *seal, const otr_root *root, otr_seal_state *ret, char *text,
                       size_t cap, otr_err *err)
{
    look l = { .seal = seal, .root = root, .state = OTR_SEAL_HOLDS, .text = text, .cap = cap };
    otr_code rc = OTR_OK;
    text[0] = '\0';
    for (size_t i = 0; rc == OTR_OK && l.state != OTR_SEAL_BROKEN && i < seal->n; i++) {
        rc = look_at(&l, &seal->items[i], err);
    }
    if (rc == OTR_OK && l.moved && l.state == OTR_SEAL_HOLDS) {
        rc = walk_again(&l, err);
    }
    if (rc == OTR_OK && (seal->doubt[0] != '\0' || seal->n == 0)) {
        say(&l, OTR_SEAL_UNKNOWN, "",
            seal->n == 0 ? "its files could not be looked at before" : seal->doubt);
    }
    *ret = l.state;
    return rc;
}
