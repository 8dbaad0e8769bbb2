#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/change/entry.h"
#include "nginx/rights.h"

typedef struct level {
    DIR *dir;
    size_t len;
} level;

typedef struct walk {
    otr_plan *plan;
    level levels[OTR_LIMIT_CHANGE_DEPTH];
    size_t depth;
    size_t seen;
    otr_place place;
    char path[OTR_LIMIT_CHANGE_PATH_BYTES + 1];
} walk;

static otr_code enter(walk *w, int fd, otr_err *err)
{
    if (w->depth >= OTR_LIMIT_CHANGE_DEPTH) {
        (void)close(fd);
        return otr_fail(err, OTR_EQUOTA, "%s: folders lie at most %d deep below one that is synced",
                        w->path, OTR_LIMIT_CHANGE_DEPTH);
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int sys = errno;
        (void)close(fd);
        return otr_fail_sys(err, sys, "cannot list %s", w->path);
    }
    w->levels[w->depth++] = (level){ .dir = dir, .len = strlen(w->path) };
    return OTR_OK;
}

static void leave(walk *w)
{
    w->depth--;
    (void)closedir(w->levels[w->depth].dir);
}

/* Does the set name anything below `path`, which is a link to a folder then? */
static bool names_below(const otr_changes *set, const char *path)
{
    size_t n = strlen(path), low = 0, high = otr_changes_count(set);
    while (low < high) { /* the first that is not before "path/" */
        size_t mid = low + (high - low) / 2;
        const char *at = otr_changes_at(set, mid)->path;
        int order = strncmp(at, path, n);
        if (order < 0 || (order == 0 && (unsigned char)at[n] < '/')) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    const char *at = low < otr_changes_count(set) ? otr_changes_at(set, low)->path : "";
    return strncmp(at, path, n) == 0 && at[n] == '/';
}

/* A file or link that the set may not know. */
static otr_code judge(walk *w, bool is_link, otr_err *err)
{
    otr_plan *plan = w->plan;
    otr_plan_entry *e;
    if (otr_changes_find(plan->changes, w->path) != NULL ||
        (is_link && names_below(plan->changes, w->path))) {
        return OTR_OK;
    }
    otr_code rc = otr_place_find(&plan->actors, w->path, OTR_ROOT_STAY, &w->place, err);
    if (rc != OTR_OK || !w->place.exists ||
        !(S_ISREG(w->place.st.st_mode) || S_ISLNK(w->place.st.st_mode))) {
        return rc;
    }
    rc = otr_plan_add(plan, w->path, &w->place, &e, err);
    if (rc == OTR_OK) {
        rc = otr_plan_look(plan, e, err);
    }
    if (rc == OTR_OK) {
        e->item.action = OTR_PLAN_DELETE;
        rc = otr_plan_remark_on(plan, e, err);
    }
    return rc;
}

static otr_code take_folder(walk *w, int dir, const char *name, otr_err *err)
{
    otr_rights rights;
    otr_rights_take(w->plan->actors.items[0], &rights);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int sys = errno;
    otr_rights_give_back(&rights);
    return fd >= 0 ? enter(w, fd, err) : otr_fail_sys(err, sys, "cannot open %s", w->path);
}

static otr_code step(walk *w, otr_err *err)
{
    const level *top = &w->levels[w->depth - 1];
    w->path[top->len] = '\0';
    errno = 0;
    const struct dirent *entry = readdir(top->dir); /* NOLINT(concurrency-mt-unsafe): our own DIR */
    if (entry == NULL) {
        int sys = errno;
        leave(w);
        return sys == 0 ? OTR_OK : otr_fail_sys(err, sys, "cannot list %s", w->path);
    }
    if (entry->d_name[0] == '.') {
        return OTR_OK;
    }
    if (++w->seen > OTR_LIMIT_CHANGE_TAR_MEMBERS) {
        return otr_fail(err, OTR_EQUOTA, "%s: a folder that is synced holds at most %d names",
                        w->path, OTR_LIMIT_CHANGE_TAR_MEMBERS);
    }
    int n = snprintf(w->path + top->len, sizeof(w->path) - top->len, "/%s", entry->d_name);
    if (n < 0 || (size_t)n >= sizeof(w->path) - top->len) {
        return otr_fail(err, OTR_EQUOTA, "%s: a path below it is too long", w->path);
    }
    struct stat st;
    int dir = dirfd(top->dir);
    if (dir < 0 || fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? OTR_OK : otr_fail_sys(err, errno, "cannot look at %s", w->path);
    }
    if (S_ISDIR(st.st_mode)) {
        return take_folder(w, dir, entry->d_name, err);
    }
    return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? judge(w, S_ISLNK(st.st_mode), err) : OTR_OK;
}

static otr_code sync_one(walk *w, const char *folder, otr_err *err)
{
    int fd;
    (void)snprintf(w->path, sizeof(w->path), "%s", folder);
    otr_err why;
    otr_code rc =
        otr_root_open(w->plan->actors.items[0], folder, O_RDONLY | O_DIRECTORY, &fd, &why);
    if (rc == OTR_ENOTFOUND) {
        return OTR_OK;
    }
    if (rc != OTR_OK) {
        return otr_fail(err, rc, "%s", why.msg);
    }
    rc = enter(w, fd, err);
    while (rc == OTR_OK && w->depth > 0) {
        rc = step(w, err);
    }
    while (w->depth > 0) {
        leave(w);
    }
    return rc;
}

otr_code otr_plan_sync(otr_plan *plan, otr_err *err)
{
    const char *const *folders = otr_changes_synced(plan->changes);
    if (folders[0] == NULL) {
        return OTR_OK;
    }
    OTR_CLEANUP(otr_freep) walk *w = otr_zalloc(sizeof(*w));
    if (w == NULL) {
        return otr_fail_nomem(err);
    }
    w->plan = plan;
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && folders[i] != NULL; i++) {
        rc = sync_one(w, folders[i], err);
    }
    return rc;
}
