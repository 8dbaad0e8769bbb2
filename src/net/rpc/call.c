#include "net/rpc/call.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "net/rpc/internal.h"

enum {
    MESSAGE_BYTES = 8192, /* of a status */
    LONGEST_MS = 0x7fffffff,
};

static void on_tell(void *arg);

/* ---- life ---- */

otr_code otr_rpc_call_new(const otr_rpc_call_setup *setup, otr_rpc_call **ret, otr_err *err)
{
    otr_rpc_call *call = otr_zalloc(sizeof(*call));
    if (call == NULL) {
        return otr_fail_nomem(err);
    }
    const otr_rpc_limits *limits = setup->limits;
    call->loop = setup->loop;
    call->role = setup->role;
    call->limits = *limits;
    call->ops = setup->ops;
    call->arg = setup->arg;
    call->tell_fn = on_tell;
    call->kept_all = true;
    call->deadline_ns = UINT64_MAX;
    call->freed = setup->ops == NULL; /* nobody's, until it is accepted */
    /* Below the mark there is room for a message, though as much as waits may be sent and not yet
     * forgotten: see trim() in queue.c. */
    otr_buf_init(&call->out, 2 * limits->queue_bytes + limits->max_send_bytes +
                                 OTR_RPC_REPLAY_BYTES + OTR_RPC_PREFIX);
    otr_buf_init(&call->held, (size_t)OTR_LIMIT_RPC_WIDE_BYTES * 2);
    otr_buf_init(&call->message, MESSAGE_BYTES);
    otr_rpc_reader_init(&call->reader, limits->max_recv_bytes);
    otr_rpc_metadata_init(&call->headers, limits->header_bytes);
    otr_rpc_metadata_init(&call->got, limits->header_bytes);
    otr_rpc_metadata_init(&call->trailers, limits->header_bytes);
    *ret = call;
    return OTR_OK;
}

static void release(otr_rpc_call *call)
{
    otr_loop_defer_cancel(&call->tell);
    otr_timer_free(call->timer);
    otr_buf_deinit(&call->out);
    otr_buf_deinit(&call->held);
    otr_buf_deinit(&call->message);
    otr_rpc_reader_deinit(&call->reader);
    otr_rpc_metadata_deinit(&call->headers);
    otr_rpc_metadata_deinit(&call->got);
    otr_rpc_metadata_deinit(&call->trailers);
    otr_free(call->path);
    otr_free(call->authority);
    otr_free(call);
}

void otr_rpc_call_pin(otr_rpc_call *call)
{
    call->pins++;
}

void otr_rpc_call_unpin(otr_rpc_call *call)
{
    if (--call->pins == 0 && call->freed && call->conn == NULL) {
        otr_rpc_call_unlink(call);
        release(call);
    }
}

void otr_rpc_call_link(otr_rpc_call *head, size_t *count, otr_rpc_call *call)
{
    call->ring_n = count;
    ++*count;
    call->next = head;
    call->prev = head->prev;
    head->prev->next = call;
    head->prev = call;
}

void otr_rpc_call_unlink(otr_rpc_call *call)
{
    if (call->next != NULL) {
        call->prev->next = call->next;
        call->next->prev = call->prev;
        call->next = call->prev = NULL;
        --*call->ring_n;
    }
}

static void count_held(otr_rpc_call *call)
{
    size_t now = call->reader.part.n + call->held.n;
    if (call->conn != NULL) {
        call->conn->held += now;
        call->conn->held -= call->counted;
        call->counted = now;
    }
}

void otr_rpc_call_attach(otr_rpc_call *call, otr_rpc_conn *conn, int32_t stream)
{
    otr_rpc_call_unlink(call);
    otr_rpc_call_link(&conn->calls, &conn->n_calls, call);
    call->conn = conn;
    call->stream = stream;
    otr_rpc_call_count_queued(call);
}

void otr_rpc_call_detach(otr_rpc_call *call)
{
    otr_rpc_conn *conn = call->conn;
    if (conn == NULL) {
        return;
    }
    if (conn->session != NULL) {
        (void)nghttp2_session_set_stream_user_data(conn->session, call->stream, NULL);
    }
    otr_rpc_call_pin(call);
    conn->held -= call->counted;
    conn->queued -= call->out_counted;
    call->counted = call->out_counted = 0;
    call->conn = NULL;
    call->stream = 0;
    otr_rpc_call_unlink(call);
    if (conn->n_calls == 0) {
        otr_rpc_conn_wake(conn); /* it may be done */
    }
    otr_rpc_call_unpin(call);
}

/* Resets the stream and leaves the connection. */
static void reset(otr_rpc_call *call, uint32_t code)
{
    otr_rpc_conn *conn = call->conn;
    if (conn != NULL && conn->session != NULL) {
        (void)nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, call->stream, code);
        otr_rpc_conn_wake(conn);
    }
    otr_rpc_call_detach(call);
}

/* ---- the end ---- */

static void set_message(otr_rpc_call *call, const char *message)
{
    otr_buf_clear(&call->message);
    size_t n = strnlen(message, MESSAGE_BYTES);
    (void)!otr_buf_add(&call->message, (otr_bytes){ (const uint8_t *)message, n }, NULL);
}

void otr_rpc_call_over(otr_rpc_call *call, otr_rpc_status status, const char *message)
{
    if (call->over) {
        return;
    }
    call->over = true;
    call->status = status;
    if (message != NULL) {
        set_message(call, message);
    }
    otr_timer_free(call->timer);
    call->timer = NULL;
    otr_buf_deinit(&call->held);
    if (!call->delivering) {
        otr_rpc_reader_deinit(&call->reader);
    }
    count_held(call);
    if (call->conn == NULL) {
        otr_rpc_call_unlink(call);
    }
    otr_loop_defer(call->loop, &call->tell, on_tell, call);
}

/* A server's call: the client gets the status, whatever still waited to be sent. */
static bool tell_client(otr_rpc_call *call, otr_rpc_status status, const char *message)
{
    if (call->role != OTR_RPC_SERVER || call->conn == NULL || call->over ||
        status == OTR_RPC_CANCELLED) {
        return false;
    }
    if (!call->trailed) {
        otr_buf_cut(&call->out, call->out_at);
        otr_rpc_call_count_queued(call);
        call->finished = false;
        otr_rpc_call_end(call, status, message, NULL);
    }
    return call->conn != NULL;
}

void otr_rpc_call_fail(otr_rpc_call *call, otr_rpc_status status, const char *message)
{
    otr_rpc_call_pin(call);
    bool told = tell_client(call, status, message);
    otr_rpc_call_over(call, status, message);
    if (!told) {
        reset(call, NGHTTP2_CANCEL);
    }
    otr_rpc_call_unpin(call);
}

void otr_rpc_call_ending(otr_rpc_call *call)
{
    call->ending = true;
    otr_loop_defer(call->loop, &call->tell, on_tell, call);
}

static void on_deadline(void *arg)
{
    otr_rpc_call *call = arg;
    uint64_t now = otr_now_ns();
    if (now < call->deadline_ns) { /* it was longer than a timer runs */
        uint64_t ms = (call->deadline_ns - now) / OTR_NS_PER_MS + 1;
        otr_timer_start(call->timer, ms < LONGEST_MS ? ms : LONGEST_MS, 0);
        return;
    }
    otr_rpc_call_fail(call, OTR_RPC_DEADLINE_EXCEEDED, "the deadline has passed");
}

otr_code otr_rpc_call_set_timeout(otr_rpc_call *call, uint64_t timeout_ns, otr_err *err)
{
    uint64_t now = otr_now_ns();
    otr_code rc = otr_timer_new(call->loop, on_deadline, call, &call->timer, err);
    if (rc == OTR_OK) {
        call->deadline_ns = timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX - 1;
        uint64_t ms = timeout_ns / OTR_NS_PER_MS + 1;
        otr_timer_start(call->timer, ms < LONGEST_MS ? ms : LONGEST_MS, 0);
    }
    return rc;
}

void otr_rpc_call_cancel(otr_rpc_call *call)
{
    otr_rpc_call_fail(call, OTR_RPC_CANCELLED, "cancelled");
}

void otr_rpc_call_free(otr_rpc_call *call)
{
    if (call == NULL || call->freed) {
        return;
    }
    otr_rpc_call_pin(call);
    if (!call->over && !(call->role == OTR_RPC_SERVER && call->finished)) {
        otr_rpc_call_fail(call, OTR_RPC_CANCELLED, "");
    }
    otr_loop_defer_cancel(&call->tell);
    call->freed = true; /* the end that a server has queued is still sent */
    otr_rpc_call_unpin(call);
}

/* ---- what came ---- */

static void consumed(otr_rpc_call *call, size_t n)
{
    if (call->conn != NULL && n > 0) {
        (void)nghttp2_session_consume_stream(call->conn->session, call->stream, n);
        otr_rpc_conn_wake(call->conn);
    }
}

/* A large message comes: its sender need not wait for us after each small window. */
static void widen(otr_rpc_call *call)
{
    if (!call->wide && call->conn != NULL &&
        otr_rpc_reader_announced(&call->reader) > OTR_LIMIT_RPC_WINDOW_BYTES) {
        call->wide = true;
        (void)nghttp2_session_set_local_window_size(call->conn->session, NGHTTP2_FLAG_NONE,
                                                    call->stream, OTR_LIMIT_RPC_WIDE_BYTES);
    }
}

/* Delivers messages until the bytes end or the reader pauses; returns what is left. */
static otr_bytes deliver(otr_rpc_call *call, otr_bytes bytes)
{
    call->delivering = true;
    while (bytes.n > 0 && !call->paused && !call->over && !call->freed) {
        bool got = false;
        otr_bytes message = { NULL, 0 };
        otr_err err = { 0 };
        otr_rpc_status status = otr_rpc_reader_next(&call->reader, &bytes, &got, &message, &err);
        if (status != OTR_RPC_OK) {
            otr_rpc_call_fail(call, status, err.msg);
            break;
        }
        if (got) {
            call->ops->message(call->arg, call, message);
        } else {
            widen(call);
        }
    }
    call->delivering = false;
    if (call->over || call->freed) {
        otr_rpc_reader_deinit(&call->reader);
        bytes.n = 0;
    }
    return bytes;
}

static void hold(otr_rpc_call *call, otr_bytes bytes)
{
    otr_err err = { 0 };
    if (bytes.n > 0 && otr_buf_add(&call->held, bytes, &err) != OTR_OK) {
        otr_rpc_call_fail(call, OTR_RPC_RESOURCE_EXHAUSTED, err.msg);
    }
}

static void check_held(otr_rpc_call *call)
{
    count_held(call);
    if (call->conn != NULL && call->conn->held > call->limits.held_bytes && !call->over) {
        otr_rpc_call_fail(call, OTR_RPC_RESOURCE_EXHAUSTED,
                          "too much is received on this connection and not read yet");
    }
}

void otr_rpc_call_feed(otr_rpc_call *call, otr_bytes bytes)
{
    otr_rpc_call_pin(call);
    if (call->over || call->freed || call->ops == NULL) {
        consumed(call, bytes.n);
    } else if (call->paused || call->held.n > 0 || call->delivering) {
        hold(call, bytes);
    } else {
        otr_bytes rest = deliver(call, bytes);
        consumed(call, bytes.n - rest.n);
        hold(call, rest);
    }
    if (!call->over) {
        check_held(call);
    }
    otr_rpc_call_unpin(call);
}

void otr_rpc_call_peer_done(otr_rpc_call *call)
{
    call->peer_done = true;
    otr_loop_defer(call->loop, &call->tell, on_tell, call);
}

void otr_rpc_call_pause(otr_rpc_call *call)
{
    call->paused = true;
}

void otr_rpc_call_resume(otr_rpc_call *call)
{
    call->paused = false;
    if (call->held.n > 0 || call->peer_done || call->ending) {
        otr_loop_defer(call->loop, &call->tell, on_tell, call);
    }
}

/* ---- what is told later ---- */

static void read_held(otr_rpc_call *call)
{
    otr_buf held = call->held;
    otr_buf_init(&call->held, held.max_bytes);
    otr_bytes rest = deliver(call, otr_buf_bytes(&held));
    consumed(call, held.n - rest.n);
    if (!call->over) {
        hold(call, rest);
        count_held(call);
    }
    otr_buf_deinit(&held);
}

/* What came is read: the peer's end can be told. */
static void tell_done(otr_rpc_call *call)
{
    bool cut = otr_rpc_reader_inside(&call->reader);
    if (call->role == OTR_RPC_SERVER) {
        call->told_done = true;
        if (cut) {
            otr_rpc_call_fail(call, OTR_RPC_INTERNAL, "the client ended within a message");
        } else if (call->ops->finished != NULL) {
            call->ops->finished(call->arg, call);
        }
        return;
    }
    if (call->ending && cut && call->status == OTR_RPC_OK) {
        call->answered_end = false;
        otr_rpc_call_over(call, OTR_RPC_INTERNAL, "the server ended within a message");
    } else if (call->ending) {
        otr_rpc_call_over(call, call->status, NULL);
    }
}

static void tell_end(otr_rpc_call *call)
{
    call->told = true;
    const otr_rpc_end end = { .status = call->status,
                              .message = otr_buf_text(&call->message),
                              .trailers = &call->got,
                              .answered = call->answered_end };
    call->ops->closed(call->arg, call, &end);
}

static bool is_quiet(const otr_rpc_call *call)
{
    return call->over || call->freed || call->ops == NULL;
}

static void tell_writable(otr_rpc_call *call)
{
    call->full = false;
    if (call->ops->writable != NULL) {
        call->ops->writable(call->arg, call);
    }
}

static bool is_read(const otr_rpc_call *call)
{
    return call->held.n == 0 && (call->ending || call->peer_done) && !call->told_done;
}

static void on_tell(void *arg)
{
    otr_rpc_call *call = arg;
    otr_rpc_call_pin(call);
    if (!is_quiet(call) && !call->paused && call->held.n > 0) {
        read_held(call);
    }
    if (!is_quiet(call) && is_read(call)) {
        tell_done(call);
    }
    if (!is_quiet(call) && call->full &&
        otr_rpc_call_queued(call) <= call->limits.queue_bytes / 2) {
        tell_writable(call);
    }
    if (call->over && !call->told && !call->freed && call->ops != NULL) {
        tell_end(call);
    }
    otr_rpc_call_unpin(call);
}

/* ---- what goes ---- */

bool otr_rpc_call_full(otr_rpc_call *call)
{
    size_t n = otr_rpc_call_queued(call);
    bool full = n >= call->limits.queue_bytes ||
                (n > 0 && call->conn != NULL && call->conn->queued >= call->limits.sent_bytes);
    call->full = call->full || full;
    return full;
}

/* Data can flow, or flows already. */
static void resume_data(otr_rpc_call *call)
{
    if (call->conn != NULL) {
        (void)nghttp2_session_resume_data(call->conn->session, call->stream);
        otr_rpc_conn_wake(call->conn);
    }
}

otr_code otr_rpc_call_send(otr_rpc_call *call, otr_bytes message, otr_err *err)
{
    if (call->over || call->finished) {
        return otr_fail(err, OTR_ESTATE, "the call takes no message any more");
    }
    if (message.n > call->limits.max_send_bytes) {
        return otr_fail(err, OTR_EINVAL, "trying to send message larger than max (%zu vs. %zu)",
                        message.n, call->limits.max_send_bytes);
    }
    if (otr_rpc_call_full(call)) {
        return otr_fail(err, OTR_EQUOTA, "%zu bytes wait for the peer", otr_rpc_call_queued(call));
    }
    otr_code rc = OTR_OK;
    if (call->role == OTR_RPC_SERVER && !call->answered) {
        rc = otr_rpc_call_headers(call, NULL, err);
    }
    uint8_t *to;
    rc = rc == OTR_OK ? otr_buf_reserve(&call->out, OTR_RPC_PREFIX + message.n, &to, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_rpc_prefix(message.n, to);
    if (message.n > 0) {
        memcpy(to + OTR_RPC_PREFIX, message.p, message.n);
    }
    otr_buf_grew(&call->out, OTR_RPC_PREFIX + message.n);
    otr_rpc_call_count_queued(call);
    resume_data(call);
    return OTR_OK;
}

void otr_rpc_call_finish(otr_rpc_call *call)
{
    if (call->role == OTR_RPC_CLIENT && !call->finished) {
        call->finished = true;
        resume_data(call);
    }
}

/* ---- of a server's call ---- */

void otr_rpc_call_accept(otr_rpc_call *call, const otr_rpc_call_ops *ops, void *arg)
{
    call->ops = ops;
    call->arg = arg;
    call->freed = false;
    otr_loop_defer(call->loop, &call->tell, on_tell, call);
}

const char *otr_rpc_call_path(const otr_rpc_call *call)
{
    return call->path != NULL ? call->path : "";
}

const char *otr_rpc_call_authority(const otr_rpc_call *call)
{
    return call->authority != NULL ? call->authority : "";
}

const otr_rpc_metadata *otr_rpc_call_metadata(const otr_rpc_call *call)
{
    return &call->got;
}

uint64_t otr_rpc_call_deadline_ns(const otr_rpc_call *call)
{
    return call->deadline_ns;
}

const char *otr_rpc_call_peer(const otr_rpc_call *call)
{
    return call->conn != NULL ? call->conn->peer : "";
}

bool otr_rpc_call_peer_tls(const otr_rpc_call *call, otr_tls_peer *ret)
{
    *ret = (otr_tls_peer){ 0 };
    return call->conn != NULL && call->conn->pipe != NULL &&
           otr_rpc_pipe_peer(call->conn->pipe, ret);
}

otr_code otr_rpc_call_headers(otr_rpc_call *call, const otr_rpc_metadata *headers, otr_err *err)
{
    if (call->role != OTR_RPC_SERVER || call->answered || call->over || call->conn == NULL) {
        return otr_fail(err, OTR_ESTATE, "the call takes no headers any more");
    }
    otr_code rc = otr_rpc_submit_headers(call, headers, err);
    if (rc == OTR_OK) {
        call->answered = true;
        otr_rpc_conn_wake(call->conn);
    }
    return rc;
}

void otr_rpc_call_end(otr_rpc_call *call, otr_rpc_status status, const char *message,
                      const otr_rpc_metadata *trailers)
{
    if (call->role != OTR_RPC_SERVER || call->finished || call->conn == NULL) {
        return;
    }
    call->finished = true;
    call->status = status;
    set_message(call, message != NULL ? message : "");
    if (trailers != NULL && otr_rpc_metadata_copy(&call->trailers, trailers, NULL) != OTR_OK) {
        otr_rpc_metadata_deinit(&call->trailers);
    }
    otr_err err = { 0 };
    if (!call->answered && otr_rpc_submit_status_alone(call, &err) != OTR_OK) {
        otr_rpc_call_over(call, status, message);
        reset(call, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    resume_data(call);
}
