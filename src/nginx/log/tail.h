/*
 * One log that others append to, rotate and truncate: private to this folder.
 *
 * The file at the log's path is read on; one that was renamed or deleted is read beside the new one
 * until nobody holds it open for writing any more (where that cannot be known, until it has been
 * quiet for OTR_LOG_GRACE_S). Of a truncated file the rest is read from its copy, when there is
 * one. A file that came to the path and went, or was filled, copied and truncated, between two
 * looks is found beside it.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_LOG_TAIL_H
#define OTR_NGINX_LOG_TAIL_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "base/limits.h"
#include "nginx/log/beside.h"
#include "nginx/log/file.h"
#include "nginx/log/format.h"
#include "nginx/root.h"

enum { OTR_LOG_GRACE_S = 30, OTR_LOG_MISSING_S = 5, OTR_LOG_NOTE_S = 300 };

typedef struct otr_log_tail {
    otr_root *root; /* owned */
    char *path;
    otr_log_formats *formats;
    otr_log_file file; /* at the path */
    otr_log_file *old; /* OTR_LIMIT_NGINX_LOG_OLD; NULL before the first rotation */
    size_t n_old;
    otr_log_beside *beside;    /* NULL: nothing was made beside it so far */
    otr_log_rotation rotation; /* noticed by this look */
    unsigned rotations;        /* how many this look noticed … */
    unsigned rotations_before; /* … and the look before */
    uint64_t looked_ns;        /* wall clock of the last look; 0: none: what comes later is new */
    uint64_t missing_ns;       /* monotonic: since when nothing is at the path; 0: something is */
    uint64_t noted_ns;         /* monotonic: when `note` was made; 0: never */
    bool readable;             /* there is something to count from */
    char note[192];            /* what could not be known, for a while */
    char problem[256];         /* "" or what is wrong now */
    otr_log_counts counts;
} otr_log_tail;

/* Takes a reference to `formats`. */
otr_code otr_log_tail_init(otr_log_tail *tail, const otr_root *root, const char *path,
                           otr_log_formats *formats, otr_err *err) OTR_MUST_CHECK;
void otr_log_tail_deinit(otr_log_tail *tail, otr_log_reader *reader); /* `reader` may be NULL */

/* Looks at the log and counts what is new. */
void otr_log_tail_read(otr_log_tail *tail, otr_log_reader *reader);

/* A file of this name, which the log's name begins, was made beside it: should it be the copy of a
 * truncation to come, it stays readable when it is compressed. */
void otr_log_tail_hold(otr_log_tail *tail, const char *name, otr_log_reader *reader);

/* Descriptors of this log. */
size_t otr_log_tail_open(const otr_log_tail *tail);

#endif
