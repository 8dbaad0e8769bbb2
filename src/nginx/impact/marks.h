/*
 * Things of a configuration that have a name and are used by it: upstreams, variables of maps,
 * zones, formats, files. Which directives define one, and which words mean one.
 *
 * Thread: one that makes them, then any.
 */
#ifndef OTR_NGINX_IMPACT_MARKS_H
#define OTR_NGINX_IMPACT_MARKS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/impact/expand.h"

typedef enum otr_mark_kind {
    OTR_MARK_UPSTREAM,
    OTR_MARK_VARIABLE, /* without its `$` */
    OTR_MARK_WORD,     /* a zone, a format …: alone, or as `x=NAME` or `x=NAME:y` */
    OTR_MARK_FILE,     /* an absolute path */
} otr_mark_kind;

typedef struct otr_mark {
    otr_mark_kind kind;
    const char *text;
} otr_mark;

typedef struct otr_marks {
    otr_arena arena;
    otr_mark *items; /* sorted once otr_marks_sort() was called */
    size_t n, cap;
    unsigned kinds;     /* of items, bits by kind */
    const char *folder; /* where relative paths start */
    otr_buf word;       /* scratch */
} otr_marks;

void otr_marks_init(otr_marks *marks, const char *folder);
void otr_marks_deinit(otr_marks *marks);
otr_code otr_marks_add(otr_marks *marks, otr_mark_kind kind, const char *text, otr_err *err)
    OTR_MUST_CHECK;
void otr_marks_sort(otr_marks *marks);

/* Does this directive define a thing with a name? Then `*ret_kind`, and the name into the empty
 * `name`. */
otr_code otr_mark_of(otr_kid kid, bool *ret, otr_mark_kind *ret_kind, otr_buf *name, otr_err *err)
    OTR_MUST_CHECK;

/* The mark that the directive names, in itself and in all that its block holds in this text; NULL:
 * none. `marks` are sorted. */
otr_code otr_marks_named_by(otr_marks *marks, const otr_node *node, const otr_mark **ret,
                            otr_err *err) OTR_MUST_CHECK;

/* May any mark be named in this text? A quick look. */
bool otr_marks_may_be_in(const otr_marks *marks, otr_bytes text);

#endif
