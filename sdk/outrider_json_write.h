/*
 * The writer of outrider_json.h, which includes it; not for direct use.
 */
#ifndef OUTRIDER_JSON_WRITE_H
#define OUTRIDER_JSON_WRITE_H

#include "outrider_json.h"

typedef struct og_writer {
    char *at;
    size_t len, cap;
    og_json_nest_ nest;
    bool comma; /* a value stands before this place */
    bool full;  /* something did not fit: the text is lost */
} og_writer;

OG_SHARED void og_put_bytes_(og_writer *w, const char *bytes, size_t len)
{
    if (w->full || len > w->cap - w->len) {
        w->full = true;
        return;
    }
    og_copy(w->at + w->len, bytes, len);
    w->len += len;
}

OG_SHARED void og_put_quoted_(og_writer *w, og_str s)
{
    static const char hex[] = "0123456789abcdef";
    og_put_bytes_(w, "\"", 1);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c < 0x20) {
            const char escape[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
            og_put_bytes_(w, escape, sizeof escape);
        } else {
            if (c == '"' || c == '\\') {
                og_put_bytes_(w, "\\", 1);
            }
            og_put_bytes_(w, s.at + i, 1);
        }
    }
    og_put_bytes_(w, "\"", 1);
}

OG_SHARED void og_put_key_(og_writer *w, const char *key)
{
    if (w->comma) {
        og_put_bytes_(w, ",", 1);
    }
    if (key != NULL) {
        og_put_quoted_(w, og_text(key));
        og_put_bytes_(w, ":", 1);
    }
    w->comma = true;
}

OG_SHARED void og_put_open_(og_writer *w, const char *key, bool object)
{
    og_put_key_(w, key);
    og_put_bytes_(w, object ? "{" : "[", 1);
    w->full = w->full || w->nest.depth == OG_JSON_DEPTH;
    w->nest.objects = w->nest.objects << 1 | (object ? 1U : 0U);
    w->nest.depth++;
    w->comma = false;
}

/* `key` is the member's name in an object and NULL in an array, here and below. */
static inline void og_put_object(og_writer *w, const char *key)
{
    og_put_open_(w, key, true);
}

static inline void og_put_array(og_writer *w, const char *key)
{
    og_put_open_(w, key, false);
}

/* Ends the innermost object or array. */
OG_SHARED void og_put_close(og_writer *w)
{
    if (w->nest.depth == 0) {
        w->full = true;
        return;
    }
    og_put_bytes_(w, (w->nest.objects & 1) != 0 ? "}" : "]", 1);
    w->nest.objects >>= 1;
    w->nest.depth--;
    w->comma = true;
}

/* A JSON value as it is; "null" when absent. */
static inline void og_put_raw(og_writer *w, const char *key, og_str value)
{
    value = value.at != NULL ? value : OG_STR("null");
    og_put_key_(w, key);
    og_put_bytes_(w, value.at, value.len);
}

static inline void og_put_str(og_writer *w, const char *key, og_str s)
{
    og_put_key_(w, key);
    og_put_quoted_(w, s);
}

static inline void og_put_text(og_writer *w, const char *key, const char *s)
{
    og_put_str(w, key, og_text(s));
}

static inline void og_put_bool(og_writer *w, const char *key, bool yes)
{
    og_put_raw(w, key, yes ? OG_STR("true") : OG_STR("false"));
}

OG_SHARED void og_put_digits_(og_writer *w, uint64_t n)
{
    char digits[20];
    size_t i = sizeof digits;
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    og_put_bytes_(w, digits + i, sizeof digits - i);
}

static inline void og_put_u64(og_writer *w, const char *key, uint64_t n)
{
    og_put_key_(w, key);
    og_put_digits_(w, n);
}

/* Six decimals at most, and an exponent from 1e15 on; NaN and infinities become null. */
OG_SHARED void og_put_num(og_writer *w, const char *key, double v)
{
    if (!(v - v == 0)) {
        og_put_raw(w, key, OG_STR("null"));
        return;
    }
    og_put_key_(w, key);
    if (v < 0) {
        og_put_bytes_(w, "-", 1);
        v = -v;
    }
    int exponent = 0;
    while (v >= 1e15) {
        v /= 10;
        exponent++;
    }
    uint64_t whole = (uint64_t)v;
    uint64_t millionths = (uint64_t)((v - (double)whole) * 1e6 + 0.5);
    og_put_digits_(w, whole + millionths / 1000000);
    millionths %= 1000000;
    if (millionths > 0) {
        char decimals[7] = ".000000";
        size_t len = 7;
        for (size_t i = 6; i > 0; i--, millionths /= 10) {
            decimals[i] = (char)('0' + millionths % 10);
        }
        while (decimals[len - 1] == '0') {
            len--;
        }
        og_put_bytes_(w, decimals, len);
    }
    if (exponent > 0) {
        og_put_bytes_(w, "e", 1);
        og_put_digits_(w, (uint64_t)exponent);
    }
}

/* A writer into `buf` with an open object. */
static inline og_writer og_json_object(char *buf, size_t cap)
{
    og_writer w = { .at = buf, .cap = cap };
    og_put_object(&w, NULL);
    return w;
}

/* Ends all that is open and returns the text; absent when it did not fit. */
OG_SHARED og_str og_json_end(og_writer *w)
{
    while (w->nest.depth > 0 && !w->full) {
        og_put_close(w);
    }
    return w->full ? (og_str){ NULL, 0 } : (og_str){ w->at, w->len };
}

#ifdef __wasm__
/* Answers an operation with what the writer holds. */
static inline int og_output_json(og_writer *w)
{
    og_str text = og_json_end(w);
    return text.at != NULL ? og_output(text) : og_fail("the answer does not fit its buffer");
}
#endif

#endif
