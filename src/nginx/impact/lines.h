/*
 * The lines of two texts, and which of them differ. What both begin and end with is set aside
 * before anything is counted, but for a few lines around the rest.
 *
 * Thread: one at a time; the texts are borrowed.
 */
#ifndef OTR_NGINX_IMPACT_LINES_H
#define OTR_NGINX_IMPACT_LINES_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_side_lines {
    otr_bytes text;
    size_t *starts; /* n + 1 of them: where each begins in `text`, then its end */
    uint8_t *differs;
    size_t n;
} otr_side_lines;

typedef struct otr_diff_lines {
    otr_side_lines old, new;
    size_t before; /* lines that were set aside before these */
} otr_diff_lines;

/* `around`: so many equal lines stay at either end. */
otr_code otr_diff_lines_init(otr_diff_lines *lines, otr_bytes old, otr_bytes new, size_t around,
                             otr_err *err) OTR_MUST_CHECK;
void otr_diff_lines_deinit(otr_diff_lines *lines); /* in any case */

/* Fills `differs`. `*ret_coarse`: not the shortest answer, for that was too much work. */
otr_code otr_diff_lines_compare(otr_diff_lines *lines, bool *ret_coarse, otr_err *err)
    OTR_MUST_CHECK;
size_t otr_diff_lines_differ(const otr_side_lines *side); /* how many */

static inline otr_bytes otr_diff_lines_at(const otr_side_lines *side, size_t i)
{
    return (otr_bytes){ side->text.p + side->starts[i], side->starts[i + 1] - side->starts[i] };
}

#endif
