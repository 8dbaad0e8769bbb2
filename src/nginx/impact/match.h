/*
 * Pairs of things with the same name in two lists: the first with the first, the second with the
 * second. What has a mate already, or no key, is left out.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_IMPACT_MATCH_H
#define OTR_NGINX_IMPACT_MATCH_H

#include "base/base.h"
#include "base/err.h"

#define OTR_NO_MATE UINT32_MAX

typedef struct otr_match_item {
    const char *key; /* NULL: leave it out */
    uint32_t mate;   /* in the other list, or OTR_NO_MATE */
} otr_match_item;

typedef struct otr_match_list {
    otr_match_item *items;
    size_t n;
} otr_match_list;

otr_code otr_match(const otr_match_list *a, const otr_match_list *b, otr_err *err) OTR_MUST_CHECK;

#endif
