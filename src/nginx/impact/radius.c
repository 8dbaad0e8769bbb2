#include "nginx/impact/radius.h"

#include <stdlib.h>

#include "base/alloc.h"

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
    return (otr_kid){ 0 };
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
    otr_both pair = { 0 };
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
            qsort(r.known, r.n_known, sizeof(*r.known), otr_radius_by_node);
        }
        rc = otr_radius_touch(&r, err);
    }
    radius_deinit(&r);
    return rc;
}
