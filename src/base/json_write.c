#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/escape.h"
#include "base/json.h"
#include "base/number.h"
#include "base/utf8.h"

enum { MAX_DEPTH = 64 }; /* bits of otr_jw.has_items */

void otr_jw_begin(otr_jw *w, otr_buf *out, otr_err *err)
{
    *w = (otr_jw){ .out = out, .err = err };
}

otr_code otr_jw_end(otr_jw *w)
{
    assert(w->rc != OTR_OK || w->depth == 0);
    return w->rc;
}

static void put(otr_jw *w, const void *p, size_t n)
{
    if (w->rc == OTR_OK) {
        w->rc = otr_buf_add(w->out, (otr_bytes){ p, n }, w->err);
    }
}

static void put_unit(otr_jw *w, uint32_t unit)
{
    char code[8];
    int n = snprintf(code, sizeof(code), "\\u%04x", (unsigned)(unit & 0xffffU));
    put(w, code, (size_t)n);
}

static void put_escape(otr_jw *w, uint32_t code)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if ((uint8_t)shorts[i] == code) {
            put(w, (char[]){ '\\', shorts[i + 1] }, 2);
            return;
        }
    }
    if (code >= 0x10000) { /* a surrogate pair */
        put_unit(w, 0xd800 + ((code - 0x10000) >> 10));
        code = 0xdc00 + (code & 0x3ffU);
    }
    put_unit(w, code);
}

static void put_string(otr_jw *w, otr_bytes text)
{
    put(w, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < text.n;) {
        uint32_t code = text.p[i];
        size_t len = code < 0x80 ? 1 : otr_utf8_next((otr_bytes){ text.p + i, text.n - i }, &code);
        bool plain = len > 0 && code != '"' && code != '\\' &&
                     ((code >= 0x20 && code < 0x7f) || !otr_escape_needs(code));
        if (plain) {
            i += len;
            continue;
        }
        put(w, text.p + from, i - from);
        if (len == 0) {
            put(w, "\xef\xbf\xbd", 3);
        } else {
            put_escape(w, code);
        }
        i += len > 0 ? len : 1;
        from = i;
    }
    if (text.n > from) {
        put(w, text.p + from, text.n - from);
    }
    put(w, "\"", 1);
}

static void before(otr_jw *w, const char *key)
{
    if (w->depth > 0) {
        uint64_t bit = UINT64_C(1) << (w->depth - 1);
        if (w->has_items & bit) {
            put(w, ",", 1);
        }
        w->has_items |= bit;
    }
    if (key != NULL) {
        put_string(w, otr_bytes_of(key));
        put(w, ":", 1);
    }
}

static void open_scope(otr_jw *w, const char *key, char bracket)
{
    if (w->depth >= MAX_DEPTH) {
        if (w->rc == OTR_OK) {
            w->rc = otr_fail(w->err, OTR_EQUOTA, "JSON is nested deeper than %d", MAX_DEPTH);
        }
        return;
    }
    before(w, key);
    put(w, &bracket, 1);
    w->has_items &= ~(UINT64_C(1) << w->depth);
    w->depth++;
}

static void close_scope(otr_jw *w, char bracket)
{
    if (w->rc == OTR_OK) {
        assert(w->depth > 0);
        w->depth--;
        put(w, &bracket, 1);
    }
}

void otr_jw_obj(otr_jw *w, const char *key)
{
    open_scope(w, key, '{');
}

void otr_jw_obj_end(otr_jw *w)
{
    close_scope(w, '}');
}

void otr_jw_arr(otr_jw *w, const char *key)
{
    open_scope(w, key, '[');
}

void otr_jw_arr_end(otr_jw *w)
{
    close_scope(w, ']');
}

void otr_jw_str(otr_jw *w, const char *key, const char *text)
{
    if (text == NULL) {
        otr_jw_null(w, key);
    } else {
        otr_jw_bytes(w, key, otr_bytes_of(text));
    }
}

void otr_jw_bytes(otr_jw *w, const char *key, otr_bytes text)
{
    before(w, key);
    put_string(w, text);
}

void otr_jw_u64(otr_jw *w, const char *key, uint64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%" PRIu64, value);
    before(w, key);
    put(w, text, (size_t)n);
}

void otr_jw_i64(otr_jw *w, const char *key, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%" PRId64, value);
    before(w, key);
    put(w, text, (size_t)n);
}

void otr_jw_f64(otr_jw *w, const char *key, double value)
{
    if (!isfinite(value)) {
        otr_jw_null(w, key);
        return;
    }
    char text[OTR_F64_BYTES];
    before(w, key);
    put(w, text, strlen(otr_f64_text(text, value)));
}

void otr_jw_bool(otr_jw *w, const char *key, bool value)
{
    before(w, key);
    put(w, value ? "true" : "false", value ? 4 : 5);
}

void otr_jw_null(otr_jw *w, const char *key)
{
    before(w, key);
    put(w, "null", 4);
}

void otr_jw_raw(otr_jw *w, const char *key, otr_bytes json)
{
    before(w, key);
    put(w, json.p, json.n);
}

otr_code otr_json_plain(otr_bytes json, otr_buf *out, otr_err *err)
{
    otr_jw w;
    size_t start = out->n, from = 0;
    otr_jw_begin(&w, out, err);
    for (size_t i = 0; i < json.n;) {
        uint32_t code = json.p[i];
        size_t len = code < 0x80 ? 1 : otr_utf8_next((otr_bytes){ json.p + i, json.n - i }, &code);
        if (len > 0 && !otr_escape_needs(code)) {
            i += len;
            continue;
        }
        put(&w, json.p + from, i - from);
        if (len == 0) {
            put(&w, "\xef\xbf\xbd", 3);
        } else if (code == '\n' || code == '\r' || code == '\t') {
            put(&w, " ", 1); /* between tokens: inside of strings they are escaped */
        } else {
            put_escape(&w, code);
        }
        i += len > 0 ? len : 1;
        from = i;
    }
    put(&w, json.p + from, json.n - from);
    if (w.rc != OTR_OK) {
        otr_buf_cut(out, start);
    }
    return w.rc;
}
