#include "nginx/impact/expand.h"

#include "base/alloc.h"
#include "base/limits.h"

void otr_kids_deinit(otr_kids *kids)
{
    otr_free(kids->items);
    *kids = (otr_kids){ 0 };
}

otr_code otr_kid_word(otr_kid kid, size_t i, otr_buf *out, otr_err *err)
{
    return i < kid.node->n_words ? otr_word_meaning(&kid.node->words[i], out, err) : OTR_OK;
}

/* ---- expansion ---- */

typedef struct expansion {
    otr_graph *g;
    otr_when when;
    otr_expand_how how;
    uint32_t depth; /* of what is found */
    otr_kids *out;
    otr_kid_fn *fn; /* instead of `out` */
    void *arg;
} expansion;

static otr_code add(const expansion *x, otr_kid kid, otr_err *err)
{
    otr_kids *out = x->out;
    kid.depth = x->depth;
    if (++x->g->expanded > OTR_LIMIT_NGINX_COMBINED) {
        return otr_fail(err, OTR_EQUOTA, "%s: more than %d directives: files include each other",
                        x->g->parts[kid.part].path, OTR_LIMIT_NGINX_COMBINED);
    }
    if (x->fn != NULL) {
        return x->fn(x->arg, kid, err);
    }
    otr_code rc = otr_grow(&out->items, out->n, &out->cap, sizeof(*out->items), err);
    if (rc == OTR_OK) {
        out->items[out->n++] = kid;
    }
    return rc;
}

static otr_code add_list(const expansion *x, const otr_node *first, uint32_t part, unsigned depth,
                         otr_err *err);

static otr_code add_part(const expansion *x, uint32_t index, unsigned depth, otr_err *err)
{
    otr_part *part = &x->g->parts[index];
    if (depth >= OTR_LIMIT_NGINX_INCLUDE_DEPTH || part->open) {
        x->g->unknown = true; /* NGINX refuses it */
        return OTR_OK;
    }
    bool whole = x->how == OTR_EXPAND_SKIP    ? part->skip
                 : x->how == OTR_EXPAND_DIRTY ? !otr_part_is_dirty(x->g, index)
                                              : false;
    if (whole) {
        return add(x, (otr_kid){ .part = index }, err);
    }
    const otr_node *first;
    bool had = part->side[OTR_BEFORE].conf != NULL || part->side[OTR_AFTER].conf != NULL;
    otr_code rc = otr_part_tree(part, x->when, &first, err);
    part->open = true;
    rc = rc == OTR_OK ? add_list(x, first, index, depth, err) : rc;
    part->open = false;
    if (x->fn != NULL && !had) {
        otr_part_forget(part);
    }
    return rc;
}

static otr_code add_list(const expansion *x, const otr_node *first, uint32_t part, unsigned depth,
                         otr_err *err)
{
    otr_code rc = OTR_OK;
    for (const otr_node *node = first; rc == OTR_OK && node != NULL; node = node->next) {
        const otr_part_include *inc =
            otr_node_is(node, "include")
                ? otr_part_include_at(&x->g->parts[part], x->when, node->start)
                : NULL;
        if (inc == NULL) {
            rc = node->is_comment ? OTR_OK : add(x, (otr_kid){ .node = node, .part = part }, err);
            continue;
        }
        for (size_t i = 0; rc == OTR_OK && i < inc->n; i++) {
            rc = add_part(x, inc->parts[i], depth + 1, err);
        }
    }
    return rc;
}

/* NGINX refuses it. */
static bool is_too_deep(const expansion *x)
{
    bool deep = x->depth > OTR_LIMIT_NGINX_BLOCK_DEPTH;
    x->g->unknown = x->g->unknown || deep;
    return deep;
}

otr_code otr_kid_expand(otr_graph *graph, otr_when when, otr_kid of, otr_expand_how how,
                        otr_kids *out, otr_err *err)
{
    expansion x = { .g = graph, .when = when, .how = how, .depth = of.depth + 1, .out = out };
    if (is_too_deep(&x)) {
        return OTR_OK;
    }
    if (of.node != NULL) {
        return add_list(&x, of.node->block, of.part, 0, err);
    }
    const otr_node *first;
    otr_code rc = otr_part_tree(&graph->parts[of.part], when, &first, err);
    return rc == OTR_OK ? add_list(&x, first, of.part, 0, err) : rc;
}

otr_code otr_kid_each(otr_graph *graph, otr_when when, otr_kid of, otr_kid_fn *fn, void *arg,
                      otr_err *err)
{
    expansion x = { .g = graph,
                    .when = when,
                    .how = OTR_EXPAND_SKIP,
                    .depth = of.depth + 1,
                    .fn = fn,
                    .arg = arg };
    if (is_too_deep(&x)) {
        return OTR_OK;
    }
    return add_list(&x, of.node->block, of.part, 0, err);
}

/* ---- comparison ---- */

static otr_code same_word(const otr_word *a, const otr_word *b, bool *ret, otr_err *err)
{
    if (!a->escaped && !b->escaped) {
        *ret = a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
        return OTR_OK;
    }
    otr_buf x, y;
    otr_buf_init(&x, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_buf_init(&y, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_code rc = otr_word_meaning(a, &x, err);
    rc = rc == OTR_OK ? otr_word_meaning(b, &y, err) : rc;
    *ret = rc == OTR_OK && x.n == y.n && (x.n == 0 || memcmp(x.p, y.p, x.n) == 0);
    otr_buf_deinit(&x);
    otr_buf_deinit(&y);
    return rc;
}

static otr_code same_words(const otr_node *a, const otr_node *b, bool *ret, otr_err *err)
{
    otr_code rc = OTR_OK;
    *ret = a->n_words == b->n_words && a->has_block == b->has_block;
    for (uint32_t i = 0; rc == OTR_OK && *ret && i < a->n_words; i++) {
        rc = same_word(&a->words[i], &b->words[i], ret, err);
    }
    return rc;
}

static otr_bytes text_of(const otr_graph *g, otr_kid kid, otr_when when)
{
    otr_bytes text = g->parts[kid.part].side[when].text;
    return (otr_bytes){ text.p + kid.node->start, kid.node->end - kid.node->start };
}

bool otr_kid_same_bytes(const otr_graph *graph, otr_kid a, otr_kid b)
{
    otr_bytes x = text_of(graph, a, OTR_BEFORE), y = text_of(graph, b, OTR_AFTER);
    return x.n == y.n && x.n > 0 && memcmp(x.p, y.p, x.n) == 0;
}

static otr_code same_blocks(otr_graph *g, otr_kid a, otr_kid b, bool *ret, otr_err *err)
{
    otr_kids x = { 0 }, y = { 0 };
    otr_code rc = otr_kid_expand(g, OTR_BEFORE, a, OTR_EXPAND_ALL, &x, err);
    rc = rc == OTR_OK ? otr_kid_expand(g, OTR_AFTER, b, OTR_EXPAND_ALL, &y, err) : rc;
    *ret = x.n == y.n;
    for (size_t i = 0; rc == OTR_OK && *ret && i < x.n; i++) {
        rc = otr_kid_same(g, x.items[i], y.items[i], ret, err);
    }
    otr_kids_deinit(&x);
    otr_kids_deinit(&y);
    return rc;
}

otr_code otr_kid_same(otr_graph *graph, otr_kid a, otr_kid b, bool *ret, otr_err *err)
{
    if (otr_kid_same_bytes(graph, a, b) && !otr_may_include(text_of(graph, a, OTR_BEFORE))) {
        *ret = true; /* and nothing of it stands elsewhere */
        return OTR_OK;
    }
    otr_code rc = same_words(a.node, b.node, ret, err);
    return rc == OTR_OK && *ret && a.node->has_block ? same_blocks(graph, a, b, ret, err) : rc;
}
