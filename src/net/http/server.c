#include "net/http/server.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "net/http/internal.h"

enum { CONNECTION_BYTES = 16384, ERROR_BYTES = 4096, DISCARD_BODIES = 4, LAST_TURNS = 4 };

enum { /* the statuses that are used here */
       OK = 200,
       BAD_REQUEST = 400,
       FORBIDDEN = 403,
       NOT_FOUND = 404,
       METHOD_NOT_ALLOWED = 405,
       CONFLICT = 409,
       CONTENT_TOO_LARGE = 413,
       TOO_MANY_REQUESTS = 429,
       INTERNAL_ERROR = 500,
       UNAVAILABLE = 503,
       GATEWAY_TIMEOUT = 504,
       INSUFFICIENT_STORAGE = 507,
};

/* ---- replies ---- */

static unsigned status_of(otr_code rc)
{
    switch (rc) {
    case OTR_EINVAL:
        return BAD_REQUEST;
    case OTR_ENOTFOUND:
        return NOT_FOUND;
    case OTR_ESTATE:
        return CONFLICT;
    case OTR_EDENIED:
        return FORBIDDEN;
    case OTR_EQUOTA:
        return TOO_MANY_REQUESTS;
    case OTR_ETIMEOUT:
        return GATEWAY_TIMEOUT;
    default:
        return INTERNAL_ERROR;
    }
}

static otr_mhd_next send_answer(otr_http_conn *conn, const otr_http_reply *reply, const char *allow,
                                otr_mhd_answer *answer)
{
    const char *csp =
        reply->csp != NULL ? reply->csp : "default-src 'none'; frame-ancestors 'none'";
    const char *const headers[][2] = {
        { "Content-Type", reply->content_type },
        { "Cache-Control", "no-store" },
        { "Content-Security-Policy", csp },
        { "X-Content-Type-Options", "nosniff" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
        { "Referrer-Policy", "no-referrer" },
        { "Allow", allow },
    };
    answer->status = reply->status;
    answer->headers = headers;
    answer->headers_n = OTR_COUNT(headers);
    return otr_mhd_send(conn->mhd, answer);
}

/* Consumes `reply`. `allow` may be NULL. */
static otr_mhd_next send_reply(otr_http_conn *conn, otr_http_reply *reply, const char *allow)
{
    otr_mhd_answer answer = { .body = &reply->body };
    otr_http_conn_enter(conn, OTR_HTTP_ANSWERS);
    if (reply->stream != NULL) {
        otr_buf_deinit(&reply->body);
        answer.read = otr_http_stream_read;
        answer.gone = otr_http_stream_discard;
        answer.arg = otr_steal(&reply->stream);
    }
    conn->reply_bytes += reply->body.n;
    conn->server->reply_bytes += reply->body.n;
    return send_answer(conn, reply, allow, &answer);
}

static void init_reply(otr_http_reply *reply)
{
    *reply = (otr_http_reply){ .status = OK, .content_type = "application/json" };
    otr_buf_init(&reply->body, OTR_LIMIT_HTTP_REPLY_BYTES);
}

static otr_mhd_next send_error(otr_http_conn *conn, unsigned status, const otr_err *why,
                               const char *allow)
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
    return send_reply(conn, &reply, allow);
}

/* ---- requests ---- */

static otr_mhd_next refuse_method(otr_http_conn *conn, const char *method, const char *path)
{
    otr_err why = { 0 };
    otr_buf allow;
    otr_buf_init(&allow, ERROR_BYTES);
    if (otr_http_routes_allow(conn->server->routes, path, &allow, &why) != OTR_OK) {
        otr_buf_deinit(&allow);
        return send_error(conn, INTERNAL_ERROR, &why, NULL);
    }
    otr_mhd_next sent;
    if (allow.n == 0) {
        (void)otr_fail(&why, OTR_ENOTFOUND, "there is nothing at %s", path);
        sent = send_error(conn, NOT_FOUND, &why, NULL);
    } else {
        (void)otr_fail(&why, OTR_EUNSUP, "%s does not take %s, only %s", path, method,
                       otr_buf_text(&allow));
        sent = send_error(conn, METHOD_NOT_ALLOWED, &why, otr_buf_text(&allow));
    }
    otr_buf_deinit(&allow);
    return sent;
}

static const otr_http_route_entry *find_route(const otr_http_server *server, const char *method,
                                              const char *path)
{
    const otr_http_route_entry *route = otr_http_routes_find(server->routes, method, path);
    if (route == NULL && strcmp(method, "HEAD") == 0) {
        route = otr_http_routes_find(server->routes, "GET", path);
    }
    return route;
}

static otr_mhd_next send_file(otr_http_later *later)
{
    const otr_http_reply reply = { .status = OK, .content_type = later->content_type };
    otr_mhd_answer answer = { .file = &later->file, .file_bytes = later->file_bytes };
    otr_http_conn_enter(later->conn, OTR_HTTP_ANSWERS);
    return send_answer(later->conn, &reply, NULL, &answer);
}

/* A request that is answered later: sends the answer, or waits for it. */
static otr_mhd_next settle(otr_http_later *later)
{
    otr_mhd_next sent = OTR_MHD_GO_ON;
    if (!later->ready) {
        otr_http_later_sleep(later);
        return sent;
    }
    if (later->rc == OTR_OK && later->file >= 0) {
        sent = send_file(later);
    } else if (later->rc == OTR_OK) {
        otr_http_reply reply;
        init_reply(&reply);
        reply.body = later->body;
        later->body = (otr_buf){ .max_bytes = 0 };
        sent = send_reply(later->conn, &reply, NULL);
    } else {
        sent = send_error(later->conn, status_of(later->rc), &later->err, NULL);
    }
    otr_http_later_discard(later);
    return sent;
}

/* The parser asks anew for an answer once the connection was resumed. */
static otr_mhd_next answer_late(const otr_http_server *server, otr_http_later *later)
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

static otr_http_peer peer_of(const otr_http_conn *conn)
{
    struct ucred who;
    socklen_t bytes = sizeof(who);
    if (conn->server->socket.path == NULL ||
        getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0 || who.pid <= 0) {
        return (otr_http_peer){ .known = false };
    }
    return (otr_http_peer){ .known = true, .uid = who.uid, .gid = who.gid, .pid = who.pid };
}

static otr_mhd_next answer(otr_http_conn *conn, otr_http_request *req)
{
    const otr_http_route_entry *route = find_route(conn->server, req->method, req->path);
    if (route == NULL) {
        return refuse_method(conn, req->method, req->path);
    }
    otr_err err = { 0 };
    if (conn->server->reply_bytes > conn->server->bounds.unread_bytes) {
        (void)otr_fail(&err, OTR_EQUOTA, "%zu bytes of answers wait for peers to read them",
                       conn->server->reply_bytes);
        return send_error(conn, UNAVAILABLE, &err, NULL);
    }
    otr_http_reply reply;
    init_reply(&reply);
    req->tail = route->star ? req->path + route->path_bytes : "";
    req->connection = conn;
    req->peer = peer_of(conn);
    req->uploaded = otr_http_upload_bytes(conn);
    otr_http_conn_enter(conn, OTR_HTTP_ANSWERS);
    otr_code rc = route->fn(route->arg, req, &reply, &err);
    if (rc == OTR_OK && reply.later != NULL) {
        otr_buf_deinit(&reply.body);
        return settle(reply.later);
    }
    if (rc == OTR_OK) {
        return send_reply(conn, &reply, NULL);
    }
    if (reply.later != NULL) {
        otr_http_later_discard(reply.later);
    }
    if (reply.stream != NULL) {
        otr_http_stream_discard(reply.stream);
    }
    otr_buf_deinit(&reply.body);
    return send_error(conn, status_of(rc), &err, NULL);
}

static otr_mhd_next refuse_body(otr_http_conn *conn, uint64_t most)
{
    otr_err why = { 0 };
    (void)otr_fail(&why, OTR_EQUOTA, "the request body is larger than %llu bytes",
                   (unsigned long long)most);
    return send_error(conn, CONTENT_TOO_LARGE, &why, NULL);
}

/* Digits only, and not above the limit: any other text is for the parser to judge. */
static bool announces_too_much(const otr_http_conn *conn, uint64_t most)
{
    const char *text = otr_mhd_header(conn->mhd, "Content-Length");
    uint64_t n = 0;
    for (; text != NULL && *text >= '0' && *text <= '9'; text++) {
        n = n * 10 + (uint64_t)(*text - '0');
        if (n > most) {
            return true;
        }
    }
    return false;
}

/* ---- who is asked: Host, and a target with a host in it ---- */

static const char scheme[] = "http://";

/* RFC 9112, 3.2.2: a server takes the absolute form, too; its host wins over the header. `path` of
 * "http://localhost:9180/metrics" is "/metrics"; `ret_host` has "localhost:9180", or "" when the
 * target names none. */
static const char *split_target(const char *path, char *ret_host, size_t cap)
{
    ret_host[0] = '\0';
    if (strncasecmp(path, scheme, sizeof(scheme) - 1) != 0) {
        return path;
    }
    const char *host = path + sizeof(scheme) - 1;
    size_t n = strcspn(host, "/");
    if (n == 0 || n >= cap) {
        (void)snprintf(ret_host, cap, "?"); /* no name of this machine */
    } else {
        memcpy(ret_host, host, n);
        ret_host[n] = '\0';
    }
    return host[n] != '\0' ? host + n : "/";
}

/* What is wrong with how the request names its host, or NULL. */
static const char *host_flaw(const otr_http_conn *conn, const char *target_host)
{
    if (otr_mhd_header_count(conn->mhd, "Host") > 1) {
        return "there is more than one Host header";
    }
    if (otr_mhd_header_count(conn->mhd, "Content-Length") > 0 &&
        otr_mhd_header_count(conn->mhd, "Transfer-Encoding") > 0) {
        return "Content-Length and Transfer-Encoding contradict each other";
    }
    if (strchr(target_host, '@') != NULL) {
        return "the target has a user name in it";
    }
    return conn->flaw;
}

static bool host_is_ours(const otr_http_conn *conn, const char *target_host)
{
    const char *host = otr_mhd_header(conn->mhd, "Host");
    return !conn->server->check_host ||
           (host != NULL && otr_http_host_is_loopback(host) &&
            (target_host[0] == '\0' || otr_http_host_is_loopback(target_host)));
}

enum { TARGET_HOST_BYTES = 256 };

static otr_mhd_next expect_body(otr_http_conn *conn, const otr_http_route_entry *route)
{
    const otr_http_upload *upload = route->upload;
    uint64_t most = upload != NULL ? upload->max_bytes : OTR_LIMIT_HTTP_BODY_BYTES;
    otr_err why = { 0 };
    if (announces_too_much(conn, most)) {
        return refuse_body(conn, most);
    }
    otr_http_upload_drop(conn);
    if (upload != NULL && otr_http_upload_open(conn, upload, &why) != OTR_OK) {
        return send_error(conn, INSUFFICIENT_STORAGE, &why, NULL);
    }
    return OTR_MHD_GO_ON;
}

/* The header is complete: refuse early what will be refused anyway. */
static otr_mhd_next on_head(void *peer, const char *method, const char *target)
{
    otr_http_conn *conn = peer;
    char host[TARGET_HOST_BYTES];
    const char *path = split_target(target, host, sizeof(host));
    const char *flaw = host_flaw(conn, host);
    otr_err why = { 0 };
    if (flaw != NULL) {
        (void)otr_fail(&why, OTR_EINVAL, "%s", flaw);
        return send_error(conn, BAD_REQUEST, &why, NULL);
    }
    if (!host_is_ours(conn, host)) {
        (void)otr_fail(&why, OTR_EDENIED,
                       "the Host header does not name this machine: use 127.0.0.1 or localhost");
        return send_error(conn, FORBIDDEN, &why, NULL);
    }
    const otr_http_route_entry *route = find_route(conn->server, method, path);
    return route != NULL ? expect_body(conn, route) : refuse_method(conn, method, path);
}

/* ---- what the parser tells ---- */

static void *on_opened(void *arg, otr_mhd_conn *mhd, int fd)
{
    return otr_http_conn_take_up(arg, mhd, fd);
}

static void on_closed(void *peer)
{
    otr_http_upload_drop(peer);
    otr_http_conn_gone(peer);
}

static void on_line(void *peer, const char *target)
{
    otr_http_conn *conn = peer;
    conn->flaw = strstr(target, "%00") != NULL ? "the target has a NUL byte in it" : NULL;
    if (conn->kept) { /* else its time runs since the connection was made */
        otr_http_conn_enter(conn, OTR_HTTP_READS);
    }
    conn->phase = OTR_HTTP_READS;
}

static otr_mhd_next on_part(void *peer, otr_bytes part)
{
    otr_http_conn *conn = peer;
    if (conn->spool != NULL) {
        return otr_http_upload_part(conn, part);
    }
    if (conn->received == 0) {
        otr_buf_init(&conn->body, OTR_LIMIT_HTTP_BODY_BYTES);
    }
    conn->received += part.n;
    if (conn->received > (size_t)OTR_LIMIT_HTTP_BODY_BYTES * DISCARD_BODIES) {
        return OTR_MHD_CLOSE; /* it would be told "too large" at the end, and does not stop */
    }
    if (conn->received > OTR_LIMIT_HTTP_BODY_BYTES) {
        otr_buf_deinit(&conn->body);
        return OTR_MHD_GO_ON;
    }
    return otr_buf_add(&conn->body, part, NULL) == OTR_OK ? OTR_MHD_GO_ON : OTR_MHD_CLOSE;
}

static otr_mhd_next on_whole(void *peer, const char *method, const char *target)
{
    otr_http_conn *conn = peer;
    if (conn->later != NULL) {
        return answer_late(conn->server, conn->later);
    }
    if (conn->received > OTR_LIMIT_HTTP_BODY_BYTES) {
        return refuse_body(conn, OTR_LIMIT_HTTP_BODY_BYTES);
    }
    if (conn->spool != NULL) {
        otr_err why = { 0 };
        unsigned status = 0;
        if (otr_http_upload_waits(conn)) {
            return OTR_MHD_GO_ON;
        }
        if (otr_http_upload_end(conn, &status, &why) != OTR_OK) {
            return send_error(conn, status, &why, NULL);
        }
    }
    char host[TARGET_HOST_BYTES];
    otr_http_request req = { .method = method,
                             .path = split_target(target, host, sizeof(host)),
                             .body = otr_buf_bytes(&conn->body) };
    return answer(conn, &req);
}

static void on_done(void *peer)
{
    otr_http_conn *conn = peer;
    if (conn->later != NULL) {
        otr_http_later_discard(conn->later);
    }
    otr_http_upload_drop(conn);
    otr_buf_deinit(&conn->body);
    conn->received = 0;
    conn->server->reply_bytes -= conn->reply_bytes;
    conn->reply_bytes = 0;
    conn->kept = true;
    if (conn->phase != OTR_HTTP_ENDS) {
        otr_http_conn_enter(conn, OTR_HTTP_WAITS);
    }
}

const char *otr_http_query(const otr_http_request *req, const char *name)
{
    const otr_http_conn *conn = req->connection;
    return otr_mhd_query(conn->mhd, name);
}

void otr_http_query_each(const otr_http_request *req, const char *name,
                         bool (*fn)(void *arg, const char *value), void *arg)
{
    const otr_http_conn *conn = req->connection;
    otr_mhd_query_each(conn->mhd, name, fn, arg);
}

/* ---- servers ---- */

static void fill_bounds(otr_http_bounds *bounds)
{
    const otr_http_bounds usual = {
        .connections = OTR_LIMIT_HTTP_CONNECTIONS,
        .idle_ms = OTR_LIMIT_HTTP_IDLE_MS,
        .request_ms = OTR_LIMIT_HTTP_REQUEST_MS,
        .take_ms = OTR_LIMIT_HTTP_TAKE_MS,
        .unread_bytes = OTR_LIMIT_HTTP_UNREAD_BYTES,
    };
    bounds->connections = bounds->connections > 0 ? bounds->connections : usual.connections;
    bounds->idle_ms = bounds->idle_ms > 0 ? bounds->idle_ms : usual.idle_ms;
    bounds->request_ms = bounds->request_ms > 0 ? bounds->request_ms : usual.request_ms;
    bounds->take_ms = bounds->take_ms > 0 ? bounds->take_ms : usual.take_ms;
    bounds->unread_bytes = bounds->unread_bytes > 0 ? bounds->unread_bytes : usual.unread_bytes;
}

static otr_code start_parser(otr_http_server *server, otr_err *err)
{
    static const otr_mhd_ops ops = { on_opened, on_closed, on_line, on_head,
                                     on_part,   on_whole,  on_done };
    otr_mhd_spec spec = { .ops = &ops,
                          .arg = server,
                          .most = (unsigned)server->bounds.connections,
                          .memory_bytes = CONNECTION_BYTES };
    return otr_mhd_new(&spec, &server->mhd, err);
}

otr_code otr_http_server_new(otr_loop *loop, otr_http_routes *routes, const otr_http_listen *listen,
                             otr_http_server **ret, otr_err *err)
{
    otr_http_server *server = otr_zalloc(sizeof(*server));
    if (server == NULL) {
        return otr_fail_nomem(err);
    }
    *server = (otr_http_server){ .loop = loop,
                                 .routes = routes,
                                 .bounds = listen->bounds,
                                 .fds = listen->fds,
                                 .share = listen->share,
                                 .check_host = listen->check_host };
    fill_bounds(&server->bounds);
    server->socket.fd = -1;
    otr_code rc = otr_http_socket_open(listen, &server->socket, err);
    rc = rc != OTR_OK ? rc : otr_timer_new(loop, otr_http_streams_beat, server, &server->beat, err);
    rc = rc != OTR_OK ? rc : start_parser(server, err);
    rc = rc != OTR_OK ? rc : otr_http_conns_start(server, err);
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

void otr_http_server_retire(otr_http_server *server)
{
    otr_http_conns_stop_accepting(server);
    otr_http_streams_release(server);
}

void otr_http_server_free(otr_http_server *server)
{
    if (server == NULL) {
        return;
    }
    otr_http_conns_stop_accepting(server);
    otr_watch_free(server->watch);
    if (server->mhd != NULL) {
        server->ending = true;
        otr_http_streams_release(server);
        otr_http_laters_release(server);
        otr_http_uploads_release(server);
        /* Readers that keep up get the rest and the proper end of their stream. */
        for (int i = 0; i < LAST_TURNS && (server->n_streams > 0 || server->laters != NULL); i++) {
            (void)otr_mhd_run(server->mhd);
        }
        otr_mhd_free(server->mhd);
    }
    otr_http_conns_deinit(server);
    otr_loop_defer_cancel(&server->wake);
    otr_timer_free(server->timer);
    otr_timer_free(server->sweep);
    otr_timer_free(server->beat);
    otr_free(server);
}
