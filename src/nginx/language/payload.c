#include "nginx/language/payload.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "nginx/language/reader.h"

enum { CHUNK_BYTES = 65536 };

typedef struct writer { /* sticky: after a failure it writes nothing more */
    uint8_t *chunk;     /* of CHUNK_BYTES: what the sink was not given yet */
    size_t n;
    otr_buf word; /* for text that is not written as it stands */
    const otr_sink *sink;
    unsigned indent, depth;
    bool fresh; /* nothing since the bracket that opened */
    size_t n_nodes;
    otr_code rc;
    otr_err *err;
} writer;

static void writer_init(writer *w, const otr_sink *sink, unsigned indent, otr_err *err)
{
    *w = (writer){ .sink = sink, .indent = indent, .fresh = true, .err = err };
    otr_buf_init(&w->word, 6UL * OTR_LIMIT_NGINX_CONFIG_BYTES + 2);
    w->chunk = otr_alloc(CHUNK_BYTES);
    if (w->chunk == NULL) {
        w->rc = otr_fail_nomem(err);
    }
}

static void flush(writer *w)
{
    if (w->rc == OTR_OK && w->n > 0) {
        w->rc = w->sink->put(w->sink->arg, (otr_bytes){ w->chunk, w->n }, w->err);
    }
    w->n = 0;
}

static otr_code writer_finish(writer *w)
{
    flush(w);
    otr_free(w->chunk);
    otr_buf_deinit(&w->word);
    return w->rc;
}

static void put_bytes(writer *w, otr_bytes bytes)
{
    if (bytes.n > CHUNK_BYTES - w->n) {
        flush(w);
    }
    if (w->rc != OTR_OK) {
        return;
    }
    if (bytes.n > CHUNK_BYTES) {
        w->rc = w->sink->put(w->sink->arg, bytes, w->err);
    } else if (bytes.n > 0) {
        memcpy(w->chunk + w->n, bytes.p, bytes.n);
        w->n += bytes.n;
    }
}

#define PUT(w, text) put_bytes(w, (otr_bytes){ (const uint8_t *)(text), sizeof(text) - 1 })

static void put(writer *w, const char *text)
{
    put_bytes(w, otr_bytes_of(text));
}

static void new_line(writer *w)
{
    if (w->indent > 0) {
        PUT(w, "\n");
        for (unsigned i = 0; i < w->indent * w->depth; i++) {
            PUT(w, " ");
        }
    }
}

/* Before each value and each key. */
static void item(writer *w)
{
    if (!w->fresh) {
        PUT(w, ",");
    }
    if (w->depth > 0) {
        new_line(w);
    }
    w->fresh = false;
}

static void begin(writer *w, const char *bracket)
{
    put(w, bracket);
    w->depth++;
    w->fresh = true;
}

static void end(writer *w, const char *bracket)
{
    w->depth--;
    if (!w->fresh) {
        new_line(w);
    }
    w->fresh = false;
    put(w, bracket);
}

static void key(writer *w, const char *name)
{
    item(w);
    PUT(w, "\"");
    put(w, name);
    put(w, w->indent > 0 ? "\": " : "\":");
}

/* Does JSON write these bytes as they stand? */
static bool is_plain(otr_bytes text)
{
    bool plain = true;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        plain &= c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
    }
    return plain;
}

/* `text` must not lie in `w->word`. */
static void string(writer *w, otr_bytes text)
{
    if (is_plain(text)) {
        PUT(w, "\"");
        put_bytes(w, text);
        PUT(w, "\"");
        return;
    }
    otr_jw one;
    otr_buf_clear(&w->word);
    otr_jw_begin(&one, &w->word, w->err);
    otr_jw_bytes(&one, NULL, text);
    otr_code rc = otr_jw_end(&one);
    w->rc = w->rc == OTR_OK ? rc : w->rc;
    put_bytes(w, otr_buf_bytes(&w->word));
}

static void number(writer *w, uint64_t n)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (uint8_t)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put_bytes(w, (otr_bytes){ digits + at, sizeof(digits) - at });
}

static void word(writer *w, const otr_word *text)
{
    if (!text->escaped || text->quote == 0) {
        string(w, (otr_bytes){ text->p, text->n });
        return;
    }
    otr_buf plain;
    otr_buf_init(&plain, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_code rc = otr_word_text(text, &plain, w->rc == OTR_OK ? w->err : NULL);
    w->rc = w->rc == OTR_OK ? rc : w->rc;
    string(w, otr_buf_bytes(&plain));
    otr_buf_deinit(&plain);
}

/* ---- directives ---- */

static void list(writer *w, const otr_conf *conf, const otr_node *first, bool combine,
                 unsigned includes);

static void comment(writer *w, const otr_node *node)
{
    key(w, "directive");
    PUT(w, "\"#\"");
    key(w, "line");
    number(w, node->line);
    key(w, "args");
    PUT(w, "[]");
    key(w, "comment");
    string(w, (otr_bytes){ node->words[0].p, node->words[0].n });
}

static void arguments(writer *w, const otr_node *node)
{
    key(w, "args");
    begin(w, "[");
    otr_args args;
    otr_word arg;
    for (otr_args_begin(&args, node); otr_args_next(&args, &arg);) {
        item(w);
        word(w, &arg);
    }
    end(w, "]");
}

static void directive(writer *w, const otr_conf *conf, const otr_node *node, bool combine,
                      unsigned includes)
{
    key(w, "directive");
    word(w, &node->words[0]);
    key(w, "line");
    number(w, node->line);
    arguments(w, node);
    if (node->is_include) {
        key(w, "includes");
        begin(w, "[");
        for (uint32_t i = 0; i < node->n_includes; i++) {
            item(w);
            number(w, node->includes[i]);
        }
        end(w, "]");
    }
    if (node->has_block) {
        key(w, "block");
        begin(w, "[");
        list(w, conf, node->block, combine, includes);
        end(w, "]");
    }
}

static void one(writer *w, const otr_conf *conf, const otr_node *node, bool combine,
                unsigned includes)
{
    item(w);
    begin(w, "{");
    if (combine) {
        key(w, "file");
        string(w, otr_bytes_of(conf->files[node->file].path));
    }
    if (node->is_comment) {
        comment(w, node);
    } else {
        directive(w, conf, node, combine, includes);
    }
    end(w, "}");
}

static void bring_in(writer *w, const otr_conf *conf, const otr_node *node, unsigned includes)
{
    if (includes >= OTR_LIMIT_NGINX_INCLUDE_DEPTH && w->rc == OTR_OK) {
        w->rc = otr_fail(w->err, OTR_EQUOTA, "%s:%u: files are included more than %d deep",
                         conf->files[node->file].path, node->line, OTR_LIMIT_NGINX_INCLUDE_DEPTH);
    }
    for (uint32_t i = 0; w->rc == OTR_OK && i < node->n_includes; i++) {
        list(w, conf, conf->files[node->includes[i]].first, true, includes + 1);
    }
}

static void list(writer *w, const otr_conf *conf, const otr_node *first, bool combine,
                 unsigned includes)
{
    for (const otr_node *node = first; node != NULL && w->rc == OTR_OK; node = node->next) {
        if (++w->n_nodes > OTR_LIMIT_NGINX_COMBINED) {
            w->rc = otr_fail(w->err, OTR_EQUOTA, "%s:%u: more than %d directives",
                             conf->files[node->file].path, node->line, OTR_LIMIT_NGINX_COMBINED);
        } else if (combine && node->is_include) {
            bring_in(w, conf, node, includes);
        } else {
            one(w, conf, node, combine, includes);
        }
    }
}

/* ---- all of it ---- */

static void error(writer *w, const otr_conf *conf, const otr_conf_error *e, bool with_file)
{
    item(w);
    begin(w, "{");
    const char *path = conf->files[e->file].path;
    if (with_file) {
        key(w, "file");
        string(w, otr_bytes_of(path));
    }
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_code rc = e->at ? otr_buf_addf(&text, w->err, "%s in %s:%u", e->text, path, e->line)
                        : otr_buf_adds(&text, e->text, w->err);
    w->rc = w->rc == OTR_OK ? rc : w->rc;
    key(w, "error");
    string(w, otr_buf_bytes(&text));
    otr_buf_deinit(&text);
    key(w, "line");
    if (e->line > 0) {
        number(w, e->line);
    } else {
        PUT(w, "null");
    }
    end(w, "}");
}

/* Of file `only`, or of all. */
static void errors(writer *w, const otr_conf *conf, size_t only, bool with_file)
{
    key(w, "errors");
    begin(w, "[");
    for (size_t i = 0; i < conf->n_errors; i++) {
        if (only == SIZE_MAX || conf->errors[i].file == only) {
            error(w, conf, &conf->errors[i], with_file);
        }
    }
    end(w, "]");
}

static void status(writer *w, bool failed)
{
    key(w, "status");
    put(w, failed ? "\"failed\"" : "\"ok\"");
}

static void file(writer *w, const otr_conf *conf, size_t i, bool combine)
{
    item(w);
    begin(w, "{");
    key(w, "file");
    string(w, otr_bytes_of(conf->files[i].path));
    status(w, combine ? conf->n_errors > 0 : conf->files[i].failed);
    errors(w, conf, combine ? SIZE_MAX : i, false);
    key(w, "parsed");
    begin(w, "[");
    list(w, conf, conf->files[i].first, combine, 0);
    end(w, "]");
    end(w, "}");
}

/* `config` comes first: what was wrong is known when all of it has been written. */
static otr_code write_each(void *arg, const otr_conf *conf, size_t i, otr_err *err)
{
    writer *w = arg;
    w->err = err;
    file(w, conf, i, false);
    return w->rc;
}

otr_code otr_conf_stream_json(const otr_parse *spec, const otr_json_style *style,
                              const otr_sink *sink, bool *ret_failed, otr_err *err)
{
    writer w;
    writer_init(&w, sink, style->indent, err);
    begin(&w, "{");
    key(&w, "config");
    begin(&w, "[");
    otr_parse each = *spec;
    each.each = style->combine ? NULL : write_each;
    each.arg = &w;
    OTR_CLEANUP(otr_conf_freep) otr_conf *conf = NULL;
    otr_code rc = otr_conf_parse(&each, &conf, err);
    if (rc == OTR_OK) {
        w.err = err;
        if (style->combine) {
            file(&w, conf, 0, true);
        }
        end(&w, "]");
        errors(&w, conf, SIZE_MAX, true);
        status(&w, conf->n_errors > 0);
        end(&w, "}");
        PUT(&w, "\n");
        *ret_failed = conf->n_errors > 0;
    }
    w.rc = rc != OTR_OK ? rc : w.rc;
    return writer_finish(&w);
}

/* ---- tokens ---- */

static void token(writer *w, const otr_lex_style *style, otr_bytes text, const otr_token *t)
{
    item(w);
    if (style->lines) {
        begin(w, "[");
        item(w);
    }
    if (t != NULL && t->quoted && t->escaped) {
        otr_word quoted = {
            .p = t->raw.p, .n = (uint32_t)t->raw.n, .quote = (char)t->raw.p[-1], .escaped = true
        };
        word(w, &quoted);
    } else {
        string(w, text);
    }
    if (style->lines) {
        item(w);
        number(w, t->line);
        end(w, "]");
    }
}

otr_code otr_conf_write_tokens(otr_bytes text, const otr_lex_style *style, const otr_sink *sink,
                               otr_err *err)
{
    writer w;
    writer_init(&w, sink, style->indent, err);
    otr_reader reader;
    otr_reader_init(&reader, text, style->file);
    reader.comments = true;
    reader.torn = true;
    begin(&w, "[");
    otr_item i = { 0 };
    while (w.rc == OTR_OK && i.kind != OTR_ITEM_END) {
        w.rc = otr_reader_next(&reader, &i, err);
        /* Words and the comments between them in the order of the text. */
        size_t c = 0;
        for (size_t n = 0; w.rc == OTR_OK && i.kind != OTR_ITEM_END && n < i.n_words; n++) {
            for (; c < i.n_comments && i.comments[c].start < i.words[n].start; c++) {
                token(&w, style, i.comments[c].raw, &i.comments[c]);
            }
            token(&w, style, i.words[n].raw, &i.words[n]);
        }
        for (; w.rc == OTR_OK && c < i.n_comments; c++) {
            token(&w, style, i.comments[c].raw, &i.comments[c]);
        }
        static const char *const ends[] = {
            [OTR_ITEM_DIRECTIVE] = ";", [OTR_ITEM_BLOCK] = "{",    [OTR_ITEM_TORN] = "}",
            [OTR_ITEM_CLOSE] = "}",     [OTR_ITEM_COMMENT] = NULL, [OTR_ITEM_END] = NULL
        };
        if (w.rc == OTR_OK && ends[i.kind] != NULL) {
            otr_token last = { .line = i.end_line };
            token(&w, style, otr_bytes_of(ends[i.kind]), &last);
        }
    }
    end(&w, "]");
    PUT(&w, "\n");
    otr_reader_deinit(&reader);
    return writer_finish(&w);
}
