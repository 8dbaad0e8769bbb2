/*
 * The plan: a set of changes held against what is on the disk, before anything is touched.
 *
 * Every path is followed to its end beneath an allowed folder by the kernel, with the rights that
 * the work will be done with. What is no regular file is refused (OTR_EINVAL), and so is a folder
 * on the way that somebody other than root and the user of that NGINX may write to (OTR_EDENIED),
 * unless its owner is one user, whose rights are then taken for that folder. A plan is immutable;
 * what it saw (device, inode, size, times) is looked at again when the work is done.
 *
 * Thread: any, one at a time. Calls block.
 */
#ifndef OTR_NGINX_CHANGE_PLAN_H
#define OTR_NGINX_CHANGE_PLAN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "nginx/change/changes.h"
#include "nginx/root.h"

typedef enum otr_plan_action {
    OTR_PLAN_UNCHANGED,  /* content, mode and owner are as wanted */
    OTR_PLAN_ADD,        /* there is none yet */
    OTR_PLAN_UPDATE,     /* other content (and maybe other attributes) */
    OTR_PLAN_ATTRIBUTES, /* the same content, other mode or owner */
    OTR_PLAN_DELETE,
} otr_plan_action;

/* What somebody should know about an item: bits. */
typedef enum otr_plan_remark {
    OTR_PLAN_HARD_LINKS = 1U << 0, /* its other names keep the old content */
    OTR_PLAN_SYMLINK = 1U << 1,    /* the path leads over links: `real` is what changes; a deletion
                                      takes the link away and leaves its target */
    OTR_PLAN_IMMUTABLE =
        1U << 2,                 /* chattr +i or +a on the file or its folder: the swap will fail */
    OTR_PLAN_MOUNT = 1U << 3,    /* the file is a mount point: it cannot be replaced */
    OTR_PLAN_ACL = 1U << 4,      /* an access list is copied to the new file */
    OTR_PLAN_XATTRS = 1U << 5,   /* other extended attributes are copied, too */
    OTR_PLAN_FOLDERS = 1U << 6,  /* folders have to be made for it */
    OTR_PLAN_SET_ID = 1U << 7,   /* set-user-ID or set-group-ID of the old file is dropped */
    OTR_PLAN_ABSENT = 1U << 8,   /* a deletion of what is not there: unchanged */
    OTR_PLAN_AS_OWNER = 1U << 9, /* done with the rights of the folder's owner */
} otr_plan_remark;
/* A sentence for one bit, in plain English, without a full stop. */
const char *otr_plan_remark_text(otr_plan_remark bit);
/* "add", "update", "delete", "attributes", "unchanged". */
const char *otr_plan_action_name(otr_plan_action action);

typedef struct otr_plan_side {         /* a file before or after */
    bool exists;                       /* else all else is 0 */
    char digest[OTR_SHA256_HEX_BYTES]; /* of the content; "" for a link that is deleted */
    uint64_t size;
    mode_t mode; /* permission bits */
    uid_t uid;
    gid_t gid;
} otr_plan_side;

typedef struct otr_plan_item {
    otr_plan_action action;
    const char *path; /* as the set names it */
    const char *real; /* where it is, without links; often the same text */
    otr_plan_side before, after;
    unsigned remarks;            /* bits of otr_plan_remark */
    const otr_change_file *file; /* of the set; NULL for what a sync deletes */
} otr_plan_item;

typedef struct otr_plan otr_plan;

typedef struct otr_plan_spec {
    const otr_root *root;       /* of that NGINX; `allowed` NULL: OTR_EDENIED. Copied. */
    const otr_changes *changes; /* done; borrowed as long as the plan lives */
    /* Optional, ended by NULL: further paths of the configuration, taken up as unchanged items, so
     * that versions are those of the whole. What cannot be read of them is left out. */
    const char *const *managed;
    /* How these are looked at. */
    enum otr_plan_managed {
        OTR_PLAN_DIGESTED,
        OTR_PLAN_PLACED, /* where they are alone: without a digest, and unread */
    } managed_how;
} otr_plan_spec;

otr_code otr_plan_make(const otr_plan_spec *spec, otr_plan **ret, otr_err *err) OTR_MUST_CHECK;
void otr_plan_free(otr_plan *plan); /* NULL is fine */

size_t otr_plan_count(const otr_plan *plan);
const otr_plan_item *otr_plan_at(const otr_plan *plan, size_t i);           /* sorted by path */
const otr_plan_item *otr_plan_find(const otr_plan *plan, const char *path); /* or NULL */
/* How many items have this action. */
size_t otr_plan_count_of(const otr_plan *plan, otr_plan_action action);
/* Is there nothing to do? */
bool otr_plan_is_empty(const otr_plan *plan);

/* Appends what the file holds now. OTR_ESTATE: it is not what the plan saw any more; it takes as
 * much as fits into `out`, else OTR_EQUOTA. */
otr_code otr_plan_read_before(const otr_plan *plan, const otr_plan_item *item, otr_buf *out,
                              otr_err *err) OTR_MUST_CHECK;
/* Appends what it will hold; of an unchanged one what it does. */
otr_code otr_plan_read_after(const otr_plan *plan, const otr_plan_item *item, otr_buf *out,
                             otr_err *err) OTR_MUST_CHECK;

/* ---- versions: one digest for a state of many files ---- */

typedef struct otr_version_entry {
    const char *path;
    const char *digest; /* SHA-256 in hex */
    mode_t mode;        /* permission bits */
} otr_version_entry;
/* Over the entries sorted by path (sorts them in place); SHA-256 in hex. */
otr_code otr_version_of(otr_version_entry *entries, size_t n, char out[OTR_SHA256_HEX_BYTES],
                        otr_err *err) OTR_MUST_CHECK;
typedef enum otr_plan_time { OTR_PLAN_BEFORE, OTR_PLAN_AFTER } otr_plan_time;
/* Of all items of the plan that exist then. */
otr_code otr_plan_version(const otr_plan *plan, otr_plan_time when, char out[OTR_SHA256_HEX_BYTES],
                          otr_err *err) OTR_MUST_CHECK;
/* Of files on the disk now, with digests: for drift and for who has no plan. Files that are not
 * there are left out; OTR_EIO and OTR_EDENIED for one that is and cannot be read. */
otr_code otr_version_read(const otr_root *root, const char *const *paths,
                          char out[OTR_SHA256_HEX_BYTES], otr_err *err) OTR_MUST_CHECK;
/* Digest, size, mode and owner of one file; `ret->exists` false: there is none. */
otr_code otr_plan_side_read(const otr_root *root, const char *path, otr_plan_side *ret,
                            otr_err *err) OTR_MUST_CHECK;

#endif
