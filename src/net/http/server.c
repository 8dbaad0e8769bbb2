#include "net/http/server.h"

#include <microhttpd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "net/http/internal.h"

enum { CONNECTION_BYTES = 16384, ERROR_BYTES = 4096, DISCARD_BODIES = 4, LAST_TURNS = 4 };

typedef struct upload { /* a request with a body, until it is complete */
    otr_buf body;
    size_t received;
} upload;

/* ---- replies ---- */

static unsigned status_of(otr_code rc)
{
    switch (rc) {
    case OTR_EINVAL:
        return MHD_HTTP_BAD_REQUEST;
    case OTR_ENOTFOUND:
        return MHD_HTTP_NOT_FOUND;
    case OTR_ESTATE:
        return MHD_HTTP_CONFLICT;
    case OTR_EDENIED:
        return MHD_HTTP_FORBIDDEN;
    case OTR_EQUOTA:
        return MHD_HTTP_TOO_MANY_REQUESTS;
    case OTR_ETIMEOUT:
        return MHD_HTTP_GATEWAY_TIMEOUT;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

static bool add_headers(struct MHD_Response *response, const otr_http_reply *reply)
{
    const char *csp =
        reply->csp != NULL ? reply->csp : "default-src 'none'; frame-ancestors 'none'";
    const char *const rows[][2] = {
        { MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type },
        { MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
        { "Content-Security-Policy", csp },
        { "X-Content-Type-Options", "nosniff" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
        { "Referrer-Policy", "no-referrer" },
    };
    bool ok = true;
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        ok = ok && MHD_add_response_header(response, rows[i][0], rows[i][1]) == MHD_YES;
    }
    return ok;
}

/* Takes the body or the stream out of `reply` in every case. */
static struct MHD_Response *make_response(otr_http_reply *reply)
{
    struct MHD_Response *response = NULL;
    if (reply->stream != NULL) {
        response = otr_http_stream_response(reply->stream);
        if (response == NULL) {
            otr_http_stream_discard(reply->stream);
        }
        reply->stream = NULL;
    } else if (reply->body.n == 0) {
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_buffer_with_free_callback(reply->body.n, reply->body.p,
                                                                      otr_free);
        if (response != NULL) {
            otr_buf_init(&reply->body, 0);
        }
    }
    otr_buf_deinit(&reply->body);
    return response;
}

/* Consumes `reply`. MHD_NO lets the daemon close the connection. `allow` may be NULL. */
static enum MHD_Result send_reply(struct MHD_Connection *connection, otr_http_reply *reply,
                                  const char *allow)
{
    struct MHD_Response *response = make_response(reply);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result sent = MHD_NO;
    if (add_headers(response, reply) &&
        (allow == NULL ||
         MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow) == MHD_YES)) {
        sent = MHD_queue_response(connection, reply->status, response);
    }
    MHD_destroy_response(response);
    return sent;
}

static void init_reply(otr_http_reply *reply)
{
    *reply = (otr_http_reply){ .status = MHD_HTTP_OK, .content_type = "application/json" };
    otr_buf_init(&reply->body, OTR_LIMIT_HTTP_REPLY_BYTES);
}

static enum MHD_Result send_error(struct MHD_Connection *connection, unsigned status,
                                  const otr_err *why, const char *allow)
{
    otr_http_reply reply;
    init_reply(&reply);
    reply.status = status;
    reply.body.max_bytes = ERROR_BYTES;
    otr_jw w;
    otr_jw_begin(&w, &reply.body, NULL);
    otr_jw_obj(&w, NULL);
    otr_jw_obj(&w, "error");
    otr_jw_str(&w, "code", otr_code_name(why->code));
    otr_jw_str(&w, "message", why->msg);
    otr_jw_obj_end(&w);
    otr_jw_obj_end(&w);
    if (otr_jw_end(&w) != OTR_OK) {
        otr_buf_clear(&reply.body); /* out of memory: the status alone has to do */
    }
    return send_reply(connection, &reply, allow);
}

/* ---- requests ---- */

static enum MHD_Result refuse_method(const otr_http_server *server,
                                     struct MHD_Connection *connection, const char *method,
                                     const char *path)
{
    otr_err why = { 0 };
    otr_buf allow;
    otr_buf_init(&allow, ERROR_BYTES);
    if (otr_http_routes_allow(server->routes, path, &allow, &why) != OTR_OK) {
        otr_buf_deinit(&allow);
        return send_error(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, &why, NULL);
    }
    enum MHD_Result sent;
    if (allow.n == 0) {
        (void)otr_fail(&why, OTR_ENOTFOUND, "there is nothing at %s", path);
        sent = send_error(connection, MHD_HTTP_NOT_FOUND, &why, NULL);
    } else {
        (void)otr_fail(&why, OTR_EUNSUP, "%s does not take %s, only %s", path, method,
                       otr_buf_text(&allow));
        sent = send_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, &why, otr_buf_text(&allow));
    }
    otr_buf_deinit(&allow);
    return sent;
}

static const otr_http_route_entry *find_route(const otr_http_server *server, const char *method,
                                              const char *path)
{
    const otr_http_route_entry *route = otr_http_routes_find(server->routes, method, path);
    if (route == NULL && strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        route = otr_http_routes_find(server->routes, MHD_HTTP_METHOD_GET, path);
    }
    return route;
}

/* A request that is answered later: sends the answer, or waits for it. */
static enum MHD_Result settle(otr_http_later *later)
{
    enum MHD_Result sent = MHD_YES;
    if (!later->ready) {
        otr_http_later_sleep(later);
        return sent;
    }
    if (later->rc == OTR_OK) {
        otr_http_reply reply;
        init_reply(&reply);
        reply.body = later->body;
        later->body = (otr_buf){ .max_bytes = 0 };
        sent = send_reply(later->connection, &reply, NULL);
    } else {
        sent = send_error(later->connection, status_of(later->rc), &later->err, NULL);
    }
    otr_http_later_discard(later);
    return sent;
}

/* libmicrohttpd asks anew for an answer once the connection was resumed. */
static enum MHD_Result answer_late(const otr_http_server *server, otr_http_later *later)
{
    if (!later->ready && server->ending) {
        (void)otr_fail(&later->err, OTR_ESTATE, "the agent is stopping");
        otr_loop_fn *closed = later->closed;
        later->closed = NULL;
        later->ready = true;
        later->rc = OTR_ESTATE;
        if (closed != NULL) {
            closed(later->arg);
        }
    }
    return settle(later);
}

static enum MHD_Result answer(otr_http_server *server, struct MHD_Connection *connection,
                              otr_http_request *req)
{
    const otr_http_route_entry *route = find_route(server, req->method, req->path);
    if (route == NULL) {
        return refuse_method(server, connection, req->method, req->path);
    }
    otr_http_exchange exchange = { server, connection };
    otr_http_reply reply;
    otr_err err = { 0 };
    init_reply(&reply);
    req->tail = route->star ? req->path + route->path_bytes : "";
    req->connection = &exchange;
    otr_code rc = route->fn(route->arg, req, &reply, &err);
    if (rc == OTR_OK && reply.later != NULL) {
        otr_buf_deinit(&reply.body);
        return settle(reply.later);
    }
    if (rc == OTR_OK) {
        return send_reply(connection, &reply, NULL);
    }
    if (reply.later != NULL) {
        otr_http_later_discard(reply.later);
    }
    if (reply.stream != NULL) {
        otr_http_stream_discard(reply.stream);
    }
    otr_buf_deinit(&reply.body);
    return send_error(connection, status_of(rc), &err, NULL);
}

static enum MHD_Result refuse_body(struct MHD_Connection *connection)
{
    otr_err why = { 0 };
    (void)otr_fail(&why, OTR_EQUOTA, "the request body is larger than %u bytes",
                   OTR_LIMIT_HTTP_BODY_BYTES);
    return send_error(connection, MHD_HTTP_CONTENT_TOO_LARGE, &why, NULL);
}

/* Digits only, and not above the limit: any other text is for the daemon to judge. */
static bool announces_too_much(struct MHD_Connection *connection)
{
    const char *text =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t n = 0;
    for (; text != NULL && *text >= '0' && *text <= '9'; text++) {
        n = n * 10 + (uint64_t)(*text - '0');
        if (n > OTR_LIMIT_HTTP_BODY_BYTES) {
            return true;
        }
    }
    return false;
}

/* The header is complete: refuse early what will be refused anyway. */
static enum MHD_Result begin_request(const otr_http_server *server,
                                     struct MHD_Connection *connection, const char *method,
                                     const char *path)
{
    if (server->check_host) {
        const char *host =
            MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
        if (host == NULL || !otr_http_host_is_loopback(host)) {
            otr_err why = { 0 };
            (void)otr_fail(
                &why, OTR_EDENIED,
                "the Host header does not name this machine: use 127.0.0.1 or localhost");
            return send_error(connection, MHD_HTTP_FORBIDDEN, &why, NULL);
        }
    }
    if (find_route(server, method, path) == NULL) {
        return refuse_method(server, connection, method, path);
    }
    return announces_too_much(connection) ? refuse_body(connection) : MHD_YES;
}

static enum MHD_Result receive(const otr_http_server *server, void **slot, const char *data,
                               size_t *n)
{
    upload *up = *slot;
    if (*slot == server) {
        up = otr_zalloc(sizeof(*up));
        if (up == NULL) {
            return MHD_NO;
        }
        otr_buf_init(&up->body, OTR_LIMIT_HTTP_BODY_BYTES);
        *slot = up;
    }
    up->received += *n;
    if (up->received > (size_t)OTR_LIMIT_HTTP_BODY_BYTES * DISCARD_BODIES) {
        return MHD_NO; /* it would be told "too large" at the end, and does not stop */
    }
    if (up->received > OTR_LIMIT_HTTP_BODY_BYTES) {
        otr_buf_deinit(&up->body);
    } else if (otr_buf_add(&up->body, (otr_bytes){ (const uint8_t *)data, *n }, NULL) != OTR_OK) {
        return MHD_NO;
    }
    *n = 0;
    return MHD_YES;
}

/* libmicrohttpd calls this with the header, with each part of the body, and at the end. `*slot` is
 * NULL, then the server itself for want of something better, then the upload if there is a body. */
/* NOLINTNEXTLINE(readability-function-size): the library dictates the parameters. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **slot)
{
    otr_http_server *server = cls;
    (void)version;
    if (*slot == NULL) {
        *slot = server;
        return begin_request(server, connection, method, path);
    }
    if (*n > 0) {
        return receive(server, slot, data, n);
    }
    otr_http_later *later = otr_http_later_of(server, connection);
    if (later != NULL) {
        return answer_late(server, later);
    }
    otr_http_request req = { .method = method, .path = path };
    if (*slot != server) {
        const upload *up = *slot;
        if (up->received > OTR_LIMIT_HTTP_BODY_BYTES) {
            return refuse_body(connection);
        }
        req.body = otr_buf_bytes(&up->body);
    }
    return answer(server, connection, &req);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    otr_http_later *later = otr_http_later_of(cls, connection);
    if (later != NULL) {
        otr_http_later_discard(later);
    }
    upload *up = *slot;
    if (*slot != NULL && *slot != cls) {
        otr_buf_deinit(&up->body);
        otr_free(up);
    }
    *slot = NULL;
}

const char *otr_http_query(const otr_http_request *req, const char *name)
{
    const otr_http_exchange *exchange = req->connection;
    return MHD_lookup_connection_value(exchange->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* ---- the daemon on our loop ---- */

static void drive(void *arg)
{
    otr_http_server *server = arg;
    (void)MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG ms = 0;
    if (MHD_get_timeout(server->daemon, &ms) == MHD_YES) {
        otr_timer_start(server->timer, ms, 0);
    } else {
        otr_timer_stop(server->timer);
    }
}

static void on_ready(void *arg, int events)
{
    (void)events;
    drive(arg);
}

static otr_code start_daemon(otr_http_server *server, otr_err *err)
{
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, server->socket.fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        server, MHD_OPTION_CONNECTION_LIMIT, (unsigned)OTR_LIMIT_HTTP_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)OTR_LIMIT_HTTP_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT,
        1, MHD_OPTION_END);
    if (server->daemon == NULL) {
        return otr_fail(err, OTR_EIO, "libmicrohttpd cannot start");
    }
    server->socket.fd = -1; /* closed by MHD_stop_daemon() */
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || info->epoll_fd < 0) {
        return otr_fail(err, OTR_EUNSUP, "this libmicrohttpd was built without epoll");
    }
    return otr_watch_new(server->loop, info->epoll_fd, OTR_WATCH_READ, on_ready, server,
                         &server->watch, err);
}

otr_code otr_http_server_new(otr_loop *loop, otr_http_routes *routes, const otr_http_listen *listen,
                             otr_http_server **ret, otr_err *err)
{
    otr_http_server *server = otr_zalloc(sizeof(*server));
    if (server == NULL) {
        return otr_fail_nomem(err);
    }
    *server = (otr_http_server){
        .loop = loop, .routes = routes, .check_host = listen->check_host, .drive = drive
    };
    server->socket.fd = -1;
    otr_code rc = otr_http_socket_open(listen, &server->socket, err);
    rc = rc != OTR_OK ? rc : otr_timer_new(loop, drive, server, &server->timer, err);
    rc = rc != OTR_OK ? rc : otr_timer_new(loop, otr_http_streams_beat, server, &server->beat, err);
    rc = rc != OTR_OK ? rc : start_daemon(server, err);
    if (rc != OTR_OK) {
        otr_http_server_free(server);
        return rc;
    }
    *ret = server;
    return OTR_OK;
}

uint16_t otr_http_server_port(const otr_http_server *server)
{
    return server->socket.port;
}

void otr_http_server_free(otr_http_server *server)
{
    if (server == NULL) {
        return;
    }
    otr_watch_free(server->watch);
    if (server->daemon != NULL) {
        server->ending = true;
        otr_http_streams_release(server);
        otr_http_laters_release(server);
        /* Readers that keep up get the rest and the proper end of their stream. */
        for (int i = 0; i < LAST_TURNS && (server->n_streams > 0 || server->laters != NULL); i++) {
            (void)MHD_run(server->daemon);
        }
        MHD_stop_daemon(server->daemon);
    }
    otr_loop_defer_cancel(&server->wake);
    otr_timer_free(server->timer);
    otr_timer_free(server->beat);
    otr_http_socket_close(&server->socket);
    otr_free(server);
}
