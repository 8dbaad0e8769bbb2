/*
 * Where a path of a change ends, whether it is safe to write there, and with whose rights.
 *
 * The way to a file is safe when nobody else can put another folder or link in it: each folder from
 * "/" on is of root, of the user of that NGINX or ours, and no other may write to it (in one with
 * the sticky bit: what lies in it is ours). If folders are of one more user, the work in them is
 * done with that user's rights, who can then reach nothing by it that is not theirs already.
 *
 * Thread: any. Calls block.
 */
#ifndef OTR_NGINX_CHANGE_PLACE_H
#define OTR_NGINX_CHANGE_PLACE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/root.h"

enum { OTR_ACTORS = 16 };

/* Users whose rights are taken: the first is that of the NGINX itself. Each a copy of the root with
 * another user. */
typedef struct otr_actors {
    otr_root *items[OTR_ACTORS];
    size_t n;
} otr_actors;

/* OTR_EDENIED: this agent cannot act for the user of that NGINX. */
otr_code otr_actors_init(otr_actors *actors, const otr_root *root, otr_err *err) OTR_MUST_CHECK;
void otr_actors_deinit(otr_actors *actors);
/* The one for `uid`, made if it is new. */
otr_code otr_actors_find(otr_actors *actors, uid_t uid, size_t *ret, otr_err *err) OTR_MUST_CHECK;

typedef struct otr_place {
    otr_root_end end;
    bool exists; /* what the path leads to; `st` is it */
    struct stat st;
    struct stat folder; /* the innermost folder on the way that exists: owner, mode, identity */
    size_t actor;       /* of an otr_actors */
    bool as_owner;      /* of another user than that NGINX's */
} otr_place;

/* OTR_EDENIED: outside of the allowed folders, or the way is not safe. */
otr_code otr_place_find(otr_actors *actors, const char *path, otr_root_last last, otr_place *ret,
                        otr_err *err) OTR_MUST_CHECK;

#endif
