/*
 * The protobuf wire format: records of a tag and a value. Internal to protobuf_*.c.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_ENCODING_PROTOBUF_WIRE_H
#define OTR_PLUGIN_ENCODING_PROTOBUF_WIRE_H

#include <google/protobuf/struct.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <protobuf-c/protobuf-c.h>

#include "plugin/encoding/protobuf.h"

enum { OTR_WIRE_VARINT = 0, OTR_WIRE_FIXED64 = 1, OTR_WIRE_BYTES = 2, OTR_WIRE_FIXED32 = 5 };

/* Field numbers of google/protobuf/struct.proto and timestamp.proto, which never change. */
enum {
    OTR_VALUE_NULL = 1,
    OTR_VALUE_NUMBER = 2,
    OTR_VALUE_STRING = 3,
    OTR_VALUE_BOOL = 4,
    OTR_VALUE_STRUCT = 5,
    OTR_VALUE_LIST = 6,
    OTR_STRUCT_FIELDS = 1,
    OTR_LIST_VALUES = 1,
    OTR_ENTRY_KEY = 1, /* of the messages that maps are made of */
    OTR_ENTRY_VALUE = 2,
    OTR_TIMESTAMP_SECONDS = 1,
    OTR_TIMESTAMP_NANOS = 2,
};

typedef struct otr_record {
    uint32_t number;
    unsigned wire;
    uint64_t value;  /* of a varint or fixed one */
    otr_bytes bytes; /* of OTR_WIRE_BYTES */
} otr_record;

/* Takes the first record off `*in`, which is not empty. */
otr_code otr_record_take(otr_bytes *in, otr_record *ret, otr_err *err) OTR_MUST_CHECK;
/* The same for the varint at the start; false: cut off or longer than ten bytes. */
bool otr_varint_take(otr_bytes *in, uint64_t *ret);

static inline const ProtobufCMessageDescriptor *otr_pb_descriptor(const otr_pb_type *type)
{
    return (const ProtobufCMessageDescriptor *)(const void *)type;
}

static inline const otr_pb_type *otr_pb_type_of(const ProtobufCMessageDescriptor *descriptor)
{
    return (const otr_pb_type *)(const void *)descriptor;
}

/* The field's items are made of a key and a value. */
static inline bool otr_pb_is_map(const ProtobufCFieldDescriptor *f)
{
    if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE) {
        return false;
    }
    const ProtobufCMessageDescriptor *entry = f->descriptor;
    return entry->n_fields == 2 && strcmp(entry->fields[0].name, "key") == 0 &&
           strcmp(entry->fields[1].name, "value") == 0;
}

static inline const ProtobufCFieldDescriptor *otr_pb_named(const otr_pb_type *type,
                                                           const char *field)
{
    return protobuf_c_message_descriptor_get_field_by_name(otr_pb_descriptor(type), field);
}

#endif
