/*
 * JSON for plugins: a reader that finds values in place and a writer into a fixed buffer.
 *
 * The reader allocates nothing and never trusts its input: malformed text makes a value absent
 * (og_str.at NULL), nothing else, and depth is bounded. A value is the raw text of a JSON value
 * ("12.5", "\"a\\n\"", "{…}") inside the document, so it can be read, searched or written again
 * with og_put_raw(). Bytes from 0x80 on pass through both ways unchecked.
 *
 *     og_str rate = og_json_get(og_input(), "data.requests_per_second");
 *
 * The writer opens an object, sets the commas itself and remembers when the buffer was too small;
 * og_json_end() then returns an absent text, which og_publish() refuses.
 *
 *     char buf[128];
 *     og_writer w = og_json_object(buf, sizeof buf);
 *     og_put_num(&w, "rate", 12.5);
 *     og_publish("alert.rate", og_json_end(&w));
 */
#ifndef OUTRIDER_JSON_H
#define OUTRIDER_JSON_H

#include "outrider_guest.h"

enum { OG_JSON_DEPTH = 64 };

#define OG_JSON_BAD ((size_t)-1)

static inline size_t og_json_space_(og_str d, size_t i)
{
    while (i < d.len && (d.at[i] == ' ' || d.at[i] == '\n' || d.at[i] == '\t' || d.at[i] == '\r')) {
        i++;
    }
    return i;
}

static inline int og_json_hex_(og_str d, size_t i)
{
    int value = 0;
    for (size_t end = i + 4; i < end; i++) {
        char c = i < d.len ? d.at[i] : '\0';
        if (c >= '0' && c <= '9') {
            value = value * 16 + (c - '0');
        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            value = value * 16 + ((c | 32) - 'a' + 10);
        } else {
            return -1;
        }
    }
    return value;
}

static inline size_t og_json_utf8_(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | (cp >> 6));
        out[1] = (char)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | (cp >> 12));
        out[1] = (char)(0x80 | ((cp >> 6) & 63));
        out[2] = (char)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | (cp >> 18));
    out[1] = (char)(0x80 | ((cp >> 12) & 63));
    out[2] = (char)(0x80 | ((cp >> 6) & 63));
    out[3] = (char)(0x80 | (cp & 63));
    return 4;
}

/* "\uD83D\uDE00" is one character; half of a pair becomes U+FFFD. */
static inline size_t og_json_unicode_(og_str d, size_t i, char out[4], size_t *n)
{
    int high = og_json_hex_(d, i);
    if (high < 0) {
        return OG_JSON_BAD;
    }
    i += 4;
    uint32_t cp = (uint32_t)high;
    if (cp >= 0xD800 && cp < 0xE000) {
        int low = -1;
        if (cp < 0xDC00 && i + 6 <= d.len && d.at[i] == '\\' && d.at[i + 1] == 'u') {
            low = og_json_hex_(d, i + 2);
        }
        if (low >= 0xDC00 && low < 0xE000) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
            i += 6;
        } else {
            cp = 0xFFFD;
        }
    }
    *n = og_json_utf8_(cp, out);
    return i;
}

/* Decodes one character of a string's inside at `i`; returns the index after it. */
OG_SHARED size_t og_json_char_(og_str d, size_t i, char out[4], size_t *n)
{
    static const char escapes[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    unsigned char c = (unsigned char)d.at[i];
    *n = 1;
    if (c < 0x20 || c == '"') {
        return OG_JSON_BAD;
    }
    if (c != '\\') {
        out[0] = (char)c;
        return i + 1;
    }
    if (i + 1 >= d.len) {
        return OG_JSON_BAD;
    }
    if (d.at[i + 1] == 'u') {
        return og_json_unicode_(d, i + 2, out, n);
    }
    for (size_t k = 0; k < sizeof escapes - 1; k++) {
        if (d.at[i + 1] == escapes[k]) {
            out[0] = meanings[k];
            return i + 2;
        }
    }
    return OG_JSON_BAD;
}

OG_SHARED size_t og_json_skip_string_(og_str d, size_t i)
{
    if (i >= d.len || d.at[i] != '"') {
        return OG_JSON_BAD;
    }
    for (i++; i < d.len && d.at[i] != '"';) {
        char out[4];
        size_t n = 0;
        i = og_json_char_(d, i, out, &n);
        if (i == OG_JSON_BAD) {
            return OG_JSON_BAD;
        }
    }
    return i < d.len ? i + 1 : OG_JSON_BAD;
}

static inline size_t og_json_skip_digits_(og_str d, size_t i)
{
    size_t from = i;
    while (i < d.len && d.at[i] >= '0' && d.at[i] <= '9') {
        i++;
    }
    return i > from ? i : OG_JSON_BAD;
}

OG_SHARED size_t og_json_skip_number_(og_str d, size_t i)
{
    if (i < d.len && d.at[i] == '-') {
        i++;
    }
    size_t from = i;
    i = og_json_skip_digits_(d, i);
    if (i == OG_JSON_BAD || (d.at[from] == '0' && i > from + 1)) {
        return OG_JSON_BAD;
    }
    if (i < d.len && d.at[i] == '.') {
        i = og_json_skip_digits_(d, i + 1);
    }
    if (i != OG_JSON_BAD && i < d.len && (d.at[i] | 32) == 'e') {
        i++;
        if (i < d.len && (d.at[i] == '+' || d.at[i] == '-')) {
            i++;
        }
        i = og_json_skip_digits_(d, i);
    }
    return i;
}

static inline size_t og_json_skip_word_(og_str d, size_t i)
{
    const char *word = d.at[i] == 't' ? "true" : d.at[i] == 'f' ? "false" : "null";
    for (; *word != '\0'; word++, i++) {
        if (i >= d.len || d.at[i] != *word) {
            return OG_JSON_BAD;
        }
    }
    return i;
}

/* Past a member's name and colon. */
OG_SHARED size_t og_json_skip_key_(og_str d, size_t i)
{
    i = og_json_skip_string_(d, og_json_space_(d, i));
    if (i == OG_JSON_BAD) {
        return OG_JSON_BAD;
    }
    i = og_json_space_(d, i);
    return i < d.len && d.at[i] == ':' ? i + 1 : OG_JSON_BAD;
}

typedef struct og_json_nest_ { /* one bit a level: 1 is an object */
    uint64_t objects;
    int depth;
} og_json_nest_;

/* After a value: closes what ends here and stops where the next value begins. */
static inline size_t og_json_after_(og_str d, size_t i, og_json_nest_ *nest)
{
    while (nest->depth > 0) {
        i = og_json_space_(d, i);
        bool object = (nest->objects & 1) != 0;
        if (i >= d.len) {
            return OG_JSON_BAD;
        }
        if (d.at[i] == ',') {
            return object ? og_json_skip_key_(d, i + 1) : i + 1;
        }
        if (d.at[i] != (object ? '}' : ']')) {
            return OG_JSON_BAD;
        }
        nest->objects >>= 1;
        nest->depth--;
        i++;
    }
    return i;
}

/* Opens the object or array at `i`; `*value` tells whether a value follows. */
static inline size_t og_json_enter_(og_str d, size_t i, og_json_nest_ *nest, bool *value)
{
    bool object = d.at[i] == '{';
    if (nest->depth == OG_JSON_DEPTH) {
        return OG_JSON_BAD;
    }
    nest->objects = nest->objects << 1 | (object ? 1U : 0U);
    nest->depth++;
    i = og_json_space_(d, i + 1);
    *value = i < d.len && d.at[i] != (object ? '}' : ']');
    return *value && object ? og_json_skip_key_(d, i) : i;
}

/* Index after the value at `i`, or OG_JSON_BAD. */
OG_SHARED size_t og_json_skip_(og_str d, size_t i)
{
    og_json_nest_ nest = { 0, 0 };
    do {
        i = og_json_space_(d, i);
        if (i >= d.len) {
            return OG_JSON_BAD;
        }
        char c = d.at[i];
        bool value = false;
        if (c == '{' || c == '[') {
            i = og_json_enter_(d, i, &nest, &value);
        } else if (c == '"') {
            i = og_json_skip_string_(d, i);
        } else if (c == 't' || c == 'f' || c == 'n') {
            i = og_json_skip_word_(d, i);
        } else {
            i = og_json_skip_number_(d, i);
        }
        if (i != OG_JSON_BAD && !value) {
            i = og_json_after_(d, i, &nest);
        }
    } while (i != OG_JSON_BAD && nest.depth > 0);
    return i;
}

/* Whether `doc` is one JSON value and nothing else. */
static inline bool og_json_valid(og_str doc)
{
    size_t i = doc.at == NULL ? OG_JSON_BAD : og_json_skip_(doc, 0);
    return i != OG_JSON_BAD && og_json_space_(doc, i) == doc.len;
}

/* Walks the members of an object or the elements of an array:
 *
 *     og_json_iter it = og_json_each(object);
 *     while (og_json_next(&it)) { … it.key, it.value … }
 *
 * It stops early at malformed text. `key` is the name as it stands between the quotes, escapes
 * undecoded; absent in arrays. */
typedef struct og_json_iter {
    og_str doc;
    size_t at; /* OG_JSON_BAD: nothing more */
    bool object, first;
    og_str key, value;
} og_json_iter;

static inline og_json_iter og_json_each(og_str container)
{
    og_json_iter it = { .doc = container, .at = OG_JSON_BAD, .first = true };
    size_t i = container.at == NULL ? 0 : og_json_space_(container, 0);
    if (i < container.len && (container.at[i] == '{' || container.at[i] == '[')) {
        it.object = container.at[i] == '{';
        it.at = i + 1;
    }
    return it;
}

/* To the start of the next member: past the comma, unless it is the first. */
static inline size_t og_json_next_start_(og_json_iter *it)
{
    og_str d = it->doc;
    size_t i = og_json_space_(d, it->at);
    if (i >= d.len || d.at[i] == (it->object ? '}' : ']')) {
        return OG_JSON_BAD;
    }
    if (!it->first) {
        if (d.at[i] != ',') {
            return OG_JSON_BAD;
        }
        i = og_json_space_(d, i + 1);
    }
    it->first = false;
    return i;
}

OG_SHARED bool og_json_next(og_json_iter *it)
{
    og_str d = it->doc;
    if (it->at == OG_JSON_BAD) {
        return false;
    }
    size_t i = og_json_next_start_(it);
    if (i != OG_JSON_BAD && it->object) {
        size_t end = og_json_skip_string_(d, i);
        if (end != OG_JSON_BAD) {
            it->key = (og_str){ d.at + i + 1, end - i - 2 };
        }
        i = og_json_skip_key_(d, i);
    }
    it->at = OG_JSON_BAD;
    if (i == OG_JSON_BAD) {
        return false;
    }
    i = og_json_space_(d, i);
    size_t end = og_json_skip_(d, i);
    if (end == OG_JSON_BAD) {
        return false;
    }
    it->value = (og_str){ d.at + i, end - i };
    it->at = end;
    return true;
}

/* Whether raw text between quotes (og_json_iter.key) means `name`. */
OG_SHARED bool og_json_key_eq(og_str raw, og_str name)
{
    size_t matched = 0;
    for (size_t i = 0; i < raw.len;) {
        char out[4];
        size_t n = 0;
        i = og_json_char_(raw, i, out, &n);
        if (i == OG_JSON_BAD || n > name.len - matched ||
            !og_str_eq((og_str){ out, n }, (og_str){ name.at + matched, n })) {
            return false;
        }
        matched += n;
    }
    return matched == name.len;
}

static inline og_str og_json_child_(og_str container, og_str name)
{
    og_json_iter it = og_json_each(container);
    size_t index = 0;
    if (name.len == 0 && !it.object) {
        return (og_str){ NULL, 0 };
    }
    for (size_t i = 0; i < name.len && !it.object; i++) {
        if (name.at[i] < '0' || name.at[i] > '9' || i > 8) {
            return (og_str){ NULL, 0 };
        }
        index = index * 10 + (size_t)(name.at[i] - '0');
    }
    while (og_json_next(&it)) {
        if (it.object ? og_json_key_eq(it.key, name) : index-- == 0) {
            return it.value;
        }
    }
    return (og_str){ NULL, 0 };
}

/* The value at `path`: member names and array indexes (from 0) with dots between them, as
 * "data.responses.5xx" or "workers.0". Absent when there is none. The first of equal names counts.
 * Text behind the value is not looked at: see og_json_valid(). */
OG_SHARED og_str og_json_get(og_str doc, const char *path)
{
    og_str rest = og_text(path);
    while (doc.at != NULL && rest.len > 0) {
        og_str name = { rest.at, 0 };
        while (name.len < rest.len && rest.at[name.len] != '.') {
            name.len++;
        }
        doc = og_json_child_(doc, name);
        size_t used = name.len < rest.len ? name.len + 1 : name.len;
        rest = (og_str){ rest.at + used, rest.len - used };
    }
    return doc;
}

/* What a raw value is: '{', '[', '"', 't', 'f', 'n', '0' for a number, 0 when absent. */
static inline char og_json_kind(og_str value)
{
    char c = value.at != NULL && value.len > 0 ? value.at[0] : '\0';
    return c == '-' || (c >= '0' && c <= '9') ? '0' : c;
}

/* The number, or `otherwise` when the value is absent or something else. Digits beyond the 19th
 * count as 0, and the last bit may be off. */
OG_SHARED double og_json_double(og_str value, double otherwise)
{
    if (og_json_kind(value) != '0' || og_json_skip_number_(value, 0) != value.len) {
        return otherwise;
    }
    uint64_t digits = 0;
    int scale = 0;
    int exponent = 0;
    bool fraction = false;
    size_t i = value.at[0] == '-' ? 1 : 0;
    for (; i < value.len && (value.at[i] | 32) != 'e'; i++) {
        if (value.at[i] == '.') {
            fraction = true;
        } else if (digits < UINT64_C(1000000000000000000)) {
            digits = digits * 10 + (uint64_t)(value.at[i] - '0');
            scale -= fraction ? 1 : 0;
        } else {
            scale += fraction ? 0 : 1;
        }
    }
    bool down = i + 1 < value.len && value.at[i + 1] == '-';
    for (i++; i < value.len; i++) {
        if (value.at[i] >= '0' && value.at[i] <= '9' && exponent < 1000) {
            exponent = exponent * 10 + (value.at[i] - '0');
        }
    }
    double result = (double)digits;
    scale += down ? -exponent : exponent;
    int n = scale < 0 ? -scale : scale;
    for (; n > 22; n -= 22) { /* 1e22 is the last power of ten that a double holds exactly */
        result = scale < 0 ? result / 1e22 : result * 1e22;
    }
    double power = 1;
    for (; n > 0; n--) {
        power *= 10;
    }
    result = scale < 0 ? result / power : result * power;
    return value.at[0] == '-' ? -result : result;
}

/* The whole number from 0 to 2^64-1, or `otherwise` when the value is anything else. */
static inline uint64_t og_json_u64(og_str value, uint64_t otherwise)
{
    uint64_t n = 0;
    if (value.at == NULL || value.len == 0) {
        return otherwise;
    }
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned)(value.at[i] - '0');
        if (digit > 9 || n > (UINT64_MAX - digit) / 10) {
            return otherwise;
        }
        n = n * 10 + digit;
    }
    return n;
}

static inline bool og_json_bool(og_str value, bool otherwise)
{
    if (og_str_eq(value, OG_STR("true")) || og_str_eq(value, OG_STR("false"))) {
        return value.len == 4;
    }
    return otherwise;
}

/* The decoded string in `buf`; absent when the value is no string or `cap` is too small. */
OG_SHARED og_str og_json_string(og_str value, char *buf, size_t cap)
{
    og_str none = { NULL, 0 };
    if (og_json_kind(value) != '"' || og_json_skip_string_(value, 0) != value.len) {
        return none;
    }
    size_t len = 0;
    for (size_t i = 1; i + 1 < value.len;) {
        char out[4];
        size_t n = 0;
        i = og_json_char_(value, i, out, &n);
        if (i == OG_JSON_BAD || n > cap - len) {
            return none;
        }
        og_copy(buf + len, out, n);
        len += n;
    }
    return (og_str){ buf, len };
}

#include "outrider_json_write.h"

#endif
