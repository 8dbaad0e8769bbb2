/*
 * What HTTP/2 says, turned into what happens to calls.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "net/rpc/internal.h"
#include "net/rpc/text.h"

enum {
    SLACK_NS = 20000000, /* a reset so soon before the deadline is the deadline's */
    SETTINGS_MOST = 32,  /* in one frame */
    HTTP_OK = 200,
    INFORMATIONAL_LAST = 199,
    TEN = 10,
};

/* ---- headers ---- */

static bool is(const otr_bytes *name, const char *text)
{
    return name->n == strlen(text) && memcmp(name->p, text, name->n) == 0;
}

static void spoil(otr_rpc_call *call, otr_rpc_status status, const char *why)
{
    if (call->got_bad == OTR_RPC_OK) {
        call->got_bad = status;
        otr_buf_clear(&call->message);
        (void)!otr_buf_adds(&call->message, why, NULL);
    }
}

static void keep_text(otr_rpc_call *call, char **to, otr_bytes value)
{
    otr_free(*to);
    *to = otr_strndup((const char *)value.p, value.n);
    if (*to == NULL) {
        spoil(call, OTR_RPC_RESOURCE_EXHAUSTED, "out of memory");
    }
}

static void take_pseudo(otr_rpc_call *call, const otr_bytes *name, otr_bytes value)
{
    if (is(name, ":path")) {
        keep_text(call, &call->path, value);
    } else if (is(name, ":authority")) {
        keep_text(call, &call->authority, value);
    } else if (is(name, ":method")) {
        if (!is(&value, "POST")) {
            spoil(call, OTR_RPC_UNIMPLEMENTED, "calls are made by POST");
        }
    } else if (is(name, ":status")) {
        call->http_status = 0;
        for (size_t i = 0; i < value.n; i++) { /* nghttp2 has seen that these are three digits */
            call->http_status = call->http_status * TEN + (unsigned)(value.p[i] - '0');
        }
    }
}

static void take_type(otr_rpc_call *call, otr_bytes value)
{
    static const char type[] = "application/grpc";
    size_t n = sizeof(type) - 1;
    call->got_type = true;
    call->bad_type = value.n < n || memcmp(value.p, type, n) != 0 ||
                     (value.n > n && value.p[n] != '+' && value.p[n] != ';');
}

static void take_timeout(otr_rpc_call *call, otr_bytes value)
{
    uint64_t ns = 0;
    if (!otr_rpc_timeout_parse(value, &ns)) {
        spoil(call, OTR_RPC_INTERNAL, "the value of grpc-timeout is no timeout");
    } else if (call->timer == NULL && otr_rpc_call_set_timeout(call, ns, NULL) != OTR_OK) {
        spoil(call, OTR_RPC_RESOURCE_EXHAUSTED, "out of memory");
    }
}

/* gRPC's own; false: it is metadata. */
static bool take_own(otr_rpc_call *call, const otr_bytes *name, otr_bytes value)
{
    bool client = call->role == OTR_RPC_CLIENT;
    if (is(name, "content-type")) {
        take_type(call, value);
    } else if (is(name, "grpc-encoding")) {
        call->reader.encoding = otr_rpc_encoding_of(value);
    } else if (is(name, "grpc-timeout") && !client) {
        take_timeout(call, value);
    } else if (is(name, "grpc-status") && client) {
        call->has_status = true;
        call->status = otr_rpc_status_of_text(value);
    } else if (is(name, "grpc-message") && client) {
        otr_buf_clear(&call->message);
        (void)!otr_rpc_percent_read(value, &call->message, NULL); /* cut at its ceiling */
    } else {
        return is(name, "te") || is(name, "grpc-accept-encoding") || is(name, "content-length");
    }
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): the library dictates the parameters. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    (void)flags;
    (void)arg;
    otr_rpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call == NULL || call->over) {
        return 0;
    }
    const otr_bytes key = { name, name_n };
    const otr_bytes text = { value, value_n };
    call->header_bytes += name_n + value_n + 32;
    if (call->header_bytes > call->limits.header_bytes) {
        spoil(call, OTR_RPC_RESOURCE_EXHAUSTED, "the peer sent more metadata than is allowed");
        return 0;
    }
    if (name_n > 0 && name[0] == ':') {
        take_pseudo(call, &key, text);
    } else if (!take_own(call, &key, text)) {
        otr_err err = { 0 };
        otr_code rc = otr_rpc_metadata_take(&call->got, key, text, &err);
        if (rc != OTR_OK) {
            spoil(call, rc == OTR_EINVAL ? OTR_RPC_INTERNAL : OTR_RPC_RESOURCE_EXHAUSTED, err.msg);
        }
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    otr_rpc_conn *conn = arg;
    if (frame->hd.type != NGHTTP2_HEADERS) { /* a push: nobody asked for it */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (conn->role == OTR_RPC_CLIENT || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        otr_rpc_call *known = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (known != NULL) {
            known->header_bytes = 0;
            if (conn->role == OTR_RPC_CLIENT) {
                otr_rpc_metadata_deinit(&known->got);
            }
        }
        return 0;
    }
    otr_rpc_call *call = NULL;
    const otr_rpc_call_setup setup = { .loop = conn->loop,
                                       .role = OTR_RPC_SERVER,
                                       .limits = &conn->limits };
    if (conn->freed || otr_rpc_call_new(&setup, &call, NULL) != OTR_OK) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    otr_rpc_call_attach(call, conn, frame->hd.stream_id);
    (void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
}

/* ---- the end of a client's call ---- */

/* The peer's status, or what its absence means. */
static void conclude(otr_rpc_call *call)
{
    char text[96];
    if (call->has_status) {
        call->answered_end = true;
        if (call->conn != NULL) {
            call->conn->useful = true;
        }
        return;
    }
    otr_buf_clear(&call->message);
    if (call->got_headers && call->http_status != HTTP_OK) {
        call->status = otr_rpc_status_of_http(call->http_status);
        (void)snprintf(text, sizeof(text), "the server answered with HTTP status %u",
                       call->http_status);
    } else if (call->got_headers && call->bad_type) {
        call->status = OTR_RPC_UNKNOWN;
        (void)snprintf(text, sizeof(text), "what the server answered is not application/grpc");
    } else {
        call->status = OTR_RPC_INTERNAL;
        (void)snprintf(text, sizeof(text), "the server ended the call without a status");
    }
    (void)!otr_buf_adds(&call->message, text, NULL);
}

/* The server has said all. */
static void end_client(otr_rpc_call *call)
{
    conclude(call);
    otr_rpc_call_pin(call);
    otr_rpc_conn *conn = call->conn;
    if (!(call->finished && otr_rpc_call_queued(call) == 0)) {
        (void)nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, call->stream,
                                        NGHTTP2_NO_ERROR);
    }
    otr_rpc_call_ending(call);
    otr_rpc_call_detach(call);
    otr_rpc_call_unpin(call);
}

static bool is_late(const otr_rpc_call *call)
{
    return call->deadline_ns != UINT64_MAX && otr_now_ns() + SLACK_NS >= call->deadline_ns;
}

static void end_by_reset(otr_rpc_call *call, uint32_t code)
{
    char text[96];
    otr_rpc_status status = otr_rpc_status_of_reset(code);
    if (call->role == OTR_RPC_SERVER && code == NGHTTP2_NO_ERROR) {
        status = OTR_RPC_CANCELLED;
    }
    /* A server that ends the call at its own deadline, which is ours, says CANCEL. */
    if (status == OTR_RPC_CANCELLED && is_late(call)) {
        otr_rpc_call_over(call, OTR_RPC_DEADLINE_EXCEEDED, "the deadline has passed");
        return;
    }
    (void)snprintf(text, sizeof(text), "the peer reset the call: %s", otr_rpc_reset_name(code));
    otr_rpc_call_over(call, status, text);
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t code, void *arg)
{
    otr_rpc_conn *conn = arg;
    otr_rpc_call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL) {
        return 0;
    }
    otr_rpc_call_pin(call);
    otr_rpc_call_detach(call);
    bool client = call->role == OTR_RPC_CLIENT;
    call->has_status = false; /* a status counts with the end of the stream: see end_client() */
    if (client && code == NGHTTP2_REFUSED_STREAM && !call->over && !conn->freed &&
        otr_rpc_call_rewind(call) && conn->ops->refused(conn->arg, call)) {
        /* it was never begun: it is begun anew elsewhere */
    } else if (!client && call->trailed && code == NGHTTP2_NO_ERROR) {
        otr_rpc_call_over(call, call->status, NULL);
    } else if (client && code == NGHTTP2_NO_ERROR) {
        conclude(call);
        otr_rpc_call_over(call, call->status, NULL);
    } else {
        end_by_reset(call, code);
    }
    otr_rpc_call_unpin(call);
    return 0;
}

/* ---- frames ---- */

static void answer_headers(otr_rpc_call *call, bool end)
{
    if (call->got_bad != OTR_RPC_OK) {
        otr_rpc_call_fail(call, call->got_bad, NULL);
        return;
    }
    if (!call->got_headers && call->http_status <= INFORMATIONAL_LAST && !end) {
        otr_rpc_metadata_deinit(&call->got);
        return;
    }
    bool first = !call->got_headers;
    call->got_headers = true;
    call->bad_type = call->bad_type || !call->got_type;
    if (end) {
        end_client(call);
        return;
    }
    if (call->http_status != HTTP_OK || call->bad_type) {
        conclude(call);
        otr_rpc_call_fail(call, call->status, NULL);
    } else if (first && !call->freed && !call->over && call->ops->headers != NULL) {
        call->ops->headers(call->arg, call, &call->got);
    }
}

/* A request that cannot be served as gRPC. */
static void refuse_request(otr_rpc_call *call, otr_rpc_status status, const char *why)
{
    otr_rpc_call_end(call, status, why, NULL);
}

static void request_headers(otr_rpc_conn *conn, otr_rpc_call *call)
{
    if (call->got_headers) { /* trailers of a client mean nothing */
        return;
    }
    call->got_headers = true;
    if (call->got_bad != OTR_RPC_OK) {
        char why[256];
        (void)snprintf(why, sizeof(why), "%s", otr_buf_text(&call->message));
        refuse_request(call, call->got_bad, why);
    } else if (!call->got_type || call->bad_type) {
        refuse_request(call, OTR_RPC_INTERNAL, "the request is not application/grpc");
    } else if (call->path == NULL || call->path[0] != '/') {
        refuse_request(call, OTR_RPC_UNIMPLEMENTED, "the path of a call begins with a slash");
    } else if (conn->freed || conn->ops == NULL) {
        refuse_request(call, OTR_RPC_UNAVAILABLE, "the server stops");
    } else {
        conn->ops->incoming(conn->arg, call);
    }
}

static int on_headers_frame(otr_rpc_conn *conn, const nghttp2_frame *frame)
{
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    otr_rpc_call *call = nghttp2_session_get_stream_user_data(conn->session, frame->hd.stream_id);
    if (call == NULL) {
        return 0;
    }
    otr_rpc_call_pin(call);
    if (conn->role == OTR_RPC_CLIENT) {
        answer_headers(call, end);
    } else {
        request_headers(conn, call);
        if (end && !call->over) {
            otr_rpc_call_peer_done(call);
        }
    }
    otr_rpc_call_unpin(call);
    return 0;
}

static int on_data_frame(otr_rpc_conn *conn, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return frame->hd.length > 0 || otr_rpc_guard_control(conn) ? 0
                                                                   : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    otr_rpc_call *call = nghttp2_session_get_stream_user_data(conn->session, frame->hd.stream_id);
    if (call != NULL && conn->role == OTR_RPC_CLIENT) {
        end_client(call);
    } else if (call != NULL) {
        otr_rpc_call_peer_done(call);
    }
    return 0;
}

static void on_goaway_frame(otr_rpc_conn *conn, const nghttp2_goaway *goaway)
{
    static const char pings[] = "too_many_pings";
    size_t n = goaway->opaque_data_len < 64 ? goaway->opaque_data_len : 64;
    bool calm = goaway->error_code == NGHTTP2_ENHANCE_YOUR_CALM;
    (void)otr_fail(&conn->why, OTR_EIO, "the peer ended the connection: %s%s%.*s",
                   otr_rpc_reset_name(goaway->error_code), n > 0 ? " " : "", (int)n,
                   goaway->opaque_data != NULL ? (const char *)goaway->opaque_data : "");
    conn->draining = conn->drained = true;
    if (!conn->freed && conn->ops != NULL) {
        conn->ops->goaway(conn->arg, calm && n == sizeof(pings) - 1 &&
                                         memcmp(goaway->opaque_data, pings, n) == 0);
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    otr_rpc_conn *conn = arg;
    bool ok = true;
    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        return on_headers_frame(conn, frame);
    case NGHTTP2_DATA:
        return on_data_frame(conn, frame);
    case NGHTTP2_SETTINGS:
        ok = otr_rpc_guard_control(conn);
        if (ok && !conn->ready && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            conn->ready = true;
            if (!conn->freed && conn->ops != NULL) {
                conn->ops->ready(conn->arg);
            }
        }
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            ok = otr_rpc_guard_control(conn) && otr_rpc_guard_ping(conn);
        } else if (conn->draining && conn->role == OTR_RPC_SERVER) {
            conn->drained = true;
            /* The client has seen that we stop: what it began until now is all there is. */
            (void)nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
                                        nghttp2_session_get_last_proc_stream_id(session),
                                        NGHTTP2_NO_ERROR, NULL, 0);
            otr_rpc_conn_wake(conn);
        }
        break;
    case NGHTTP2_RST_STREAM:
        ok = conn->role == OTR_RPC_CLIENT || otr_rpc_guard_reset(conn);
        break;
    case NGHTTP2_PRIORITY:
        ok = otr_rpc_guard_control(conn);
        break;
    case NGHTTP2_GOAWAY:
        on_goaway_frame(conn, &frame->goaway);
        break;
    default:
        break;
    }
    return ok ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream,
                         const uint8_t *data, size_t n, void *arg)
{
    (void)flags;
    (void)arg;
    /* One call that does not read holds up no other: only its own window stays closed. */
    (void)nghttp2_session_consume_connection(session, n);
    otr_rpc_call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL) {
        (void)nghttp2_session_consume_stream(session, stream, n);
    } else {
        otr_rpc_call_feed(call, (otr_bytes){ data, n });
    }
    return 0;
}

/* nghttp2 gives up the connection, or guard.c does, which has said why. */
static void note_our_goaway(otr_rpc_conn *conn, const nghttp2_goaway *goaway)
{
    if (goaway->error_code != NGHTTP2_NO_ERROR && conn->why.msg[0] == '\0') {
        (void)otr_fail(&conn->why, OTR_EIO, "the peer broke HTTP/2: %s%s%.*s",
                       otr_rpc_reset_name(goaway->error_code),
                       goaway->opaque_data_len > 0 ? ": " : "", (int)goaway->opaque_data_len,
                       goaway->opaque_data != NULL ? (const char *)goaway->opaque_data : "");
    }
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    otr_rpc_conn *conn = arg;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        note_our_goaway(conn, &frame->goaway);
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    conn->ping_strikes = 0;
    conn->last_ping_ns = 0;
    if (conn->role == OTR_RPC_SERVER && end) {
        /* The status is out: what the client still sends is not wanted. */
        const otr_rpc_call *call =
            nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (call != NULL && !call->peer_done) {
            (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                            NGHTTP2_NO_ERROR);
        }
    }
    return 0;
}

/* ---- the session ---- */

static void *take(size_t n, void *arg)
{
    (void)arg;
    return otr_alloc(n);
}

static void give(void *p, void *arg)
{
    (void)arg;
    otr_free(p);
}

static void *take_zeroed(size_t count, size_t size, void *arg)
{
    (void)arg;
    return otr_calloc(count, size);
}

static void *take_again(void *p, size_t n, void *arg)
{
    (void)arg;
    return otr_realloc(p, n);
}

static int open_session(otr_rpc_conn *conn, const nghttp2_session_callbacks *callbacks,
                        const nghttp2_option *option)
{
    nghttp2_mem mem = { .malloc = take, /* NOLINT(check-banned): a field */
                        .free = give,
                        .calloc = take_zeroed,
                        .realloc = take_again };
    return conn->role == OTR_RPC_CLIENT
               ? nghttp2_session_client_new3(&conn->session, callbacks, conn, option, &mem)
               : nghttp2_session_server_new3(&conn->session, callbacks, conn, option, &mem);
}

static int set_up(otr_rpc_conn *conn)
{
    enum { CONNECTION_WINDOW = 16 << 20 };
    const nghttp2_settings_entry entries[] = {
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, OTR_LIMIT_RPC_WINDOW_BYTES },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)conn->limits.header_bytes },
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
          conn->role == OTR_RPC_SERVER ? conn->limits.max_streams : 0 },
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
    };
    size_t n = OTR_COUNT(entries) - (conn->role == OTR_RPC_SERVER ? 1 : 0);
    int rc = nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, entries, n);
    return rc != 0 ? rc
                   : nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0,
                                                           CONNECTION_WINDOW);
}

otr_code otr_rpc_session_new(otr_rpc_conn *conn, otr_err *err)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return otr_fail_nomem(err);
    }
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_settings(option, SETTINGS_MOST);
    /* What we send is bounded by us: a larger block would be dropped without a word. */
    nghttp2_option_set_max_send_header_block_length(option, 16 * (size_t)OTR_MIB);
    int rc = open_session(conn, callbacks, option);
    rc = rc == 0 ? set_up(conn) : rc;
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (rc == NGHTTP2_ERR_NOMEM) {
        return otr_fail_nomem(err);
    }
    return rc == 0 ? OTR_OK : otr_fail(err, OTR_EIO, "HTTP/2: %s", nghttp2_strerror(rc));
}
