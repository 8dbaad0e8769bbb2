#include "nginx/check/rules/rules.h"

const otr_rule otr_rule_suppression = {
    .id = "suppression",
    .level = OTR_CHECK_WARNING,
    .title = "A comment that is to keep a finding quiet does nothing",
    .why = "Its rule does not exist, its reason is missing, or the directive that it stands at has "
           "no such finding (any more).",
    .mend = "Write \"# outrider: ignore RULE reason\" behind the directive or in a line above it, "
            "or take the comment out.",
    .reference = "https://nginx.org/en/docs/beginners_guide.html#conf_structure",
};
