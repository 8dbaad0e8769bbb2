/*
 * The rules, in the order in which they are listed.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHECK_RULES_RULES_H
#define OTR_NGINX_CHECK_RULES_RULES_H

#include "nginx/check/rule.h"

#define OTR_RULE(name) extern const otr_rule otr_rule_##name;
#include "nginx/check/rules/all.def"
#undef OTR_RULE

otr_rules_list otr_check_rules(void);

#endif
