/*
 * Fields one after the other: the length of each in 4 bytes, little-endian, then so many bytes.
 *
 * So guests hand over a JSON text and a body in one input (http.request, kv.put), and so we keep
 * what was fetched. What follows the last field is the reader's.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_FRAME_H
#define OTR_BASE_FRAME_H

#include "base/buf.h"

/* Takes the first field out of `*from`, which is then what follows it. False: it is cut short, and
 * nothing was taken. */
bool otr_frame_take(otr_bytes *from, otr_bytes *ret) OTR_MUST_CHECK;
/* Appends one. `out` may hold a part of it after a failure. */
otr_code otr_frame_put(otr_bytes field, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
