#include "nginx/language/lexer.h"

/* What a byte is to the reader; all others are only passed over in a plain word. */
enum { SPACE = 1, ENDS = 2, SPECIAL = 4, BEGINS = 8 }; /* BEGINS: no plain word does so */
static const uint8_t kinds[256] = {
    ['\0'] = SPECIAL | BEGINS,
    [' '] = SPACE | SPECIAL,
    ['\t'] = SPACE | SPECIAL,
    ['\n'] = SPACE | SPECIAL,
    ['\r'] = SPACE | SPECIAL,
    [';'] = ENDS | SPECIAL | BEGINS,
    ['{'] = ENDS | SPECIAL | BEGINS,
    ['\\'] = SPECIAL,
    ['$'] = SPECIAL,
    ['}'] = BEGINS,
    ['#'] = BEGINS,
    ['"'] = BEGINS,
    ['\''] = BEGINS,
};

static bool is_space(uint8_t c)
{
    return (kinds[c] & SPACE) != 0;
}

void otr_lexer_init(otr_lexer *lexer, otr_bytes src, const char *file)
{
    *lexer = (otr_lexer){ .src = src, .line = 1, .file = file };
}

static otr_code fail(otr_lexer *lexer, unsigned line, otr_err *err, const char *what)
{
    lexer->at = lexer->src.n;
    return otr_fail(err, OTR_EINVAL, "%s:%u: %s", lexer->file, line, what);
}

static otr_code fail_nul(otr_lexer *lexer, otr_err *err)
{
    return fail(lexer, lexer->line, err, "unexpected NUL byte");
}

/* Where the white space at `at` ends; `line` counts. */
static size_t skip_space(otr_bytes src, size_t at, unsigned *line)
{
    static const char blanks[] = "        ";
    enum { STEP = sizeof(blanks) - 1 };
    while (at < src.n && is_space(src.p[at])) {
        *line += src.p[at] == '\n';
        at++;
        while (src.n - at >= STEP && memcmp(src.p + at, blanks, STEP) == 0) {
            at += STEP; /* of these there are many, at the start of lines */
        }
    }
    return at;
}

size_t otr_lexer_words(otr_lexer *lexer, otr_token *to, size_t room)
{
    otr_bytes src = lexer->src;
    size_t at = lexer->at, n = 0;
    unsigned line = lexer->line;
    for (; n < room; n++) {
        size_t start = skip_space(src, at, &line), end = start;
        at = start;
        if (start >= src.n || (kinds[src.p[start]] & BEGINS) != 0) {
            break;
        }
        while (end < src.n && ((kinds[src.p[end]] & SPECIAL) == 0 ||
                               (src.p[end] == '$' && src.n - end > 1 && src.p[end + 1] != '{'))) {
            end++;
        }
        if (end >= src.n || (kinds[src.p[end]] & (SPACE | ENDS)) == 0) {
            break; /* one that otr_lexer_next() has to look at */
        }
        to[n] = (otr_token){ .kind = OTR_TOKEN_WORD,
                             .raw = { src.p + start, end - start },
                             .start = start,
                             .end = end,
                             .line = line };
        at = end;
    }
    lexer->at = at;
    lexer->line = line;
    return n;
}

/* Up to the next token; true when that is a comment which is asked for. */
static bool skip_blank(otr_lexer *lexer)
{
    const uint8_t *p = lexer->src.p;
    size_t n = lexer->src.n, at = lexer->at;
    unsigned line = lexer->line;
    bool comment = false;
    while (at < n) {
        uint8_t c = p[at];
        if (is_space(c)) {
            at = skip_space(lexer->src, at, &line);
        } else if (c == '#' && !lexer->comments) {
            const uint8_t *eol = memchr(p + at, '\n', n - at);
            at = eol != NULL ? (size_t)(eol - p) : n;
        } else {
            comment = c == '#';
            break;
        }
    }
    lexer->at = at;
    lexer->line = line;
    return comment;
}

static void take_comment(otr_lexer *lexer, otr_token *ret)
{
    const uint8_t *p = lexer->src.p + lexer->at;
    size_t left = lexer->src.n - lexer->at;
    const uint8_t *eol = memchr(p, '\n', left);
    size_t n = eol != NULL ? (size_t)(eol - p) : left;
    lexer->at += n;
    n -= n > 0 && p[n - 1] == '\r';
    *ret = (otr_token){ .kind = OTR_TOKEN_COMMENT,
                        .raw = { p, n },
                        .start = ret->start,
                        .end = ret->start + n,
                        .line = ret->line };
}

static otr_code quoted_word(otr_lexer *lexer, otr_token *ret, otr_err *err)
{
    const uint8_t *p = lexer->src.p;
    uint8_t quote = p[lexer->at];
    size_t at = lexer->at + 1;
    for (; at < lexer->src.n && p[at] != quote; at++) {
        if (p[at] == '\\') {
            ret->escaped = true;
            at++;
            if (at == lexer->src.n) {
                break;
            }
        }
        if (p[at] == '\0') {
            return fail_nul(lexer, err);
        }
        lexer->line += p[at] == '\n';
    }
    if (at >= lexer->src.n) {
        return fail(lexer, ret->line, err,
                    "unexpected end of file: the text quoted here is not closed");
    }
    ret->quoted = true;
    ret->raw = (otr_bytes){ p + lexer->at + 1, at - lexer->at - 1 };
    lexer->at = ret->end = at + 1;
    if (lexer->at < lexer->src.n) {
        uint8_t next = p[lexer->at];
        if (!is_space(next) && next != ';' && next != '{' && next != ')') {
            return fail(lexer, lexer->line, err,
                        "quoted text is not followed by white space, \";\" or \"{\"");
        }
    }
    return OTR_OK;
}

static otr_code plain_word(otr_lexer *lexer, otr_token *ret, otr_err *err)
{
    const uint8_t *p = lexer->src.p;
    size_t n = lexer->src.n, at = lexer->at;
    while (at < n) {
        uint8_t c = p[at];
        uint8_t kind = kinds[c];
        if ((kind & SPECIAL) == 0) {
            at++;
            continue;
        }
        if ((kind & (SPACE | ENDS)) != 0) {
            break;
        }
        if (c == '\0') {
            return fail_nul(lexer, err);
        }
        if (c == '\\' && at + 1 < n) {
            ret->escaped = true;
            at++;
            if (p[at] == '\0') {
                return fail_nul(lexer, err);
            }
            lexer->line += p[at] == '\n';
        } else if (c == '$' && at + 1 < n && p[at + 1] == '{') {
            at++;
        }
        at++;
    }
    ret->raw = (otr_bytes){ p + lexer->at, at - lexer->at };
    lexer->at = ret->end = at;
    return OTR_OK;
}

otr_code otr_lexer_next(otr_lexer *lexer, otr_token *ret, otr_err *err)
{
    bool comment = skip_blank(lexer);
    *ret = (otr_token){
        .kind = OTR_TOKEN_END, .start = lexer->at, .end = lexer->at, .line = lexer->line
    };
    if (comment) {
        take_comment(lexer, ret);
        return OTR_OK;
    }
    if (lexer->at >= lexer->src.n) {
        return OTR_OK;
    }
    uint8_t c = lexer->src.p[lexer->at];
    switch (c) {
    case ';':
        ret->kind = OTR_TOKEN_SEMI;
        break;
    case '{':
        ret->kind = OTR_TOKEN_OPEN;
        break;
    case '}':
        ret->kind = OTR_TOKEN_CLOSE;
        break;
    case '"':
    case '\'':
        ret->kind = OTR_TOKEN_WORD;
        return quoted_word(lexer, ret, err);
    default:
        ret->kind = OTR_TOKEN_WORD;
        return plain_word(lexer, ret, err);
    }
    ret->raw = (otr_bytes){ lexer->src.p + lexer->at, 1 };
    ret->end = ++lexer->at;
    return OTR_OK;
}

/* ---- Lua ---- */

bool otr_lexer_is_lua(otr_bytes name)
{
    static const char tail[] = "_by_lua_block";
    size_t n = sizeof(tail) - 1;
    return name.n > n && memcmp(name.p + name.n - n, tail, n) == 0;
}

/* The level of a long bracket that opens at `at` ("[[" 0, "[=[" 1 …), or -1. */
static long bracket_level(otr_bytes src, size_t at)
{
    size_t i = at + 1;
    while (i < src.n && src.p[i] == '=') {
        i++;
    }
    return i < src.n && src.p[i] == '[' ? (long)(i - at - 1) : -1;
}

/* Past the long bracket of `level` that opens at `at`; src.n when it is not closed. */
static size_t skip_bracket(otr_bytes src, size_t at, long level)
{
    size_t eqs = (size_t)level;
    for (size_t i = at + eqs + 2; i + eqs + 1 < src.n; i++) {
        if (src.p[i] != ']') {
            continue;
        }
        size_t j = i + 1;
        while (j < src.n && src.p[j] == '=') {
            j++;
        }
        if (j < src.n && src.p[j] == ']' && j - i - 1 == eqs) {
            return j + 1;
        }
    }
    return src.n;
}

static size_t skip_lua_string(otr_bytes src, size_t at)
{
    uint8_t quote = src.p[at];
    for (at++; at < src.n; at++) {
        if (src.p[at] == '\\') {
            at++;
        } else if (src.p[at] == quote) {
            return at + 1;
        }
    }
    return src.n;
}

static size_t skip_lua_comment(otr_bytes src, size_t at)
{
    if (at + 2 < src.n && src.p[at + 2] == '[') {
        long level = bracket_level(src, at + 2);
        if (level >= 0) {
            return skip_bracket(src, at + 2, level);
        }
    }
    const uint8_t *eol = memchr(src.p + at, '\n', src.n - at);
    return eol != NULL ? (size_t)(eol - src.p) : src.n;
}

/* Past the Lua lexeme at `at`, as far as braces are concerned. */
static size_t skip_lua(otr_bytes src, size_t at)
{
    uint8_t c = src.p[at];
    if (c == '"' || c == '\'') {
        return skip_lua_string(src, at);
    }
    if (c == '-' && at + 1 < src.n && src.p[at + 1] == '-') {
        return skip_lua_comment(src, at);
    }
    if (c == '[') {
        long level = bracket_level(src, at);
        if (level >= 0) {
            return skip_bracket(src, at, level);
        }
    }
    return at + 1;
}

otr_code otr_lexer_lua(otr_lexer *lexer, otr_token *ret, otr_err *err)
{
    otr_bytes src = lexer->src;
    size_t at = lexer->at, depth = 1;
    unsigned first = lexer->line;
    while (at < src.n) {
        uint8_t c = src.p[at];
        depth += c == '{';
        depth -= c == '}';
        if (depth == 0) {
            break;
        }
        size_t to = skip_lua(src, at);
        if (to > src.n) {
            to = src.n;
        }
        for (; at < to; at++) {
            lexer->line += src.p[at] == '\n';
        }
    }
    if (at >= src.n) {
        return fail(lexer, first, err, "Lua block is not closed, expecting \"}\"");
    }
    *ret = (otr_token){ .kind = OTR_TOKEN_WORD,
                        .raw = { src.p + lexer->at, at - lexer->at },
                        .body = true,
                        .start = lexer->at,
                        .end = at,
                        .line = lexer->line };
    lexer->at = at + 1;
    return OTR_OK;
}

/* ---- text ---- */

/* What `\c` stands for, or 0 when both bytes stay. */
static char unescape(uint8_t c)
{
    switch (c) {
    case '"':
    case '\'':
    case '\\':
        return (char)c;
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    default:
        return '\0';
    }
}

otr_code otr_token_text(const otr_token *token, otr_buf *out, otr_err *err)
{
    if (!token->escaped) {
        return otr_buf_add(out, token->raw, err);
    }
    uint8_t *to;
    otr_code rc = otr_buf_reserve(out, token->raw.n, &to, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t n = 0;
    for (size_t i = 0; i < token->raw.n; i++) {
        uint8_t c = token->raw.p[i];
        char plain = c == '\\' && i + 1 < token->raw.n ? unescape(token->raw.p[i + 1]) : '\0';
        if (plain != '\0') {
            to[n++] = (uint8_t)plain;
            i++;
        } else {
            to[n++] = c;
        }
    }
    otr_buf_grew(out, n);
    return OTR_OK;
}
