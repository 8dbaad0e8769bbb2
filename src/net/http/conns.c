/* Connections of the HTTP server: accepted here, counted, and ended when their time is over. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/http/internal.h"

enum { ACCEPT_TURN = 64, ACCEPT_AGAIN_MS = 250 };

typedef union peer_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
} peer_address;

/* ---- deadlines ---- */

static void arm_sweep(otr_http_server *server, uint64_t at_ns, uint64_t now_ns)
{
    if (at_ns == 0 || (server->sweep_ns != 0 && server->sweep_ns <= at_ns)) {
        return;
    }
    server->sweep_ns = at_ns;
    uint64_t wait_ns = at_ns > now_ns ? at_ns - now_ns : 0;
    otr_timer_start(server->sweep, wait_ns / OTR_NS_PER_MS + 1, 0);
}

static uint64_t patience_ms(const otr_http_conn *conn, otr_http_phase phase)
{
    const otr_http_bounds *b = &conn->server->bounds;
    switch (phase) {
    case OTR_HTTP_WAITS:
        return conn->kept ? b->idle_ms : b->request_ms;
    case OTR_HTTP_READS:
        return b->request_ms;
    case OTR_HTTP_ANSWERS:
        return b->take_ms;
    default:
        return 0;
    }
}

void otr_http_conn_enter(otr_http_conn *conn, otr_http_phase phase)
{
    uint64_t now = otr_now_ns();
    uint64_t ms = patience_ms(conn, phase);
    conn->phase = phase;
    conn->since_ns = now;
    conn->deadline_ns = ms > 0 ? now + ms * OTR_NS_PER_MS : 0;
    arm_sweep(conn->server, conn->deadline_ns, now);
}

void otr_http_conn_wait(otr_http_conn *conn, uint64_t until_ns)
{
    otr_http_conn_enter(conn, OTR_HTTP_READS);
    if (conn->deadline_ns > until_ns) {
        conn->deadline_ns = until_ns;
        arm_sweep(conn->server, until_ns, otr_now_ns());
    }
}

/* The parser has no call that ends a connection from outside. With both ways of the socket shut it
 * meets the end at its next run. */
static void cut(otr_http_conn *conn)
{
    if (conn->phase == OTR_HTTP_ANSWERS) {
        /* What the kernel still holds for a peer that does not read goes with the close. */
        struct linger none = { .l_onoff = 1 };
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    (void)shutdown(conn->fd, SHUT_RDWR);
    otr_http_conn_enter(conn, OTR_HTTP_ENDS);
}

static void on_sweep(void *arg)
{
    otr_http_server *server = arg;
    uint64_t now = otr_now_ns();
    uint64_t next = 0;
    server->sweep_ns = 0;
    for (otr_http_conn *c = server->conns; c != NULL; c = c->next) {
        if (c->deadline_ns != 0 && c->deadline_ns <= now) {
            cut(c);
        } else if (c->deadline_ns != 0 && (next == 0 || c->deadline_ns < next)) {
            next = c->deadline_ns;
        }
    }
    arm_sweep(server, next, now);
    otr_http_drive(server);
}

/* ---- records ---- */

static otr_http_conn *add_record(otr_http_server *server, int fd)
{
    otr_http_conn *conn = otr_zalloc(sizeof(*conn));
    if (conn == NULL) {
        return NULL;
    }
    conn->server = server;
    conn->fd = fd;
    conn->next = server->conns;
    if (conn->next != NULL) {
        conn->next->prev = conn;
    }
    server->conns = conn;
    server->n_conns++;
    otr_http_conn_enter(conn, OTR_HTTP_WAITS);
    return conn;
}

void otr_http_conn_gone(otr_http_conn *conn)
{
    otr_http_server *server = conn->server;
    if (conn->stream != NULL) {
        conn->stream->conn = NULL;
    }
    *(conn->prev != NULL ? &conn->prev->next : &server->conns) = conn->next;
    if (conn->next != NULL) {
        conn->next->prev = conn->prev;
    }
    server->n_conns--;
    server->reply_bytes -= conn->reply_bytes;
    otr_buf_deinit(&conn->body);
    otr_free(conn);
    if (server->fds != NULL && !server->ending) {
        /* Its descriptor is closed right after this; the defer restores what was lent. */
        otr_loop_defer(server->loop, &server->wake, otr_http_drive, server);
    }
}

otr_http_conn *otr_http_conn_take_up(otr_http_server *server, otr_mhd_conn *mhd, int fd)
{
    for (otr_http_conn *c = server->conns; c != NULL; c = c->next) {
        if (c->fd == fd && c->mhd == NULL) {
            c->mhd = mhd;
            return c;
        }
    }
    return NULL;
}

/* What the parser did not take up in its run was closed by it. */
static void forget_lost(otr_http_server *server)
{
    otr_http_conn *next;
    for (otr_http_conn *c = server->conns; c != NULL; c = next) {
        next = c->next;
        if (c->mhd == NULL) {
            otr_http_conn_gone(c);
        }
    }
}

void otr_http_conns_deinit(otr_http_server *server)
{
    forget_lost(server);
}

/* ---- accepting ---- */

/* Who has waited longest for a request of its peer; one whose request has begun comes last. */
static otr_http_conn *find_idlest(const otr_http_server *server)
{
    otr_http_conn *best = NULL;
    for (otr_http_conn *c = server->conns; c != NULL; c = c->next) {
        bool may = c->phase == OTR_HTTP_WAITS || c->phase == OTR_HTTP_READS;
        if (may && (best == NULL || c->phase < best->phase ||
                    (c->phase == best->phase && c->since_ns < best->since_ns))) {
            best = c;
        }
    }
    return best;
}

static bool is_full(const otr_http_server *server)
{
    return server->n_conns >= server->bounds.connections;
}

/* A peer that asks goes before one that only holds a connection. */
static bool make_room(otr_http_server *server)
{
    if (is_full(server)) {
        otr_http_drive(server); /* what has arrived meanwhile is no longer idle */
    }
    if (is_full(server)) {
        otr_http_conn *idlest = find_idlest(server);
        if (idlest != NULL) {
            cut(idlest);
            otr_http_drive(server);
        }
    }
    return !is_full(server);
}

static void turn_away(int fd, const char *why)
{
    static const char head[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                               "Content-Type: application/json\r\nRetry-After: 1\r\n\r\n";
    (void)send(fd, head, sizeof(head) - 1, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
    (void)send(fd, why, strlen(why), MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    close(fd);
}

#define BUSY_JSON(message) "{\"error\":{\"code\":\"quota\",\"message\":\"" message "\"}}\n"
#define OUT_OF_DESCRIPTORS BUSY_JSON("the agent is out of file descriptors: see outrider status")

static void take(otr_http_server *server, int fd, const peer_address *from, socklen_t bytes)
{
    if (!make_room(server)) {
        turn_away(fd, BUSY_JSON("too many connections are open: try again in a moment"));
        return;
    }
    otr_http_conn *conn = add_record(server, fd);
    if (conn == NULL) {
        close(fd);
    } else if (otr_mhd_add(server->mhd, fd, &from->any, bytes) != OTR_OK && conn->mhd == NULL) {
        otr_http_conn_gone(conn);
    }
}

static int accept_one(const otr_http_server *server, peer_address *from, socklen_t *bytes)
{
    int fd = -1;
    do {
        *bytes = sizeof(*from);
        fd = accept4(server->socket.fd, &from->any, bytes, SOCK_CLOEXEC | SOCK_NONBLOCK);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd;
}

/* Out of descriptors: one spare is lent. On the status page it answers that; a peer of the admin
 * socket is served with it, and it comes back when that one leaves. */
static bool accept_on_spare(otr_http_server *server)
{
    peer_address from = { .any = { .sa_family = AF_UNSPEC } };
    socklen_t bytes = 0;
    if (server->fds == NULL) {
        return false;
    }
    server->fds->refused++;
    if (!otr_fds_lend(server->fds)) {
        return false;
    }
    int fd = accept_one(server, &from, &bytes);
    if (fd >= 0 && server->share == OTR_FDS_CORE) {
        take(server, fd, &from, bytes);
        return true;
    }
    if (fd >= 0) {
        turn_away(fd, OUT_OF_DESCRIPTORS);
    }
    otr_fds_restore(server->fds);
    return fd >= 0;
}

static void pause_accepting(otr_http_server *server)
{
    otr_watch_stop(server->accepts);
    otr_timer_start(server->again, ACCEPT_AGAIN_MS, 0);
}

static void on_again(void *arg)
{
    const otr_http_server *server = arg;
    otr_watch_start(server->accepts);
}

/* False when this turn is over. */
static bool accept_next(otr_http_server *server)
{
    peer_address from = { .any = { .sa_family = AF_UNSPEC } };
    socklen_t bytes = 0;
    int fd = accept_one(server, &from, &bytes);
    if (fd >= 0 && server->fds != NULL && !otr_fds_within(fd, server->share)) {
        server->fds->refused++;
        turn_away(fd, OUT_OF_DESCRIPTORS);
        return true;
    }
    if (fd >= 0) {
        take(server, fd, &from, bytes);
        return true;
    }
    if (errno == EAGAIN) {
        return false;
    }
    if (otr_fds_lack(errno) && accept_on_spare(server)) {
        return true;
    }
    pause_accepting(server); /* else the loop would turn for nothing but this */
    return false;
}

static void on_accept(void *arg, int events)
{
    (void)events;
    for (int i = 0; i < ACCEPT_TURN && accept_next(arg); i++) {
    }
    otr_http_drive(arg);
}

/* ---- the parser on our loop ---- */

void otr_http_drive(void *arg)
{
    otr_http_server *server = arg;
    uint64_t ms = otr_mhd_run(server->mhd);
    if (ms != UINT64_MAX) {
        otr_timer_start(server->timer, ms, 0);
    } else {
        otr_timer_stop(server->timer);
    }
    forget_lost(server);
    if (server->fds != NULL) {
        otr_fds_restore(server->fds);
    }
}

static void on_ready(void *arg, int events)
{
    (void)events;
    otr_http_drive(arg);
}

otr_code otr_http_conns_start(otr_http_server *server, otr_err *err)
{
    otr_code rc = otr_timer_new(server->loop, otr_http_drive, server, &server->timer, err);
    rc = rc != OTR_OK ? rc : otr_timer_new(server->loop, on_sweep, server, &server->sweep, err);
    rc = rc != OTR_OK ? rc : otr_timer_new(server->loop, on_again, server, &server->again, err);
    rc = rc != OTR_OK ? rc
                      : otr_watch_new(server->loop, otr_mhd_fd(server->mhd), OTR_WATCH_READ,
                                      on_ready, server, &server->watch, err);
    return rc != OTR_OK ? rc
                        : otr_watch_new(server->loop, server->socket.fd, OTR_WATCH_READ, on_accept,
                                        server, &server->accepts, err);
}

void otr_http_conns_stop_accepting(otr_http_server *server)
{
    otr_timer_free(server->again);
    server->again = NULL;
    otr_watch_free(server->accepts);
    server->accepts = NULL;
    otr_http_socket_close(&server->socket);
}
