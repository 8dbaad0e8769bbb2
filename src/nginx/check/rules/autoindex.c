#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    if (otr_is_any_case(otr_arg(l, spot->node, 1), "on")) {
        otr_find(l, spot->node, 0, "folders without an index file are listed");
    }
}

const otr_rule otr_rule_autoindex = {
    .id = "autoindex",
    .level = OTR_CHECK_WARNING,
    .title = "Folders are listed to everybody",
    .why = "Backups, uploads and sources that nothing links to are found by their listing.",
    .mend =
        "Take it out, or keep it to a location that is meant to be listed and say so in a comment.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_autoindex_module.html#autoindex",
    .on = { OTR_D_AUTOINDEX },
    .look = look,
};
