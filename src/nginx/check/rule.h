/*
 * A rule: what is wrong, why and how it is mended, and a function that sees it.
 *
 * Each stands in a file of its own in rules/, as an otr_rule; rules/all.def lists them.
 *
 * Thread: any; rules are constant.
 */
#ifndef OTR_NGINX_CHECK_RULE_H
#define OTR_NGINX_CHECK_RULE_H

#include "nginx/check/look.h"

enum { OTR_RULE_DIRECTIVES = 10 };

typedef struct otr_rule {
    const char *id; /* [a-z-]+, for good */
    otr_check_level level;
    const char *title; /* what is wrong, in a line */
    const char *why, *mend;
    const char *reference;         /* a URL */
    otr_d on[OTR_RULE_DIRECTIVES]; /* what it is called for, ended by OTR_D_OTHER */
    otr_look_fn *look;             /* NULL: findings of it come from elsewhere */
} otr_rule;

typedef struct otr_rules_list {
    const otr_rule *const *items;
    size_t n;
} otr_rules_list;

/* NULL: there is none. */
const otr_rule *otr_rule_find(const otr_rules_list *list, otr_bytes id, uint32_t *ret_index);

#endif
