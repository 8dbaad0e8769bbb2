/*
 * How gRPC writes what HTTP/2 headers carry: timeouts, messages of a status, binary values.
 *
 * Thread: any.
 */
#ifndef OTR_NET_RPC_TEXT_H
#define OTR_NET_RPC_TEXT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum { OTR_RPC_TIMEOUT_BYTES = 16 };

/* The value of grpc-timeout for so many nanoseconds: at most 8 digits, rounded up. */
const char *otr_rpc_timeout_text(uint64_t ns, char out[OTR_RPC_TIMEOUT_BYTES]);
/* False: it is none. One that is longer than 64 bits of nanoseconds is UINT64_MAX. */
bool otr_rpc_timeout_parse(otr_bytes text, uint64_t *ret_ns);

/* grpc-message: what is not printable ASCII, and '%', as %XX. */
otr_code otr_rpc_percent_add(otr_bytes text, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
/* The reverse; a '%' that is followed by no two digits stays as it is. */
otr_code otr_rpc_percent_read(otr_bytes text, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* Base64 as values of names in "-bin" are sent: without '='. */
otr_code otr_rpc_binary_add(otr_bytes value, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
/* With '=' or without. OTR_EINVAL: it is no base64. */
otr_code otr_rpc_binary_read(otr_bytes text, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
