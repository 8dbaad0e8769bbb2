/*
 * A connection as bytes: a socket, under none, one or two layers of TLS (the inner one ends at the
 * server, the outer one at an https proxy).
 *
 * What is written is kept until the socket takes it; who writes looks at otr_rpc_pipe_pending()
 * and stops in time. Nothing blocks, and no call here calls back: only the loop does.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_RPC_PIPE_H
#define OTR_NET_RPC_PIPE_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "net/tls/tls.h"

typedef struct otr_rpc_pipe otr_rpc_pipe;

/* Freeing the pipe is safe in each of them. */
typedef struct otr_rpc_pipe_ops {
    void (*read)(void *arg, otr_bytes plain); /* borrowed until return */
    void (*ready)(void *arg);                 /* the handshake of the layer put on last is done */
    void (*drained)(void *arg);               /* the socket has taken all that was pending */
    /* Once, the last: the peer ended in order (OTR_ESTATE), or it broke. */
    void (*ended)(void *arg, const otr_err *why);
} otr_rpc_pipe_ops;

/* Owns the connected socket `fd` from success on. */
otr_code otr_rpc_pipe_new(otr_loop *loop, int fd, const otr_rpc_pipe_ops *ops, void *arg,
                          otr_rpc_pipe **ret, otr_err *err) OTR_MUST_CHECK;
/* Gives it to another owner. */
void otr_rpc_pipe_hand_over(otr_rpc_pipe *pipe, const otr_rpc_pipe_ops *ops, void *arg);
/* Puts a layer on top; `ready` follows. */
otr_code otr_rpc_pipe_secure(otr_rpc_pipe *pipe, otr_tls *tls, const char *host, otr_err *err)
    OTR_MUST_CHECK;
/* Bytes that were read too far before a layer was put on, or the pipe handed over: they are given
 * to the layer or the owner at the end of this round, before all that is read later. */
otr_code otr_rpc_pipe_return(otr_rpc_pipe *pipe, otr_bytes rest, otr_err *err) OTR_MUST_CHECK;
otr_code otr_rpc_pipe_write(otr_rpc_pipe *pipe, otr_bytes plain, otr_err *err) OTR_MUST_CHECK;
/* Sends what the socket takes at once. An error is told by `ended`. */
void otr_rpc_pipe_flush(otr_rpc_pipe *pipe);
/* All handshakes are done: it can be written to. */
bool otr_rpc_pipe_ready(const otr_rpc_pipe *pipe);
size_t otr_rpc_pipe_pending(const otr_rpc_pipe *pipe);
/* Sends what the socket takes at once, says goodbye and closes; no more callbacks. */
void otr_rpc_pipe_free(otr_rpc_pipe *pipe);

/* Of the layer put on last; false: there is none. */
bool otr_rpc_pipe_peer(const otr_rpc_pipe *pipe, otr_tls_peer *ret);

#endif
