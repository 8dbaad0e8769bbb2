/* From the wire to JSON. Recursion is as deep as the JSON is: otr_jw ends it at its depth limit. */
#include <math.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/little_endian.h"
#include "plugin/encoding/protobuf_wire.h"

enum { MAX_FIELDS = 24 };
#define EXACT_INTEGER 9007199254740992.0 /* a double tells all integers up to 2^53 apart */
#define LAST_SECOND   253402300799U      /* of the year 9999 */

typedef ProtobufCFieldDescriptor field;

typedef struct reader {
    otr_jw w;
    otr_err *err;
    otr_pb_absent absent;
    size_t values; /* still allowed */
    otr_buf key;   /* of a map's item, with a NUL */
} reader;

static otr_code read_message(reader *r, const otr_pb_type *type, otr_bytes in, const char *key);
static otr_code read_value(reader *r, otr_bytes in, const char *key);

static otr_code take(reader *r, otr_bytes *in, otr_record *ret)
{
    if (r->values == 0) {
        return otr_fail(r->err, OTR_EQUOTA, "protobuf has more than %d records",
                        OTR_LIMIT_PROTOBUF_RECORDS);
    }
    r->values--;
    return otr_record_take(in, ret, r->err);
}

static otr_code wrong_type(const reader *r, const char *name, unsigned wire)
{
    return otr_fail(r->err, OTR_EINVAL, "%s: wire type %u does not fit the field", name, wire);
}

/* ---- scalars ---- */

static otr_code read_text(reader *r, const char *name, otr_bytes text, const char *key)
{
    if (!otr_utf8_ok(text)) {
        return otr_fail(r->err, OTR_EINVAL, "%s: not UTF-8", name);
    }
    otr_jw_bytes(&r->w, key, text);
    return OTR_OK;
}

static otr_code read_double(reader *r, const char *name, uint64_t bits, const char *key)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    if (!isfinite(value)) {
        return otr_fail(r->err, OTR_EINVAL, "%s: not a finite number", name);
    }
    if (value >= -EXACT_INTEGER && value <= EXACT_INTEGER && value == floor(value)) {
        otr_jw_i64(&r->w, key, (int64_t)value);
    } else {
        otr_jw_f64(&r->w, key, value);
    }
    return OTR_OK;
}

static otr_code read_enum(reader *r, const field *f, uint64_t value, const char *key)
{
    const ProtobufCEnumDescriptor *names = f->descriptor;
    const ProtobufCEnumValue *one = protobuf_c_enum_descriptor_get_value(names, (int)value);
    if (one == NULL) {
        return otr_fail(r->err, OTR_EINVAL, "%s: %lld is not a value of %s", f->name,
                        (long long)value, names->short_name);
    }
    otr_jw_str(&r->w, key, one->name);
    return OTR_OK;
}

static otr_code read_timestamp(reader *r, otr_bytes in, const char *key)
{
    uint64_t seconds = 0;
    uint64_t nanos = 0;
    while (in.n > 0) {
        otr_record one;
        otr_code rc = take(r, &in, &one);
        if (rc != OTR_OK) {
            return rc;
        }
        if (one.number == OTR_TIMESTAMP_SECONDS && one.wire == OTR_WIRE_VARINT) {
            seconds = one.value;
        } else if (one.number == OTR_TIMESTAMP_NANOS && one.wire == OTR_WIRE_VARINT) {
            nanos = one.value;
        }
    }
    /* More would not fit nanoseconds; it is the year 2554. */
    if (seconds > UINT64_MAX / OTR_NS_PER_S - 1 || nanos >= OTR_NS_PER_S) {
        return otr_fail(r->err, OTR_EINVAL, "a time is out of range");
    }
    char text[OTR_TIME_BYTES];
    otr_jw_str(&r->w, key, otr_time_text(seconds * OTR_NS_PER_S + nanos, text));
    return OTR_OK;
}

/* ---- google.protobuf.Value ---- */

static otr_code read_pairs(reader *r, otr_bytes in, const field *value, uint32_t number);

static otr_code read_struct(reader *r, otr_bytes in, const char *key)
{
    static const ProtobufCMessageDescriptor *const entry =
        &google__protobuf__struct__fields_entry__descriptor;
    otr_jw_obj(&r->w, key);
    otr_code rc = r->w.rc;
    rc = rc == OTR_OK ? read_pairs(r, in, &entry->fields[1], OTR_STRUCT_FIELDS) : rc;
    otr_jw_obj_end(&r->w);
    return rc;
}

static otr_code read_list(reader *r, otr_bytes in, const char *key)
{
    otr_jw_arr(&r->w, key);
    otr_code rc = r->w.rc;
    while (rc == OTR_OK && in.n > 0) {
        otr_record one;
        rc = take(r, &in, &one);
        if (rc == OTR_OK && one.number == OTR_LIST_VALUES) {
            rc = one.wire == OTR_WIRE_BYTES ? read_value(r, one.bytes, NULL)
                                            : wrong_type(r, "values", one.wire);
        }
    }
    otr_jw_arr_end(&r->w);
    return rc;
}

static otr_code read_kind(reader *r, const otr_record *kind, const char *key)
{
    static const unsigned wires[] = { OTR_WIRE_VARINT, OTR_WIRE_FIXED64, OTR_WIRE_BYTES,
                                      OTR_WIRE_VARINT, OTR_WIRE_BYTES,   OTR_WIRE_BYTES };
    if (kind->number > 0 && kind->wire != wires[kind->number - 1]) {
        return wrong_type(r, "a value", kind->wire);
    }
    switch (kind->number) {
    case OTR_VALUE_NUMBER:
        return read_double(r, "a value", kind->value, key);
    case OTR_VALUE_STRING:
        return read_text(r, "a value", kind->bytes, key);
    case OTR_VALUE_BOOL:
        otr_jw_bool(&r->w, key, kind->value != 0);
        return OTR_OK;
    case OTR_VALUE_STRUCT:
        return read_struct(r, kind->bytes, key);
    case OTR_VALUE_LIST:
        return read_list(r, kind->bytes, key);
    default:
        otr_jw_null(&r->w, key);
        return OTR_OK;
    }
}

/* The last kind that is set counts; none is null. */
static otr_code read_value(reader *r, otr_bytes in, const char *key)
{
    otr_record kind = { .number = 0 };
    while (in.n > 0) {
        otr_record one;
        otr_code rc = take(r, &in, &one);
        if (rc != OTR_OK) {
            return rc;
        }
        if (one.number <= OTR_VALUE_LIST) {
            kind = one;
        }
    }
    return read_kind(r, &kind, key);
}

/* ---- fields ---- */

static otr_code read_submessage(reader *r, const field *f, otr_bytes in, const char *key)
{
    if (f->descriptor == &google__protobuf__value__descriptor) {
        return read_value(r, in, key);
    }
    if (f->descriptor == &google__protobuf__struct__descriptor) {
        return read_struct(r, in, key);
    }
    if (f->descriptor == &google__protobuf__timestamp__descriptor) {
        return read_timestamp(r, in, key);
    }
    return read_message(r, otr_pb_type_of(f->descriptor), in, key);
}

static unsigned wire_of(const field *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_DOUBLE:
        return OTR_WIRE_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return OTR_WIRE_BYTES;
    default:
        return OTR_WIRE_VARINT;
    }
}

static otr_code read_one(reader *r, const field *f, const otr_record *one, const char *key)
{
    if (one->wire != wire_of(f)) {
        return wrong_type(r, f->name, one->wire);
    }
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return read_text(r, f->name, one->bytes, key);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_submessage(r, f, one->bytes, key);
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_double(r, f->name, one->value, key);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(r, f, one->value, key);
    case PROTOBUF_C_TYPE_BOOL:
        otr_jw_bool(&r->w, key, one->value != 0);
        return OTR_OK;
    case PROTOBUF_C_TYPE_INT64:
        otr_jw_i64(&r->w, key, (int64_t)one->value);
        return OTR_OK;
    case PROTOBUF_C_TYPE_UINT32:
        otr_jw_u64(&r->w, key, (uint32_t)one->value);
        return OTR_OK;
    case PROTOBUF_C_TYPE_UINT64:
        otr_jw_u64(&r->w, key, one->value);
        return OTR_OK;
    default:
        return otr_fail(r->err, OTR_EUNSUP, "%s: a type that JSON has no form for", f->name);
    }
}

static otr_code read_default(reader *r, const field *f, const char *key)
{
    const otr_record zero = { .wire = wire_of(f) };
    return read_one(r, f, &zero, key);
}

static bool take_packed(otr_bytes *in, unsigned wire, uint64_t *ret)
{
    enum { FIXED_BYTES = 8 };
    if (wire == OTR_WIRE_VARINT) {
        return otr_varint_take(in, ret);
    }
    if (in->n < FIXED_BYTES) {
        return false;
    }
    *ret = otr_le_load(in->p, FIXED_BYTES);
    *in = (otr_bytes){ in->p + FIXED_BYTES, in->n - FIXED_BYTES };
    return true;
}

/* Items of packed numbers, or one item. */
static otr_code read_item(reader *r, const field *f, const otr_record *one)
{
    unsigned wire = wire_of(f);
    if (one->wire != OTR_WIRE_BYTES || wire == OTR_WIRE_BYTES) {
        return read_one(r, f, one, NULL);
    }
    otr_bytes in = one->bytes;
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && in.n > 0) {
        otr_record item = { .number = one->number, .wire = wire };
        if (r->values == 0 || !take_packed(&in, wire, &item.value)) {
            return otr_fail(r->err, OTR_EINVAL, "%s: a number is cut off, or there are too many",
                            f->name);
        }
        r->values--;
        rc = read_one(r, f, &item, NULL);
    }
    return rc;
}

static otr_code read_items(reader *r, const field *f, otr_bytes in)
{
    otr_jw_arr(&r->w, f->name);
    otr_code rc = r->w.rc;
    while (rc == OTR_OK && in.n > 0) {
        otr_record one;
        rc = take(r, &in, &one);
        rc = rc == OTR_OK && one.number == f->id ? read_item(r, f, &one) : rc;
    }
    otr_jw_arr_end(&r->w);
    return rc;
}

/* ---- maps ---- */

static otr_code take_key(reader *r, otr_bytes key)
{
    if (!otr_utf8_ok(key) || (key.n > 0 && memchr(key.p, '\0', key.n) != NULL)) {
        return otr_fail(r->err, OTR_EINVAL, "a key is not UTF-8 text without NUL");
    }
    otr_buf_clear(&r->key);
    return otr_buf_add(&r->key, key, r->err);
}

static otr_code read_pair(reader *r, otr_bytes in, const field *value)
{
    otr_record key = { .wire = OTR_WIRE_BYTES };
    otr_record item = { .wire = wire_of(value) };
    while (in.n > 0) {
        otr_record one;
        otr_code rc = take(r, &in, &one);
        if (rc != OTR_OK) {
            return rc;
        }
        key = one.number == OTR_ENTRY_KEY ? one : key;
        item = one.number == OTR_ENTRY_VALUE ? one : item;
    }
    if (key.wire != OTR_WIRE_BYTES) {
        return wrong_type(r, "a key", key.wire);
    }
    otr_code rc = take_key(r, key.bytes);
    /* The key is written before anything else can use its buffer. */
    return rc == OTR_OK ? read_one(r, value, &item, otr_buf_text(&r->key)) : rc;
}

static otr_code read_pairs(reader *r, otr_bytes in, const field *value, uint32_t number)
{
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && in.n > 0) {
        otr_record one;
        rc = take(r, &in, &one);
        if (rc == OTR_OK && one.number == number) {
            rc = one.wire == OTR_WIRE_BYTES ? read_pair(r, one.bytes, value)
                                            : wrong_type(r, "a map", one.wire);
        }
    }
    return rc;
}

static otr_code read_map(reader *r, const field *f, otr_bytes in)
{
    const ProtobufCMessageDescriptor *entry = f->descriptor;
    otr_jw_obj(&r->w, f->name);
    otr_code rc = r->w.rc;
    rc = rc == OTR_OK ? read_pairs(r, in, &entry->fields[1], f->id) : rc;
    otr_jw_obj_end(&r->w);
    return rc;
}

/* ---- messages ---- */

typedef struct slot {
    otr_record last;
    size_t n;
    size_t left; /* of the message when the last one began: the smallest is the latest */
    otr_bytes from;
} slot;

/* Where each field's records are, in one pass. */
static otr_code find_fields(reader *r, const ProtobufCMessageDescriptor *d, otr_bytes in,
                            slot slots[MAX_FIELDS])
{
    while (in.n > 0) {
        otr_bytes here = in;
        otr_record one;
        otr_code rc = take(r, &in, &one);
        if (rc != OTR_OK) {
            return rc;
        }
        const field *f = protobuf_c_message_descriptor_get_field(d, one.number);
        if (f == NULL) {
            continue;
        }
        slot *s = &slots[f - d->fields];
        s->from = s->n++ == 0 ? here : s->from;
        s->last = one;
        s->left = here.n;
    }
    return OTR_OK;
}

/* A later member of the same oneof has taken its place. */
static bool superseded(const ProtobufCMessageDescriptor *d, const slot slots[MAX_FIELDS], size_t i)
{
    const field *f = &d->fields[i];
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
        return false;
    }
    for (size_t k = 0; k < d->n_fields; k++) {
        const field *other = &d->fields[k];
        if ((other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            other->quantifier_offset == f->quantifier_offset && slots[k].n > 0 &&
            slots[k].left < slots[i].left) {
            return true;
        }
    }
    return false;
}

static otr_code read_field(reader *r, const field *f, const slot *s)
{
    if (f->type == PROTOBUF_C_TYPE_BYTES) {
        return OTR_OK;
    }
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        if (s->n == 0 && r->absent != OTR_PB_ABSENT_ALL) {
            return OTR_OK;
        }
        return otr_pb_is_map(f) ? read_map(r, f, s->from) : read_items(r, f, s->from);
    }
    if (s->n == 0) {
        bool wanted = f->label == PROTOBUF_C_LABEL_NONE && r->absent != OTR_PB_ABSENT_NOTHING &&
                      f->type != PROTOBUF_C_TYPE_MESSAGE &&
                      (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
        return wanted ? read_default(r, f, f->name) : OTR_OK;
    }
    /* Parts of one message may come apart, says the format; no encoder does that. */
    if (s->n > 1 && f->type == PROTOBUF_C_TYPE_MESSAGE) {
        return otr_fail(r->err, OTR_EINVAL, "%s: there are %zu of it", f->name, s->n);
    }
    return read_one(r, f, &s->last, f->name);
}

static otr_code read_message(reader *r, const otr_pb_type *type, otr_bytes in, const char *key)
{
    const ProtobufCMessageDescriptor *d = otr_pb_descriptor(type);
    slot slots[MAX_FIELDS] = { { .n = 0 } };
    if (d->n_fields > MAX_FIELDS) {
        return otr_fail(r->err, OTR_EUNSUP, "%s has more than %d fields", d->name, MAX_FIELDS);
    }
    otr_jw_obj(&r->w, key);
    otr_code rc = r->w.rc;
    rc = rc == OTR_OK ? find_fields(r, d, in, slots) : rc;
    for (size_t i = 0; i < d->n_fields && rc == OTR_OK; i++) {
        rc = superseded(d, slots, i) ? OTR_OK : read_field(r, &d->fields[i], &slots[i]);
    }
    otr_jw_obj_end(&r->w);
    return rc;
}

otr_code otr_pb_read(const otr_pb_type *type, otr_bytes wire, otr_pb_absent absent, otr_buf *out,
                     otr_err *err)
{
    reader r = { .err = err, .absent = absent, .values = OTR_LIMIT_PROTOBUF_RECORDS };
    otr_buf_init(&r.key, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    size_t before = out->n;
    otr_jw_begin(&r.w, out, err);
    const field whole = { .name = "message",
                          .type = PROTOBUF_C_TYPE_MESSAGE,
                          .descriptor = otr_pb_descriptor(type) };
    otr_code rc = read_submessage(&r, &whole, wire, NULL);
    rc = rc == OTR_OK ? otr_jw_end(&r.w) : rc;
    otr_buf_deinit(&r.key);
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}
