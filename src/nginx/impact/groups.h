/*
 * Directives of a block by their names: those whose values, in their order, are other ones
 * afterwards. That directives of different names change places means nothing, except among those
 * that NGINX runs in their order.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_IMPACT_GROUPS_H
#define OTR_NGINX_IMPACT_GROUPS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "nginx/impact/expand.h"

typedef struct otr_named { /* a name, and the first place where it differs */
    const char *name;
    otr_kid at;
    otr_when when;
} otr_named;

typedef struct otr_names {
    otr_named *items;
    size_t n, cap;
} otr_names;

void otr_names_deinit(otr_names *names);
bool otr_names_have(const otr_names *names, const otr_node *node); /* its name */
otr_code otr_names_add(otr_names *names, const otr_named *name, otr_err *err) OTR_MUST_CHECK;

/* Which directives to look at. */
typedef bool otr_kid_filter(const otr_node *node);

/* Adds those that differ; their texts go into `arena`. */
otr_code otr_groups_compare(otr_graph *graph, const otr_kids *old, const otr_kids *new,
                            otr_kid_filter *filter, otr_arena *arena, otr_names *out, otr_err *err)
    OTR_MUST_CHECK;

/* "a, b and 3 more"; in `arena`. */
otr_code otr_names_text(const otr_names *names, otr_arena *arena, const char **ret, otr_err *err)
    OTR_MUST_CHECK;

#endif
