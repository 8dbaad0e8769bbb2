/*
 * The files of a configuration before and after a change, with what each includes then. A file that
 * the change leaves alone is read and parsed once for both.
 *
 * A part is parsed when somebody asks for its tree. A part is clean when nothing of it, and of what
 * it includes however deep, is another one afterwards.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_IMPACT_GRAPH_H
#define OTR_NGINX_IMPACT_GRAPH_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/language/conf.h"
#include "nginx/language/rules.h"
#include "nginx/overlay.h"

typedef enum otr_when { OTR_BEFORE, OTR_AFTER } otr_when;

typedef struct otr_part_include { /* one directive `include` */
    uint32_t start;               /* where it stands in the text */
    uint32_t *parts;
    size_t n, cap;
} otr_part_include;

typedef struct otr_part_side { /* a file before or after */
    otr_bytes text;
    bool there; /* and readable */
    bool used;  /* the configuration includes it */
    bool scanned;
    otr_conf *conf;
    otr_part_include *includes; /* in the order of the text */
    size_t n_includes, cap_includes;
    char *trouble; /* why it is not known whole: it cannot be read, breaks the grammar, names what
                      is not there; NULL: it is */
    uint32_t trouble_line;
} otr_part_side;

typedef struct otr_part {
    char *path;
    otr_buf kept[2]; /* of which the second is empty when `same` */
    otr_part_side side[2];
    const otr_overlay_entry *change; /* of it; NULL: none. Only while the overlay is there */
    otr_where where;                 /* the first include stands in */
    bool same;                       /* equal texts, or neither is there */
    bool open;                       /* it is gone through: what it includes may not include it */
    bool skip;                       /* for who compares: equal on both sides */
    uint32_t met[2];
    enum { OTR_PART_NEW, OTR_PART_VISITED, OTR_PART_CLEAN, OTR_PART_DIRTY } state;
    int8_t mentions; /* for who searches: -1 not looked yet */
} otr_part;

typedef struct otr_graph {
    const otr_root *root;
    const otr_overlay *overlay;
    const char *folder; /* where relative includes start */
    otr_part *parts;    /* the main file first */
    size_t n, cap;
    uint32_t *by_path; /* hash of a path to its index + 1, open addressing */
    size_t n_slots;
    size_t bytes;
    size_t expanded; /* directives that were gone through, includes followed */
    bool unknown;    /* an include was not followed: too deep, or in a ring */
} otr_graph;

/* Reads all. `root`, `overlay` and `folder` are borrowed. */
otr_code otr_graph_load(otr_graph *graph, const char *config, otr_err *err) OTR_MUST_CHECK;
void otr_graph_deinit(otr_graph *graph);

/* The directives of a part; NULL: there are none. */
otr_code otr_part_tree(otr_part *part, otr_when when, const otr_node **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_part_forget(otr_part *part); /* its trees; those of a dirty part stay */

/* What the include at `start` brings in; NULL: nothing. */
const otr_part_include *otr_part_include_at(const otr_part *part, otr_when when, uint32_t start);

/* May a directive `include` stand in this text? A quick look. */
bool otr_may_include(otr_bytes text);

bool otr_part_is_dirty(otr_graph *graph, uint32_t part);
otr_part *otr_graph_find(const otr_graph *graph, const char *path); /* or NULL */

#endif
