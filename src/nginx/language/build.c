#include "nginx/language/build.h"

typedef struct builder {
    const otr_layout *layout;
    otr_buf *out;
    otr_buf word;
    otr_err *err;
} builder;

/* ---- words ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool opens_variable(otr_bytes text, size_t i)
{
    return text.p[i] == '$' && i + 1 < text.n && text.p[i + 1] == '{';
}

static bool ends_plain(uint8_t c)
{
    return is_blank(c) || c == '{' || c == ';' || c == '"' || c == '\'';
}

/* Does a plain word of these bytes read otherwise than as itself? */
static bool needs_quotes(otr_bytes text)
{
    if (text.n == 0 || text.p[0] == '#' || opens_variable(text, 0)) {
        return true;
    }
    bool open = false; /* in `${name}` */
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        bool opens = opens_variable(text, i);
        if (c == '\\') {
            i++;
        } else if (ends_plain(c) || (c == '}' && !open) || (opens && open)) {
            return true;
        } else if (opens || c == '}') {
            open = opens;
            i += opens;
        }
    }
    return open || text.p[text.n - 1] == '$';
}

/* A backslash takes the next byte with it: at the end it would take the quote. */
static bool ends_in_escape(otr_bytes text)
{
    size_t n = 0;
    while (n < text.n && text.p[text.n - 1 - n] == '\\') {
        n++;
    }
    return n % 2 == 1;
}

static otr_code put_quoted(builder *b, otr_bytes text)
{
    bool single = memchr(text.p, '\'', text.n) != NULL;
    bool twice = memchr(text.p, '"', text.n) != NULL;
    char quote = (char)(single && !twice ? '"' : '\'');
    otr_code rc = otr_buf_addc(b->out, quote, b->err);
    size_t from = 0;
    for (size_t i = 0; rc == OTR_OK && i < text.n; i++) {
        if (text.p[i] == '\\') {
            i++;
        } else if (text.p[i] == (uint8_t)quote) {
            rc = otr_buf_add(b->out, (otr_bytes){ text.p + from, i - from }, b->err);
            rc = rc == OTR_OK ? otr_buf_addc(b->out, '\\', b->err) : rc;
            from = i;
        }
    }
    if (rc == OTR_OK && text.n > from) {
        rc = otr_buf_add(b->out, (otr_bytes){ text.p + from, text.n - from }, b->err);
    }
    return rc == OTR_OK ? otr_buf_addc(b->out, quote, b->err) : rc;
}

/* `plain` or `quoted` comes before it. */
static otr_code put_after(builder *b, const otr_word *word, const char *plain, const char *quoted)
{
    otr_buf_clear(&b->word);
    otr_code rc = otr_word_text(word, &b->word, b->err);
    otr_bytes text = otr_buf_bytes(&b->word);
    if (rc != OTR_OK) {
        return rc;
    }
    if (ends_in_escape(text) || memchr(otr_buf_text(&b->word), '\0', text.n) != NULL) {
        return otr_fail(b->err, OTR_EINVAL,
                        ends_in_escape(text) ? "an argument ends with a backslash"
                                             : "an argument holds a NUL byte");
    }
    bool quotes = needs_quotes(text);
    rc = otr_buf_adds(b->out, quotes ? quoted : plain, b->err);
    if (rc != OTR_OK) {
        return rc;
    }
    return quotes ? put_quoted(b, text) : otr_buf_add(b->out, text, b->err);
}

static otr_code put_word(builder *b, const otr_word *word)
{
    return put_after(b, word, "", "");
}

/* ---- directives ---- */

static otr_code put_lua(builder *b, const otr_node *node)
{
    otr_code rc = otr_buf_add(b->out, (otr_bytes){ node->words[0].p, node->words[0].n }, b->err);
    for (uint32_t i = 1; rc == OTR_OK && i + 1 < node->n_words; i++) {
        rc = otr_buf_addc(b->out, ' ', b->err);
        rc = rc == OTR_OK ? put_word(b, &node->words[i]) : rc;
    }
    const otr_word *body = &node->words[node->n_words - 1];
    rc = rc == OTR_OK ? otr_buf_adds(b->out, " {", b->err) : rc;
    rc = rc == OTR_OK ? otr_buf_add(b->out, (otr_bytes){ body->p, body->n }, b->err) : rc;
    return rc == OTR_OK ? otr_buf_adds(b->out, "}", b->err) : rc;
}

static bool is_lua(const otr_node *node)
{
    return !node->has_block && node->n_words > 1 && node->words[node->n_words - 1].body;
}

/* The name and the arguments. After the parenthesis of an `if` a quote would be a part of the word
 * that the parenthesis begins: a blank keeps them apart. */
static otr_code put_head(builder *b, const otr_node *node)
{
    otr_args args;
    otr_word arg;
    otr_args_begin(&args, node);
    bool wrap = otr_node_is(node, "if") && (args.trim || node->end == 0);
    otr_code rc = put_word(b, &node->words[0]);
    if (rc == OTR_OK && wrap && otr_args_count(node) == 0) {
        rc = otr_buf_adds(b->out, " (", b->err);
    }
    bool first = wrap;
    for (; rc == OTR_OK && otr_args_next(&args, &arg); first = false) {
        rc = put_after(b, &arg, first ? " (" : " ", first ? " ( " : " ");
    }
    return rc == OTR_OK && wrap ? otr_buf_addc(b->out, ')', b->err) : rc;
}

static otr_code put_margin(builder *b, unsigned depth)
{
    otr_code rc = b->out->n > 0 ? otr_buf_addc(b->out, '\n', b->err) : OTR_OK;
    unsigned n = b->layout->tabs ? depth : depth * b->layout->indent;
    for (unsigned i = 0; rc == OTR_OK && i < n; i++) {
        rc = otr_buf_addc(b->out, b->layout->tabs ? '\t' : ' ', b->err);
    }
    return rc;
}

static otr_code put_comment(builder *b, const otr_node *node)
{
    const otr_word *text = &node->words[0];
    if (memchr(text->p, '\n', text->n) != NULL) {
        return otr_fail(b->err, OTR_EINVAL, "a comment holds a line feed");
    }
    otr_code rc = otr_buf_addc(b->out, '#', b->err);
    return rc == OTR_OK ? otr_buf_add(b->out, (otr_bytes){ text->p, text->n }, b->err) : rc;
}

static otr_code put_list(builder *b, const otr_node *first, unsigned depth, uint32_t line);

static otr_code put_node(builder *b, const otr_node *node, unsigned depth)
{
    otr_code rc = put_margin(b, depth);
    if (rc != OTR_OK) {
        return rc;
    }
    if (node->is_comment) {
        return put_comment(b, node);
    }
    if (is_lua(node)) {
        return put_lua(b, node);
    }
    rc = put_head(b, node);
    if (rc != OTR_OK || !node->has_block) {
        return rc == OTR_OK ? otr_buf_addc(b->out, ';', b->err) : rc;
    }
    rc = otr_buf_adds(b->out, " {", b->err);
    rc = rc == OTR_OK ? put_list(b, node->block, depth + 1, node->line) : rc;
    rc = rc == OTR_OK ? put_margin(b, depth) : rc;
    return rc == OTR_OK ? otr_buf_addc(b->out, '}', b->err) : rc;
}

/* `line`: of what stands before; a comment of the same line stays in it. */
static otr_code put_list(builder *b, const otr_node *first, unsigned depth, uint32_t line)
{
    for (const otr_node *node = first; node != NULL; node = node->next) {
        otr_code rc;
        if (node->is_comment && node->line == line) {
            rc = otr_buf_addc(b->out, ' ', b->err);
            rc = rc == OTR_OK ? put_comment(b, node) : rc;
        } else {
            rc = put_node(b, node, depth);
            line = node->line;
        }
        if (rc != OTR_OK) {
            return node->line > 0 ? otr_wrap(b->err, rc, "line %u", node->line) : rc;
        }
    }
    return OTR_OK;
}

otr_code otr_conf_write_text(const otr_node *first, const otr_layout *layout, otr_buf *out,
                             otr_err *err)
{
    builder b = { .layout = layout, .out = out, .err = err };
    otr_buf_init(&b.word, out->max_bytes);
    otr_code rc = put_list(&b, first, 0, 0);
    otr_buf_deinit(&b.word);
    return rc;
}

static otr_code put_mini(builder *b, const otr_node *first)
{
    for (const otr_node *node = first; node != NULL; node = node->next) {
        if (node->is_comment) {
            continue;
        }
        otr_code rc = is_lua(node) ? put_lua(b, node) : put_head(b, node);
        if (rc == OTR_OK && node->has_block) {
            rc = otr_buf_addc(b->out, '{', b->err);
            rc = rc == OTR_OK ? put_mini(b, node->block) : rc;
            rc = rc == OTR_OK ? otr_buf_addc(b->out, '}', b->err) : rc;
        } else if (rc == OTR_OK && !is_lua(node)) {
            rc = otr_buf_addc(b->out, ';', b->err);
        }
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}

otr_code otr_conf_write_mini(const otr_node *first, otr_buf *out, otr_err *err)
{
    builder b = { .out = out, .err = err };
    otr_buf_init(&b.word, out->max_bytes);
    otr_code rc = put_mini(&b, first);
    otr_buf_deinit(&b.word);
    return rc;
}
