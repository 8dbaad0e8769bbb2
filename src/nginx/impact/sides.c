/* Both sides of a block, and what was found of them: for all that compare. */
#include "base/alloc.h"
#include "nginx/impact/radius.h"

const char *const otr_radius_block_names[OTR_RADIUS_BLOCKS] = { "http", "stream", "mail" };

/* ---- parts that are equal ---- */

static void meet(otr_graph *g, const otr_kids *kids, otr_when when)
{
    for (size_t i = 0; i < kids->n; i++) {
        if (kids->items[i].node == NULL) {
            g->parts[kids->items[i].part].met[when]++;
        }
    }
}

static bool is_equal(const otr_graph *g, otr_kid kid)
{
    const otr_part *part = &g->parts[kid.part];
    return kid.node == NULL && part->met[OTR_BEFORE] == 1 && part->met[OTR_AFTER] == 1;
}

/* The next of them from `i` on. */
static size_t next_equal(const otr_graph *g, const otr_kids *kids, size_t i)
{
    while (i < kids->n && !is_equal(g, kids->items[i])) {
        i++;
    }
    return i;
}

static bool in_order(const otr_graph *g, const otr_kids *old, const otr_kids *new)
{
    size_t i = next_equal(g, old, 0), j = next_equal(g, new, 0);
    while (i < old->n && j < new->n && old->items[i].part == new->items[j].part) {
        i = next_equal(g, old, i + 1);
        j = next_equal(g, new, j + 1);
    }
    return i == old->n && j == new->n;
}

/* Leaves the equal parts out. False: some part that is no equal one has to be opened. */
static bool drop_equal(const otr_graph *g, otr_kids *kids)
{
    size_t n = 0;
    bool whole = true;
    for (size_t i = 0; i < kids->n; i++) {
        if (!is_equal(g, kids->items[i])) {
            whole = whole && kids->items[i].node != NULL;
            kids->items[n++] = kids->items[i];
        }
    }
    kids->n = n;
    return whole;
}

static otr_code open_others(otr_radius *r, otr_kid of, otr_when when, otr_kids *kids, otr_err *err)
{
    kids->n = 0;
    otr_code rc = otr_kid_expand(r->graph, when, of, OTR_EXPAND_SKIP, kids, err);
    (void)drop_equal(r->graph, kids);
    return rc;
}

otr_code otr_radius_expand(otr_radius *r, const otr_both *pair, otr_kids *old, otr_kids *new,
                           otr_err *err)
{
    otr_graph *g = r->graph;
    for (size_t i = 0; i < g->n; i++) {
        memset(g->parts[i].met, 0, sizeof(g->parts[i].met));
    }
    otr_code rc = otr_kid_expand(g, OTR_BEFORE, pair->old, OTR_EXPAND_DIRTY, old, err);
    rc = rc == OTR_OK ? otr_kid_expand(g, OTR_AFTER, pair->new, OTR_EXPAND_DIRTY, new, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    meet(g, old, OTR_BEFORE);
    meet(g, new, OTR_AFTER);
    bool ordered = in_order(g, old, new);
    for (size_t i = 0; i < g->n; i++) {
        g->parts[i].met[OTR_AFTER] = ordered ? g->parts[i].met[OTR_AFTER] : 0;
        g->parts[i].skip = is_equal(g, (otr_kid){ .part = (uint32_t)i });
    }
    if (!drop_equal(g, old)) {
        rc = open_others(r, pair->old, OTR_BEFORE, old, err);
    }
    if (rc == OTR_OK && !drop_equal(g, new)) {
        rc = open_others(r, pair->new, OTR_AFTER, new, err);
    }
    return rc;
}

/* ---- telling ---- */

otr_code otr_radius_add(otr_radius *r, otr_effect *effect, otr_kid kid, otr_err *err)
{
    effect->file = r->graph->parts[kid.part].path;
    effect->line = kid.node->line;
    return otr_effects_add(r->out, effect, err);
}

otr_code otr_radius_know(otr_radius *r, const otr_node *server, const otr_node *location,
                         otr_names *names, otr_err *err)
{
    otr_code rc = otr_grow(&r->known, r->n_known, &r->cap_known, sizeof(*r->known), err);
    if (rc == OTR_OK) {
        otr_known_server made = { .node = server, .location = location };
        if (names != NULL) {
            made.names = *names;
            *names = (otr_names){ 0 };
        }
        r->known[r->n_known++] = made;
    }
    return rc;
}

int otr_radius_by_node(const void *a, const void *b)
{
    const otr_known_server *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->node, q = (uintptr_t)y->node;
    uintptr_t s = (uintptr_t)x->location, t = (uintptr_t)y->location;
    return p != q ? (p < q ? -1 : 1) : s < t ? -1 : s > t;
}
