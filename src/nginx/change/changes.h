/*
 * A set of changes: which files are to hold what, and which are to go.
 *
 * A set is filled by one writer, ended once and then only read. Contents lie in one spool file
 * without a name in the agent's state folder, never in memory. Paths are absolute, clean and as
 * that NGINX sees them; whether they may be written is the plan's to say (plan.h). A set in the
 * form "patch" names what changes; with otr_changes_sync() it is the whole truth below a folder,
 * and what the disk has there beside it is to be deleted. Names below it that begin with a dot are
 * left alone then: NGINX's wildcards do not see them.
 *
 * Limits are in base/limits.h (OTR_LIMIT_CHANGE_*): OTR_EQUOTA comes before anything is kept of
 * what is too much, and says which file it was.
 *
 * Thread: any, one at a time; an ended set any number at a time. Calls block.
 */
#ifndef OTR_NGINX_CHANGE_CHANGES_H
#define OTR_NGINX_CHANGE_CHANGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

typedef struct otr_changes otr_changes;

typedef enum otr_change_kind {
    OTR_CHANGE_PUT,    /* a regular file with this content */
    OTR_CHANGE_DELETE, /* none; a symbolic link goes itself, not what it leads to */
    OTR_CHANGE_LINK,   /* a symbolic link that must be there already: none is made or changed */
} otr_change_kind;

enum { OTR_CHANGE_KEEP = -1 }; /* mode, uid or gid: as the file on disk has it */

/* Who a file is of; what is OTR_CHANGE_KEEP and not on disk yet is 0644 and its folder's owner. */
typedef struct otr_change_attributes {
    int mode;    /* 0 to 0777, or OTR_CHANGE_KEEP */
    int64_t uid; /* or OTR_CHANGE_KEEP */
    int64_t gid;
} otr_change_attributes;

#define OTR_CHANGE_KEEP_ALL \
    ((otr_change_attributes){ OTR_CHANGE_KEEP, OTR_CHANGE_KEEP, OTR_CHANGE_KEEP })

typedef struct otr_change_file {
    const char *path;
    otr_change_kind kind;
    otr_change_attributes attributes;
    uint64_t size;                     /* of a put, in bytes */
    uint64_t at;                       /* where the spool has it */
    char digest[OTR_SHA256_HEX_BYTES]; /* SHA-256 of the content; "" for others than a put */
    const char *link;                  /* what the link says; NULL for others */
} otr_change_file;

/* An empty set whose spool lies in `folder`, the agent's state folder (an unnamed file where the
 * file system offers it; else one that is unlinked at once). */
otr_code otr_changes_new(const char *folder, otr_changes **ret, otr_err *err) OTR_MUST_CHECK;
void otr_changes_free(otr_changes *set); /* NULL is fine */

/* ---- filling: OTR_EINVAL for a path that is not absolute and clean, has "..", a control character
 * or a hidden name of ours ---- */

otr_code otr_changes_put(otr_changes *set, const char *path, const otr_change_attributes *how,
                         otr_bytes content, otr_err *err) OTR_MUST_CHECK;
/* The same in pieces: begin, any number of writes, end. `size` is what was announced: another one
 * is OTR_EINVAL at the end, too large a one OTR_EQUOTA at once. OTR_CHANGE_SIZE_UNKNOWN: any. */
#define OTR_CHANGE_SIZE_UNKNOWN UINT64_MAX
otr_code otr_changes_begin(otr_changes *set, const char *path, const otr_change_attributes *how,
                           uint64_t size, otr_err *err) OTR_MUST_CHECK;
otr_code otr_changes_write(otr_changes *set, otr_bytes piece, otr_err *err) OTR_MUST_CHECK;
otr_code otr_changes_end(otr_changes *set, otr_err *err) OTR_MUST_CHECK;

otr_code otr_changes_delete(otr_changes *set, const char *path, otr_err *err) OTR_MUST_CHECK;
otr_code otr_changes_link(otr_changes *set, const char *path, const char *target, otr_err *err)
    OTR_MUST_CHECK;
/* The set is the whole truth below `folder` ("/" is refused). May be said of several. */
otr_code otr_changes_sync(otr_changes *set, const char *folder, otr_err *err) OTR_MUST_CHECK;

/* No more is put in: files are sorted by path from now on. OTR_EINVAL: a path was named twice, or
 * is also the folder of another. */
otr_code otr_changes_done(otr_changes *set, otr_err *err) OTR_MUST_CHECK;

/* ---- reading, of a set that is done ---- */

size_t otr_changes_count(const otr_changes *set);
uint64_t otr_changes_bytes(const otr_changes *set);                      /* of all contents */
const otr_change_file *otr_changes_at(const otr_changes *set, size_t i); /* sorted by path */
const otr_change_file *otr_changes_find(const otr_changes *set, const char *path); /* or NULL */
/* Folders of otr_changes_sync(), ended by NULL. */
const char *const *otr_changes_synced(const otr_changes *set);
/* Appends the content of a put. */
otr_code otr_changes_read(const otr_changes *set, const otr_change_file *file, otr_buf *out,
                          otr_err *err) OTR_MUST_CHECK;
/* Up to `n` bytes of it from `offset` on; `*ret_n` is less at its end only. */
otr_code otr_changes_pread(const otr_changes *set, const otr_change_file *file, uint64_t offset,
                           void *to, size_t n, size_t *ret_n, otr_err *err) OTR_MUST_CHECK;

#endif
