#include "nginx/check/internal.h"

#include "nginx/check/location.h"

typedef struct leads {
    otr_bytes to; /* the text that the location begins with */
    bool found;
} leads;

static bool leads_there(otr_look *l, const otr_node *node, uint32_t word, const leads *to)
{
    otr_bytes text = otr_arg(l, node, word);
    return text.n >= to->to.n && to->to.n > 0 && memcmp(text.p, to->to.p, to->to.n) == 0;
}

static bool look_for_way(otr_look *l, const otr_node *node, void *arg)
{
    leads *to = arg;
    if (otr_node_is(node, "rewrite") && node->n_words > 2) {
        to->found |= leads_there(l, node, 2, to);
    } else if (otr_node_is(node, "error_page") || otr_node_is(node, "try_files")) {
        to->found |= node->n_words > 2 && leads_there(l, node, node->n_words - 1, to);
    }
    if (node->has_block && !to->found) {
        otr_look_inside(l, node, look_for_way, arg);
    }
    to->found |= !otr_look_step(l, node);
    return !to->found;
}

/* The fixed text at the start of a pattern "^/x/…". */
static otr_bytes fixed_head(const otr_location *loc)
{
    otr_bytes text = loc->text;
    if (!otr_location_is_regex(loc)) {
        return text;
    }
    size_t from = text.n > 0 && text.p[0] == '^' ? 1 : 0, n = from;
    while (n < text.n && strchr("()[]{}.*+?|\\$^", text.p[n]) == NULL) {
        n++;
    }
    return (otr_bytes){ text.p + from, n - from };
}

bool otr_is_internal(otr_look *l, const otr_scope *scope)
{
    const otr_scope *s = otr_scope_within(scope, OTR_AT_LOCATION);
    const otr_scope *server = otr_scope_within(scope, OTR_AT_SERVER);
    if (s == NULL || otr_scope_first(l, s, OTR_D_INTERNAL) == NULL) {
        return false;
    }
    otr_location loc = otr_location_of(l, s->node);
    leads to = { .to = fixed_head(&loc) };
    if (server != NULL && server->node != NULL) {
        otr_look_inside(l, server->node, look_for_way, &to);
    }
    return !to.found;
}
