#include "nginx/impact/groups.h"

#include <stdlib.h>

#include "base/alloc.h"

enum { NAMES_SHOWN = 6, TEXT_BYTES = 65536 };

void otr_names_deinit(otr_names *names)
{
    otr_free(names->items);
    *names = (otr_names){ 0 };
}

bool otr_names_have(const otr_names *names, const otr_node *node)
{
    for (size_t i = 0; i < names->n; i++) {
        if (otr_node_is(node, names->items[i].name)) {
            return true;
        }
    }
    return false;
}

otr_code otr_names_add(otr_names *names, const otr_named *name, otr_err *err)
{
    otr_code rc = otr_grow(&names->items, names->n, &names->cap, sizeof(*names->items), err);
    if (rc == OTR_OK) {
        names->items[names->n++] = *name;
    }
    return rc;
}

otr_code otr_names_text(const otr_names *names, otr_arena *arena, const char **ret, otr_err *err)
{
    otr_buf text;
    otr_code rc = OTR_OK;
    otr_buf_init(&text, TEXT_BYTES);
    size_t n = names->n <= NAMES_SHOWN ? names->n : NAMES_SHOWN;
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        rc = otr_buf_addf(&text, err, "%s%.200s", i > 0 ? ", " : "", names->items[i].name);
    }
    if (rc == OTR_OK && n < names->n) {
        rc = otr_buf_addf(&text, err, " and %zu more", names->n - n);
    }
    *ret = rc == OTR_OK ? otr_arena_strdup(arena, otr_buf_text(&text)) : NULL;
    otr_buf_deinit(&text);
    return rc != OTR_OK || *ret != NULL ? rc : otr_fail_nomem(err);
}

/* ---- by name ---- */

typedef struct member {
    otr_bytes group;
    size_t order;
    otr_kid kid;
} member;

typedef struct members {
    member *items;
    size_t n;
} members;

/* Those that run one after the other, whatever they are called, are one group. */
static otr_bytes group_of(const otr_node *node)
{
    static const char *const rewrites[] = { "set", "if", "rewrite", "return", "break" };
    static const char *const access[] = { "allow", "deny" };
    for (size_t i = 0; i < OTR_COUNT(rewrites); i++) {
        if (otr_node_is(node, rewrites[i])) {
            return otr_bytes_of("rewrite");
        }
    }
    for (size_t i = 0; i < OTR_COUNT(access); i++) {
        if (otr_node_is(node, access[i])) {
            return otr_bytes_of("allow");
        }
    }
    return (otr_bytes){ node->words[0].p, node->words[0].n };
}

static int by_bytes(otr_bytes a, otr_bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : a.n < b.n ? -1 : a.n > b.n;
}

static int by_group(const void *x, const void *y)
{
    const member *a = x, *b = y;
    int order = by_bytes(a->group, b->group);
    return order != 0 ? order : a->order < b->order ? -1 : 1;
}

static otr_code collect(const otr_kids *kids, otr_kid_filter *filter, members *ret, otr_err *err)
{
    ret->items = otr_calloc(kids->n + 1, sizeof(*ret->items));
    if (ret->items == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < kids->n; i++) {
        otr_kid kid = kids->items[i];
        if (kid.node != NULL && filter(kid.node)) {
            ret->items[ret->n++] = (member){ group_of(kid.node), i, kid };
        }
    }
    qsort(ret->items, ret->n, sizeof(*ret->items), by_group);
    return OTR_OK;
}

typedef struct comparison {
    otr_graph *graph;
    otr_arena *arena;
    otr_names *out;
} comparison;

static otr_code differs_at(const comparison *c, const member *m, otr_when when, otr_err *err)
{
    const otr_word *word = &m->kid.node->words[0];
    otr_named name = { .at = m->kid, .when = when };
    name.name = otr_arena_strndup(c->arena, (const char *)word->p, word->n);
    return name.name != NULL ? otr_names_add(c->out, &name, err) : otr_fail_nomem(err);
}

static size_t run_of(const members *list, size_t from)
{
    size_t n = from;
    while (n < list->n && by_bytes(list->items[n].group, list->items[from].group) == 0) {
        n++;
    }
    return n - from;
}

/* Two runs of one group: the first that differs. */
static otr_code compare_runs(const comparison *c, const member *a, size_t n, const member *b,
                             size_t m, otr_err *err)
{
    size_t i = 0;
    for (bool same = true; i < n && i < m; i++) {
        otr_code rc = otr_kid_same(c->graph, a[i].kid, b[i].kid, &same, err);
        if (rc != OTR_OK || !same) {
            return rc != OTR_OK ? rc : differs_at(c, &b[i], OTR_AFTER, err);
        }
    }
    return i < m   ? differs_at(c, &b[i], OTR_AFTER, err)
           : i < n ? differs_at(c, &a[i], OTR_BEFORE, err)
                   : OTR_OK;
}

static otr_code compare(const comparison *c, const members *old, const members *new, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0, j = 0; rc == OTR_OK && (i < old->n || j < new->n);) {
        int order = i == old->n   ? 1
                    : j == new->n ? -1
                                  : by_bytes(old->items[i].group, new->items[j].group);
        size_t n = order <= 0 ? run_of(old, i) : 0, m = order >= 0 ? run_of(new, j) : 0;
        rc = compare_runs(c, &old->items[i], n, &new->items[j], m, err);
        i += n;
        j += m;
    }
    return rc;
}

otr_code otr_groups_compare(otr_graph *graph, const otr_kids *old, const otr_kids *new,
                            otr_kid_filter *filter, otr_arena *arena, otr_names *out, otr_err *err)
{
    members a = { 0 }, b = { 0 };
    comparison c = { .graph = graph, .arena = arena, .out = out };
    otr_code rc = collect(old, filter, &a, err);
    rc = rc == OTR_OK ? collect(new, filter, &b, err) : rc;
    rc = rc == OTR_OK ? compare(&c, &a, &b, err) : rc;
    otr_free(a.items);
    otr_free(b.items);
    return rc;
}
