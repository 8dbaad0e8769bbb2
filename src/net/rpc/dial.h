/*
 * From a target to a connection that HTTP/2 can begin on: name, socket, proxy, TLS.
 *
 * All addresses of a name are tried, IPv6 and IPv4 by turns: the next one as soon as one failed, or
 * when it has not answered for 250 ms (RFC 8305). The first that answers is taken. One timeout is
 * over all of it.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_RPC_DIAL_H
#define OTR_NET_RPC_DIAL_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "net/rpc/pipe.h"
#include "net/rpc/proxy.h"
#include "net/rpc/target.h"

typedef struct otr_rpc_dial otr_rpc_dial;

/* Never from inside otr_rpc_dial_start(). `pipe` is the callee's, NULL: it failed, `err` says at
 * what. Free the dial then, or in it. */
typedef void otr_rpc_dial_fn(void *arg, otr_rpc_pipe *pipe, const otr_err *err);

/* All is borrowed until done or freed. */
typedef struct otr_rpc_dial_spec {
    const otr_rpc_target *target;
    const otr_rpc_proxy *proxy; /* NULL: none */
    otr_tls *tls;               /* NULL: plain text */
    uint64_t timeout_ms;
    unsigned turn; /* of the addresses: which one is the first to be tried */
    otr_rpc_dial_fn *done;
    void *arg;
} otr_rpc_dial_spec;

otr_code otr_rpc_dial_start(otr_loop *loop, const otr_rpc_dial_spec *spec, otr_rpc_dial **ret,
                            otr_err *err) OTR_MUST_CHECK;
void otr_rpc_dial_free(otr_rpc_dial *dial); /* NULL is fine */

#endif
