#include "nginx/change/place.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "nginx/rights.h"

/* ---- actors ---- */

static bool can_act(const otr_root *root)
{
    otr_rights rights;
    otr_rights_take(root, &rights);
    otr_rights_give_back(&rights);
    return rights.state != OTR_RIGHTS_JUDGE;
}

otr_code otr_actors_init(otr_actors *actors, const otr_root *root, otr_err *err)
{
    *actors = (otr_actors){ 0 };
    if (!can_act(root)) {
        return otr_fail(err, OTR_EDENIED,
                        "that NGINX is of user %lu, for whom this agent cannot act: run the agent "
                        "as root or as that user",
                        (unsigned long)root->uid);
    }
    otr_code rc = otr_root_copy(root, &actors->items[0], err);
    actors->n = rc == OTR_OK ? 1 : 0;
    return rc;
}

void otr_actors_deinit(otr_actors *actors)
{
    while (actors->n > 0) {
        otr_root_free(actors->items[--actors->n]);
    }
}

/* Group and further groups of a user of this machine. */
static bool find_groups(uid_t uid, gid_t *ret_gid, gid_t *groups, size_t *n)
{
    char text[16384];
    struct passwd user, *found = NULL;
    int count = (int)*n;
    if (getpwuid_r(uid, &user, text, sizeof(text), &found) != 0 || found == NULL) {
        *ret_gid = (gid_t)-1;
        *n = 0;
        return false;
    }
    *ret_gid = user.pw_gid;
    if (getgrouplist(user.pw_name, user.pw_gid, groups, &count) < 0) {
        count = 0;
    }
    *n = (size_t)count;
    return true;
}

otr_code otr_actors_find(otr_actors *actors, uid_t uid, size_t *ret, otr_err *err)
{
    size_t i = 0;
    while (i < actors->n && actors->items[i]->uid != uid) {
        i++;
    }
    if (i == actors->n) {
        gid_t groups[OTR_RIGHTS_GROUPS];
        otr_root user = *actors->items[0];
        user.uid = uid;
        user.groups = groups;
        user.n_groups = OTR_COUNT(groups);
        if (i == OTR_ACTORS) {
            return otr_fail(err, OTR_EQUOTA, "the folders of this change are of more than %d users",
                            OTR_ACTORS);
        }
        if (!find_groups(uid, &user.gid, groups, &user.n_groups)) {
            return otr_fail(err, OTR_EDENIED, "there is no user %lu on this machine to act for",
                            (unsigned long)uid);
        }
        otr_code rc = otr_root_copy(&user, &actors->items[i], err);
        if (rc != OTR_OK) {
            return rc;
        }
        actors->n++;
    }
    *ret = i;
    return OTR_OK;
}

/* ---- the way ---- */

enum { PARTS = OTR_ROOT_PATH_BYTES / 2 };

typedef struct folder {
    uid_t uid;
    gid_t gid;
    mode_t mode;
    dev_t dev;
    ino_t ino;
} folder;

typedef struct way {
    otr_actors *actors;
    folder folders[PARTS]; /* those above what is looked at, by depth: links begin anew somewhere */
    bool foreign;          /* one of them is of somebody else: */
    uid_t owner;
    struct stat st; /* what was looked at last */
} way;

static size_t depth_of(const char *path)
{
    size_t n = 0;
    for (const char *p = path; path[1] != '\0' && *p != '\0'; p++) {
        n += *p == '/' ? 1 : 0;
    }
    return n;
}

static bool is_trusted(const way *w, uid_t uid)
{
    return uid == 0 || uid == geteuid() || uid == w->actors->items[0]->uid ||
           (w->foreign && uid == w->owner);
}

static otr_code refuse_users(const char *path, uid_t uid, otr_err *err)
{
    return otr_fail(err, OTR_EDENIED,
                    "%s is of user %lu, who is neither root nor the user of that NGINX: give the "
                    "folder to one of them (chown)",
                    path, (unsigned long)uid);
}

/* One user beside root and NGINX's may own folders, if we are able to act for them: root can, on
 * this machine's own files. */
static otr_code take_owner(way *w, const char *path, uid_t uid, otr_err *err)
{
    const otr_root *root = w->actors->items[0];
    if (is_trusted(w, uid)) {
        return OTR_OK;
    }
    if (w->foreign || root->uid != 0 || geteuid() != 0 || root->path[0] != '\0') {
        return refuse_users(path, uid, err);
    }
    w->foreign = true;
    w->owner = uid;
    return OTR_OK;
}

static otr_code refuse_writers(const char *path, mode_t mode, otr_err *err)
{
    return otr_fail(err, OTR_EDENIED,
                    "%s may be written to by others than root and the user of that NGINX (mode "
                    "%04o): take that right away (chmod go-w) or move the files",
                    path, (unsigned)(mode & 07777));
}

static bool in_groups(const otr_root *user, gid_t gid)
{
    for (size_t i = 0; i < user->n_groups; i++) {
        if (user->groups[i] == gid) {
            return true;
        }
    }
    return user->gid == gid;
}

/* Whose rights will be used is known at the end only: groups are judged then. */
static bool is_shared(const folder *f, const otr_root *user)
{
    bool group = user->uid == 0 && geteuid() == 0 ? f->gid == 0
                 : user->uid == 0                 ? f->gid == 0 || f->gid == getegid()
                                                  : f->gid == 0 || in_groups(user, f->gid);
    return (f->mode & S_IWOTH) != 0 || ((f->mode & S_IWGRP) != 0 && !group);
}

static otr_code see(void *arg, const char *path, const struct stat *st, otr_err *err)
{
    way *w = arg;
    size_t depth = depth_of(path);
    w->st = *st;
    if (depth > 0) { /* in a folder with the sticky bit what others own is not to be passed */
        const folder *above = &w->folders[depth - 1];
        if ((above->mode & S_ISVTX) != 0 && (above->mode & (S_IWOTH | S_IWGRP)) != 0 &&
            !is_trusted(w, st->st_uid) && !S_ISDIR(st->st_mode)) {
            return refuse_users(path, st->st_uid, err);
        }
    }
    if (!S_ISDIR(st->st_mode)) {
        return OTR_OK;
    }
    w->folders[depth] = (folder){ st->st_uid, st->st_gid, st->st_mode, st->st_dev, st->st_ino };
    return take_owner(w, path, st->st_uid, err);
}

/* All folders of the way from "/" on; the innermost one is written to. */
static otr_code judge(const way *w, const otr_root *user, const char *path, size_t folders,
                      otr_err *err)
{
    for (size_t i = 0; i <= folders; i++) {
        const folder *f = &w->folders[i];
        bool sticky = (f->mode & S_ISVTX) != 0 && i < folders;
        if (is_shared(f, user) && !sticky) {
            char text[OTR_ROOT_PATH_BYTES];
            (void)snprintf(text, sizeof(text), "%s", path);
            size_t depth = 0;
            char *p = text;
            for (; *p != '\0' && (depth += *p == '/' ? 1 : 0) <= i; p++) {
            }
            *p = '\0';
            return refuse_writers(i > 0 ? text : "/", f->mode, err);
        }
    }
    return OTR_OK;
}

/* How many folders there are above the end: those that exist, and not the end itself. */
static size_t folders_above(const otr_root_end *end)
{
    bool whole = end->there == strlen(end->path);
    size_t n = 0;
    for (size_t i = 1; i < end->there; i++) {
        n += end->path[i] == '/' ? 1 : 0;
    }
    return whole ? n : end->there <= 1 ? 0 : n + 1;
}

static otr_code choose(way *w, otr_place *ret, otr_err *err)
{
    ret->actor = 0;
    ret->as_owner = w->foreign;
    otr_code rc = w->foreign ? otr_actors_find(w->actors, w->owner, &ret->actor, err) : OTR_OK;
    size_t folders = folders_above(&ret->end);
    if (rc == OTR_OK) {
        rc = judge(w, w->actors->items[ret->actor], ret->end.path, folders, err);
    }
    const folder *inner = &w->folders[folders];
    ret->folder = (struct stat){ .st_uid = inner->uid,
                                 .st_gid = inner->gid,
                                 .st_mode = inner->mode,
                                 .st_dev = inner->dev,
                                 .st_ino = inner->ino };
    return rc;
}

otr_code otr_place_find(otr_actors *actors, const char *path, otr_root_last last, otr_place *ret,
                        otr_err *err)
{
    OTR_CLEANUP(otr_freep) way *w = otr_zalloc(sizeof(*w));
    if (w == NULL) {
        return otr_fail_nomem(err);
    }
    w->actors = actors;
    const otr_root_visitor visitor = { see, w };
    otr_code rc = otr_root_follow(actors->items[0], path, last, &visitor, &ret->end, err);
    if (rc == OTR_OK && ret->end.allowed >= strlen(ret->end.path)) {
        rc = otr_fail(err, OTR_EDENIED, "%s is one of allowed_directories itself, not a file in it",
                      path);
    }
    if (rc == OTR_OK) {
        ret->exists = ret->end.there == strlen(ret->end.path);
        ret->st = ret->exists ? w->st : (struct stat){ 0 };
        rc = choose(w, ret, err);
    }
    return rc;
}
