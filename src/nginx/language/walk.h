/*
 * Walk over an NGINX configuration: every directive in order, includes followed.
 *
 * `include` is followed where it stands and also shown to the visitor. What an included file holds
 * belongs to the block that includes it. Relative includes start at the folder of the main file.
 * Depth, number and size of files are bounded by base/limits.h; a file that includes itself is an
 * error. A file of which nothing can be read is told of and walked past where the visitor asks for
 * that. Errors say "<file>:<line>: what" and quote nothing: not everybody who
 * reads them may read the file.
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

typedef struct otr_unseen { /* borrowed until the callback returns */
    const char *file;       /* that includes it */
    unsigned line;
    const otr_err *why; /* names it */
} otr_unseen;

typedef struct otr_visitor {
    /* For a block: its start. An error ends the walk; it says nothing of a file's text. */
    otr_code (*enter)(void *arg, const otr_directive *directive, otr_err *err);
    void (*leave)(void *arg); /* the end of a block */
    /* What `include` at file:line names, or a part of it, cannot be read: the walk goes on behind
     * it. Optional: without it, that is an error. */
    otr_code (*unseen)(void *arg, const otr_unseen *unseen, otr_err *err);
    /* A file that is read now, or a folder that a pattern leads to (no text). Optional. */
    otr_code (*visit)(void *arg, const char *path, const struct stat *st, const otr_bytes *text,
                      otr_err *err);
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
