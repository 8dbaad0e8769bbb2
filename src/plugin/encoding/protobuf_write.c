/* From JSON to the wire. The text is checked whole before anything is written, so recursion is
 * bounded by the depth limit of JSON, and what follows need only tell values apart. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/limits.h"
#include "plugin/encoding/protobuf_wire.h"
#include "plugin/encoding/protobuf_writer.h"

enum {
    NAME_BYTES = 64,
    NUMBER_BYTES = 512,
    FIRST_YEAR = 1970,
    LAST_YEAR = 2553, /* the last whole one that 64 bits of nanoseconds reach */
};

typedef ProtobufCFieldDescriptor field;

typedef otr_pb_writer writer;

static otr_code write_message(writer *w, const otr_pb_type *type);
static otr_code write_value(writer *w);

/* ---- JSON ---- */

static uint8_t peek(writer *w)
{
    while (w->p < w->end && (*w->p == ' ' || *w->p == '\n' || *w->p == '\t' || *w->p == '\r')) {
        w->p++;
    }
    return w->p < w->end ? *w->p : 0;
}

/* Takes `c` if it comes next. */
static bool next_is(writer *w, uint8_t c)
{
    if (peek(w) != c) {
        return false;
    }
    w->p++;
    return true;
}

/* What stands between the quotes, escapes and all. */
static otr_bytes take_string(writer *w)
{
    const uint8_t *from = ++w->p;
    while (w->p < w->end && *w->p != '"') {
        w->p += *w->p == '\\' && w->end - w->p > 1 ? 2 : 1;
    }
    otr_bytes text = { from, (size_t)(w->p - from) };
    w->p += w->p < w->end;
    return text;
}

/* A number, true, false or null. */
static otr_bytes take_word(writer *w)
{
    (void)peek(w);
    const uint8_t *from = w->p;
    while (w->p < w->end && strchr(",]} \n\t\r", *w->p) == NULL) {
        w->p++;
    }
    return (otr_bytes){ from, (size_t)(w->p - from) };
}

static void skip_value(writer *w)
{
    size_t depth = 0;
    do {
        uint8_t c = peek(w);
        if (c == '"') {
            (void)take_string(w);
        } else if (c == '{' || c == '[') {
            depth++;
            w->p++;
        } else if (c == '}' || c == ']') {
            depth--;
            w->p++;
        } else if (c == ',' || c == ':') {
            w->p++;
        } else {
            (void)take_word(w);
        }
    } while (depth > 0 && w->p < w->end);
}

static bool is_null(writer *w)
{
    return peek(w) == 'n';
}

static otr_code misfit(const writer *w, const char *name, const char *expected)
{
    return otr_fail(w->err, OTR_EINVAL, "%s: expected %s", name, expected);
}

/* ---- numbers ---- */

static otr_code take_double(writer *w, const char *name, uint64_t *ret_bits)
{
    char text[NUMBER_BYTES];
    otr_bytes word = take_word(w);
    char *end = NULL;
    if (word.n == 0 || word.n >= sizeof(text)) {
        return misfit(w, name, "a shorter number");
    }
    memcpy(text, word.p, word.n);
    text[word.n] = '\0';
    double value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value)) {
        return misfit(w, name, "a number that fits a double");
    }
    memcpy(ret_bits, &value, sizeof(*ret_bits));
    return OTR_OK;
}

/* An integer with its sign in two's complement. */
static otr_code take_integer(writer *w, const field *f, uint64_t *ret)
{
    otr_bytes word = take_word(w);
    bool negative = word.n > 0 && word.p[0] == '-';
    uint64_t value = 0;
    for (size_t i = negative; i < word.n; i++) {
        unsigned digit = (unsigned)word.p[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return misfit(w, f->name, "an integer of 64 bits");
        }
        value = value * 10 + digit;
    }
    uint64_t most = f->type == PROTOBUF_C_TYPE_UINT64   ? UINT64_MAX
                    : f->type == PROTOBUF_C_TYPE_UINT32 ? UINT32_MAX
                                                        : (uint64_t)INT64_MAX + negative;
    if (word.n == negative || value > most ||
        (negative && value > 0 && f->type != PROTOBUF_C_TYPE_INT64)) {
        return misfit(w, f->name, "an integer that fits the field");
    }
    *ret = negative ? 0 - value : value;
    return OTR_OK;
}

static otr_code take_enum(writer *w, const field *f, uint64_t *ret)
{
    const ProtobufCEnumDescriptor *names = f->descriptor;
    if (peek(w) != '"') {
        return misfit(w, f->name, "a text");
    }
    otr_bytes text = take_string(w);
    for (unsigned i = 0; i < names->n_values; i++) {
        const char *name = names->values[i].name;
        if (strlen(name) == text.n && memcmp(name, text.p, text.n) == 0) {
            *ret = (uint64_t)names->values[i].value;
            return OTR_OK;
        }
    }
    return otr_fail(w->err, OTR_EINVAL, "%s: \"%.*s\" is not a value of %s", f->name,
                    text.n < NAME_BYTES ? (int)text.n : NAME_BYTES, (const char *)text.p,
                    names->short_name);
}

static otr_code take_scalar(writer *w, const field *f, uint64_t *ret)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (peek(w) != 't' && peek(w) != 'f') {
            return misfit(w, f->name, "true or false");
        }
        *ret = take_word(w).n == 4;
        return OTR_OK;
    case PROTOBUF_C_TYPE_ENUM:
        return take_enum(w, f, ret);
    case PROTOBUF_C_TYPE_DOUBLE:
        return take_double(w, f->name, ret);
    default:
        return take_integer(w, f, ret);
    }
}

/* ---- google.protobuf ---- */

static otr_code write_pair(writer *w, uint32_t number, const field *value);

/* The members of an object as a map's entries. */
static otr_code write_pairs(writer *w, uint32_t number, const field *value)
{
    otr_code rc = next_is(w, '{') ? OTR_OK : misfit(w, value->name, "an object");
    while (rc == OTR_OK && !next_is(w, '}')) {
        (void)next_is(w, ',');
        rc = write_pair(w, number, value);
    }
    return rc;
}

static otr_code write_list(writer *w)
{
    otr_code rc = OTR_OK;
    w->p++;
    while (rc == OTR_OK && !next_is(w, ']')) {
        size_t at = 0;
        (void)next_is(w, ',');
        rc = otr_pb_open(w, OTR_LIST_VALUES, &at);
        rc = rc == OTR_OK ? write_value(w) : rc;
        rc = rc == OTR_OK ? otr_pb_close(w, at) : rc;
    }
    return rc;
}

static otr_code write_struct(writer *w)
{
    return write_pairs(w, OTR_STRUCT_FIELDS,
                       &google__protobuf__struct__fields_entry__descriptor.fields[1]);
}

static otr_code write_composite(writer *w, uint32_t number)
{
    size_t at = 0;
    otr_code rc = otr_pb_open(w, number, &at);
    if (rc == OTR_OK) {
        rc = number == OTR_VALUE_STRUCT ? write_struct(w) : write_list(w);
    }
    return rc == OTR_OK ? otr_pb_close(w, at) : rc;
}

static otr_code write_value(writer *w)
{
    uint64_t bits;
    otr_code rc;
    switch (peek(w)) {
    case '{':
        return write_composite(w, OTR_VALUE_STRUCT);
    case '[':
        return write_composite(w, OTR_VALUE_LIST);
    case '"':
        return otr_pb_put_text(w, OTR_VALUE_STRING, take_string(w));
    case 't':
    case 'f':
        return otr_pb_put_number(w, OTR_VALUE_BOOL, take_word(w).n == 4);
    case 'n':
        (void)take_word(w);
        return otr_pb_put_number(w, OTR_VALUE_NULL, 0);
    default:
        rc = take_double(w, "a number", &bits);
        return rc == OTR_OK ? otr_pb_put_double(w, OTR_VALUE_NUMBER, bits) : rc;
    }
}

/* "2026-08-01T12:00:00.123Z" as seconds and nanoseconds. */
static otr_code write_timestamp(writer *w)
{
    struct tm t = { .tm_year = 0 };
    char text[40];
    char fraction[10] = "";
    char zone = 0;
    otr_bytes word = peek(w) == '"' ? take_string(w) : (otr_bytes){ NULL, 0 };
    if (word.n == 0 || word.n >= sizeof(text)) {
        return misfit(w, "time", "a text such as 2026-08-01T12:00:00.000Z");
    }
    memcpy(text, word.p, word.n);
    text[word.n] = '\0';
    int n = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%9[0-9]%c", &t.tm_year, &t.tm_mon, &t.tm_mday,
                   &t.tm_hour, &t.tm_min, &t.tm_sec, fraction, &zone);
    n = n == 6 ? sscanf(text, "%*19c%c", &zone) : n;
    if ((n != 8 && n != 1) || zone != 'Z' || t.tm_year < FIRST_YEAR || t.tm_year > LAST_YEAR) {
        return misfit(w, "time", "a text such as 2026-08-01T12:00:00.000Z");
    }
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    uint64_t nanos = 0;
    for (size_t i = 0, end = strlen(fraction); i < 9; i++) {
        nanos = nanos * 10 + (i < end ? (uint64_t)(fraction[i] - '0') : 0);
    }
    otr_code rc = otr_pb_put_number(w, OTR_TIMESTAMP_SECONDS, (uint64_t)timegm(&t));
    return rc == OTR_OK && nanos > 0 ? otr_pb_put_number(w, OTR_TIMESTAMP_NANOS, nanos) : rc;
}

static otr_code write_submessage(writer *w, const field *f)
{
    if (f->descriptor == &google__protobuf__value__descriptor) {
        return write_value(w);
    }
    if (f->descriptor == &google__protobuf__struct__descriptor) {
        return write_struct(w);
    }
    if (f->descriptor == &google__protobuf__timestamp__descriptor) {
        return write_timestamp(w);
    }
    return write_message(w, otr_pb_type_of(f->descriptor));
}

/* ---- fields ---- */

static otr_code write_one(writer *w, const field *f)
{
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        return peek(w) == '"' ? otr_pb_put_text(w, f->id, take_string(w))
                              : misfit(w, f->name, "a text");
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        size_t at = 0;
        otr_code rc = otr_pb_open(w, f->id, &at);
        rc = rc == OTR_OK ? write_submessage(w, f) : rc;
        return rc == OTR_OK ? otr_pb_close(w, at) : rc;
    }
    if (f->type == PROTOBUF_C_TYPE_BYTES) {
        return misfit(w, f->name, "bytes, which JSON has no form for");
    }
    uint64_t bits = 0;
    otr_code rc = take_scalar(w, f, &bits);
    /* Zero is what an absent field means, but not for members of a oneof or of a list. */
    bool implied = bits == 0 && f->label == PROTOBUF_C_LABEL_NONE &&
                   (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
    if (rc != OTR_OK || implied) {
        return rc;
    }
    return f->type == PROTOBUF_C_TYPE_DOUBLE ? otr_pb_put_double(w, f->id, bits)
                                             : otr_pb_put_number(w, f->id, bits);
}

static bool is_packed(const field *f)
{
    return f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE &&
           f->type != PROTOBUF_C_TYPE_BYTES && f->type != PROTOBUF_C_TYPE_DOUBLE;
}

static otr_code write_packed(writer *w, const field *f)
{
    size_t at = 0;
    otr_code rc = otr_pb_open(w, f->id, &at);
    while (rc == OTR_OK && !next_is(w, ']')) {
        uint64_t value = 0;
        (void)next_is(w, ',');
        rc = take_scalar(w, f, &value);
        rc = rc == OTR_OK ? otr_pb_put_varint(w, value) : rc;
    }
    return rc == OTR_OK ? otr_pb_close(w, at) : rc;
}

static otr_code write_items(writer *w, const field *f)
{
    if (!next_is(w, '[')) {
        return misfit(w, f->name, "a list");
    }
    if (is_packed(f) && peek(w) != ']') {
        return write_packed(w, f);
    }
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && !next_is(w, ']')) {
        (void)next_is(w, ',');
        rc = write_one(w, f);
    }
    return rc;
}

static otr_code write_field(writer *w, const field *f)
{
    if (is_null(w) && f->descriptor != &google__protobuf__value__descriptor) {
        skip_value(w);
        return OTR_OK;
    }
    if (otr_pb_is_map(f)) {
        const ProtobufCMessageDescriptor *entry = f->descriptor;
        return write_pairs(w, f->id, &entry->fields[1]);
    }
    return f->label == PROTOBUF_C_LABEL_REPEATED ? write_items(w, f) : write_one(w, f);
}

/* `"key": value` as one entry of a map. */
static otr_code write_pair(writer *w, uint32_t number, const field *value)
{
    size_t at = 0;
    otr_code rc = otr_pb_open(w, number, &at);
    rc = rc == OTR_OK && peek(w) == '"' ? otr_pb_put_text(w, OTR_ENTRY_KEY, take_string(w)) : rc;
    (void)next_is(w, ':');
    rc = rc == OTR_OK ? write_field(w, value) : rc;
    return rc == OTR_OK ? otr_pb_close(w, at) : rc;
}

/* ---- messages ---- */

/* The field that the next member of an object names, or NULL. */
static const field *take_name(writer *w, const otr_pb_type *type)
{
    char name[NAME_BYTES];
    otr_bytes text = take_string(w);
    (void)next_is(w, ':');
    if (text.n >= sizeof(name)) {
        return NULL;
    }
    memcpy(name, text.p, text.n);
    name[text.n] = '\0';
    return otr_pb_named(type, name);
}

static otr_code write_message(writer *w, const otr_pb_type *type)
{
    const char *name = otr_pb_descriptor(type)->short_name;
    otr_code rc = next_is(w, '{') ? OTR_OK : misfit(w, name, "an object");
    while (rc == OTR_OK && !next_is(w, '}')) {
        (void)next_is(w, ',');
        if (peek(w) != '"') {
            return misfit(w, name, "a member");
        }
        const field *f = take_name(w, type);
        if (f != NULL) {
            rc = write_field(w, f);
        } else {
            skip_value(w);
        }
    }
    return rc;
}

static otr_code begin(writer *w, otr_bytes json, otr_buf *out, otr_err *err)
{
    *w = (writer){ json.p, json.p + json.n, out, err };
    if (json.n == 0 || !otr_json_valid(json)) {
        return otr_fail(err, OTR_EINVAL, "not JSON, or nested deeper than %d",
                        OTR_LIMIT_JSON_DEPTH);
    }
    return OTR_OK;
}

otr_code otr_pb_write(const otr_pb_type *type, otr_bytes json, otr_buf *out, otr_err *err)
{
    writer w;
    size_t before = out->n;
    otr_code rc = begin(&w, json, out, err);
    const field whole = { .descriptor = otr_pb_descriptor(type) };
    rc = rc == OTR_OK ? write_submessage(&w, &whole) : rc;
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}

otr_code otr_pb_write_field(const otr_pb_type *type, const char *name, otr_bytes json, otr_buf *out,
                            otr_err *err)
{
    writer w;
    size_t before = out->n;
    const field *f = otr_pb_named(type, name);
    if (f == NULL) {
        return otr_fail(err, OTR_ENOTFOUND, "%s has no field %s", otr_pb_descriptor(type)->name,
                        name);
    }
    otr_code rc = begin(&w, json, out, err);
    rc = rc == OTR_OK ? write_field(&w, f) : rc;
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}

otr_code otr_pb_write_bytes(const otr_pb_type *type, const char *name, otr_bytes bytes,
                            otr_buf *out, otr_err *err)
{
    const field *f = otr_pb_named(type, name);
    writer w = { .out = out, .err = err };
    size_t before = out->n;
    if (f == NULL) {
        return otr_fail(err, OTR_ENOTFOUND, "%s has no field %s", otr_pb_descriptor(type)->name,
                        name);
    }
    otr_code rc = bytes.n > 0 ? otr_pb_put_bytes(&w, f->id, bytes) : OTR_OK;
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}
