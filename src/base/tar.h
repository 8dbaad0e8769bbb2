/*
 * Writes tar archives (POSIX pax: ustar, with extended headers where a name, a link or a size does
 * not fit), byte for byte the same for the same members.
 *
 * Members are regular files, folders, symbolic links. Owners are numbers, times are what the caller
 * gives; nothing else of this machine gets in. Content is written after its header in parts of any
 * size; otr_tarw_end() pads to whole records of 10 KiB, as GNU tar does.
 *
 * Thread: one at a time.
 */
#ifndef OTR_BASE_TAR_H
#define OTR_BASE_TAR_H

#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"

/* Takes the next bytes of the archive, all or an error. */
typedef otr_code otr_tarw_sink_fn(void *arg, otr_bytes bytes, otr_err *err);

typedef struct otr_tarw { /* zeroed but for the first two */
    otr_tarw_sink_fn *sink;
    void *arg;
    uint64_t written; /* bytes so far */
    uint64_t owed;    /* of the content of the member that is under way */
    uint64_t padding;
} otr_tarw;

typedef struct otr_tarw_entry {
    const char *name; /* relative, without ".." (the caller's duty); a folder's may end in '/' */
    const char *link; /* a symbolic link's target; else NULL */
    char kind;        /* '0' file, '2' symbolic link, '5' folder */
    mode_t mode;      /* permission bits */
    uid_t uid;
    gid_t gid;
    uint64_t bytes; /* of the content that follows; 0 but for a file */
    int64_t mtime_s;
} otr_tarw_entry;

/* Begins a member; OTR_ESTATE when the content before it is not complete. */
otr_code otr_tarw_add(otr_tarw *tar, const otr_tarw_entry *member, otr_err *err) OTR_MUST_CHECK;
/* The next bytes of its content; more than was announced is OTR_ESTATE. */
otr_code otr_tarw_content(otr_tarw *tar, otr_bytes bytes, otr_err *err) OTR_MUST_CHECK;
/* The end of the archive. */
otr_code otr_tarw_end(otr_tarw *tar, otr_err *err) OTR_MUST_CHECK;

#endif
