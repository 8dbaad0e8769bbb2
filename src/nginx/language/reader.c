#include "nginx/language/reader.h"

#include "base/alloc.h"
#include "base/limits.h"

void otr_reader_init(otr_reader *reader, otr_bytes text, const char *file)
{
    *reader = (otr_reader){ .file = file };
    otr_lexer_init(&reader->lexer, text, file);
}

void otr_reader_deinit(otr_reader *reader)
{
    otr_free(reader->words);
    otr_free(reader->between);
    *reader = (otr_reader){ 0 };
}

static otr_code make_room(otr_reader *r, size_t n, otr_err *err)
{
    return n < r->cap_words ? OTR_OK
                            : otr_grow(&r->words, n, &r->cap_words, sizeof(*r->words), err);
}

static otr_code add_word(otr_reader *r, otr_item *item, const otr_token *token, otr_err *err)
{
    otr_code rc = make_room(r, item->n_words, err);
    if (rc == OTR_OK) {
        r->words[item->n_words++] = *token;
    }
    return rc;
}

static otr_code add_between(otr_reader *r, otr_item *item, const otr_token *token, otr_err *err)
{
    otr_code rc = otr_grow(&r->between, item->n_comments, &r->cap_between, sizeof(*token), err);
    if (rc == OTR_OK) {
        r->between[item->n_comments++] = *token;
    }
    return rc;
}

/* The words up to the token that ends them, which is `*ret`. A comment before the first word is
 * such a token. Each token is read to where it stays if it is a word. */
static otr_code read_words(otr_reader *r, otr_item *item, otr_token *ret, otr_err *err)
{
    for (;;) {
        otr_code rc = make_room(r, item->n_words, err);
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "%s:%u", r->file, r->lexer.line);
        }
        size_t room = r->cap_words - item->n_words;
        item->n_words += otr_lexer_words(&r->lexer, &r->words[item->n_words], room);
        if (item->n_words == r->cap_words) {
            continue;
        }
        otr_token *token = &r->words[item->n_words];
        rc = otr_lexer_next(&r->lexer, token, err);
        if (rc != OTR_OK) {
            return rc;
        }
        if (token->kind == OTR_TOKEN_WORD) {
            item->n_words++;
        } else if (token->kind == OTR_TOKEN_COMMENT && item->n_words > 0) {
            rc = add_between(r, item, token, err);
            if (rc != OTR_OK) {
                return otr_wrap(err, rc, "%s:%u", r->file, token->line);
            }
        } else {
            *ret = *token;
            return OTR_OK;
        }
    }
}

static otr_code unexpected(const otr_reader *r, const otr_token *at, const char *what, otr_err *err)
{
    return otr_fail(err, OTR_EINVAL, "%s:%u: unexpected %s", r->file, at->line, what);
}

static otr_code at_end(const otr_reader *r, const otr_token *end, otr_item *item, otr_err *err)
{
    item->kind = OTR_ITEM_END;
    if (item->n_words > 0) {
        return unexpected(r, end, "end of file, expecting \";\" or \"}\"", err);
    }
    return r->depth == 0 ? OTR_OK : unexpected(r, end, "end of file, expecting \"}\"", err);
}

static otr_code at_close(otr_reader *r, const otr_token *end, otr_item *item, otr_err *err)
{
    if (r->depth == 0 || (item->n_words > 0 && !r->torn)) {
        return unexpected(r, end, "\"}\"", err);
    }
    r->depth--;
    item->kind = item->n_words > 0 ? OTR_ITEM_TORN : OTR_ITEM_CLOSE;
    return OTR_OK;
}

static otr_code at_open(otr_reader *r, otr_token *end, otr_item *item, otr_err *err)
{
    if (item->n_words == 0) {
        return unexpected(r, end, "\"{\"", err);
    }
    if (otr_lexer_is_lua(r->words[0].raw)) {
        otr_token body = { 0 };
        otr_code rc = otr_lexer_lua(&r->lexer, &body, err);
        item->kind = OTR_ITEM_DIRECTIVE;
        end->end = r->lexer.at;
        return rc == OTR_OK ? add_word(r, item, &body, err) : rc;
    }
    if (r->outer + r->depth >= OTR_LIMIT_NGINX_BLOCK_DEPTH) {
        return otr_fail(err, OTR_EQUOTA, "%s:%u: blocks are more than %d deep", r->file, end->line,
                        OTR_LIMIT_NGINX_BLOCK_DEPTH);
    }
    r->depth++;
    item->kind = OTR_ITEM_BLOCK;
    return OTR_OK;
}

/* What the token that ended the words makes of them. */
static otr_code finish(otr_reader *r, otr_token *end, otr_item *item, otr_err *err)
{
    switch (end->kind) {
    case OTR_TOKEN_END:
        return at_end(r, end, item, err);
    case OTR_TOKEN_CLOSE:
        return at_close(r, end, item, err);
    case OTR_TOKEN_OPEN:
        return at_open(r, end, item, err);
    case OTR_TOKEN_COMMENT:
        item->kind = OTR_ITEM_COMMENT;
        return add_word(r, item, end, err);
    default:
        item->kind = OTR_ITEM_DIRECTIVE;
        return item->n_words > 0 ? OTR_OK : unexpected(r, end, "\";\"", err);
    }
}

otr_code otr_reader_next(otr_reader *reader, otr_item *ret, otr_err *err)
{
    otr_token end = { 0 };
    otr_item item = { 0 };
    reader->lexer.comments = reader->comments;
    otr_code rc = read_words(reader, &item, &end, err);
    if (rc == OTR_OK) {
        rc = finish(reader, &end, &item, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    item.words = reader->words;
    item.comments = reader->between;
    item.line = item.n_words > 0 ? item.words[0].line : end.line;
    item.start = item.n_words > 0 ? item.words[0].start : end.start;
    item.end = end.end;
    item.end_line = end.kind == OTR_TOKEN_OPEN && item.kind == OTR_ITEM_DIRECTIVE
                        ? reader->lexer.line
                        : end.line;
    *ret = item;
    return OTR_OK;
}
