/*
 * How a call ended: gRPC's status codes, and what HTTP and HTTP/2 say instead of one.
 *
 * Thread: any.
 */
#ifndef OTR_NET_RPC_STATUS_H
#define OTR_NET_RPC_STATUS_H

#include "base/base.h"

/* The numbers of gRPC. */
typedef enum otr_rpc_status {
    OTR_RPC_OK = 0,
    OTR_RPC_CANCELLED = 1,
    OTR_RPC_UNKNOWN = 2,
    OTR_RPC_INVALID_ARGUMENT = 3,
    OTR_RPC_DEADLINE_EXCEEDED = 4,
    OTR_RPC_NOT_FOUND = 5,
    OTR_RPC_ALREADY_EXISTS = 6,
    OTR_RPC_PERMISSION_DENIED = 7,
    OTR_RPC_RESOURCE_EXHAUSTED = 8,
    OTR_RPC_FAILED_PRECONDITION = 9,
    OTR_RPC_ABORTED = 10,
    OTR_RPC_OUT_OF_RANGE = 11,
    OTR_RPC_UNIMPLEMENTED = 12,
    OTR_RPC_INTERNAL = 13,
    OTR_RPC_UNAVAILABLE = 14,
    OTR_RPC_DATA_LOSS = 15,
    OTR_RPC_UNAUTHENTICATED = 16,
} otr_rpc_status;

const char *otr_rpc_status_name(otr_rpc_status status); /* "UNAVAILABLE" */
/* The value of grpc-status. What is no number of gRPC's is OTR_RPC_UNKNOWN. */
otr_rpc_status otr_rpc_status_of_text(otr_bytes text);
/* Of an answer that has no grpc-status, by its HTTP status. */
otr_rpc_status otr_rpc_status_of_http(unsigned http);
/* Of a stream that the peer reset with this error code of HTTP/2. */
otr_rpc_status otr_rpc_status_of_reset(uint32_t code);
const char *otr_rpc_reset_name(uint32_t code); /* "REFUSED_STREAM"; "an unknown error" */

#endif
