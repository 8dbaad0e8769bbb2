/*
 * Reads a configuration into a tree (conf.h): the main file and, unless told not to, all that it
 * includes.
 *
 * Wrong directives are noted and left out, and reading goes on; a text that breaks the grammar is
 * noted and its file left empty, for what follows the break means nothing. A file is read once,
 * with the place of its first include. Each note is in NGINX's words.
 *
 * Thread: any; calls block.
 */
#ifndef OTR_NGINX_LANGUAGE_PARSE_H
#define OTR_NGINX_LANGUAGE_PARSE_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/language/conf.h"
#include "nginx/language/rules.h"
#include "nginx/overlay.h"
#include "nginx/root.h"

typedef struct otr_parse {
    const otr_root *root;
    const otr_overlay *overlay; /* read files as they would be with these changes; NULL: none */
    const char *path;      /* of the main file, as it is to be shown; relative: below `folder` */
    const char *folder;    /* absolute, where relative paths start; NULL: `path` is absolute */
    const char *prefix;    /* where relative includes start; NULL: in the folder of `path` */
    const otr_bytes *text; /* of the main file where it has been read already; else NULL */
    otr_where where;       /* the main file is read as if included there; 0: at the top */
    const char *const *ignore; /* directives that are left out with all they hold, ended by NULL;
                                  NULL: none */
    bool single;               /* follow no include */
    bool comments;   /* keep them all; those between the words of a directive stay anyway */
    bool strict;     /* an unknown directive is an error */
    bool first_only; /* a file with an error is left empty at the first one */
    bool any_place, any_args; /* do not check these */
    /* Called with each file once it is read, in their order; its tree and text go when this
     * returns. An error ends the reading. Optional: without it all stays. */
    otr_code (*each)(void *arg, const otr_conf *conf, size_t i, otr_err *err);
    void *arg;
} otr_parse;

/* Errors are those of memory and limits only (which say "<file>:<line>: what"); all others are
 * notes in `(*ret)->errors`. */
otr_code otr_conf_parse(const otr_parse *spec, otr_conf **ret, otr_err *err) OTR_MUST_CHECK;

#endif
