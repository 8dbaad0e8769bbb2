#include "net/rpc/pipe.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"

enum {
    LAYERS = 2,
    CHUNK = 16384,
    ROUND_BYTES = 256 * 1024, /* read in one turn of the loop, so that others get theirs */
    OUT_BYTES = 1024 * 1024,  /* nobody writes as much; answers to handshakes are bounded by it */
};

typedef struct layer {
    otr_tls_session *tls;
    otr_buf out; /* for the layer below; empty between calls */
    bool told;   /* that it is ready */
} layer;

struct otr_rpc_pipe {
    otr_loop *loop;
    int fd;
    otr_watch *watch;
    int events;
    const otr_rpc_pipe_ops *ops;
    void *arg;
    layer layers[LAYERS];
    size_t n_layers;
    otr_buf out; /* for the socket, from out_at on */
    size_t out_at;
    otr_buf rest; /* otr_rpc_pipe_return() */
    otr_defer later;
    bool want_drained, over, freed;
    otr_err why; /* over: told by `later` when it is not told yet */
    unsigned pins;
};

static void on_events(void *arg, int events);
static void on_later(void *arg);

otr_code otr_rpc_pipe_new(otr_loop *loop, int fd, const otr_rpc_pipe_ops *ops, void *arg,
                          otr_rpc_pipe **ret, otr_err *err)
{
    otr_rpc_pipe *pipe = otr_zalloc(sizeof(*pipe));
    if (pipe == NULL) {
        return otr_fail_nomem(err);
    }
    pipe->loop = loop;
    pipe->fd = fd;
    pipe->ops = ops;
    pipe->arg = arg;
    pipe->events = OTR_WATCH_READ;
    otr_buf_init(&pipe->out, OUT_BYTES);
    otr_buf_init(&pipe->rest, OTR_LIMIT_RPC_OUT_BYTES + CHUNK);
    otr_code rc = otr_watch_new(loop, fd, pipe->events, on_events, pipe, &pipe->watch, err);
    if (rc != OTR_OK) {
        otr_free(pipe);
        return rc;
    }
    *ret = pipe;
    return OTR_OK;
}

void otr_rpc_pipe_hand_over(otr_rpc_pipe *pipe, const otr_rpc_pipe_ops *ops, void *arg)
{
    pipe->ops = ops;
    pipe->arg = arg;
}

/* ---- life ---- */

static void release(otr_rpc_pipe *pipe)
{
    for (size_t i = 0; i < pipe->n_layers; i++) {
        otr_tls_session_free(pipe->layers[i].tls);
        otr_buf_deinit(&pipe->layers[i].out);
    }
    otr_buf_deinit(&pipe->out);
    otr_buf_deinit(&pipe->rest);
    otr_free(pipe);
}

static void unpin(otr_rpc_pipe *pipe)
{
    if (--pipe->pins == 0 && pipe->freed) {
        release(pipe);
    }
}

static void close_socket(otr_rpc_pipe *pipe)
{
    otr_watch_free(pipe->watch);
    pipe->watch = NULL;
    if (pipe->fd >= 0) {
        (void)close(pipe->fd);
        pipe->fd = -1;
    }
}

/* Nothing more is read or written; `ended` is told at the end of the round. */
static void break_off(otr_rpc_pipe *pipe, const otr_err *why)
{
    if (!pipe->over && !pipe->freed) {
        pipe->over = true;
        pipe->why = *why;
        otr_watch_stop(pipe->watch);
        otr_loop_defer(pipe->loop, &pipe->later, on_later, pipe);
    }
}

/* ---- writing ---- */

static void watch_for(otr_rpc_pipe *pipe, int events)
{
    if (pipe->watch != NULL && !pipe->over && pipe->events != events) {
        pipe->events = events;
        otr_watch_set(pipe->watch, events);
    }
}

/* Forgets what the socket has taken, also when it never takes all. */
static void trim(otr_rpc_pipe *pipe)
{
    size_t left = pipe->out.n - pipe->out_at;
    if (left == 0 || pipe->out_at > left) {
        if (left > 0) {
            memmove(pipe->out.p, pipe->out.p + pipe->out_at, left);
        }
        otr_buf_cut(&pipe->out, left);
        pipe->out_at = 0;
    }
}

static otr_code send_some(otr_rpc_pipe *pipe, otr_err *err)
{
    while (pipe->out_at < pipe->out.n && pipe->fd >= 0) {
        ssize_t n = send(pipe->fd, pipe->out.p + pipe->out_at, pipe->out.n - pipe->out_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (n < 0) {
            return otr_fail_sys(err, errno, "the connection broke");
        }
        pipe->out_at += (size_t)n;
    }
    trim(pipe);
    return OTR_OK;
}

void otr_rpc_pipe_flush(otr_rpc_pipe *pipe)
{
    otr_err err = { 0 };
    if (pipe->over) {
        return;
    }
    if (send_some(pipe, &err) != OTR_OK) {
        /* What the peer said before it closed explains more than our failed write: it is read
         * first, and reading meets the end. */
        otr_buf_clear(&pipe->out);
        pipe->out_at = 0;
        watch_for(pipe, OTR_WATCH_READ);
        return;
    }
    bool pending = pipe->out.n > 0;
    pipe->want_drained = pipe->want_drained || pending;
    watch_for(pipe, pending ? OTR_WATCH_READ | OTR_WATCH_WRITE : OTR_WATCH_READ);
}

size_t otr_rpc_pipe_pending(const otr_rpc_pipe *pipe)
{
    return pipe->out.n - pipe->out_at;
}

/* What the layers made goes down, from layer `at`. */
static otr_code sink(otr_rpc_pipe *pipe, size_t at, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = at + 1; i-- > 0 && rc == OTR_OK;) {
        otr_buf *made = &pipe->layers[i].out;
        if (made->n > 0) {
            rc = i == 0 ? otr_buf_add(&pipe->out, otr_buf_bytes(made), err)
                        : otr_tls_session_write(pipe->layers[i - 1].tls, otr_buf_bytes(made), err);
            otr_buf_clear(made);
        }
    }
    return rc;
}

otr_code otr_rpc_pipe_write(otr_rpc_pipe *pipe, otr_bytes plain, otr_err *err)
{
    if (pipe->over) {
        return otr_fail(err, OTR_ESTATE, "the connection is over");
    }
    if (pipe->n_layers == 0) {
        return otr_buf_add(&pipe->out, plain, err);
    }
    size_t top = pipe->n_layers - 1;
    otr_code rc = otr_tls_session_write(pipe->layers[top].tls, plain, err);
    return rc == OTR_OK ? sink(pipe, top, err) : rc;
}

otr_code otr_rpc_pipe_secure(otr_rpc_pipe *pipe, otr_tls *tls, const char *host, otr_err *err)
{
    if (pipe->n_layers == LAYERS) {
        return otr_fail(err, OTR_ESTATE, "too many layers of TLS");
    }
    layer *l = &pipe->layers[pipe->n_layers];
    otr_buf_init(&l->out, OUT_BYTES);
    otr_code rc = otr_tls_session_new(tls, host, &l->out, &l->tls, err);
    if (rc != OTR_OK) {
        return rc;
    }
    pipe->n_layers++;
    rc = otr_tls_session_start(l->tls, err);
    rc = rc == OTR_OK ? sink(pipe, pipe->n_layers - 1, err) : rc;
    otr_rpc_pipe_flush(pipe);
    return rc;
}

/* ---- reading ---- */

static void tell_ready(otr_rpc_pipe *pipe, size_t at)
{
    layer *l = &pipe->layers[at];
    if (!l->told && at + 1 == pipe->n_layers && otr_tls_session_ready(l->tls)) {
        l->told = true;
        pipe->ops->ready(pipe->arg);
    }
}

static otr_code rise(otr_rpc_pipe *pipe, size_t at, otr_bytes bytes, otr_err *err);

/* One step of a layer: what it makes of the bytes goes up, what it has for the peer goes down. */
static otr_code step(otr_rpc_pipe *pipe, size_t at, otr_bytes *bytes, size_t *ret_n, otr_err *err)
{
    uint8_t plain[CHUNK];
    otr_tls_session *tls = pipe->layers[at].tls;
    otr_code rc = otr_tls_session_read(tls, bytes, plain, sizeof(plain), ret_n, err);
    otr_code sunk = sink(pipe, at, rc == OTR_OK ? err : NULL);
    if (rc != OTR_OK || sunk != OTR_OK) {
        return rc != OTR_OK ? rc : sunk;
    }
    tell_ready(pipe, at);
    if (*ret_n > 0 && !pipe->freed && !pipe->over) {
        rc = rise(pipe, at + 1, (otr_bytes){ plain, *ret_n }, err);
    }
    if (rc == OTR_OK && !pipe->freed && otr_tls_session_ended(tls)) {
        rc = otr_fail(err, OTR_ESTATE, "the peer closed the connection");
    }
    return rc;
}

/* Bytes of the layer below `at` go up; above the last layer is the owner. */
static otr_code rise(otr_rpc_pipe *pipe, size_t at, otr_bytes bytes, otr_err *err)
{
    size_t n = 0;
    otr_code rc = OTR_OK;
    if (at == pipe->n_layers) {
        pipe->ops->read(pipe->arg, bytes);
        return OTR_OK;
    }
    do {
        rc = step(pipe, at, &bytes, &n, err);
    } while (rc == OTR_OK && (n > 0 || bytes.n > 0) && !pipe->freed && !pipe->over);
    return rc;
}

static void take(otr_rpc_pipe *pipe, otr_bytes bytes)
{
    otr_err err = { 0 };
    if (rise(pipe, 0, bytes, &err) != OTR_OK && !pipe->freed) {
        (void)send_some(pipe, NULL); /* an alert says why */
        break_off(pipe, &err);
    }
}

static void receive(otr_rpc_pipe *pipe)
{
    uint8_t chunk[CHUNK * 2];
    size_t taken = 0;
    while (taken < ROUND_BYTES && !pipe->over && !pipe->freed) {
        ssize_t n = recv(pipe->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (n <= 0) {
            otr_err why = { 0 };
            (void)(n < 0 ? otr_fail_sys(&why, errno, "the connection broke")
                         : otr_fail(&why, OTR_ESTATE, "the peer closed the connection"));
            break_off(pipe, &why);
            break;
        }
        taken += (size_t)n;
        take(pipe, (otr_bytes){ chunk, (size_t)n });
        if ((size_t)n < sizeof(chunk)) {
            break; /* there is no more, or the loop says so again */
        }
    }
}

static void give_rest(otr_rpc_pipe *pipe)
{
    if (pipe->rest.n > 0) {
        otr_buf rest = pipe->rest;
        otr_buf_init(&pipe->rest, rest.max_bytes);
        /* It came through all layers but the one that was put on since, or through all. */
        size_t at = pipe->n_layers;
        while (at > 0 && !pipe->layers[at - 1].told) {
            at--;
        }
        otr_err err = { 0 };
        if (rise(pipe, at, otr_buf_bytes(&rest), &err) != OTR_OK && !pipe->freed) {
            break_off(pipe, &err);
        }
        otr_buf_deinit(&rest);
    }
}

static void on_later(void *arg)
{
    otr_rpc_pipe *pipe = arg;
    pipe->pins++;
    if (!pipe->over) {
        give_rest(pipe);
    }
    if (pipe->over && !pipe->freed) {
        close_socket(pipe);
        pipe->ops->ended(pipe->arg, &pipe->why);
    } else if (!pipe->freed) {
        otr_rpc_pipe_flush(pipe);
    }
    unpin(pipe);
}

static void on_events(void *arg, int events)
{
    otr_rpc_pipe *pipe = arg;
    pipe->pins++;
    if ((events & OTR_WATCH_WRITE) != 0 && !pipe->over) {
        otr_rpc_pipe_flush(pipe);
        if (pipe->want_drained && pipe->out.n == 0 && !pipe->over) {
            pipe->want_drained = false;
            pipe->ops->drained(pipe->arg);
        }
    }
    if ((events & OTR_WATCH_READ) != 0 && !pipe->over && !pipe->freed) {
        give_rest(pipe);
        if (!pipe->over && !pipe->freed) {
            receive(pipe);
        }
    }
    if (!pipe->freed) {
        otr_rpc_pipe_flush(pipe); /* what the layers made */
    }
    unpin(pipe);
}

otr_code otr_rpc_pipe_return(otr_rpc_pipe *pipe, otr_bytes rest, otr_err *err)
{
    if (rest.n == 0) {
        return OTR_OK;
    }
    otr_code rc = otr_buf_add(&pipe->rest, rest, err);
    if (rc == OTR_OK) {
        otr_loop_defer(pipe->loop, &pipe->later, on_later, pipe);
    }
    return rc;
}

void otr_rpc_pipe_free(otr_rpc_pipe *pipe)
{
    if (pipe == NULL || pipe->freed) {
        return;
    }
    if (!pipe->over && pipe->n_layers > 0) {
        otr_tls_session_end(pipe->layers[pipe->n_layers - 1].tls);
        (void)sink(pipe, pipe->n_layers - 1, NULL);
    }
    if (!pipe->over) {
        (void)send_some(pipe, NULL);
    }
    otr_loop_defer_cancel(&pipe->later);
    close_socket(pipe);
    pipe->freed = true;
    if (pipe->pins == 0) {
        release(pipe);
    }
}

bool otr_rpc_pipe_peer(const otr_rpc_pipe *pipe, otr_tls_peer *ret)
{
    if (pipe->n_layers == 0) {
        *ret = (otr_tls_peer){ 0 };
        return false;
    }
    otr_tls_session_peer(pipe->layers[pipe->n_layers - 1].tls, ret);
    return true;
}

bool otr_rpc_pipe_ready(const otr_rpc_pipe *pipe)
{
    return pipe->n_layers == 0 || pipe->layers[pipe->n_layers - 1].told;
}
