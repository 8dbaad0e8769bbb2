#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    if (!otr_is(otr_arg(l, spot->node, 1), "any")) {
        return;
    }
    const otr_entry *e = otr_scope_nearest(l, spot->scope, OTR_D_ALLOW, NULL);
    bool all = e != NULL && otr_is(otr_arg(l, e->node, 1), "all");
    l->level = all ? OTR_CHECK_ERROR : l->level;
    otr_find(l, spot->node, 0,
             all ? "with satisfy any and allow all nobody is asked to log in"
                 : "with satisfy any one of the checks is enough: an address that is allowed needs "
                   "no login");
}

const otr_rule otr_rule_satisfy_any = {
    .id = "satisfy-any",
    .level = OTR_CHECK_NOTE,
    .title = "One of several checks is enough",
    .why = "satisfy any lets in whom either the addresses or the login lets in. Behind another "
           "proxy all "
           "clients may have one address.",
    .mend = "satisfy all; where both are meant.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#satisfy",
    .on = { OTR_D_SATISFY },
    .look = look,
};
