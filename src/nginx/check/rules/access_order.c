#include "nginx/check/rules/rules.h"

/* The first `all` before this entry, of allow or deny. */
static const otr_entry *settled_by(otr_look *l, const otr_spot *spot)
{
    for (uint32_t i = 0; i < spot->scope->n; i++) {
        const otr_entry *e = otr_scope_at(l, spot->scope, i);
        if (e->node == spot->node) {
            return NULL;
        }
        if ((e->id == OTR_D_ALLOW || e->id == OTR_D_DENY) &&
            otr_is(otr_arg(l, e->node, 1), "all")) {
            return e;
        }
    }
    return NULL;
}

/* Whom no allow fits is asked by the other checks, such as a login. */
static bool is_one_of_several(otr_look *l, const otr_scope *scope)
{
    const otr_entry *e = otr_scope_nearest(l, scope, OTR_D_SATISFY, NULL);
    return e != NULL && otr_is(otr_arg(l, e->node, 1), "any");
}

static void look(otr_look *l, const otr_spot *spot)
{
    const otr_entry *by = settled_by(l, spot);
    otr_bytes what = otr_arg(l, spot->node, 1);
    otr_bytes name = { spot->node->words[0].p, spot->node->words[0].n };
    if (by != NULL) {
        otr_find(l, spot->node, 0, "%.*s %.*s is never looked at: %s all in line %u comes first",
                 OTR_S(name), OTR_S(what), by->id == OTR_D_ALLOW ? "allow" : "deny",
                 by->node->line);
        return;
    }
    bool ends = otr_is(what, "all") || otr_scope_first(l, spot->scope, OTR_D_DENY) != NULL;
    const otr_entry *first = otr_scope_first(l, spot->scope, OTR_D_ALLOW);
    bool whole = spot->scope->node != NULL || l->start == OTR_AT_MAIN;
    if (whole && spot->id == OTR_D_ALLOW && !ends && first->node == spot->node &&
        !is_one_of_several(l, spot->scope)) {
        otr_find(l, spot->node, 0, "allow %.*s without a deny in this block keeps nobody out",
                 OTR_S(what));
    }
}

const otr_rule otr_rule_access_order = {
    .id = "access-order",
    .level = OTR_CHECK_WARNING,
    .title = "allow and deny that have no effect",
    .why = "They are looked at in their order until one fits; \"all\" fits everybody, and whom "
           "none fits "
           "is let in.",
    .mend = "Put the narrow ones first and end with deny all;.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_access_module.html",
    .on = { OTR_D_ALLOW, OTR_D_DENY },
    .look = look,
};
