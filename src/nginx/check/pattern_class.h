/*
 * Escapes and classes of regular expressions as sets of bytes.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHECK_PATTERN_CLASS_H
#define OTR_NGINX_CHECK_PATTERN_CLASS_H

#include "nginx/check/set.h"

/* What stands behind the backslash at `p`; returns where it ends. */
const uint8_t *otr_set_escape(const uint8_t *p, const uint8_t *end, otr_set *to);
/* What stands behind "["; returns behind the "]", or NULL: it is not closed. */
const uint8_t *otr_set_class(const uint8_t *p, const uint8_t *end, otr_set *to);
void otr_set_both_cases(otr_set *set);

#endif
