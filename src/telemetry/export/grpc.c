#include "telemetry/export/grpc.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "net/rpc/channel.h"

static const char method[] = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
enum { TIMEOUT_MS = 10000, KEEP_MS = 600000, RETRY_MS = 10000, RETRY_MOST_MS = 60000 };

typedef struct batch {
    struct batch *next;
    otr_buf bytes;
    size_t points;
    uint64_t made_ns;
} batch;

struct otr_otlp_grpc {
    otr_otlp_grpc_spec spec; /* its texts are not kept */
    otr_tls *tls;
    otr_rpc_channel *channel;
    otr_rpc_metadata headers;
    otr_rpc_backoff backoff;
    otr_timer *timer; /* of the next try */
    otr_rpc_call *call;
    bool waiting; /* for the timer or the connection */
    batch *first, **end;
    otr_otlp_grpc_stats stats;
};

static void begin(otr_otlp_grpc *e);

/* ---- the queue ---- */

static void batch_free(batch *b)
{
    otr_buf_deinit(&b->bytes);
    otr_free(b);
}

static void drop_first(otr_otlp_grpc *e)
{
    batch *b = e->first;
    e->first = b->next;
    e->end = e->first == NULL ? &e->first : e->end;
    e->stats.queued--;
    e->stats.queued_bytes -= b->bytes.n;
    batch_free(b);
}

static void lose_first(otr_otlp_grpc *e)
{
    e->stats.lost += e->first->points;
    drop_first(e);
}

/* The one under way is the first, and stays. */
static void make_room(otr_otlp_grpc *e, size_t bytes)
{
    while (e->call == NULL && e->first != NULL &&
           e->stats.queued_bytes + bytes > e->spec.queue_bytes) {
        lose_first(e);
    }
    while (e->call != NULL && e->first->next != NULL &&
           e->stats.queued_bytes + bytes > e->spec.queue_bytes) {
        batch *second = e->first->next;
        e->first->next = second->next;
        e->end = second->next == NULL ? &e->first->next : e->end;
        e->stats.queued--;
        e->stats.queued_bytes -= second->bytes.n;
        e->stats.lost += second->points;
        batch_free(second);
    }
}

/* ---- tries ---- */

static bool may_retry(const otr_rpc_end *end)
{
    switch (end->status) {
    case OTR_RPC_CANCELLED:
    case OTR_RPC_DEADLINE_EXCEEDED:
    case OTR_RPC_ABORTED:
    case OTR_RPC_OUT_OF_RANGE:
    case OTR_RPC_UNAVAILABLE:
    case OTR_RPC_DATA_LOSS:
        return true;
    case OTR_RPC_RESOURCE_EXHAUSTED: /* only when the server says that it will recover */
        return end->answered && end->trailers != NULL &&
               otr_rpc_metadata_find(end->trailers, "grpc-status-details-bin") != NULL;
    default:
        return false;
    }
}

static void tell(otr_otlp_grpc *e, const char *why)
{
    if (e->spec.state != NULL) {
        e->spec.state(e->spec.arg, why);
    }
}

static void wait(otr_otlp_grpc *e)
{
    e->waiting = true;
    uint32_t chance = (uint32_t)(otr_now_ns() * UINT64_C(2654435761));
    otr_timer_start(e->timer, otr_rpc_backoff_next(&e->backoff, chance), 0);
}

static void on_timer(void *arg)
{
    otr_otlp_grpc *e = arg;
    e->waiting = false;
    begin(e);
}

static void on_message(void *arg, otr_rpc_call *call, otr_bytes message)
{
    (void)arg;
    (void)call;
    (void)message;
}

static void on_closed(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    otr_otlp_grpc *e = arg;
    char why[OTR_ERR_MSG_BYTES] = "";
    if (end->status != OTR_RPC_OK) {
        (void)snprintf(why, sizeof(why), "%s: %s", otr_rpc_status_name(end->status), end->message);
    }
    e->call = NULL;
    otr_rpc_call_free(call);
    if (end->status == OTR_RPC_OK) {
        e->stats.sent += e->first->points;
        drop_first(e);
        otr_rpc_backoff_reset(&e->backoff);
    } else if (may_retry(end)) {
        wait(e);
    } else {
        lose_first(e);
    }
    tell(e, why);
    begin(e);
}

static const otr_rpc_call_ops call_ops = { .message = on_message, .closed = on_closed };

static void lose_old(otr_otlp_grpc *e)
{
    uint64_t now = otr_now_ns();
    while (e->first != NULL && now - e->first->made_ns > e->spec.keep_ms * OTR_NS_PER_MS) {
        lose_first(e);
    }
}

static void begin(otr_otlp_grpc *e)
{
    if (e->call != NULL || e->waiting) {
        return;
    }
    lose_old(e);
    if (e->first == NULL) {
        return;
    }
    const otr_rpc_call_spec spec = { .path = method,
                                     .metadata = &e->headers,
                                     .timeout_ms = e->spec.timeout_ms,
                                     .wait = OTR_RPC_FAIL_FAST,
                                     .max_recv_bytes = OTR_LIMIT_EXPORT_ANSWER_BYTES,
                                     .ops = &call_ops,
                                     .arg = e };
    otr_err err = { 0 };
    otr_code rc = otr_rpc_call_start(e->channel, &spec, &e->call, &err);
    if (rc == OTR_OK) {
        rc = otr_rpc_call_send(e->call, otr_buf_bytes(&e->first->bytes), &err);
    }
    if (rc == OTR_OK) {
        otr_rpc_call_finish(e->call);
        return;
    }
    otr_rpc_call_free(otr_steal(&e->call));
    if (rc == OTR_EINVAL) {
        lose_first(e); /* it is too large: it will always be */
    }
    wait(e);
    tell(e, err.msg);
}

/* A connection that is there again is better news than any timer's. */
static void on_state(void *arg, otr_rpc_state state, const char *why)
{
    otr_otlp_grpc *e = arg;
    if (state == OTR_RPC_READY && e->waiting && e->stats.queued > 0) {
        otr_timer_stop(e->timer);
        on_timer(e);
    } else if (state == OTR_RPC_TRANSIENT_FAILURE) {
        tell(e, why);
    }
}

static const otr_rpc_channel_ops channel_ops = { .state = on_state };

/* ---- its life ---- */

static otr_code open_channel(otr_otlp_grpc *e, otr_loop *loop, const otr_otlp_grpc_spec *spec,
                             otr_err *err)
{
    otr_code rc = OTR_OK;
    if (!spec->plain) {
        const otr_tls_spec tls = { .role = OTR_TLS_CLIENT,
                                   .check = spec->skip_verify ? OTR_TLS_CHECK_NONE : OTR_TLS_CHECK,
                                   .alpn = OTR_TLS_ALPN_H2,
                                   .ca = spec->ca,
                                   .cert = spec->cert,
                                   .key = spec->key,
                                   .server_name = spec->server_name };
        rc = otr_tls_new(&tls, &e->tls, err);
    }
    for (size_t i = 0; rc == OTR_OK && spec->headers != NULL && spec->headers[i] != NULL; i += 2) {
        rc = otr_rpc_metadata_adds(&e->headers, spec->headers[i], spec->headers[i + 1], err);
    }
    if (rc == OTR_OK) {
        rc = otr_rpc_channel_new(
            loop,
            &(otr_rpc_channel_spec){ .target = spec->target,
                                     .tls = e->tls,
                                     .limits = { .max_send_bytes = OTR_LIMIT_EXPORT_BATCH_BYTES,
                                                 .queue_bytes = OTR_LIMIT_EXPORT_BATCH_BYTES },
                                     .ops = &channel_ops,
                                     .arg = e },
            &e->channel, err);
    }
    if (rc == OTR_OK) {
        otr_rpc_channel_connect(e->channel);
    }
    return rc;
}

otr_code otr_otlp_grpc_new(otr_loop *loop, const otr_otlp_grpc_spec *spec, otr_otlp_grpc **ret,
                           otr_err *err)
{
    otr_otlp_grpc *e = otr_zalloc(sizeof(*e));
    if (e == NULL) {
        return otr_fail_nomem(err);
    }
    e->end = &e->first;
    e->spec = (otr_otlp_grpc_spec){
        .timeout_ms = spec->timeout_ms > 0 ? spec->timeout_ms : TIMEOUT_MS,
        .keep_ms = spec->keep_ms > 0 ? spec->keep_ms : KEEP_MS,
        .queue_bytes = spec->queue_bytes > 0 ? spec->queue_bytes : OTR_LIMIT_EXPORT_QUEUE_BYTES,
        .state = spec->state,
        .arg = spec->arg,
    };
    e->backoff = (otr_rpc_backoff){
        .initial_ms = RETRY_MS, .max_ms = RETRY_MOST_MS, .multiplier = 1.5, .randomization = 0.5
    };
    otr_rpc_metadata_init(&e->headers, OTR_LIMIT_RPC_HEADER_BYTES);
    otr_code rc = otr_timer_new(loop, on_timer, e, &e->timer, err);
    rc = rc == OTR_OK ? open_channel(e, loop, spec, err) : rc;
    if (rc != OTR_OK) {
        otr_otlp_grpc_free(e);
        return rc;
    }
    *ret = e;
    return OTR_OK;
}

void otr_otlp_grpc_free(otr_otlp_grpc *e)
{
    if (e == NULL) {
        return;
    }
    otr_rpc_call_free(e->call);
    otr_rpc_channel_free(e->channel);
    otr_timer_free(e->timer);
    otr_tls_free(e->tls);
    otr_rpc_metadata_deinit(&e->headers);
    for (batch *b = e->first, *next; b != NULL; b = next) {
        next = b->next;
        batch_free(b);
    }
    otr_free(e);
}

otr_code otr_otlp_grpc_send(otr_otlp_grpc *e, otr_buf *request, size_t points, otr_err *err)
{
    batch *b = otr_zalloc(sizeof(*b));
    if (b == NULL) {
        return otr_fail_nomem(err);
    }
    *b = (batch){ .bytes = *request, .points = points, .made_ns = otr_now_ns() };
    otr_buf_init(request, request->max_bytes);
    make_room(e, b->bytes.n);
    *e->end = b;
    e->end = &b->next;
    e->stats.queued++;
    e->stats.queued_bytes += b->bytes.n;
    begin(e);
    return OTR_OK;
}

void otr_otlp_grpc_read(const otr_otlp_grpc *e, otr_otlp_grpc_stats *ret)
{
    *ret = e->stats;
}
