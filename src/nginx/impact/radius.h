/*
 * How far a change reaches: both trees are compared (radius.c, blocks.c, groups.c), then whatever
 * inherits or names what differs is looked for (touch.c).
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_IMPACT_RADIUS_H
#define OTR_NGINX_IMPACT_RADIUS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "nginx/impact/effects.h"
#include "nginx/impact/graph.h"
#include "nginx/impact/groups.h"
#include "nginx/impact/marks.h"
#include "nginx/language/rules.h"

enum { OTR_RADIUS_BLOCKS = 3 }; /* http, stream, mail */
extern const char *const otr_radius_block_names[OTR_RADIUS_BLOCKS];

typedef struct otr_known_server { /* one whose own text differs */
    const otr_node *node;         /* after the change */
    const otr_node *location;     /* NULL, or a location in it that was told of */
    otr_names names;              /* its own directives that differ; of a location none */
} otr_known_server;

typedef struct otr_radius {
    otr_graph *graph;
    otr_effects *out;
    otr_rules *rules;
    otr_arena arena;                        /* labels */
    otr_marks marks;                        /* what has changed and can be named */
    otr_names inherited[OTR_RADIUS_BLOCKS]; /* directives at the top of each block that differ */
    otr_known_server *known;                /* sorted by node, then location, for touch.c */
    size_t n_known, cap_known;
} otr_radius;

/* `files`: absolute paths of files that change and are not part of the configuration. */
otr_code otr_radius_find(otr_graph *graph, const otr_paths *files, otr_effects *out, otr_err *err)
    OTR_MUST_CHECK;

/* ---- between the files of it: sides.c … ---- */

typedef struct otr_both { /* a block before and after */
    otr_kid old, new;
} otr_both;

/* What an effect says of where it is. */
typedef struct otr_scene {
    const char *block;  /* "http" … */
    const char *server; /* its names, or addresses; NULL outside of one */
    const otr_node *node;
} otr_scene;

/* Compares what stands in one of these blocks. */
otr_code otr_radius_block(otr_radius *r, size_t block, const otr_both *pair, otr_err *err)
    OTR_MUST_CHECK;
/* Compares the locations of `old` and `new` (other directives are passed over); `*ret_n`: how many
 * differ. */
otr_code otr_radius_locations(otr_radius *r, const otr_scene *scene, const otr_kids *old,
                              const otr_kids *new, size_t *ret_n, otr_err *err) OTR_MUST_CHECK;
/* Both sides of a block, without the parts that are equal and in the same order. */
otr_code otr_radius_expand(otr_radius *r, const otr_both *pair, otr_kids *old, otr_kids *new,
                           otr_err *err) OTR_MUST_CHECK;
otr_code otr_radius_know(otr_radius *r, const otr_node *server, const otr_node *location,
                         otr_names *names, otr_err *err) OTR_MUST_CHECK;

/* The order of `known`, for qsort(3) and bsearch(3). */
int otr_radius_by_node(const void *a, const void *b);

/* Adds an effect at `kid`. */
otr_code otr_radius_add(otr_radius *r, otr_effect *effect, otr_kid kid, otr_err *err)
    OTR_MUST_CHECK;

/* Finds what inherits or names what differs. */
otr_code otr_radius_touch(otr_radius *r, otr_err *err) OTR_MUST_CHECK;

#endif
