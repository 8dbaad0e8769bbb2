#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "nginx/change/sources.h"

enum { PIECE_BYTES = 65536 };

typedef struct level {
    DIR *dir;
    size_t len; /* of `path` in this folder */
} level;

typedef struct walk {
    otr_changes *set;
    const otr_change_source *how;
    const char *from; /* the folder, for messages */
    size_t skip;      /* bytes of `path` that are the prefix */
    level levels[OTR_LIMIT_CHANGE_DEPTH];
    size_t depth;
    size_t seen;                                /* names, to end at a limit */
    char path[OTR_LIMIT_CHANGE_PATH_BYTES + 1]; /* where the name goes */
} walk;

static otr_change_attributes attributes_of(const otr_change_source *how, const struct stat *st)
{
    otr_change_attributes ret = OTR_CHANGE_KEEP_ALL;
    if (how->attributes >= OTR_CHANGE_SOURCE_MODE) {
        ret.mode = (int)(st->st_mode & 0777);
    }
    if (how->attributes == OTR_CHANGE_SOURCE_OWNER) {
        ret.uid = st->st_uid;
        ret.gid = st->st_gid;
    }
    return ret;
}

/* Puts what `fd` holds at `to`. */
static otr_code copy(otr_changes *set, const otr_change_source *how, int fd, const char *to,
                     otr_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return otr_fail_sys(err, errno, "cannot read what is to be %s", to);
    }
    OTR_CLEANUP(otr_freep) uint8_t *piece = otr_alloc(PIECE_BYTES);
    if (piece == NULL) {
        return otr_fail_nomem(err);
    }
    const otr_change_attributes attributes = attributes_of(how, &st);
    uint64_t size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    otr_code rc = otr_changes_begin(set, to, &attributes, size, err);
    while (rc == OTR_OK) {
        ssize_t n = read(fd, piece, PIECE_BYTES);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            rc = otr_changes_write(set, (otr_bytes){ piece, (size_t)n }, err);
        } else if (errno != EINTR) {
            rc = otr_fail_sys(err, errno, "cannot read what is to be %s", to);
        }
    }
    return rc == OTR_OK ? otr_changes_end(set, err) : rc;
}

otr_code otr_changes_add_file(otr_changes *set, const otr_change_source *how, const char *from,
                              const char *to, otr_err *err)
{
    int fd;
    struct stat st;
    otr_code rc = otr_file_open(from, &fd, &st, err);
    if (rc == OTR_OK) {
        rc = copy(set, how, fd, to, err);
        (void)close(fd);
    }
    return rc;
}

/* ---- a folder ---- */

static const char *rest_of(const walk *w)
{
    return w->path + w->skip;
}

static otr_code enter(walk *w, int fd, otr_err *err)
{
    if (w->depth >= OTR_LIMIT_CHANGE_DEPTH) {
        (void)close(fd);
        return otr_fail(err, OTR_EQUOTA, "%s%s: folders lie at most %d deep in a change", w->from,
                        rest_of(w), OTR_LIMIT_CHANGE_DEPTH);
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int sys = errno;
        (void)close(fd);
        return otr_fail_sys(err, sys, "cannot list %s%s", w->from, rest_of(w));
    }
    w->levels[w->depth++] = (level){ .dir = dir, .len = strlen(w->path) };
    return OTR_OK;
}

static void leave(walk *w)
{
    w->depth--;
    (void)closedir(w->levels[w->depth].dir);
}

static otr_code take_link(walk *w, int dir, const char *name, otr_err *err)
{
    char target[OTR_LIMIT_CHANGE_PATH_BYTES + 1];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
    if (n < 0) {
        return otr_fail_sys(err, errno, "cannot read the link %s%s", w->from, rest_of(w));
    }
    target[n] = '\0';
    return otr_changes_link(w->set, w->path, target, err);
}

/* What is no folder, file or link is never opened: it is looked at first, and opened without
 * waiting in case it is exchanged meanwhile. */
static otr_code take(walk *w, int dir, const char *name, otr_err *err)
{
    struct stat st;
    if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return otr_fail_sys(err, errno, "cannot look at %s%s", w->from, rest_of(w));
    }
    if (S_ISLNK(st.st_mode)) {
        return take_link(w, dir, name, err);
    }
    bool folder = S_ISDIR(st.st_mode);
    if (!folder && !S_ISREG(st.st_mode)) {
        return otr_fail(err, OTR_EINVAL,
                        "%s%s is neither a regular file nor a folder: take it out of what is to be "
                        "applied",
                        w->from, rest_of(w));
    }
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int fd = openat(dir, name, flags | (folder ? O_DIRECTORY : 0));
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot open %s%s", w->from, rest_of(w));
    }
    if (folder) {
        return enter(w, fd, err);
    }
    struct stat now;
    otr_code rc = OTR_OK;
    if (fstat(fd, &now) != 0 || !S_ISREG(now.st_mode)) {
        rc = otr_fail(err, OTR_EINVAL, "%s%s changed its kind while it was read", w->from,
                      rest_of(w));
    } else {
        rc = copy(w->set, w->how, fd, w->path, err);
    }
    (void)close(fd);
    return rc;
}

/* One name of the innermost folder; leaves it at its end. */
static otr_code step(walk *w, otr_err *err)
{
    const level *top = &w->levels[w->depth - 1];
    w->path[top->len] = '\0';
    errno = 0;
    const struct dirent *entry = readdir(top->dir); /* NOLINT(concurrency-mt-unsafe): our own DIR */
    if (entry == NULL) {
        int sys = errno;
        leave(w);
        return sys == 0 ? OTR_OK : otr_fail_sys(err, sys, "cannot list %s%s", w->from, rest_of(w));
    }
    if (entry->d_name[0] == '.') {
        return OTR_OK;
    }
    if (++w->seen > OTR_LIMIT_CHANGE_TAR_MEMBERS) {
        return otr_fail(err, OTR_EQUOTA, "%s holds more than %d names", w->from,
                        OTR_LIMIT_CHANGE_TAR_MEMBERS);
    }
    int n = snprintf(w->path + top->len, sizeof(w->path) - top->len, "/%s", entry->d_name);
    if (n < 0 || (size_t)n >= sizeof(w->path) - top->len) {
        return otr_fail(err, OTR_EQUOTA, "%s: a path below it is too long", w->from);
    }
    return take(w, dirfd(top->dir), entry->d_name, err);
}

otr_code otr_changes_add_folder(otr_changes *set, const otr_change_source *how, const char *folder,
                                otr_err *err)
{
    OTR_CLEANUP(otr_freep) walk *w = otr_zalloc(sizeof(*w));
    if (w == NULL) {
        return otr_fail_nomem(err);
    }
    w->set = set;
    w->how = how;
    w->from = folder;
    int n =
        snprintf(w->path, sizeof(w->path), "%s", strcmp(how->prefix, "/") == 0 ? "" : how->prefix);
    if (n < 0 || (size_t)n >= sizeof(w->path)) {
        return otr_fail(err, OTR_EQUOTA, "%.64s...: the path is too long", how->prefix);
    }
    w->skip = (size_t)n;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot open %s", folder);
    }
    otr_code rc = enter(w, fd, err);
    while (rc == OTR_OK && w->depth > 0) {
        rc = step(w, err);
    }
    while (w->depth > 0) {
        leave(w);
    }
    return rc;
}
