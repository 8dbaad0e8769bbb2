#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/json.h"

enum { MAX_DEPTH = 63 };

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

static size_t utf8_len(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint8_t c = p[0];
    if (c < 0x80) {
        return 1;
    }
    size_t len = c >= 0xf0 && c < 0xf5   ? 4
                 : c >= 0xe0 && c < 0xf0 ? 3
                 : c >= 0xc2 && c < 0xe0 ? 2
                                         : 0;
    if (len == 0 || len > n) {
        return 0;
    }
    uint32_t code = c & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0U) != 0x80U) {
            return 0;
        }
        code = (code << 6) | (p[i] & 0x3fU);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[len] || code > 0x10ffff || surrogate ? 0 : len;
}

bool otr_utf8_ok(otr_bytes text)
{
    for (size_t i = 0; i < text.n;) {
        size_t len = utf8_len(text.p + i, text.n - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

static void put_escape(otr_jw *w, uint8_t c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if ((uint8_t)shorts[i] == c) {
            put(w, (char[]){ '\\', shorts[i + 1] }, 2);
            return;
        }
    }
    char code[8];
    int n = snprintf(code, sizeof(code), "\\u%04x", c);
    put(w, code, (size_t)n);
}

static void put_string(otr_jw *w, otr_bytes text)
{
    put(w, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < text.n;) {
        uint8_t c = text.p[i];
        size_t len = c < 0x80 ? 1 : utf8_len(text.p + i, text.n - i);
        bool plain = len > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
        if (plain) {
            i += len;
            continue;
        }
        put(w, text.p + from, i - from);
        if (len == 0) {
            put(w, "\xef\xbf\xbd", 3);
        } else {
            put_escape(w, c);
        }
        from = ++i;
    }
    if (text.n > from) {
        put(w, text.p + from, text.n - from);
    }
    put(w, "\"", 1);
}

static void before(otr_jw *w, const char *key)
{
    uint64_t bit = UINT64_C(1) << w->depth;
    if (w->has_items & bit) {
        put(w, ",", 1);
    }
    w->has_items |= bit;
    if (key != NULL) {
        put_string(w, otr_bytes_of(key));
        put(w, ":", 1);
    }
}

static void open_scope(otr_jw *w, const char *key, char bracket)
{
    before(w, key);
    put(w, &bracket, 1);
    if (w->depth >= MAX_DEPTH) {
        if (w->rc == OTR_OK) {
            w->rc = otr_fail(w->err, OTR_EQUOTA, "JSON is nested deeper than %d", MAX_DEPTH);
        }
        return;
    }
    w->depth++;
    w->has_items &= ~(UINT64_C(1) << w->depth);
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
    char text[40];
    int n = snprintf(text, sizeof(text), "%.15g", value);
    before(w, key);
    put(w, text, (size_t)n);
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
