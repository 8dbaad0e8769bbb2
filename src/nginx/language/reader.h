/*
 * Grammar of NGINX configuration text: its directives one after the other, blocks not nested but
 * opened and closed. The one place that knows which token may follow which.
 *
 * A directive ends at `;` or opens a block with `{`. The body of a Lua block becomes the last word
 * of its directive, which then counts as ended by `;`. Words are tokens of the text: nothing is
 * copied and no escape resolved.
 *
 * Thread: one at a time; the text is borrowed.
 */
#ifndef OTR_NGINX_LANGUAGE_READER_H
#define OTR_NGINX_LANGUAGE_READER_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/language/lexer.h"

typedef enum otr_item_kind {
    OTR_ITEM_DIRECTIVE, /* ended by `;` */
    OTR_ITEM_BLOCK,     /* opens one: all up to its OTR_ITEM_CLOSE is inside */
    OTR_ITEM_TORN,      /* ended by `}`; only where `torn` is asked for. The `}` counts as well */
    OTR_ITEM_CLOSE,
    OTR_ITEM_COMMENT, /* between directives, only where `comments` are asked for: words[0] */
    OTR_ITEM_END,     /* of the text */
} otr_item_kind;

typedef struct otr_item {
    otr_item_kind kind;
    const otr_token *words; /* the name first; valid until the next item */
    size_t n_words;
    const otr_token *comments; /* between its words, where they are asked for */
    size_t n_comments;
    unsigned line;     /* of the first word, else of the token itself */
    unsigned end_line; /* of the `;`, `{` or `}` */
    size_t start, end; /* byte offsets of all of it in the text, its `;`, `{` or `}` included */
} otr_item;

typedef struct otr_reader {
    otr_lexer lexer;
    const char *file; /* for errors */
    unsigned depth;   /* blocks that are open in this text … */
    unsigned outer;   /* … and around it: together at most OTR_LIMIT_NGINX_BLOCK_DEPTH */
    bool comments, torn;
    otr_token *words, *between;
    size_t cap_words, cap_between;
} otr_reader;

void otr_reader_init(otr_reader *reader, otr_bytes text, const char *file);
void otr_reader_deinit(otr_reader *reader);

/* The next item. OTR_EINVAL and OTR_EQUOTA: "<file>:<line>: what"; nothing of the text is
 * quoted. */
otr_code otr_reader_next(otr_reader *reader, otr_item *ret, otr_err *err) OTR_MUST_CHECK;

#endif
