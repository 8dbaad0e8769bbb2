#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    if (otr_is_any_case(otr_arg(l, spot->node, 1), "off")) {
        otr_find(l, spot->node, 0, "\"//\" stays in URIs: //admin is not the location /admin");
    }
}

const otr_rule otr_rule_merge_slashes = {
    .id = "merge-slashes",
    .level = OTR_CHECK_WARNING,
    .title = "Locations can be gone around with a second slash",
    .why = "With merge_slashes off a rule for /admin does not see //admin, which the application "
           "or the "
           "file system takes for the same.",
    .mend =
        "Leave it on; where encoded data has \"//\" in it, put the rules into patterns that allow "
        "for it.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#merge_slashes",
    .on = { OTR_D_MERGE_SLASHES },
    .look = look,
};
