#include "plugin/encoding/protobuf.h"

#include <outrider/plugin/v1/host.pb-c.h>
#include <outrider/plugin/v1/plugin.pb-c.h>

#include "plugin/encoding/protobuf_wire.h"

enum { VARINT_BYTES = 10 };

const otr_pb_type *otr_pb_find(const char *name)
{
    static const ProtobufCMessageDescriptor *const all[] = {
        &outrider__plugin__v1__envelope__descriptor,
        &outrider__plugin__v1__info__descriptor,
        &outrider__plugin__v1__subscriptions__descriptor,
        &outrider__plugin__v1__verdict__descriptor,
        &outrider__plugin__v1__publish__descriptor,
        &outrider__plugin__v1__kv_set__descriptor,
        &outrider__plugin__v1__kv_get_answer__descriptor,
        &outrider__plugin__v1__kv_delete_answer__descriptor,
        &outrider__plugin__v1__kv_list_answer__descriptor,
        &outrider__plugin__v1__http_request__descriptor,
        &outrider__plugin__v1__http_answer__descriptor,
        &outrider__plugin__v1__metric__descriptor,
        &outrider__plugin__v1__clock_answer__descriptor,
        &outrider__plugin__v1__instances_answer__descriptor,
        &google__protobuf__value__descriptor,
        &google__protobuf__struct__descriptor,
    };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        if (strcmp(all[i]->short_name, name) == 0 || strcmp(all[i]->name, name) == 0) {
            return otr_pb_type_of(all[i]);
        }
    }
    return NULL;
}

/* ---- records ---- */

bool otr_varint_take(otr_bytes *in, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < in->n && i < VARINT_BYTES; i++) {
        uint8_t b = in->p[i];
        if (i == VARINT_BYTES - 1 && b > 1) {
            return false;
        }
        value |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80) {
            *in = (otr_bytes){ in->p + i + 1, in->n - i - 1 };
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take_fixed(otr_bytes *in, size_t n, uint64_t *ret)
{
    if (in->n < n) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        value |= (uint64_t)in->p[i] << (8 * i);
    }
    *in = (otr_bytes){ in->p + n, in->n - n };
    *ret = value;
    return true;
}

static bool take_bytes(otr_bytes *in, otr_bytes *ret)
{
    uint64_t n;
    if (!otr_varint_take(in, &n) || n > in->n) {
        return false;
    }
    *ret = (otr_bytes){ in->p, (size_t)n };
    *in = (otr_bytes){ in->p + n, in->n - (size_t)n };
    return true;
}

otr_code otr_record_take(otr_bytes *in, otr_record *ret, otr_err *err)
{
    uint64_t tag;
    otr_record r = { .number = 0 };
    if (!otr_varint_take(in, &tag)) {
        return otr_fail(err, OTR_EINVAL, "not protobuf: a tag is cut off");
    }
    if (tag >> 3 == 0 || tag >> 3 > (UINT32_MAX >> 3)) {
        return otr_fail(err, OTR_EINVAL, "not protobuf: there is no field number %llu",
                        (unsigned long long)(tag >> 3));
    }
    r.number = (uint32_t)(tag >> 3);
    r.wire = (unsigned)(tag & 7);
    bool whole = false;
    switch (r.wire) {
    case OTR_WIRE_VARINT:
        whole = otr_varint_take(in, &r.value);
        break;
    case OTR_WIRE_FIXED64:
        whole = take_fixed(in, 8, &r.value);
        break;
    case OTR_WIRE_FIXED32:
        whole = take_fixed(in, 4, &r.value);
        break;
    case OTR_WIRE_BYTES:
        whole = take_bytes(in, &r.bytes);
        break;
    default:
        return otr_fail(err, OTR_EINVAL, "not protobuf: field %u has wire type %u", r.number,
                        r.wire);
    }
    if (!whole) {
        return otr_fail(err, OTR_EINVAL, "not protobuf: field %u is cut off", r.number);
    }
    *ret = r;
    return OTR_OK;
}

otr_code otr_pb_field(const otr_pb_type *type, otr_bytes wire, const char *field, otr_bytes *ret,
                      bool *ret_found, otr_err *err)
{
    const ProtobufCFieldDescriptor *f = otr_pb_named(type, field);
    otr_bytes last = { NULL, 0 };
    bool found = false;
    while (wire.n > 0) {
        otr_record r;
        otr_code rc = otr_record_take(&wire, &r, err);
        if (rc != OTR_OK) {
            return rc;
        }
        if (f != NULL && r.number == f->id) {
            if (r.wire != OTR_WIRE_BYTES) {
                return otr_fail(err, OTR_EINVAL, "%s: wire type %u", field, r.wire);
            }
            last = r.bytes;
            found = true;
        }
    }
    *ret = last;
    *ret_found = found;
    return OTR_OK;
}
