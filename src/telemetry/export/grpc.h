/*
 * Sends OTLP requests to one collector over gRPC, in order, one at a time.
 *
 * What cannot be sent now waits, up to a ceiling of bytes and of age, beyond which the oldest is
 * lost and counted. A request is tried again after what OpenTelemetry calls retryable, after ever
 * longer waits and at once when the connection is there again; after anything else it is lost.
 *
 * Thread: loop.
 */
#ifndef OTR_TELEMETRY_EXPORT_GRPC_H
#define OTR_TELEMETRY_EXPORT_GRPC_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

typedef struct otr_otlp_grpc otr_otlp_grpc;

typedef struct otr_otlp_grpc_spec { /* texts are copied; NULL is "" */
    const char *target;             /* "host:port" */
    bool plain;                     /* no TLS */
    bool skip_verify;
    const char *ca, *cert, *key, *server_name;
    const char *const *headers; /* name, value, …, NULL; NULL: none */
    uint64_t timeout_ms;        /* of one try; 0: 10 s */
    uint64_t keep_ms;           /* how long one is tried; 0: 10 min */
    size_t queue_bytes;         /* that wait at most; 0: OTR_LIMIT_EXPORT_QUEUE_BYTES */
    /* Optional. What is wrong now, "" when a request arrived; freeing is not allowed in it. */
    void (*state)(void *arg, const char *why);
    void *arg;
} otr_otlp_grpc_spec;

typedef struct otr_otlp_grpc_stats {
    uint64_t sent, lost; /* points */
    size_t queued_bytes, queued;
} otr_otlp_grpc_stats;

/* OTR_EINVAL: a file of TLS, a header or the target is no good. */
otr_code otr_otlp_grpc_new(otr_loop *loop, const otr_otlp_grpc_spec *spec, otr_otlp_grpc **ret,
                           otr_err *err) OTR_MUST_CHECK;
void otr_otlp_grpc_free(otr_otlp_grpc *e); /* what waits is lost; NULL is fine */
/* Takes the content of `request`, which is empty then, on success. */
otr_code otr_otlp_grpc_send(otr_otlp_grpc *e, otr_buf *request, size_t points, otr_err *err)
    OTR_MUST_CHECK;
void otr_otlp_grpc_read(const otr_otlp_grpc *e, otr_otlp_grpc_stats *ret);

#endif
