#include "nginx/check/rules/rules.h"

#define OTR_RULE(name) &otr_rule_##name,
static const otr_rule *const all[] = {
#include "nginx/check/rules/all.def"
};
#undef OTR_RULE

otr_rules_list otr_check_rules(void)
{
    return (otr_rules_list){ all, OTR_COUNT(all) };
}
