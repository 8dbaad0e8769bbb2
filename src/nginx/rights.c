#include "nginx/rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

enum { LINK_BYTES = 4096 };

#ifdef SYS_setgroups32
enum { SETGROUPS = SYS_setgroups32 };
#else
enum { SETGROUPS = SYS_setgroups };
#endif

/* The C library's setgroups() would change every thread. */
static bool set_groups(size_t n, const gid_t *groups)
{
    return syscall(SETGROUPS, n, groups) == 0;
}

/* setfsuid(2) reports no failure: asking for an invalid id tells which one is in force. */
static bool has_fs_ids(uid_t uid, gid_t gid)
{
    return (uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid;
}

static bool set_ids(uid_t uid, gid_t gid)
{
    (void)setfsgid(gid);
    (void)setfsuid(uid);
    return has_fs_ids(uid, gid);
}

/* A thread that is left with a stranger's rights, or without ours, must not go on. */
void otr_rights_give_back(const otr_rights *rights)
{
    if (rights->state != OTR_RIGHTS_THEIR) {
        return;
    }
    if (!set_ids(rights->uid, rights->gid) ||
        !set_groups((size_t)rights->n_groups, rights->groups)) {
        otr_log_error("the rights of a thread cannot be given back: ending");
        abort();
    }
}

void otr_rights_take(const otr_root *root, otr_rights *ret)
{
    ret->state = OTR_RIGHTS_OURS;
    if (root->uid == 0 || root->uid == geteuid()) {
        return;
    }
    ret->state = OTR_RIGHTS_JUDGE;
    if (geteuid() != 0) { /* capabilities, if there are any, would outlive the change */
        return;
    }
    ret->uid = geteuid();
    ret->gid = getegid();
    ret->n_groups = getgroups(OTR_RIGHTS_GROUPS, ret->groups);
    if (ret->n_groups < 0 || !set_groups(root->n_groups, root->groups)) {
        return;
    }
    ret->state = OTR_RIGHTS_THEIR;
    if (!set_ids(root->uid, root->gid)) {
        otr_rights_give_back(ret);
        ret->state = OTR_RIGHTS_JUDGE;
    }
}

/* ---- by mode ---- */

static bool in_group(const otr_root *root, gid_t gid)
{
    for (size_t i = 0; i < root->n_groups; i++) {
        if (root->groups[i] == gid) {
            return true;
        }
    }
    return root->gid == gid;
}

/* `bit`: 4 to read, 1 to pass through. */
static bool has_bit(const otr_root *root, const struct stat *st, mode_t bit)
{
    unsigned shift = st->st_uid == root->uid ? 6 : in_group(root, st->st_gid) ? 3 : 0;
    return (st->st_mode >> shift & bit) != 0;
}

bool otr_rights_may_read(const otr_root *root, int fd)
{
    char link[64], path[LINK_BYTES];
    struct stat st;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (fstat(fd, &st) != 0 || !has_bit(root, &st, 4) || n <= 0 || path[0] != '/') {
        return false;
    }
    path[n] = '\0';
    for (char *slash = strrchr(path, '/'); slash != path; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (stat(path, &st) != 0 || !has_bit(root, &st, 1)) {
            return false;
        }
    }
    return true;
}
