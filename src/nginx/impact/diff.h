/*
 * The difference of two texts as a unified diff, as patch(1) takes it: the shortest one that Myers'
 * algorithm finds within a bound of work; beyond the bound the part that differs is shown as
 * replaced whole, which is right and long.
 *
 * What is binary is not shown, and neither is what looks like a private key or a file of passwords:
 * a line says so.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_IMPACT_DIFF_H
#define OTR_NGINX_IMPACT_DIFF_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_diff_side {
    const char *name; /* after `---` or `+++`; ignored when `absent` ("/dev/null" is shown) */
    otr_bytes text;
    bool absent;
} otr_diff_side;

typedef struct otr_diff_spec {
    otr_diff_side old, new;
    const char *path; /* where the file stands: some names alone tell of secrets; may be NULL */
    size_t max_bytes; /* of what is appended, about; 0: no bound but the buffer's. Hunks that do
                         not fit are left out, and a line says how many */
    unsigned context; /* lines around a change; 3 is usual */
} otr_diff_spec;

typedef enum otr_diff_kind {
    OTR_DIFF_EQUAL, /* nothing was appended */
    OTR_DIFF_SHOWN,
    OTR_DIFF_BINARY, /* not shown */
    OTR_DIFF_SECRET, /* not shown */
} otr_diff_kind;

typedef struct otr_diff_stats {
    otr_diff_kind kind;
    size_t added, removed; /* lines, whether they were shown or not; 0 of what is hidden */
    size_t hunks, hunks_left_out;
    bool coarse; /* the bound of work was met */
} otr_diff_stats;

/* Appends to `out`, or leaves it as it was. `ret` (may be NULL) is written on success. */
otr_code otr_diff_write(const otr_diff_spec *spec, otr_buf *out, otr_diff_stats *ret, otr_err *err)
    OTR_MUST_CHECK;

/* Would the text of this file (`path` may be NULL) stay hidden, and why? SHOWN: no. */
otr_diff_kind otr_diff_hides(const char *path, otr_bytes text);

#endif
