/*
 * The rights of another user, for one thread and the time of a few calls.
 *
 * Linux keeps the identity that files are opened with per thread (setfsuid(2)); the rest of the
 * process keeps its own. Root takes a user's rights over whole; any other agent cannot, and has to
 * judge by owner and mode whether that user could have read a file.
 *
 * Thread: any; take and give back on the same one, with nothing but opens between.
 */
#ifndef OTR_NGINX_RIGHTS_H
#define OTR_NGINX_RIGHTS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/root.h"

enum { OTR_RIGHTS_GROUPS = 1024 }; /* supplementary groups; a thread with more cannot change */

typedef enum otr_rights_state {
    OTR_RIGHTS_OURS,  /* root's master, or one of our own user: nothing is changed */
    OTR_RIGHTS_THEIR, /* the thread has the master's rights */
    OTR_RIGHTS_JUDGE, /* they cannot be had: otr_rights_may_read() decides */
} otr_rights_state;

typedef struct otr_rights {
    otr_rights_state state;
    uid_t uid; /* what to give back */
    gid_t gid;
    gid_t groups[OTR_RIGHTS_GROUPS];
    int n_groups;
} otr_rights;

/* Takes the rights of `root`. */
void otr_rights_take(const otr_root *root, otr_rights *ret);
void otr_rights_give_back(const otr_rights *rights);

/* May the master's user read the file behind `fd`, by mode and owner of it and of the folders above
 * it? An access list that gives more than the mode does is not looked at. */
bool otr_rights_may_read(const otr_root *root, int fd);

#endif
