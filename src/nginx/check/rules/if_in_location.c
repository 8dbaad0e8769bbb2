#include "nginx/check/rules/rules.h"

static bool is_url(otr_bytes text)
{
    return otr_begins(text, "http://") || otr_begins(text, "https://") ||
           otr_begins(text, "$scheme");
}

/* A rewrite that the request does not stay in this block after. */
static bool leaves(otr_look *l, const otr_node *node)
{
    return !otr_is(otr_arg(l, node, 3), "break") || is_url(otr_arg(l, node, 2));
}

static bool is_safe(otr_look *l, const otr_entry *e)
{
    return e->id == OTR_D_RETURN || e->id == OTR_D_SET || e->id == OTR_D_BREAK ||
           (e->id == OTR_D_REWRITE && leaves(l, e->node));
}

/* Do requests for which it is true stay in it? */
static bool stays(const otr_look *l, const otr_scope *inner)
{
    return otr_scope_first(l, inner, OTR_D_RETURN) == NULL &&
           otr_scope_first(l, inner, OTR_D_REWRITE) == NULL;
}

static void look(otr_look *l, const otr_spot *spot)
{
    if (spot->inner == NULL || spot->scope->place != OTR_AT_LOCATION) {
        return;
    }
    for (uint32_t i = 0; i < spot->inner->n; i++) {
        const otr_entry *e = otr_scope_at(l, spot->inner, i);
        if (is_safe(l, e)) {
            continue;
        }
        otr_bytes name = { e->node->words[0].p, e->node->words[0].n };
        bool answers = otr_scope_first(l, spot->inner, OTR_D_RETURN) != NULL;
        l->level = answers ? OTR_CHECK_NOTE : l->level;
        otr_find(l, spot->node, 0, "this if in a location holds %.*s (line %u)%s", OTR_S(name),
                 e->node->line, answers ? "; with the return beside it that works" : "");
        return;
    }
    if (stays(l, spot->inner) && otr_scope_first(l, spot->scope, OTR_D_TRY_FILES) != NULL) {
        otr_find(l, spot->node, 0,
                 "where this if is true, the try_files of its location is not looked at");
    }
}

const otr_rule otr_rule_if_in_location = {
    .id = "if-in-location",
    .level = OTR_CHECK_WARNING,
    .title = "An if in a location does more than return or rewrite",
    .why =
        "Each if is a location of its own, and a request for which it is true stays in the last "
        "one of them: directives of other ifs do not count, and try_files, headers or access rules "
        "of the location may be lost.",
    .mend = "Keep return, rewrite ... last and set in it; choose other values by a map, or go to a "
            "named location by error_page and return.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_rewrite_module.html#if",
    .on = { OTR_D_IF },
    .look = look,
};
