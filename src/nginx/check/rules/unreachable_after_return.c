#include "nginx/check/facts.h"
#include "nginx/check/location.h"
#include "nginx/check/rules/rules.h"

static bool is_of_rewrite(otr_d id)
{
    return id == OTR_D_RETURN || id == OTR_D_REWRITE || id == OTR_D_SET || id == OTR_D_IF ||
           id == OTR_D_BREAK;
}

static bool is_named(otr_look *l, const otr_node *node)
{
    return otr_location_of(l, node).kind == OTR_LOCATION_NAMED;
}

/* What the return keeps from being reached, wherever in the block it stands. */
static bool is_dead(otr_look *l, const otr_scope *scope, const otr_entry *e)
{
    if (scope->place == OTR_AT_SERVER) {
        return e->id == OTR_D_LOCATION && !is_named(l, e->node);
    }
    return scope->place == OTR_AT_LOCATION && (otr_is_pass(e->id) || e->id == OTR_D_TRY_FILES);
}

static void look(otr_look *l, const otr_spot *spot)
{
    const otr_entry *first = otr_scope_first(l, spot->scope, OTR_D_RETURN);
    bool behind = false;
    if (first == NULL || first->node != spot->node || spot->scope->place == OTR_AT_OTHER) {
        return;
    }
    for (uint32_t i = 0; i < spot->scope->n; i++) {
        const otr_entry *e = otr_scope_at(l, spot->scope, i);
        if (!behind && e->id == OTR_D_BREAK) {
            return;
        }
        if (e == first) {
            behind = true;
        } else if ((behind && is_of_rewrite(e->id)) || is_dead(l, spot->scope, e)) {
            otr_bytes name = { e->node->words[0].p, e->node->words[0].n };
            otr_find(l, e->node, 0,
                     "%.*s is never reached: the return in line %u of this block ends "
                     "each request before",
                     OTR_S(name), first->node->line);
            return;
        }
    }
}

const otr_rule otr_rule_unreachable_after_return = {
    .id = "unreachable-after-return",
    .level = OTR_CHECK_WARNING,
    .title = "What stands beside a return has no effect",
    .why =
        "return ends a request where rewriting happens: in a server before its locations are "
        "looked at, in a location before anything is passed on, whatever the order of the lines.",
    .mend = "Put the return of a server into a location / { } beside the other ones, or take out "
            "what is dead.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_rewrite_module.html#return",
    .on = { OTR_D_RETURN },
    .look = look,
};
