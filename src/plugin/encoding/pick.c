/* The texts that are walked here were checked before, by otr_json_valid() or by whoever wrote them:
 * what is no JSON gives no value, but is never read past its end. */
#include "plugin/encoding/pick.h"

#include <string.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/texts.h"

enum { INDEX_DIGITS = 9, UTF8_BYTES = 4, UNIT_BYTES = 6 };

static const otr_bytes none = { NULL, 0 };

/* ---- paths ---- */

/* The next name of the path into `to`; returns what is left of it, behind the dot. NULL: malformed.
 */
static const char *take_name(const char *at, char *to)
{
    size_t n = 0;
    while (*at != '\0' && *at != '.') {
        bool escaped = *at == '\\';
        at += escaped;
        if (escaped && *at != '.' && *at != '\\') {
            return NULL;
        }
        to[n++] = *at++;
    }
    to[n] = '\0';
    return n == 0 || (at[0] == '.' && at[1] == '\0') ? NULL : at + (*at == '.');
}

static otr_code read_names(const char *text, char **names, otr_err *err)
{
    char name[OTR_PICK_BYTES + 2] = "";
    const char *at = text;
    for (size_t i = 0; *at != '\0'; i++) {
        if (i == OTR_PICK_NAMES) {
            return otr_fail(err, OTR_EQUOTA, "a path of more than %d names", OTR_PICK_NAMES);
        }
        at = take_name(at, name);
        if (at == NULL) {
            return otr_fail(err, OTR_EINVAL,
                            "\"%s\" is no path: names joined by dots, as in \"data.items.0.name\"; "
                            "a dot in a name is \"\\.\", a backslash \"\\\\\"",
                            text);
        }
        if ((names[i] = otr_strdup(name)) == NULL) {
            return otr_fail_nomem(err);
        }
    }
    return OTR_OK;
}

otr_code otr_pick_path(const char *text, char ***ret, otr_err *err)
{
    if (text[0] == '\0') {
        return otr_fail(err, OTR_EINVAL, "an empty path");
    }
    if (strlen(text) > OTR_PICK_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "a path of more than %d bytes", OTR_PICK_BYTES);
    }
    char **names = otr_calloc(OTR_PICK_NAMES + 1, sizeof(*names));
    if (names == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = read_names(text, names, err);
    if (rc != OTR_OK) {
        otr_texts_free(names);
        return rc;
    }
    *ret = names;
    return OTR_OK;
}

/* ---- strings ---- */

static unsigned hex_unit(const uint8_t *p)
{
    unsigned unit = 0;
    for (int i = 2; i < UNIT_BYTES; i++) {
        uint8_t c = p[i];
        unsigned digit = c <= '9' ? (unsigned)c - '0' : (c | 0x20U) - 'a' + 10U;
        unit = unit << 4 | (digit & 0xfU);
    }
    return unit;
}

/* "\uXXXX" at the start of `in`? */
static bool has_unit(otr_bytes in)
{
    return in.n >= UNIT_BYTES && in.p[0] == '\\' && in.p[1] == 'u';
}

static size_t put_utf8(uint32_t c, uint8_t to[UTF8_BYTES])
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        to[i] = (uint8_t)(0x80U | (c & 0x3fU));
        c >>= 6;
    }
    to[0] = (uint8_t)((0xf00U >> n & 0xf0U) | c);
    return n;
}

static size_t take_unit(otr_bytes *in, uint8_t to[UTF8_BYTES])
{
    uint32_t c = hex_unit(in->p);
    *in = (otr_bytes){ in->p + UNIT_BYTES, in->n - UNIT_BYTES };
    if (c >= 0xd800 && c < 0xdc00 && has_unit(*in)) {
        uint32_t low = hex_unit(in->p);
        if (low >= 0xdc00 && low < 0xe000) {
            *in = (otr_bytes){ in->p + UNIT_BYTES, in->n - UNIT_BYTES };
            return put_utf8(0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), to);
        }
    }
    return put_utf8(c >= 0xd800 && c < 0xe000 ? 0xfffd : c, to);
}

/* Takes a byte or an escape from the inside of a string; returns how many bytes it stands for. */
static size_t take_char(otr_bytes *in, uint8_t to[UTF8_BYTES])
{
    static const char names[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    if (has_unit(*in)) {
        return take_unit(in, to);
    }
    size_t skip = in->p[0] == '\\' && in->n > 1;
    uint8_t c = in->p[skip];
    const char *named = skip && c != '\0' ? strchr(names, c) : NULL;
    to[0] = named != NULL ? (uint8_t)bytes[named - names] : c;
    *in = (otr_bytes){ in->p + skip + 1, in->n - skip - 1 };
    return 1;
}

/* Is what stands between these quotes `name`? */
static bool says(otr_bytes inside, const char *name)
{
    uint8_t to[UTF8_BYTES];
    while (inside.n > 0) {
        size_t n = take_char(&inside, to);
        for (size_t i = 0; i < n; i++, name++) {
            if (*name == '\0' || (uint8_t)*name != to[i]) {
                return false;
            }
        }
    }
    return *name == '\0';
}

/* ---- walking ---- */

typedef struct cursor {
    const uint8_t *p, *end;
} cursor;

static bool at(const cursor *c, char ch)
{
    return c->p < c->end && *c->p == (uint8_t)ch;
}

static void skip_space(cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r')) {
        c->p++;
    }
}

static void skip_string(cursor *c)
{
    c->p++;
    while (c->p < c->end && *c->p != '"') {
        c->p += *c->p == '\\' && c->p + 1 < c->end ? 2 : 1;
    }
    c->p += c->p < c->end;
}

/* A value, or what stands where one should. */
static otr_bytes take_value(cursor *c)
{
    const uint8_t *from = c->p;
    size_t depth = 0;
    while (c->p < c->end) {
        uint8_t ch = *c->p;
        if (ch == '"') {
            skip_string(c);
        } else if (depth == 0 && (ch == ',' || ch == '}' || ch == ']')) {
            break;
        } else {
            depth += ch == '{' || ch == '[';
            depth -= ch == '}' || ch == ']';
            c->p++;
        }
    }
    while (c->p > from && c->p[-1] <= ' ') { /* white space behind a number or a word */
        c->p--;
    }
    return (otr_bytes){ from, (size_t)(c->p - from) };
}

static bool next(cursor *c)
{
    skip_space(c);
    bool more = at(c, ',');
    c->p += more;
    skip_space(c);
    return more;
}

static otr_bytes member(cursor *c, const char *name)
{
    while (at(c, '"')) {
        const uint8_t *from = c->p + 1;
        skip_string(c);
        bool found = c->p > from && says((otr_bytes){ from, (size_t)(c->p - from) - 1 }, name);
        skip_space(c);
        c->p += at(c, ':');
        skip_space(c);
        otr_bytes value = take_value(c);
        if (found) {
            return value;
        }
        if (!next(c)) {
            break;
        }
    }
    return none;
}

/* Digits without a zero before them, and not too many. False: it is no index. */
static bool read_index(const char *name, size_t *ret)
{
    size_t n = strspn(name, "0123456789");
    if (n == 0 || n > INDEX_DIGITS || name[n] != '\0' || (name[0] == '0' && n > 1)) {
        return false;
    }
    *ret = 0;
    for (; *name != '\0'; name++) {
        *ret = *ret * 10 + (size_t)(*name - '0');
    }
    return true;
}

static otr_bytes item(cursor *c, const char *name)
{
    size_t index = 0;
    if (!read_index(name, &index) || at(c, ']')) {
        return none;
    }
    for (;; index--) {
        otr_bytes value = take_value(c);
        if (index == 0) {
            return value;
        }
        if (!next(c)) {
            return none;
        }
    }
}

static otr_bytes trim(otr_bytes value)
{
    cursor c = { value.p, value.n > 0 ? value.p + value.n : value.p };
    skip_space(&c);
    return take_value(&c);
}

bool otr_pick_is_envelope(const char *name)
{
    static const char *const members[] = { "id",     "topic", "version", "time",
                                           "source", "cause", "data" };
    size_t i = 0;
    while (i < OTR_COUNT(members) && strcmp(name, members[i]) != 0) {
        i++;
    }
    return i < OTR_COUNT(members);
}

otr_bytes otr_pick(otr_bytes json, char *const *path)
{
    otr_bytes value = trim(json);
    for (; *path != NULL && value.n > 0; path++) {
        cursor c = { value.p + 1, value.p + value.n };
        uint8_t kind = value.p[0];
        skip_space(&c);
        value = kind == '{' ? member(&c, *path) : kind == '[' ? item(&c, *path) : none;
    }
    return value.n > 0 ? value : none;
}

/* ---- what is given, what was answered ---- */

otr_code otr_pick_plain(otr_bytes value, otr_buf *scratch, otr_bytes *ret, otr_err *err)
{
    otr_buf_clear(scratch);
    if (value.n < 2 || value.p[0] != '"') {
        *ret = value;
        return OTR_OK;
    }
    otr_bytes in = { value.p + 1, value.n - 2 };
    if (memchr(in.p, '\\', in.n) == NULL) {
        *ret = in;
        return OTR_OK;
    }
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && in.n > 0) {
        const uint8_t *escape = memchr(in.p, '\\', in.n);
        size_t plain = escape != NULL ? (size_t)(escape - in.p) : in.n;
        uint8_t to[UTF8_BYTES];
        rc = otr_buf_add(scratch, (otr_bytes){ in.p, plain }, err);
        in = (otr_bytes){ in.p + plain, in.n - plain };
        if (rc == OTR_OK && in.n > 0) {
            size_t n = take_char(&in, to);
            rc = otr_buf_add(scratch, (otr_bytes){ to, n }, err);
        }
    }
    *ret = rc == OTR_OK ? otr_buf_bytes(scratch) : *ret;
    return rc;
}

otr_code otr_pick_value_of(otr_bytes bytes, otr_buf *scratch, otr_bytes *ret, otr_err *err)
{
    otr_buf_clear(scratch);
    if (otr_json_valid(bytes)) {
        *ret = bytes;
        return OTR_OK;
    }
    otr_code rc;
    if (otr_utf8_ok(bytes)) {
        otr_jw w;
        otr_jw_begin(&w, scratch, err);
        otr_jw_bytes(&w, NULL, bytes);
        rc = otr_jw_end(&w);
    } else {
        rc = otr_buf_addc(scratch, '"', err);
        rc = rc == OTR_OK ? otr_base64_add(bytes, scratch, err) : rc;
        rc = rc == OTR_OK ? otr_buf_addc(scratch, '"', err) : rc;
    }
    *ret = rc == OTR_OK ? otr_buf_bytes(scratch) : *ret;
    return rc;
}
