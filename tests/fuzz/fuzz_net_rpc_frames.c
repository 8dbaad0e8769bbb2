/*
 * Bytes of a peer, through HTTP/2 into calls, in both roles: whatever comes, each call ends once.
 *
 * The first byte chooses: the role, whether the reader pauses, how the bytes are cut.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/rpc/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS = 3, ROUNDS = 12, SERVER = 1, PAUSES = 2, STATUS = 4, CUT = 8, CUT_BYTES = 7 };

typedef struct peer {
    otr_loop *loop;
    otr_rpc_conn *conn;
    otr_rpc_call *calls[CALLS];
    unsigned mode, begun, closed;
    bool gone;
} peer;

static void on_message(void *arg, otr_rpc_call *call, otr_bytes message)
{
    peer *p = arg;
    if ((p->mode & PAUSES) != 0) {
        otr_rpc_call_pause(call);
    }
    if ((p->mode & SERVER) != 0) {
        (void)!otr_rpc_call_send(call, message, NULL);
    }
}

static void on_finished(void *arg, otr_rpc_call *call)
{
    peer *p = arg;
    otr_rpc_call_end(call, (p->mode & STATUS) != 0 ? OTR_RPC_ABORTED : OTR_RPC_OK, "end", NULL);
}

static void on_call_closed(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    peer *p = arg;
    p->closed++;
    if (end->message == NULL || (unsigned)end->status > OTR_RPC_UNAUTHENTICATED) {
        abort();
    }
    if ((p->mode & SERVER) != 0) {
        otr_rpc_call_free(call);
    }
}

static const otr_rpc_call_ops call_ops = {
    .message = on_message,
    .finished = on_finished,
    .closed = on_call_closed,
};

static void on_incoming(void *arg, otr_rpc_call *call)
{
    peer *p = arg;
    p->begun++;
    otr_rpc_call_accept(call, &call_ops, p);
}

static void nothing(void *arg)
{
    (void)arg;
}

static bool on_refused(void *arg, otr_rpc_call *call)
{
    (void)arg;
    (void)call;
    return false;
}

static void on_goaway(void *arg, bool too_many_pings)
{
    (void)arg;
    (void)too_many_pings;
}

static void on_closed(void *arg, const otr_err *why)
{
    peer *p = arg;
    if (why->msg[0] == '\0') {
        abort();
    }
    p->gone = true;
}

static const otr_rpc_conn_ops conn_ops = {
    .ready = nothing,
    .incoming = on_incoming,
    .refused = on_refused,
    .goaway = on_goaway,
    .idle = nothing,
    .room = nothing,
    .closed = on_closed,
};

static const otr_rpc_pipe_ops no_ops;

/* The connection, and a client's calls on it. */
static void set_up(peer *p, int fd)
{
    static const uint8_t greeting[] = "hello";
    const otr_rpc_limits given = { .max_recv_bytes = 4096, .held_bytes = 16384, .min_ping_ms = 10 };
    const otr_rpc_limits limits = otr_rpc_limits_of(&given);
    otr_rpc_role role = (p->mode & SERVER) != 0 ? OTR_RPC_SERVER : OTR_RPC_CLIENT;
    otr_rpc_pipe *pipe = NULL;
    if (otr_loop_new(&p->loop, NULL) != OTR_OK ||
        otr_rpc_pipe_new(p->loop, fd, &no_ops, NULL, &pipe, NULL) != OTR_OK ||
        otr_rpc_conn_new(p->loop, role, pipe, &limits, &p->conn, NULL) != OTR_OK) {
        abort();
    }
    otr_rpc_conn_set_owner(p->conn, &conn_ops, p);
    const otr_rpc_call_setup setup = {
        .loop = p->loop, .role = OTR_RPC_CLIENT, .limits = &limits, .ops = &call_ops, .arg = p
    };
    for (size_t i = 0; role == OTR_RPC_CLIENT && i < CALLS; i++) {
        otr_rpc_call *call = NULL;
        if (otr_rpc_call_new(&setup, &call, NULL) != OTR_OK) {
            abort();
        }
        call->path = otr_strdup("/x");
        call->authority = otr_strdup("x");
        p->calls[i] = call;
        p->begun++;
        if (otr_rpc_conn_begin(p->conn, call, NULL) != OTR_OK ||
            otr_rpc_call_send(call, (otr_bytes){ greeting, sizeof(greeting) }, NULL) != OTR_OK) {
            abort();
        }
        if (i > 0) {
            otr_rpc_call_finish(call);
        }
    }
}

static void feed(peer *p, int fd, const uint8_t *data, size_t size)
{
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    enum { MAGIC = 24 };
    uint8_t sink[4096];
    size_t skip = (p->mode & SERVER) != 0 ? 0 : MAGIC;
    size_t step = (p->mode & CUT) != 0 ? CUT_BYTES : size;
    (void)!send(fd, preface + skip, sizeof(preface) - 1 - skip, MSG_NOSIGNAL);
    while (size > 0 && !p->gone) {
        size_t n = step < size ? step : size;
        if (send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            break;
        }
        data += n;
        size -= n;
        otr_loop_step(p->loop, 0);
    }
    for (int i = 0; i < ROUNDS && !p->gone; i++) {
        otr_loop_step(p->loop, 0);
        while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0) {
        }
        for (size_t k = 0; k < CALLS; k++) {
            if (p->calls[k] != NULL) {
                otr_rpc_call_resume(p->calls[k]);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    peer p = { 0 };
    if (size == 0 || size > 65536 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
        return 0;
    }
    p.mode = data[0];
    set_up(&p, fds[0]);
    feed(&p, fds[1], data + 1, size - 1);
    (void)close(fds[1]);
    otr_loop_step(p.loop, 0);
    otr_rpc_conn_free(p.conn);
    for (int i = 0; i < ROUNDS; i++) {
        otr_loop_step(p.loop, 0);
    }
    if (p.closed != p.begun) {
        abort();
    }
    for (size_t i = 0; i < CALLS; i++) {
        otr_rpc_call_free(p.calls[i]);
    }
    otr_loop_free(p.loop);
    return 0;
}
