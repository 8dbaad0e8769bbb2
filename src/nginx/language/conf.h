/*
 * A configuration as a tree: its files, and in each the directives with their blocks, comments and
 * places in the text. Made by otr_conf_parse() from files (parse.h) or by otr_conf_load() from JSON
 * (payload.h), written by otr_conf_write_*() (payload.h, build.h).
 *
 * All of it is borrowed until otr_conf_free(). Words are views of the text as
 * it stands there, escapes not resolved: otr_word_text() gives what crossplane shows, which keeps
 * them but for a quote in quotes; otr_word_meaning() what NGINX reads.
 *
 * Thread: one that makes it, then any.
 */
#ifndef OTR_NGINX_LANGUAGE_CONF_H
#define OTR_NGINX_LANGUAGE_CONF_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_word {
    const uint8_t *p; /* between its quotes */
    uint32_t n;
    char quote;   /* 0, '"' or '\'' */
    bool escaped; /* holds a backslash */
    bool body;    /* of a Lua block: it stands between braces */
} otr_word;

typedef struct otr_node otr_node;
struct otr_node {
    otr_node *next;
    otr_node *block;       /* the first one inside; NULL with `has_block`: an empty block */
    const otr_word *words; /* the name first. A comment: one, what follows its `#` */
    uint32_t n_words;
    uint32_t file; /* which of `files` it stands in */
    uint32_t line;
    uint32_t n_includes;
    const uint32_t *includes; /* which of `files` this `include` brings in */
    uint32_t start, end; /* byte offsets in the file's text, all of its block included; 0, 0: it
                            was not read from a text */
    bool has_block, is_comment, is_include; /* the last: followed */
};

typedef struct otr_conf_error {
    const char *text; /* what, without the place */
    uint32_t file;
    uint32_t line; /* 0: of no line */
    bool at;       /* the text of it goes on with " in FILE:LINE" where it is shown alone */
} otr_conf_error;

typedef struct otr_conf_file {
    const char *path; /* as the include, or the caller, named it */
    otr_bytes text;   /* in `kept`, or the caller's; none where it came from JSON */
    otr_buf kept;
    otr_arena arena; /* its nodes and words */
    otr_node *first;
    bool failed; /* has errors */
} otr_conf_file;

typedef struct otr_conf {
    otr_arena arena;      /* paths and texts of errors */
    otr_conf_file *files; /* the main one first, the others in the order of their first include */
    size_t n_files, cap_files;
    otr_conf_error *errors; /* in the order in which they were met, one file after the other */
    size_t n_errors, cap_errors;
    size_t n_nodes;
} otr_conf;

void otr_conf_free(otr_conf *conf); /* NULL is fine */
void otr_conf_freep(void *slot);    /* for OTR_CLEANUP */

bool otr_node_is(const otr_node *node, const char *name);

/* Appends the word as crossplane shows it / as NGINX reads it. */
otr_code otr_word_text(const otr_word *word, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
otr_code otr_word_meaning(const otr_word *word, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* The arguments one after the other, as crossplane shows them: those of an `if` that was read from
 * a text without its parentheses. */
typedef struct otr_args {
    const otr_node *node;
    uint32_t at;
    bool trim;
} otr_args;
void otr_args_begin(otr_args *args, const otr_node *node);
bool otr_args_next(otr_args *args, otr_word *ret);
size_t otr_args_count(const otr_node *node);

/* Lets the tree and the text of a file go; its path and its errors stay. */
void otr_conf_drop(otr_conf_file *file);

/* For those who make one. */
otr_code otr_conf_new(otr_conf **ret, otr_err *err) OTR_MUST_CHECK;
/* `path` is copied; `*ret` is its index. */
otr_code otr_conf_add_file(otr_conf *conf, const char *path, uint32_t *ret, otr_err *err)
    OTR_MUST_CHECK;
/* `error->text` is copied; its file counts as failed. */
otr_code otr_conf_add_error(otr_conf *conf, const otr_conf_error *error, otr_err *err)
    OTR_MUST_CHECK;

#endif
