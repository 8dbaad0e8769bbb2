#include <jansson.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"

/* An otr_json is a json_t under another name: jansson stays in this file. */
static const json_t *in(const otr_json *v)
{
    return (const json_t *)(const void *)v;
}

static const otr_json *out_of(const json_t *v)
{
    return (const otr_json *)(const void *)v;
}

/* jansson recurses once a level and its own ceiling is 2,048; ours is lower. */
static bool too_deep(otr_bytes text)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (quoted) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                quoted = false;
            }
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > OTR_LIMIT_JSON_DEPTH) {
                return true;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

otr_code otr_json_parse(otr_bytes text, otr_json **ret, otr_err *err)
{
    if (text.n > OTR_LIMIT_JSON_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "JSON of %zu bytes is over the limit of %zu", text.n,
                        (size_t)OTR_LIMIT_JSON_BYTES);
    }
    if (too_deep(text)) {
        return otr_fail(err, OTR_EQUOTA, "JSON is nested deeper than %d", OTR_LIMIT_JSON_DEPTH);
    }
    json_error_t why;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
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

typedef struct sink {
    otr_buf *out;
    otr_err *err;
    otr_code rc;
} sink;

static int add(const char *p, size_t n, void *arg)
{
    sink *s = arg;
    s->rc = otr_buf_add(s->out, (otr_bytes){ (const uint8_t *)p, n }, s->err);
    return s->rc == OTR_OK ? 0 : -1;
}

otr_code otr_json_write(const otr_json *v, otr_buf *out, otr_err *err)
{
    sink s = { out, err, OTR_OK };
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);
    if (json_dump_callback(in(v), add, &s, flags) != 0) {
        return s.rc != OTR_OK ? s.rc : otr_fail_nomem(err);
    }
    return OTR_OK;
}
