/*
 * What stands in a block once its includes are followed, and whether two directives mean the same.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_IMPACT_EXPAND_H
#define OTR_NGINX_IMPACT_EXPAND_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "nginx/impact/graph.h"

typedef struct otr_kid { /* a directive, and the part that it stands in */
    const otr_node *node;
    uint32_t part;
    uint32_t depth; /* blocks around it, up to the first that was expanded */
} otr_kid;

typedef struct otr_kids {
    otr_kid *items;
    size_t n, cap;
} otr_kids;

void otr_kids_deinit(otr_kids *kids);

typedef enum otr_expand_how {
    OTR_EXPAND_ALL,
    OTR_EXPAND_DIRTY, /* a clean part is an item by itself, without a node */
    OTR_EXPAND_SKIP,  /* so are those with `skip` */
} otr_expand_how;

/* Appends what stands in the block of `of`, or in the whole part when it has no node. Comments are
 * left out. OTR_EQUOTA: files include each other without end. Below OTR_LIMIT_NGINX_BLOCK_DEPTH
 * blocks there is nothing, and the graph is unknown: a file may include itself in a block of its
 * own. */
otr_code otr_kid_expand(otr_graph *graph, otr_when when, otr_kid of, otr_expand_how how,
                        otr_kids *out, otr_err *err) OTR_MUST_CHECK;

/* Calls `fn` for each of them instead (OTR_EXPAND_SKIP), and lets go of the tree of each part that
 * was not there before. */
typedef otr_code otr_kid_fn(void *arg, otr_kid kid, otr_err *err);
otr_code otr_kid_each(otr_graph *graph, otr_when when, otr_kid of, otr_kid_fn *fn, void *arg,
                      otr_err *err) OTR_MUST_CHECK;

/* Are they equal byte for byte? What they include may still differ. */
bool otr_kid_same_bytes(const otr_graph *graph, otr_kid a, otr_kid b);
/* Do both mean the same to NGINX, with all that they hold? `a` before, `b` after the change. */
otr_code otr_kid_same(otr_graph *graph, otr_kid a, otr_kid b, bool *ret, otr_err *err)
    OTR_MUST_CHECK;

/* Appends the i-th word as NGINX reads it; nothing when there is none. */
otr_code otr_kid_word(otr_kid kid, size_t i, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
