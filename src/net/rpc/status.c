#include "net/rpc/status.h"

#include <nghttp2/nghttp2.h>

static const char *const names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

const char *otr_rpc_status_name(otr_rpc_status status)
{
    return (size_t)status < OTR_COUNT(names) ? names[status] : names[OTR_RPC_UNKNOWN];
}

otr_rpc_status otr_rpc_status_of_text(otr_bytes text)
{
    enum { TEN = 10 };
    unsigned value = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || i > 1) {
            return OTR_RPC_UNKNOWN;
        }
        value = value * TEN + (unsigned)(text.p[i] - '0');
    }
    return text.n > 0 && value < OTR_COUNT(names) ? (otr_rpc_status)value : OTR_RPC_UNKNOWN;
}

otr_rpc_status otr_rpc_status_of_http(unsigned http)
{
    switch (http) {
    case 400: /* Bad Request */
    case 431: /* Request Header Fields Too Large */
        return OTR_RPC_INTERNAL;
    case 401: /* Unauthorized */
        return OTR_RPC_UNAUTHENTICATED;
    case 403: /* Forbidden */
        return OTR_RPC_PERMISSION_DENIED;
    case 404: /* Not Found */
        return OTR_RPC_UNIMPLEMENTED;
    case 429: /* Too Many Requests */
    case 502: /* Bad Gateway */
    case 503: /* Service Unavailable */
    case 504: /* Gateway Timeout */
        return OTR_RPC_UNAVAILABLE;
    default:
        return OTR_RPC_UNKNOWN;
    }
}

otr_rpc_status otr_rpc_status_of_reset(uint32_t code)
{
    switch (code) {
    case NGHTTP2_REFUSED_STREAM:
        return OTR_RPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return OTR_RPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return OTR_RPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return OTR_RPC_PERMISSION_DENIED;
    default:
        return code <= NGHTTP2_HTTP_1_1_REQUIRED ? OTR_RPC_INTERNAL : OTR_RPC_UNKNOWN;
    }
}

const char *otr_rpc_reset_name(uint32_t code)
{
    static const char *const resets[] = {
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    };
    return code < OTR_COUNT(resets) ? resets[code] : "an unknown error";
}
