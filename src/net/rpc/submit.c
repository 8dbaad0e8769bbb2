/*
 * What goes into HTTP/2 headers: requests, answers, trailers.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/rpc/internal.h"
#include "net/rpc/text.h"

typedef struct fields {
    nghttp2_nv *items;
    size_t n, cap;
    char **owned; /* texts that were made for it */
    size_t n_owned, owned_cap;
} fields;

static void fields_deinit(fields *f)
{
    for (size_t i = 0; i < f->n_owned; i++) {
        otr_free(f->owned[i]);
    }
    otr_free(f->owned);
    otr_free(f->items);
}

/* Name and value live until nghttp2 has copied them. */
static otr_code add(fields *f, const char *name, otr_bytes value, otr_err *err)
{
    otr_code rc = otr_grow(&f->items, f->n, &f->cap, sizeof(*f->items), err);
    if (rc == OTR_OK) {
        /* nghttp2 does not write to what it is given. */
        f->items[f->n++] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
                                         .namelen = strlen(name),
                                         .value = (uint8_t *)(uintptr_t)value.p,
                                         .valuelen = value.n,
                                         .flags = NGHTTP2_NV_FLAG_NONE };
    }
    return rc;
}

static otr_code adds(fields *f, const char *name, const char *value, otr_err *err)
{
    return add(f, name, otr_bytes_of(value), err);
}

/* Takes what `text` holds. */
static otr_code add_made(fields *f, const char *name, otr_buf *text, otr_err *err)
{
    otr_code rc = otr_buf_addc(text, '\0', err);
    rc = rc == OTR_OK ? otr_grow(&f->owned, f->n_owned, &f->owned_cap, sizeof(*f->owned), err) : rc;
    if (rc != OTR_OK) {
        otr_buf_deinit(text);
        return rc;
    }
    char *made = (char *)text->p;
    size_t n = text->n - 1;
    otr_buf_init(text, text->max_bytes); /* its block is ours */
    f->owned[f->n_owned++] = made;
    return add(f, name, (otr_bytes){ (const uint8_t *)made, n }, err);
}

static otr_code add_metadata(fields *f, const otr_rpc_metadata *md, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < md->n && rc == OTR_OK; i++) {
        const otr_rpc_field *field = &md->items[i];
        if (!otr_rpc_name_is_binary(otr_bytes_of(field->name))) {
            rc = add(f, field->name, field->value, err);
            continue;
        }
        otr_buf text;
        otr_buf_init(&text, 2 * md->max_bytes + 4);
        rc = otr_rpc_binary_add(field->value, &text, err);
        if (rc == OTR_OK) {
            rc = add_made(f, field->name, &text, err);
        }
        otr_buf_deinit(&text);
    }
    return rc;
}

/* ---- the end of a server's call ---- */

static otr_code fail_submit(int rc, otr_err *err)
{
    return rc == NGHTTP2_ERR_NOMEM ? otr_fail_nomem(err)
                                   : otr_fail(err, OTR_EIO, "HTTP/2: %s", nghttp2_strerror(rc));
}

static otr_code status_fields(fields *f, const otr_rpc_call *call, otr_err *err)
{
    enum { MOST = 32768, DIGITS = 12 };
    otr_buf text;
    otr_buf_init(&text, DIGITS);
    otr_code rc = otr_buf_addf(&text, err, "%d", (int)call->status);
    rc = rc == OTR_OK ? add_made(f, "grpc-status", &text, err) : rc;
    otr_buf_deinit(&text);
    if (rc == OTR_OK && call->message.n > 0) {
        otr_buf_init(&text, MOST);
        rc = otr_rpc_percent_add(otr_buf_bytes(&call->message), &text, err);
        rc = rc == OTR_OK ? add_made(f, "grpc-message", &text, err) : rc;
        otr_buf_deinit(&text);
    }
    return rc == OTR_OK ? add_metadata(f, &call->trailers, err) : rc;
}

static otr_code submit_trailers(otr_rpc_call *call, otr_err *err)
{
    fields f = { 0 };
    otr_code rc = status_fields(&f, call, err);
    if (rc == OTR_OK) {
        int sent = nghttp2_submit_trailer(call->conn->session, call->stream, f.items, f.n);
        rc = sent == 0 ? OTR_OK : fail_submit(sent, err);
    }
    call->trailed = call->trailed || rc == OTR_OK;
    fields_deinit(&f);
    return rc;
}

/* ---- data ---- */

static ssize_t on_data(nghttp2_session *session, int32_t stream, uint8_t *to, size_t cap,
                       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    bool end = false;
    (void)source;
    (void)arg;
    otr_rpc_call *call = nghttp2_session_get_stream_user_data(session, stream);
    if (call == NULL || call->trailed) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    size_t n = otr_rpc_call_take(call, to, cap, &end);
    if (!end) {
        return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (call->role == OTR_RPC_SERVER) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (submit_trailers(call, NULL) != OTR_OK) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)n;
}

/* ---- requests ---- */

static otr_code request_fields(fields *f, const otr_rpc_call *call, bool tls, otr_buf *timeout,
                               otr_err *err)
{
    uint64_t now = otr_now_ns();
    otr_code rc = adds(f, ":method", "POST", err);
    rc = rc == OTR_OK ? adds(f, ":scheme", tls ? "https" : "http", err) : rc;
    rc = rc == OTR_OK ? adds(f, ":path", call->path, err) : rc;
    rc = rc == OTR_OK ? adds(f, ":authority", call->authority, err) : rc;
    if (rc == OTR_OK && call->deadline_ns != UINT64_MAX) {
        char text[OTR_RPC_TIMEOUT_BYTES];
        uint64_t left = call->deadline_ns > now ? call->deadline_ns - now : 1;
        rc = otr_buf_adds(timeout, otr_rpc_timeout_text(left, text), err);
        rc = rc == OTR_OK ? add(f, "grpc-timeout", otr_buf_bytes(timeout), err) : rc;
    }
    rc = rc == OTR_OK ? adds(f, "te", "trailers", err) : rc;
    rc = rc == OTR_OK ? adds(f, "content-type", "application/grpc", err) : rc;
    rc = rc == OTR_OK ? adds(f, "grpc-accept-encoding", "identity,gzip", err) : rc;
    return rc == OTR_OK ? add_metadata(f, &call->headers, err) : rc;
}

otr_code otr_rpc_submit_request(otr_rpc_call *call, otr_rpc_conn *conn, int32_t *ret, otr_err *err)
{
    fields f = { 0 };
    otr_buf timeout;
    otr_tls_peer peer;
    otr_buf_init(&timeout, OTR_RPC_TIMEOUT_BYTES);
    otr_code rc = request_fields(&f, call, otr_rpc_pipe_peer(conn->pipe, &peer), &timeout, err);
    if (rc == OTR_OK) {
        const nghttp2_data_provider data = { .read_callback = on_data };
        int32_t stream = nghttp2_submit_request(conn->session, NULL, f.items, f.n, &data, call);
        if (stream < 0) {
            rc = fail_submit(stream, err);
        } else {
            *ret = stream;
        }
    }
    otr_buf_deinit(&timeout);
    fields_deinit(&f);
    return rc;
}

/* ---- answers ---- */

static otr_code answer_fields(fields *f, otr_err *err)
{
    otr_code rc = adds(f, ":status", "200", err);
    rc = rc == OTR_OK ? adds(f, "content-type", "application/grpc", err) : rc;
    return rc == OTR_OK ? adds(f, "grpc-accept-encoding", "identity,gzip", err) : rc;
}

otr_code otr_rpc_submit_headers(otr_rpc_call *call, const otr_rpc_metadata *headers, otr_err *err)
{
    fields f = { 0 };
    otr_code rc = answer_fields(&f, err);
    if (rc == OTR_OK && headers != NULL) {
        rc = add_metadata(&f, headers, err);
    }
    if (rc == OTR_OK) {
        const nghttp2_data_provider data = { .read_callback = on_data };
        int sent = nghttp2_submit_response(call->conn->session, call->stream, f.items, f.n, &data);
        rc = sent == 0 ? OTR_OK : fail_submit(sent, err);
    }
    fields_deinit(&f);
    return rc;
}

otr_code otr_rpc_submit_status_alone(otr_rpc_call *call, otr_err *err)
{
    fields f = { 0 };
    otr_code rc = answer_fields(&f, err);
    rc = rc == OTR_OK ? status_fields(&f, call, err) : rc;
    if (rc == OTR_OK) {
        int sent = nghttp2_submit_response(call->conn->session, call->stream, f.items, f.n, NULL);
        rc = sent == 0 ? OTR_OK : fail_submit(sent, err);
    }
    if (rc == OTR_OK) {
        call->answered = call->trailed = true;
        otr_rpc_conn_wake(call->conn);
    }
    fields_deinit(&f);
    return rc;
}
