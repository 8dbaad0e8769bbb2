#include "nginx/check/location.h"
#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    if (spot->scope->place != OTR_AT_LOCATION || spot->scope->outer == NULL ||
        otr_scope_nearest(l, spot->scope->outer, OTR_D_ROOT, NULL) != NULL) {
        return;
    }
    otr_location loc = otr_location_of(l, spot->scope->node);
    const otr_entry *other = otr_scope_first(l, spot->scope->outer, OTR_D_LOCATION);
    bool alone = other != NULL && other->next == 0;
    if (loc.kind == OTR_LOCATION_PREFIX && otr_is(loc.text, "/") && !alone) {
        otr_find(l, spot->node, 0,
                 "root stands in location / alone: the other locations of this server use "
                 "NGINX's compiled-in folder");
    }
}

const otr_rule otr_rule_root_in_location = {
    .id = "root-in-location",
    .level = OTR_CHECK_NOTE,
    .title = "root in location / in place of the server",
    .why =
        "Other locations do not inherit it, and look for files in the folder that NGINX was built "
        "with.",
    .mend = "Put root into the server.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#root",
    .on = { OTR_D_ROOT },
    .look = look,
};
