/*
 * Protobuf: turns JSON into a message of proto/outrider/plugin/v1 and back, by its descriptor.
 *
 * The descriptors are what protoc-c makes of proto/ at build time. Nothing is unpacked into
 * structs: the wire bytes are walked where they lie, so depth, number of values, UTF-8 and NUL are
 * under the same limits as JSON. A member of JSON is the field of the same name; members that the
 * message does not know are left out, fields that it does not know are skipped.
 *
 * google.protobuf.Value, Struct, ListValue and Timestamp are JSON's value, object, array and time.
 * Fields of type bytes have no JSON: otr_pb_field() finds them.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_ENCODING_PROTOBUF_H
#define OTR_PLUGIN_ENCODING_PROTOBUF_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_pb_type otr_pb_type; /* one message type; lives for ever */

/* "Envelope", "Info", … of outrider.plugin.v1, or "google.protobuf.Value" and its like. NULL: there
 * is no such message. */
const otr_pb_type *otr_pb_find(const char *name);

/* Appends the message that one JSON text says. OTR_EINVAL when it is not JSON or a member's value
 * does not fit its field, with the field's name. On failure `out` is as it was. */
otr_code otr_pb_write(const otr_pb_type *type, otr_bytes json, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
/* Appends to a message of `type` one field with its value; a list or map with all of its items. */
otr_code otr_pb_write_field(const otr_pb_type *type, const char *name, otr_bytes json, otr_buf *out,
                            otr_err *err) OTR_MUST_CHECK;
/* The same for a field of type bytes or string. Nothing for no bytes. */
otr_code otr_pb_write_bytes(const otr_pb_type *type, const char *name, otr_bytes bytes,
                            otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* What JSON says of a field that the message does not have. Messages and members of a oneof are
 * left out always. */
typedef enum otr_pb_absent {
    OTR_PB_ABSENT_NOTHING, /* no member */
    OTR_PB_ABSENT_SCALARS, /* 0, false, "" and an enum's first name; no lists and maps */
    OTR_PB_ABSENT_ALL,     /* these, [] and {} */
} otr_pb_absent;

/* Appends the message as JSON. OTR_EINVAL names the field; OTR_EQUOTA for depth or number of
 * values. On failure `out` is as it was. */
otr_code otr_pb_read(const otr_pb_type *type, otr_bytes wire, otr_pb_absent absent, otr_buf *out,
                     otr_err *err) OTR_MUST_CHECK;

/* Content of a message, string or bytes field: the last one that there is. `*ret_found` says
 * whether there is one. */
otr_code otr_pb_field(const otr_pb_type *type, otr_bytes wire, const char *field, otr_bytes *ret,
                      bool *ret_found, otr_err *err) OTR_MUST_CHECK;

#endif
