#include "nginx/impact/radius.h"

#include <stdlib.h>

#include "base/alloc.h"

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
    otr_code rc = otr_expand(r->graph, when, of, OTR_EXPAND_SKIP, kids, err);
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
    otr_code rc = otr_expand(g, OTR_BEFORE, pair->old, OTR_EXPAND_DIRTY, old, err);
    rc = rc == OTR_OK ? otr_expand(g, OTR_AFTER, pair->new, OTR_EXPAND_DIRTY, new, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    meet(g, old, OTR_BEFORE);
    meet(g, new, OTR_AFTER);
    bool ordered = in_order(g, old, new);
    for (size_t i = 0; i < g->n; i++) {
        g->parts[i].met[OTR_AFTER] = ordered ? g->parts[i].met[OTR_AFTER] : 0;
        g->parts[i].skip = is_equal(g, (otr_kid){ NULL, (uint32_t)i });
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

static int by_node(const void *x, const void *y)
{
    const otr_known_server *a = x, *b = y;
    uintptr_t p = (uintptr_t)a->node, q = (uintptr_t)b->node;
    uintptr_t s = (uintptr_t)a->location, t = (uintptr_t)b->location;
    return p != q ? (p < q ? -1 : 1) : s < t ? -1 : s > t;
}

/* ---- the main level ---- */

static bool is_block(const otr_node *node, size_t block)
{
    return otr_node_is(node, otr_radius_block_names[block]);
}

static bool is_main_directive(const otr_node *node)
{
    bool block = false;
    for (size_t i = 0; i < OTR_RADIUS_BLOCKS; i++) {
        block = block || is_block(node, i);
    }
    return !block;
}

/* Everything is another one: why, and where. */
static otr_code say_everything(otr_radius *r, const char *what, otr_kid at, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, 65536);
    otr_code rc = otr_buf_addf(&text, err, "%.400s (%.4000s:%u)", what,
                               r->graph->parts[at.part].path, at.node->line);
    if (rc == OTR_OK && r->out->everything == NULL) {
        r->out->everything = otr_arena_strdup(&r->out->arena, otr_buf_text(&text));
        rc = r->out->everything != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&text);
    return rc;
}

static otr_code compare_main_directives(otr_radius *r, const otr_kids *old, const otr_kids *new,
                                        otr_err *err)
{
    otr_names names = { 0 };
    const char *text;
    otr_code rc = otr_groups_compare(r->graph, old, new, is_main_directive, &r->arena, &names, err);
    if (rc == OTR_OK && names.n > 0) {
        rc = otr_names_text(&names, &r->arena, &text, err);
        rc = rc == OTR_OK ? say_everything(r, text, names.items[0].at, err) : rc;
    }
    otr_names_deinit(&names);
    return rc;
}

/* The next block of that kind; one without a node: there is none. */
static otr_kid next_block(const otr_kids *kids, size_t block, size_t *at)
{
    while (*at < kids->n) {
        otr_kid kid = kids->items[(*at)++];
        if (is_block(kid.node, block)) {
            return kid;
        }
    }
    return (otr_kid){ NULL, 0 };
}

static otr_code compare_blocks(otr_radius *r, size_t block, const otr_kids *old,
                               const otr_kids *new, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0, j = 0; rc == OTR_OK;) {
        otr_both pair = { next_block(old, block, &i), next_block(new, block, &j) };
        if (pair.old.node == NULL && pair.new.node == NULL) {
            break;
        }
        if (pair.old.node == NULL || pair.new.node == NULL) {
            rc = say_everything(r, otr_radius_block_names[block],
                                pair.old.node != NULL ? pair.old : pair.new, err);
        } else {
            rc = otr_radius_block(r, block, &pair, err);
        }
    }
    return rc;
}

static otr_code compare_main(otr_radius *r, otr_err *err)
{
    otr_kids old = { 0 }, new = { 0 };
    otr_both pair = { { NULL, 0 }, { NULL, 0 } };
    otr_code rc = otr_radius_expand(r, &pair, &old, &new, err);
    rc = rc == OTR_OK ? compare_main_directives(r, &old, &new, err) : rc;
    for (size_t i = 0; rc == OTR_OK && i < OTR_RADIUS_BLOCKS; i++) {
        rc = compare_blocks(r, i, &old, &new, err);
    }
    otr_kids_deinit(&old);
    otr_kids_deinit(&new);
    return rc;
}

/* ---- all of it ---- */

static void radius_deinit(otr_radius *r)
{
    for (size_t i = 0; i < r->n_known; i++) {
        otr_names_deinit(&r->known[i].names);
    }
    for (size_t i = 0; i < OTR_RADIUS_BLOCKS; i++) {
        otr_names_deinit(&r->inherited[i]);
    }
    otr_free(r->known);
    otr_marks_deinit(&r->marks);
    otr_arena_deinit(&r->arena);
    otr_rules_free(r->rules);
}

otr_code otr_radius_find(otr_graph *graph, const otr_paths *files, otr_effects *out, otr_err *err)
{
    otr_radius r = { .graph = graph, .out = out };
    otr_marks_init(&r.marks, graph->folder);
    otr_code rc = otr_rules_new(&r.rules, err);
    for (size_t i = 0; rc == OTR_OK && i < files->n; i++) {
        rc = otr_marks_add(&r.marks, OTR_MARK_FILE, files->items[i], err);
    }
    if (rc == OTR_OK && otr_part_is_dirty(graph, 0)) {
        rc = compare_main(&r, err);
    }
    if (rc == OTR_OK) {
        if (r.n_known > 1) {
            qsort(r.known, r.n_known, sizeof(*r.known), by_node);
        }
        rc = otr_radius_touch(&r, err);
    }
    radius_deinit(&r);
    return rc;
}
