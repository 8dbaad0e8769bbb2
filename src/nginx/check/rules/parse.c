#include "nginx/check/rules/rules.h"

const otr_rule otr_rule_parse = {
    .id = "parse",
    .level = OTR_CHECK_ERROR,
    .title = "NGINX would not start with this",
    .why = "The text breaks the grammar, a directive stands where it may not or has the wrong "
           "arguments, or a file that is included cannot be read.",
    .mend = "Mend what the message names; nginx -t says the same. What the wrong directive would "
            "have held is not checked.",
    .reference = "https://nginx.org/en/docs/beginners_guide.html#conf_structure",
};
