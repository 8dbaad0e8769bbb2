/*
 * Appending to a protobuf message what is read from JSON. Internal to protobuf_*.c.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_ENCODING_PROTOBUF_WRITER_H
#define OTR_PLUGIN_ENCODING_PROTOBUF_WRITER_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_pb_writer {
    const uint8_t *p, *end; /* the JSON that is left */
    otr_buf *out;
    otr_err *err;
} otr_pb_writer;

otr_code otr_pb_put_varint(otr_pb_writer *w, uint64_t value) OTR_MUST_CHECK;
otr_code otr_pb_put_number(otr_pb_writer *w, uint32_t number, uint64_t value) OTR_MUST_CHECK;
otr_code otr_pb_put_double(otr_pb_writer *w, uint32_t number, uint64_t bits) OTR_MUST_CHECK;
otr_code otr_pb_put_bytes(otr_pb_writer *w, uint32_t number, otr_bytes bytes) OTR_MUST_CHECK;
/* What stands between the quotes of a valid JSON string, escapes resolved. */
otr_code otr_pb_put_text(otr_pb_writer *w, uint32_t number, otr_bytes text) OTR_MUST_CHECK;
/* Begins a field whose length is not known yet; `*ret_at` is for otr_pb_close(). */
otr_code otr_pb_open(otr_pb_writer *w, uint32_t number, size_t *ret_at) OTR_MUST_CHECK;
otr_code otr_pb_close(otr_pb_writer *w, size_t at) OTR_MUST_CHECK;

#endif
