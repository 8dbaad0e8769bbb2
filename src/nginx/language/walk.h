/*
 * Walk over an NGINX configuration: every directive in order, includes followed.
 *
 * `include` is followed where it stands and also shown to the visitor. What an included file holds
 * belongs to the block that includes it. Relative includes start at the folder of the main file.
 * Depth, number and size of files are bounded by base/limits.h; a file that includes itself is an
 * error. Errors say "<file>:<line>: what".
 *
 * Thread: any; calls block.
 */
#ifndef OTR_NGINX_LANGUAGE_WALK_H
#define OTR_NGINX_LANGUAGE_WALK_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/root.h"

typedef struct otr_directive { /* borrowed until the callback returns */
    const char *name;
    const char *const *args;
    size_t n_args;
    bool block; /* enter() … leave() enclose what is inside; a Lua body is the last argument */
    const char *file;
    unsigned line;
} otr_directive;

typedef struct otr_visitor {
    /* For a block: its start. An error ends the walk. */
    otr_code (*enter)(void *arg, const otr_directive *directive, otr_err *err);
    void (*leave)(void *arg); /* the end of a block */
    void *arg;
} otr_visitor;

typedef struct otr_walk_stats {
    size_t files, bytes, directives;
} otr_walk_stats;

/* `config` absolute. `ret` (may be NULL) is written in any case. */
otr_code otr_nginx_walk(const otr_root *root, const char *config, const otr_visitor *visitor,
                        otr_walk_stats *ret, otr_err *err) OTR_MUST_CHECK;

/* The same over text in memory; an include is then shown and not followed. */
otr_code otr_nginx_walk_text(otr_bytes text, const char *name, const otr_visitor *visitor,
                             otr_err *err) OTR_MUST_CHECK;

#endif
