#include <jansson.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/number.h"

/* An otr_json is a json_t under another name: jansson stays in this file. */
static const json_t *in(const otr_json *v)
{
    return (const json_t *)(const void *)v;
}

static const otr_json *out_of(const json_t *v)
{
    return (const otr_json *)(const void *)v;
}

/* What a text asks of the parser, found before it allocates anything: jansson recurses once a level
 * and turns three bytes ("[],") into a hundred. */
typedef struct shape {
    size_t deepest, values;
} shape;

static shape measure(otr_bytes text)
{
    shape s = { 0, 1 };
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            s.values++;
            depth++;
            s.deepest = depth > s.deepest ? depth : s.deepest;
        } else if (c == ',') {
            s.values++;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return s;
}

static otr_code check_limits(otr_bytes text, otr_err *err)
{
    if (text.n > OTR_LIMIT_JSON_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "JSON of %zu bytes is over the limit of %zu", text.n,
                        (size_t)OTR_LIMIT_JSON_BYTES);
    }
    shape s = measure(text);
    if (s.deepest > OTR_LIMIT_JSON_DEPTH) {
        return otr_fail(err, OTR_EQUOTA, "JSON is nested deeper than %d", OTR_LIMIT_JSON_DEPTH);
    }
    if (s.values > OTR_LIMIT_JSON_VALUES) {
        return otr_fail(err, OTR_EQUOTA, "JSON has more than %d values", OTR_LIMIT_JSON_VALUES);
    }
    return OTR_OK;
}

/* jansson's one-byte look-ahead loses a NUL behind a number, and no JSON text has one. */
static otr_code check_nul(otr_bytes text, otr_err *err)
{
    const uint8_t *nul = text.n > 0 ? memchr(text.p, '\0', text.n) : NULL;
    if (nul == NULL) {
        return OTR_OK;
    }
    int line = 1;
    int column = 1;
    for (const uint8_t *p = text.p; p < nul; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    return otr_fail(err, OTR_EINVAL, "not JSON: line %d, column %d: a NUL byte", line, column);
}

static otr_code parse(otr_bytes text, size_t flags, otr_json **ret, otr_err *err)
{
    otr_code rc = check_limits(text, err);
    if (rc == OTR_OK) {
        rc = check_nul(text, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    json_error_t why;
    flags |= JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *root = json_loadb(text.n > 0 ? (const char *)text.p : "", text.n, flags, &why);
    if (root == NULL) {
        if (json_error_code(&why) == json_error_out_of_memory) {
            return otr_fail_nomem(err);
        }
        return otr_fail(err, OTR_EINVAL, "not JSON: line %d, column %d: %s", why.line, why.column,
                        why.text);
    }
    *ret = (otr_json *)(void *)root;
    return OTR_OK;
}

otr_code otr_json_parse(otr_bytes text, otr_json **ret, otr_err *err)
{
    return parse(text, JSON_REJECT_DUPLICATES, ret, err);
}

otr_code otr_json_parse_last(otr_bytes text, otr_json **ret, otr_err *err)
{
    return parse(text, 0, ret, err);
}

void otr_json_free(otr_json *root)
{
    json_decref((json_t *)(void *)root);
}

void otr_json_freep(void *slot)
{
    otr_json_free(otr_steal(slot));
}

otr_json_type otr_json_kind(const otr_json *v)
{
    if (v == NULL) {
        return OTR_JSON_NULL;
    }
    switch (json_typeof(in(v))) {
    case JSON_OBJECT:
        return OTR_JSON_OBJECT;
    case JSON_ARRAY:
        return OTR_JSON_ARRAY;
    case JSON_STRING:
        return OTR_JSON_STRING;
    case JSON_INTEGER:
        return OTR_JSON_INT;
    case JSON_REAL:
        return OTR_JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return OTR_JSON_BOOL;
    case JSON_NULL:
        break;
    }
    return OTR_JSON_NULL;
}

const otr_json *otr_json_get(const otr_json *object, const char *key)
{
    return out_of(json_object_get(in(object), key));
}

size_t otr_json_size(const otr_json *v)
{
    return json_is_array(in(v)) ? json_array_size(in(v)) : json_object_size(in(v));
}

const otr_json *otr_json_at(const otr_json *array, size_t i)
{
    return out_of(json_array_get(in(array), i));
}

void otr_json_each(const otr_json *object,
                   bool (*fn)(void *arg, const char *key, const otr_json *v), void *arg)
{
    json_t *root = (json_t *)(void *)(uintptr_t)in(object);
    for (void *it = json_object_iter(root); it != NULL; it = json_object_iter_next(root, it)) {
        if (!fn(arg, json_object_iter_key(it), out_of(json_object_iter_value(it)))) {
            return;
        }
    }
}

const char *otr_json_str(const otr_json *v, const char *otherwise)
{
    return json_is_string(in(v)) ? json_string_value(in(v)) : otherwise;
}

int64_t otr_json_int(const otr_json *v, int64_t otherwise)
{
    return json_is_integer(in(v)) ? (int64_t)json_integer_value(in(v)) : otherwise;
}

double otr_json_num(const otr_json *v, double otherwise)
{
    return json_is_number(in(v)) ? json_number_value(in(v)) : otherwise;
}

bool otr_json_bool(const otr_json *v, bool otherwise)
{
    return json_is_boolean(in(v)) ? json_boolean_value(in(v)) : otherwise;
}

static void write_real(otr_jw *w, const char *key, double value)
{
    char text[OTR_F64_BYTES + 2];
    (void)otr_f64_text(text, value);
    if (strpbrk(text, ".e") == NULL) {
        memcpy(text + strlen(text), ".0", 3); /* a real stays a real when it is read again */
    }
    otr_jw_raw(w, key, otr_bytes_of(text));
}

static void write_value(otr_jw *w, const char *key, const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: {
        json_t *object = (json_t *)(uintptr_t)v;
        otr_jw_obj(w, key);
        for (void *it = json_object_iter(object); it != NULL;
             it = json_object_iter_next(object, it)) {
            write_value(w, json_object_iter_key(it), json_object_iter_value(it));
        }
        otr_jw_obj_end(w);
        break;
    }
    case JSON_ARRAY:
        otr_jw_arr(w, key);
        for (size_t i = 0; i < json_array_size(v); i++) {
            write_value(w, NULL, json_array_get(v, i));
        }
        otr_jw_arr_end(w);
        break;
    case JSON_STRING:
        otr_jw_bytes(w, key,
                     (otr_bytes){ (const uint8_t *)json_string_value(v), json_string_length(v) });
        break;
    case JSON_INTEGER:
        otr_jw_i64(w, key, (int64_t)json_integer_value(v));
        break;
    case JSON_REAL:
        write_real(w, key, json_real_value(v));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        otr_jw_bool(w, key, json_is_true(v));
        break;
    case JSON_NULL:
        otr_jw_null(w, key);
        break;
    }
}

otr_code otr_json_write(const otr_json *v, otr_buf *out, otr_err *err)
{
    size_t start = out->n;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    write_value(&w, NULL, in(v));
    otr_code rc = otr_jw_end(&w);
    if (rc != OTR_OK) {
        otr_buf_cut(out, start);
    }
    return rc;
}
