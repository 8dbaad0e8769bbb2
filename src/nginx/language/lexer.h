/*
 * Lexer of NGINX configuration text: words, `;`, `{`, `}` and, where asked for, comments, with
 * their place, nothing copied.
 *
 * Follows NGINX's own reader: a word ends at white space, `;` or `{`; `#` begins a comment only
 * where a word could begin; `}` ends a block only there too; quotes count only at the start of a
 * word and must be followed by white space, `;`, `{` or `)`; `\` takes the next byte as it is;
 * `${` does not open a block. The body of a Lua block is not configuration: after the `{` of such
 * a block the caller asks for otr_lexer_lua().
 *
 * Thread: one at a time; the source text is borrowed.
 */
#ifndef OTR_NGINX_LANGUAGE_LEXER_H
#define OTR_NGINX_LANGUAGE_LEXER_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef enum otr_token_kind {
    OTR_TOKEN_WORD,
    OTR_TOKEN_SEMI,    /* ; */
    OTR_TOKEN_OPEN,    /* { */
    OTR_TOKEN_CLOSE,   /* } */
    OTR_TOKEN_COMMENT, /* only where asked for: from `#` to the end of the line */
    OTR_TOKEN_END,     /* end of file */
} otr_token_kind;

typedef struct otr_token {
    otr_token_kind kind;
    otr_bytes raw; /* the word without its quotes, escapes not yet resolved */
    size_t start;  /* byte offsets in the text, quotes included: [start, end) */
    size_t end;
    unsigned line; /* where it starts, from 1 */
    bool quoted;
    bool body;    /* of a Lua block: it stood between braces */
    bool escaped; /* `raw` holds a backslash: otr_token_text() differs from it */
} otr_token;

typedef struct otr_lexer {
    otr_bytes src;
    size_t at;
    unsigned line;
    const char *file; /* for errors */
    bool comments;    /* give them too */
} otr_lexer;

void otr_lexer_init(otr_lexer *lexer, otr_bytes src, const char *file);

/* The next token. OTR_EINVAL: "<file>:<line>: what is wrong"; the lexer is then at its end. */
otr_code otr_lexer_next(otr_lexer *lexer, otr_token *ret, otr_err *err) OTR_MUST_CHECK;

/* The plain words that come next, at most `room`, as otr_lexer_next() gives them one by one: how
 * many there are before something else (quotes, escapes, what ends a directive). */
size_t otr_lexer_words(otr_lexer *lexer, otr_token *to, size_t room);

/* After the `{` of a Lua block: all up to its closing `}` as one raw word. The closing brace is
 * consumed and not part of it. Lua strings, long brackets and comments may hold braces. */
otr_code otr_lexer_lua(otr_lexer *lexer, otr_token *ret, otr_err *err) OTR_MUST_CHECK;

/* Is `name` a directive whose block is Lua ("content_by_lua_block")? */
bool otr_lexer_is_lua(otr_bytes name);

/* Appends the word with its escapes resolved (\" \' \\ \t \r \n; others stay). */
otr_code otr_token_text(const otr_token *token, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
