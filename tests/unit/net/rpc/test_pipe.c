/*
 * The pipe below a connection, at a socket that takes less than waits for it.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "net/rpc/pipe.h"
#include "support/test.h"

static void on_read(void *arg, otr_bytes plain)
{
    (void)arg;
    (void)plain;
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static void on_ended(void *arg, const otr_err *why)
{
    (void)why;
    *(bool *)arg = true;
}

static const otr_rpc_pipe_ops ops = {
    .read = on_read, .ready = on_nothing, .drained = on_nothing, .ended = on_ended
};

/* Fills the pipe up again and again before the peer has read all; true: every byte came, in order.
 */
static bool pour(otr_rpc_pipe *pipe, int peer, size_t total)
{
    enum { STEP = 997, WAITS = 65536 };
    uint8_t bytes[STEP], got[8192];
    size_t put = 0, came = 0;
    while (came < total) {
        while (otr_rpc_pipe_pending(pipe) < WAITS) {
            for (size_t i = 0; i < STEP; i++) {
                bytes[i] = (uint8_t)((put + i) % 251);
            }
            if (otr_rpc_pipe_write(pipe, (otr_bytes){ bytes, STEP }, NULL) != OTR_OK) {
                return false;
            }
            put += STEP;
            otr_rpc_pipe_flush(pipe);
        }
        ssize_t n = read(peer, got, sizeof got);
        for (ssize_t i = 0; i < n; i++) {
            if (got[i] != (came + (size_t)i) % 251) {
                return false;
            }
        }
        came += n > 0 ? (size_t)n : total;
        otr_rpc_pipe_flush(pipe);
    }
    return came < total + sizeof got;
}

T(a_peer_that_never_takes_all_is_sent_any_amount)
{
    otr_loop *loop = NULL;
    otr_rpc_pipe *pipe = NULL;
    otr_err err = { 0 };
    bool ended = false;
    int pair[2] = { -1, -1 };
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    otr_code rc = otr_loop_new(&loop, &err);
    rc = rc == OTR_OK ? otr_rpc_pipe_new(loop, pair[0], &ops, &ended, &pipe, &err) : rc;
    if (rc == OTR_OK) {
        bool all = pour(pipe, pair[1], 8U << 20);
        CHECK(all || otr_alloc_failed() > 0);
        CHECK(!ended);
    } else {
        (void)close(pair[0]);
    }
    otr_rpc_pipe_free(pipe);
    (void)close(pair[1]);
    otr_loop_free(loop);
}
