/*
 * A plan from inside: what the transaction needs of an item beside what is told of it.
 *
 * Thread: as of the plan.
 */
#ifndef OTR_NGINX_CHANGE_ENTRY_H
#define OTR_NGINX_CHANGE_ENTRY_H

#include <sys/stat.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "nginx/change/place.h"
#include "nginx/change/plan.h"

typedef struct otr_plan_entry {
    otr_plan_item item; /* first: an item is its entry */
    size_t allowed;     /* bytes of item.real that are the allowed folder */
    size_t there;       /* bytes of it that exist */
    size_t actor;
    bool link;        /* what is there is a symbolic link (and is deleted) */
    struct stat st;   /* of what is there */
    uid_t folder_uid; /* of the innermost folder that exists */
    gid_t folder_gid;
    uint64_t folder_dev, folder_ino;
} otr_plan_entry;

struct otr_plan {
    otr_actors actors;
    const otr_changes *changes;
    otr_arena texts;
    otr_plan_entry *entries;
    size_t n, cap;
    size_t count_of[OTR_PLAN_DELETE + 1];
};

/* A new entry for `path` where `place` says it is. */
otr_code otr_plan_add(otr_plan *plan, const char *path, const otr_place *place,
                      otr_plan_entry **ret, otr_err *err) OTR_MUST_CHECK;

/* What is there becomes `before`, with its digest (that of the set's file where they are equal). */
otr_code otr_plan_look(otr_plan *plan, otr_plan_entry *entry, otr_err *err) OTR_MUST_CHECK;
/* Remarks about what is there: hard links, access lists, mounts, flags. OTR_EDENIED: its folder may
 * not be written to. */
otr_code otr_plan_remark_on(const otr_plan *plan, otr_plan_entry *entry, otr_err *err)
    OTR_MUST_CHECK;
/* Everything below the synced folders that the set does not name is deleted. */
otr_code otr_plan_sync(otr_plan *plan, otr_err *err) OTR_MUST_CHECK;

/* Device, inode, size, and time of change of the content. */
bool otr_plan_same_file(const struct stat *a, const struct stat *b);

#endif
