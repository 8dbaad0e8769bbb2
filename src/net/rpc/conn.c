#include "net/rpc/conn.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "net/rpc/internal.h"

enum {
    ROUND_BYTES = 512 * 1024, /* written in one turn of the loop */
    KEEPALIVE_TIMEOUT_MS = 20000,
};

otr_rpc_limits otr_rpc_limits_of(const otr_rpc_limits *given)
{
    otr_rpc_limits l = given != NULL ? *given : (otr_rpc_limits){ 0 };
    l.max_recv_bytes = l.max_recv_bytes > 0 ? l.max_recv_bytes : OTR_LIMIT_RPC_MESSAGE_BYTES;
    l.max_send_bytes = l.max_send_bytes > 0 ? l.max_send_bytes : OTR_LIMIT_RPC_MESSAGE_BYTES;
    l.max_recv_bytes = l.max_recv_bytes < UINT32_MAX ? l.max_recv_bytes : UINT32_MAX;
    l.max_send_bytes = l.max_send_bytes < UINT32_MAX ? l.max_send_bytes : UINT32_MAX;
    l.queue_bytes = l.queue_bytes > 0 ? l.queue_bytes : OTR_LIMIT_RPC_QUEUE_BYTES;
    l.sent_bytes = l.sent_bytes > 0 ? l.sent_bytes : OTR_LIMIT_RPC_SENT_BYTES;
    l.held_bytes = l.held_bytes > 0 ? l.held_bytes : OTR_LIMIT_RPC_HELD_BYTES;
    l.held_bytes = l.held_bytes > l.max_recv_bytes ? l.held_bytes : 2 * l.max_recv_bytes;
    l.header_bytes = l.header_bytes > 0 ? l.header_bytes : OTR_LIMIT_RPC_HEADER_BYTES;
    l.max_streams = l.max_streams > 0 ? l.max_streams : OTR_LIMIT_RPC_STREAMS;
    l.keepalive_timeout_ms =
        l.keepalive_timeout_ms > 0 ? l.keepalive_timeout_ms : KEEPALIVE_TIMEOUT_MS;
    l.handshake_ms = l.handshake_ms > 0 ? l.handshake_ms : OTR_LIMIT_RPC_HANDSHAKE_MS;
    return l;
}

/* ---- the end ---- */

static void release(otr_rpc_conn *conn)
{
    otr_loop_defer_cancel(&conn->pump);
    otr_timer_free(conn->timer);
    nghttp2_session_del(conn->session);
    otr_rpc_pipe_free(conn->pipe);
    otr_free(conn);
}

static void unpin(otr_rpc_conn *conn)
{
    if (--conn->pins == 0 && conn->freed) {
        release(conn);
    }
}

/* All calls end; none of their owners hears of it before the end of the round. */
static void end_calls(otr_rpc_conn *conn)
{
    while (conn->calls.next != &conn->calls) {
        otr_rpc_call *call = conn->calls.next;
        otr_rpc_call_pin(call);
        otr_rpc_call_detach(call);
        otr_rpc_call_over(call, OTR_RPC_UNAVAILABLE, conn->why.msg);
        otr_rpc_call_unpin(call);
    }
}

static void tell_closed(otr_rpc_conn *conn)
{
    if (conn->told || conn->freed) {
        return;
    }
    conn->told = true;
    otr_timer_stop(conn->timer);
    end_calls(conn);
    if (conn->ops != NULL) {
        conn->ops->closed(conn->arg, &conn->why);
    }
}

/* The connection is of no use any more: `closed` follows at the end of the round. */
static void die(otr_rpc_conn *conn, const otr_err *why)
{
    if (conn->dead || conn->freed) {
        return;
    }
    if (conn->why.msg[0] == '\0') {
        conn->why = *why;
    }
    otr_loop_defer(conn->loop, &conn->pump, conn->pump_fn, conn);
    conn->dead = true;
}

/* ---- sending ---- */

static otr_code fail_http2(int rc, otr_err *err)
{
    if (rc == NGHTTP2_ERR_NOMEM) {
        return otr_fail_nomem(err);
    }
    return otr_fail(err, OTR_EIO, "HTTP/2: %s", nghttp2_strerror(rc));
}

/* Moves frames into the pipe until it holds enough. */
static otr_code fill(otr_rpc_conn *conn, size_t *ret_n, otr_err *err)
{
    *ret_n = 0;
    while (otr_rpc_pipe_pending(conn->pipe) < OTR_LIMIT_RPC_OUT_BYTES) {
        const uint8_t *data = NULL;
        ssize_t n = nghttp2_session_mem_send(conn->session, &data);
        if (n < 0) {
            return fail_http2((int)n, err);
        }
        if (n == 0) {
            break;
        }
        otr_code rc = otr_rpc_pipe_write(conn->pipe, (otr_bytes){ data, (size_t)n }, err);
        if (rc != OTR_OK) {
            return rc;
        }
        *ret_n += (size_t)n;
    }
    return OTR_OK;
}

static void send_all(otr_rpc_conn *conn)
{
    otr_err err = { 0 };
    size_t n = 0, sent = 0;
    if (!otr_rpc_pipe_ready(conn->pipe)) {
        return;
    }
    do {
        if (fill(conn, &n, &err) != OTR_OK) {
            die(conn, &err);
            return;
        }
        sent += n;
        otr_rpc_pipe_flush(conn->pipe);
    } while (n > 0 && otr_rpc_pipe_pending(conn->pipe) == 0 && sent < ROUND_BYTES);
    if (n > 0 && otr_rpc_pipe_pending(conn->pipe) == 0) {
        otr_rpc_conn_wake(conn); /* others first */
    }
}

static bool is_done(const otr_rpc_conn *conn)
{
    bool quiet = otr_rpc_pipe_ready(conn->pipe) && nghttp2_session_want_write(conn->session) == 0 &&
                 otr_rpc_pipe_pending(conn->pipe) == 0;
    return (conn->closing && quiet) || (nghttp2_session_want_read(conn->session) == 0 && quiet) ||
           (conn->drained && conn->n_calls == 0 && quiet);
}

static void tell_room(otr_rpc_conn *conn)
{
    if (conn->n_calls == 0) {
        conn->ops->idle(conn->arg);
    }
    if (conn->role == OTR_RPC_CLIENT && !conn->dead && !conn->freed) {
        conn->ops->room(conn->arg);
    }
}

static void pump(void *arg)
{
    otr_rpc_conn *conn = arg;
    conn->pins++;
    if (!conn->dead && !conn->freed) {
        send_all(conn);
    }
    if (!conn->dead && !conn->freed && is_done(conn)) {
        otr_err why = { 0 };
        (void)otr_fail(&why, OTR_ESTATE, "the connection was closed after its last call");
        die(conn, &why);
    }
    if (!conn->dead && !conn->freed && conn->ops != NULL) {
        tell_room(conn);
    }
    if (conn->dead && !conn->freed) {
        tell_closed(conn);
    }
    unpin(conn);
}

/* ---- receiving ---- */

static void next_ping(otr_rpc_conn *conn, uint64_t ms);

static void on_read(void *arg, otr_bytes plain)
{
    otr_rpc_conn *conn = arg;
    otr_err err = { 0 };
    if (conn->dead || conn->freed) {
        return;
    }
    conn->pins++;
    conn->last_read_ns = otr_now_ns();
    if (conn->pinged) {
        conn->pinged = false;
        next_ping(conn, conn->limits.keepalive_ms);
    }
    ssize_t n = nghttp2_session_mem_recv(conn->session, plain.p, plain.n);
    if (n < 0 && !conn->freed) {
        if (conn->why.msg[0] == '\0') {
            (void)fail_http2((int)n, &conn->why);
        }
        (void)fill(conn, &(size_t){ 0 }, &err); /* a GOAWAY that says why */
        otr_rpc_pipe_flush(conn->pipe);
        die(conn, &conn->why);
    } else if (!conn->freed) {
        if (conn->ready && !conn->kept) {
            conn->kept = true;
            next_ping(conn, conn->limits.keepalive_ms);
        }
        otr_rpc_conn_wake(conn);
    }
    unpin(conn);
}

static void on_ready(void *arg)
{
    otr_rpc_conn *conn = arg; /* a server's handshake is done */
    otr_rpc_conn_wake(conn);
}

static void on_drained(void *arg)
{
    otr_rpc_conn *conn = arg;
    otr_rpc_conn_wake(conn);
}

static void on_ended(void *arg, const otr_err *why)
{
    otr_rpc_conn *conn = arg;
    conn->pins++;
    die(conn, why);
    tell_closed(conn);
    unpin(conn);
}

static const otr_rpc_pipe_ops pipe_ops = {
    .read = on_read,
    .ready = on_ready,
    .drained = on_drained,
    .ended = on_ended,
};

/* ---- keepalive ---- */

static void next_ping(otr_rpc_conn *conn, uint64_t ms)
{
    if (conn->limits.keepalive_ms > 0) {
        otr_timer_start(conn->timer, ms, 0);
    } else {
        otr_timer_stop(conn->timer);
    }
}

static void on_timer(void *arg)
{
    otr_rpc_conn *conn = arg;
    otr_err why = { 0 };
    const otr_rpc_limits *l = &conn->limits;
    uint64_t idle_ms = (otr_now_ns() - conn->last_read_ns) / OTR_NS_PER_MS;
    if (!conn->ready) {
        (void)otr_fail(&why, OTR_ETIMEOUT, "the peer did not begin HTTP/2 in time");
        die(conn, &why);
    } else if (conn->pinged) {
        (void)otr_fail(&why, OTR_ETIMEOUT,
                       "the peer did not answer a keepalive ping within %llu ms",
                       (unsigned long long)l->keepalive_timeout_ms);
        die(conn, &why);
    } else if (idle_ms < l->keepalive_ms) {
        next_ping(conn, l->keepalive_ms - idle_ms);
    } else if (conn->n_calls == 0 && !l->keepalive_idle) {
        next_ping(conn, l->keepalive_ms);
    } else {
        conn->pinged = true;
        (void)nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL);
        otr_rpc_conn_wake(conn);
        next_ping(conn, l->keepalive_timeout_ms);
    }
}

/* ---- what owners call ---- */

otr_code otr_rpc_conn_new(otr_loop *loop, otr_rpc_role role, otr_rpc_pipe *pipe,
                          const otr_rpc_limits *limits, otr_rpc_conn **ret, otr_err *err)
{
    otr_rpc_conn *conn = otr_zalloc(sizeof(*conn));
    if (conn == NULL) {
        return otr_fail_nomem(err);
    }
    conn->loop = loop;
    conn->role = role;
    conn->limits = *limits;
    conn->pump_fn = pump;
    conn->calls.next = conn->calls.prev = &conn->calls;
    conn->last_read_ns = conn->budget_ns = otr_now_ns();
    conn->controls = OTR_LIMIT_RPC_CONTROLS;
    conn->resets = OTR_LIMIT_RPC_RESETS;
    otr_code rc = otr_rpc_session_new(conn, err);
    rc = rc == OTR_OK ? otr_timer_new(loop, on_timer, conn, &conn->timer, err) : rc;
    if (rc != OTR_OK) {
        release(conn);
        return rc;
    }
    conn->pipe = pipe;
    otr_rpc_pipe_hand_over(pipe, &pipe_ops, conn);
    otr_timer_start(conn->timer, limits->handshake_ms, 0);
    otr_rpc_conn_wake(conn);
    *ret = conn;
    return OTR_OK;
}

void otr_rpc_conn_set_owner(otr_rpc_conn *conn, const otr_rpc_conn_ops *ops, void *arg)
{
    conn->ops = ops;
    conn->arg = arg;
}

void otr_rpc_conn_set_peer(otr_rpc_conn *conn, const char *text)
{
    (void)snprintf(conn->peer, sizeof(conn->peer), "%s", text);
}

void otr_rpc_conn_free(otr_rpc_conn *conn)
{
    if (conn == NULL || conn->freed) {
        return;
    }
    if (conn->why.msg[0] == '\0') {
        (void)otr_fail(&conn->why, OTR_ESTATE, "the connection was closed");
    }
    end_calls(conn);
    conn->freed = true;
    otr_loop_defer_cancel(&conn->pump);
    if (conn->pins == 0) {
        if (!conn->dead) {
            (void)nghttp2_session_terminate_session(conn->session, NGHTTP2_NO_ERROR);
            (void)fill(conn, &(size_t){ 0 }, NULL);
        }
        release(conn);
    }
}

size_t otr_rpc_conn_calls(const otr_rpc_conn *conn)
{
    return conn->n_calls;
}

bool otr_rpc_conn_takes(const otr_rpc_conn *conn)
{
    return !conn->dead && !conn->draining && !conn->closing &&
           conn->n_calls < nghttp2_session_get_remote_settings(
                               conn->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

otr_code otr_rpc_conn_begin(otr_rpc_conn *conn, otr_rpc_call *call, otr_err *err)
{
    if (conn->dead || conn->draining || conn->closing) {
        return otr_fail(err, OTR_ESTATE, "the connection takes no new call");
    }
    int32_t stream = 0;
    otr_code rc = otr_rpc_submit_request(call, conn, &stream, err);
    if (rc == OTR_OK) {
        otr_rpc_call_attach(call, conn, stream);
        otr_rpc_conn_wake(conn);
    }
    return rc;
}

void otr_rpc_conn_drain(otr_rpc_conn *conn)
{
    if (conn->dead || conn->draining) {
        return;
    }
    conn->draining = true;
    conn->drained = conn->role == OTR_RPC_CLIENT || !conn->ready;
    if (!conn->drained) {
        /* First "no more soon", and the last call's number when that has been seen. */
        (void)nghttp2_submit_shutdown_notice(conn->session);
        (void)nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, (const uint8_t *)"goodbye!");
    }
    otr_rpc_conn_wake(conn);
}
