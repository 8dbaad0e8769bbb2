/*
 * Which items of two sequences differ: Myers' O(ND) algorithm in linear space, with a bound on its
 * work. A part that is not done within it counts as replaced whole.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_IMPACT_MYERS_H
#define OTR_NGINX_IMPACT_MYERS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_sequence {
    const uint32_t *ids; /* equal items have equal ids */
    uint8_t *differs;    /* one an item, 0 at first; 1: removed, or added */
    size_t n;
} otr_sequence;

/* `*ret_coarse`: the bound was met. */
otr_code otr_myers(const otr_sequence *a, const otr_sequence *b, size_t max_work, bool *ret_coarse,
                   otr_err *err) OTR_MUST_CHECK;

#endif
