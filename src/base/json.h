/*
 * JSON (RFC 8259): a streaming writer into an otr_buf and a read-only view of a parsed text.
 *
 * The writer is sticky: after the first failure it writes nothing more, and otr_jw_end() reports
 * it, so callers check once. The reader is jansson behind our limits: input size, depth, number of
 * values and no duplicate keys.
 *
 * Thread: one at a time; a parsed document may be read by several.
 */
#ifndef OTR_BASE_JSON_H
#define OTR_BASE_JSON_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

/* ---- writer ---- */

typedef struct otr_jw {
    otr_buf *out;
    otr_err *err; /* of the first failure; may be NULL */
    otr_code rc;
    unsigned depth;
    uint64_t has_items; /* bit per depth: a comma is due */
} otr_jw;

void otr_jw_begin(otr_jw *w, otr_buf *out, otr_err *err); /* appends to `out` */
/* The first failure, or OTR_OK. Asserts that everything opened was closed. */
otr_code otr_jw_end(otr_jw *w) OTR_MUST_CHECK;

/* `key` is the member's name inside an object and NULL inside an array or at the top. */
void otr_jw_obj(otr_jw *w, const char *key);
void otr_jw_obj_end(otr_jw *w);
void otr_jw_arr(otr_jw *w, const char *key);
void otr_jw_arr_end(otr_jw *w);
void otr_jw_str(otr_jw *w, const char *key, const char *text); /* NULL text: null */
/* Any bytes; what is not UTF-8 becomes U+FFFD. */
void otr_jw_bytes(otr_jw *w, const char *key, otr_bytes text);
void otr_jw_u64(otr_jw *w, const char *key, uint64_t value);
void otr_jw_i64(otr_jw *w, const char *key, int64_t value);
void otr_jw_f64(otr_jw *w, const char *key, double value); /* NaN and infinity: null */
void otr_jw_bool(otr_jw *w, const char *key, bool value);
void otr_jw_null(otr_jw *w, const char *key);
/* `json` is valid JSON already. */
void otr_jw_raw(otr_jw *w, const char *key, otr_bytes json);

/* ---- reader ---- */

typedef struct otr_json otr_json; /* one value; borrowed from the document it came from */

typedef enum otr_json_type {
    OTR_JSON_NULL,
    OTR_JSON_BOOL,
    OTR_JSON_INT,
    OTR_JSON_REAL,
    OTR_JSON_STRING,
    OTR_JSON_ARRAY,
    OTR_JSON_OBJECT,
} otr_json_type;

/* Parses one JSON text. OTR_EINVAL names line and column. Free with otr_json_free(). */
otr_code otr_json_parse(otr_bytes text, otr_json **ret, otr_err *err) OTR_MUST_CHECK;
/* The same for texts of other programs, where a key may come twice: the last one counts. */
otr_code otr_json_parse_last(otr_bytes text, otr_json **ret, otr_err *err) OTR_MUST_CHECK;
void otr_json_free(otr_json *root); /* the parsed root only; NULL is fine */
void otr_json_freep(void *slot);    /* for OTR_CLEANUP */

otr_json_type otr_json_kind(const otr_json *v);                        /* NULL: OTR_JSON_NULL */
const otr_json *otr_json_get(const otr_json *object, const char *key); /* NULL: no such member */
size_t otr_json_size(const otr_json *v);                      /* items of array or object */
const otr_json *otr_json_at(const otr_json *array, size_t i); /* NULL: out of range */
/* Calls `fn` for each member until it returns false. */
void otr_json_each(const otr_json *object,
                   bool (*fn)(void *arg, const char *key, const otr_json *v), void *arg);
/* The values; the default when `v` is NULL or of another type. */
const char *otr_json_str(const otr_json *v, const char *otherwise);
int64_t otr_json_int(const otr_json *v, int64_t otherwise);
double otr_json_num(const otr_json *v, double otherwise); /* also from an integer */
bool otr_json_bool(const otr_json *v, bool otherwise);
/* Writes `v` as compact JSON. */
otr_code otr_json_write(const otr_json *v, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* True when `text` is one JSON text within our depth limit. Allocates nothing; for what is passed
 * on but not read. */
bool otr_json_valid(otr_bytes text);

/* The values of the members `keys` (`n` of them) of `object`, each as it stands in the text; a
 * NULL view is a member that is missing. False when the text is not a valid object, when one of
 * them comes twice, or when the name of any member has an escape: otr_json_parse() then tells.
 * Allocates nothing. */
bool otr_json_members(otr_bytes object, const char *const *keys, size_t n, otr_bytes *ret);

/* True when all of `text` is well-formed UTF-8 (RFC 3629). */
bool otr_utf8_ok(otr_bytes text);

#endif
