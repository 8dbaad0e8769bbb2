#include "net/rpc/server.h"

#include <errno.h>
#include <netinet/in.h> /* NOLINT(misc-include-cleaner): IPPROTO_TCP */
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fds.h"
#include "base/limits.h"
#include "net/rpc/internal.h" /* NOLINT(misc-include-cleaner): the inside of a call */
#include "net/rpc/target.h"

enum { LISTENERS = 8, BACKLOG = 512, AT_ONCE = 32, RETRY_MS = 100, SOCKET_MODE = 0600, TENTH = 10 };

typedef struct listener {
    otr_rpc_server *server;
    int fd;
    otr_watch *watch;
    otr_tls *tls;
    char path[OTR_RPC_PATH_BYTES]; /* of a unix socket, to be removed; "" */
} listener;

typedef struct client {
    struct client *next;
    otr_rpc_server *server;
    otr_rpc_conn *conn;
    otr_timer *age; /* NULL: it may grow as old as it likes */
    bool old;
} client;

struct otr_rpc_server {
    otr_loop *loop;
    otr_rpc_server_spec spec;
    listener listeners[LISTENERS];
    size_t n_listeners;
    client *clients;
    size_t n_clients;
    uint64_t accepted, refused;
    otr_err error;
    otr_timer *again; /* after a lack of descriptors */
    bool stopping;
    otr_timer *deadline;
    otr_loop_fn *done;
    void *done_arg;
    otr_defer later;
};

/* ---- connections ---- */

static void tell_stopped(void *arg)
{
    otr_rpc_server *server = arg;
    otr_loop_fn *done = server->done;
    server->done = NULL;
    if (done != NULL) {
        done(server->done_arg);
    }
}

static void look_if_stopped(otr_rpc_server *server)
{
    if (server->stopping && server->clients == NULL) {
        otr_timer_stop(server->deadline);
        otr_loop_defer(server->loop, &server->later, tell_stopped, server);
    }
}

static void drop_client(client *c)
{
    otr_rpc_server *server = c->server;
    for (client **at = &server->clients; *at != NULL; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            server->n_clients--;
            break;
        }
    }
    otr_timer_free(c->age);
    otr_rpc_conn_free(c->conn);
    otr_free(c);
    look_if_stopped(server);
}

static void on_ready(void *arg)
{
    (void)arg;
}

static void on_goaway(void *arg, bool too_many_pings)
{
    (void)arg;
    (void)too_many_pings;
}

static void on_incoming(void *arg, otr_rpc_call *call)
{
    otr_rpc_server *server = ((client *)arg)->server;
    server->spec.call(server->spec.arg, call);
    if (call->ops == NULL) {
        otr_rpc_call_end(call, OTR_RPC_UNIMPLEMENTED, "there is no such method", NULL);
    }
}

static void on_closed(void *arg, const otr_err *why)
{
    client *c = arg;
    if (why->code != OTR_ESTATE) {
        c->server->error = *why;
    }
    drop_client(c);
}

static const otr_rpc_conn_ops conn_ops = {
    .ready = on_ready,
    .incoming = on_incoming,
    .goaway = on_goaway,
    .idle = on_ready,
    .closed = on_closed,
};

static void on_age(void *arg)
{
    client *c = arg;
    const otr_rpc_server_spec *spec = &c->server->spec;
    if (c->old) {
        drop_client(c);
        return;
    }
    c->old = true;
    otr_rpc_conn_drain(c->conn);
    if (spec->max_grace_ms > 0) {
        otr_timer_start(c->age, spec->max_grace_ms, 0);
    }
}

static otr_code limit_age(client *c, otr_err *err)
{
    uint64_t ms = c->server->spec.max_age_ms;
    if (ms == 0) {
        return OTR_OK;
    }
    otr_code rc = otr_timer_new(c->server->loop, on_age, c, &c->age, err);
    if (rc == OTR_OK) { /* not all at the same time */
        uint32_t spread = ms / TENTH < UINT32_MAX / 2 ? (uint32_t)(ms / TENTH) : UINT32_MAX / 2;
        otr_timer_start(c->age, ms - spread + randombytes_uniform(2 * spread + 1), 0);
    }
    return rc;
}

static void nothing_read(void *arg, otr_bytes plain)
{
    (void)arg;
    (void)plain;
}

static void nothing_ended(void *arg, const otr_err *why)
{
    (void)arg;
    (void)why;
}

/* Before the connection takes the pipe, within one function: never called. */
static const otr_rpc_pipe_ops no_ops = {
    .read = nothing_read,
    .ready = on_ready,
    .drained = on_ready,
    .ended = nothing_ended,
};

static otr_code open_conn(client *c, int fd, otr_tls *tls, otr_err *err)
{
    otr_rpc_pipe *pipe = NULL;
    otr_rpc_server *server = c->server;
    otr_code rc = otr_rpc_pipe_new(server->loop, fd, &no_ops, NULL, &pipe, err);
    if (rc != OTR_OK) {
        (void)close(fd);
        return rc;
    }
    if (tls != NULL) {
        rc = otr_rpc_pipe_secure(pipe, tls, NULL, err);
    }
    if (rc == OTR_OK) {
        rc = otr_rpc_conn_new(server->loop, OTR_RPC_SERVER, pipe, &server->spec.limits, &c->conn,
                              err);
    }
    if (rc != OTR_OK) {
        otr_rpc_pipe_free(pipe);
        return rc;
    }
    otr_rpc_conn_set_owner(c->conn, &conn_ops, c);
    return limit_age(c, err);
}

/* Owns `fd`. */
static otr_code add_client(listener *l, int fd, const otr_rpc_address *from, otr_err *err)
{
    otr_rpc_server *server = l->server;
    char text[OTR_RPC_BOUND_BYTES];
    client *c = otr_zalloc(sizeof(*c));
    if (c == NULL) {
        (void)close(fd);
        return otr_fail_nomem(err);
    }
    c->server = server;
    otr_code rc = open_conn(c, fd, l->tls, err);
    if (rc != OTR_OK) {
        otr_timer_free(c->age);
        otr_rpc_conn_free(c->conn);
        otr_free(c);
        return rc;
    }
    otr_rpc_conn_set_peer(
        c->conn, l->path[0] != '\0' ? "unix" : otr_rpc_address_text(from, text, sizeof(text)));
    c->next = server->clients;
    server->clients = c;
    server->n_clients++;
    server->accepted++;
    return OTR_OK;
}

static void on_again(void *arg)
{
    otr_rpc_server *server = arg;
    for (size_t i = 0; i < server->n_listeners; i++) {
        otr_watch_start(server->listeners[i].watch);
    }
}

static void take_socket(listener *l, int fd, const otr_rpc_address *from)
{
    otr_rpc_server *server = l->server;
    otr_err err = { 0 };
    int one = 1;
    if (server->n_clients >= server->spec.max_connections) {
        (void)otr_fail(&server->error, OTR_EQUOTA, "a connection was refused: %zu are there",
                       server->n_clients);
        server->refused++;
        (void)close(fd);
        return;
    }
    if (from->at.ss_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    if (add_client(l, fd, from, &err) != OTR_OK) {
        server->error = err;
        server->refused++;
    }
}

static void on_accept(void *arg, int events)
{
    listener *l = arg;
    otr_rpc_server *server = l->server;
    (void)events;
    for (int i = 0; i < AT_ONCE; i++) {
        otr_rpc_address from = { .size = sizeof(from.at) };
        int fd =
            accept4(l->fd, (struct sockaddr *)&from.at, &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_socket(l, fd, &from);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        }
        if (otr_fds_lack(errno) || errno == ENOBUFS || errno == ENOMEM) {
            (void)otr_fail_sys(&server->error, errno, "a connection cannot be accepted");
            otr_watch_stop(l->watch); /* the waiting one would wake us without end */
            otr_timer_start(server->again, RETRY_MS, 0);
            break;
        }
    }
}

/* ---- listening ---- */

/* A socket file that nobody listens on any more goes. */
static void clear_path(const char *path, const otr_rpc_address *at)
{
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        if (connect(fd, (const struct sockaddr *)&at->at, at->size) != 0 && errno == ECONNREFUSED) {
            (void)unlink(path);
        }
        (void)close(fd);
    }
}

static otr_code open_listener(listener *l, const otr_rpc_target *target, otr_rpc_address *at,
                              otr_err *err)
{
    int one = 1;
    otr_code rc = OTR_OK;
    if (target->local) {
        rc = otr_rpc_address_of_path(target->path, at, err);
    } else if (!otr_rpc_address_parse(otr_bytes_of(target->host), target->port, at)) {
        rc = otr_fail(err, OTR_EINVAL, "\"%s\" is no address to listen on", target->host);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    l->fd = socket(at->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        return otr_fail_sys(err, errno, "cannot open a socket");
    }
    if (target->local) {
        (void)fchmod(l->fd, SOCKET_MODE); /* what bind() makes gets it */
        clear_path(target->path, at);
    } else {
        (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    if (bind(l->fd, (const struct sockaddr *)&at->at, at->size) != 0) {
        return otr_fail_sys(err, errno, "cannot listen");
    }
    if (target->local) {
        (void)snprintf(l->path, sizeof(l->path), "%s", target->path);
    }
    if (listen(l->fd, BACKLOG) != 0) {
        return otr_fail_sys(err, errno, "cannot listen");
    }
    at->size = sizeof(at->at);
    (void)getsockname(l->fd, (struct sockaddr *)&at->at, &at->size);
    return OTR_OK;
}

static void close_listener(listener *l)
{
    otr_watch_free(l->watch);
    if (l->fd >= 0) {
        (void)close(l->fd);
    }
    if (l->path[0] != '\0') {
        (void)unlink(l->path);
    }
}

/* "host:0" is a target here: any port. */
static otr_code parse(const char *text, otr_rpc_target *ret, otr_err *err)
{
    char copy[OTR_RPC_AUTHORITY_BYTES];
    size_t n = strlen(text);
    if (n < 2 || n >= sizeof(copy) || strcmp(text + n - 2, ":0") != 0) {
        return otr_rpc_target_parse(text, 0, ret, err);
    }
    (void)snprintf(copy, sizeof(copy), "%.*s", (int)(n - 2), text);
    otr_code rc = otr_rpc_target_parse(copy, 1, ret, err);
    ret->port = 0;
    return rc;
}

otr_code otr_rpc_server_listen(otr_rpc_server *server, const char *target, otr_tls *tls,
                               char bound[OTR_RPC_BOUND_BYTES], otr_err *err)
{
    otr_rpc_target to;
    otr_rpc_address at;
    if (server->n_listeners == LISTENERS || server->stopping) {
        return otr_fail(err, OTR_ESTATE, "the server listens on no more addresses");
    }
    otr_code rc = parse(target, &to, err);
    if (rc != OTR_OK) {
        return rc;
    }
    listener *l = &server->listeners[server->n_listeners];
    *l = (listener){ .server = server, .fd = -1, .tls = tls };
    rc = open_listener(l, &to, &at, err);
    if (rc == OTR_OK) {
        rc = otr_watch_new(server->loop, l->fd, OTR_WATCH_READ, on_accept, l, &l->watch, err);
    }
    if (rc != OTR_OK) {
        close_listener(l);
        return otr_wrap(err, rc, "%s", target);
    }
    server->n_listeners++;
    (void)otr_rpc_address_text(&at, bound, OTR_RPC_BOUND_BYTES);
    return OTR_OK;
}

static void close_listeners(otr_rpc_server *server)
{
    for (size_t i = 0; i < server->n_listeners; i++) {
        close_listener(&server->listeners[i]);
    }
    server->n_listeners = 0;
}

/* ---- life ---- */

static void cut_off(void *arg)
{
    otr_rpc_server *server = arg;
    while (server->clients != NULL) {
        drop_client(server->clients);
    }
    look_if_stopped(server);
}

otr_code otr_rpc_server_new(otr_loop *loop, const otr_rpc_server_spec *spec, otr_rpc_server **ret,
                            otr_err *err)
{
    otr_rpc_server *server = otr_zalloc(sizeof(*server));
    if (server == NULL) {
        return otr_fail_nomem(err);
    }
    server->loop = loop;
    server->spec = *spec;
    server->spec.limits = otr_rpc_limits_of(&spec->limits);
    if (server->spec.max_connections == 0) {
        server->spec.max_connections = OTR_LIMIT_RPC_CONNECTIONS;
    }
    otr_code rc = otr_timer_new(loop, on_again, server, &server->again, err);
    rc = rc == OTR_OK ? otr_timer_new(loop, cut_off, server, &server->deadline, err) : rc;
    if (rc != OTR_OK) {
        otr_rpc_server_free(server);
        return rc;
    }
    *ret = server;
    return OTR_OK;
}

void otr_rpc_server_free(otr_rpc_server *server)
{
    if (server != NULL) {
        server->done = NULL;
        close_listeners(server);
        while (server->clients != NULL) {
            drop_client(server->clients);
        }
        otr_loop_defer_cancel(&server->later);
        otr_timer_free(server->again);
        otr_timer_free(server->deadline);
        otr_free(server);
    }
}

void otr_rpc_server_stop(otr_rpc_server *server, uint64_t timeout_ms, otr_loop_fn *done, void *arg)
{
    if (server->stopping) {
        return;
    }
    server->stopping = true;
    server->done = done;
    server->done_arg = arg;
    close_listeners(server);
    for (client *c = server->clients; c != NULL; c = c->next) {
        otr_rpc_conn_drain(c->conn);
    }
    otr_timer_start(server->deadline, timeout_ms, 0);
    look_if_stopped(server);
}

void otr_rpc_server_read(const otr_rpc_server *server, otr_rpc_server_info *ret)
{
    *ret = (otr_rpc_server_info){ .connections = server->n_clients,
                                  .accepted = server->accepted,
                                  .refused = server->refused };
    for (const client *c = server->clients; c != NULL; c = c->next) {
        ret->calls += otr_rpc_conn_calls(c->conn);
    }
    (void)snprintf(ret->last_error, sizeof(ret->last_error), "%s", server->error.msg);
}
