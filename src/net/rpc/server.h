/*
 * A gRPC server: listens, and hands each call to its owner.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_RPC_SERVER_H
#define OTR_NET_RPC_SERVER_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "net/rpc/call.h"
#include "net/rpc/conn.h"
#include "net/tls/tls.h"

typedef struct otr_rpc_server otr_rpc_server;

typedef struct otr_rpc_server_spec {
    otr_rpc_limits limits;
    size_t max_connections; /* 0: the default; one more is closed at once */
    uint64_t max_age_ms;    /* of a connection, give or take a tenth, then it is drained; 0: none */
    uint64_t max_grace_ms;  /* for its calls after that; 0: without end */
    /* A call: otr_rpc_call_accept() it, else it is answered with OTR_RPC_UNIMPLEMENTED. */
    void (*call)(void *arg, otr_rpc_call *call);
    void *arg;
} otr_rpc_server_spec;

otr_code otr_rpc_server_new(otr_loop *loop, const otr_rpc_server_spec *spec, otr_rpc_server **ret,
                            otr_err *err) OTR_MUST_CHECK;
/* Calls that are left end with OTR_RPC_UNAVAILABLE. */
void otr_rpc_server_free(otr_rpc_server *server);

enum { OTR_RPC_BOUND_BYTES = 128 };
/* "127.0.0.1:0", "[::]:443", "unix:/path" (mode 0600; a socket that nobody listens on any more is
 * replaced). `tls` is borrowed; NULL: plain text. `bound` gets the address, with its port. */
otr_code otr_rpc_server_listen(otr_rpc_server *server, const char *target, otr_tls *tls,
                               char bound[OTR_RPC_BOUND_BYTES], otr_err *err) OTR_MUST_CHECK;

/* Takes no more connections and calls; `done` follows, once, when the calls under way have ended or
 * at the latest after so long, when those that are left are cut off. Free the server in it or
 * later. */
void otr_rpc_server_stop(otr_rpc_server *server, uint64_t timeout_ms, otr_loop_fn *done, void *arg);

typedef struct otr_rpc_server_info {
    size_t connections, calls;
    uint64_t accepted, refused;         /* connections so far */
    char last_error[OTR_ERR_MSG_BYTES]; /* of a connection that failed; "" */
} otr_rpc_server_info;
void otr_rpc_server_read(const otr_rpc_server *server, otr_rpc_server_info *ret);

#endif
