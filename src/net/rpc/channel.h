/*
 * A client's way to one server: connects, connects again after ever longer waits, and carries
 * calls.
 *
 *     idle ──► connecting ──► ready ──► (the connection ends) ──► idle or connecting
 *                  │  ▲
 *                  ▼  │ after the wait
 *            transient failure
 *
 * It connects when a call needs it, or stays connected from otr_rpc_channel_connect() on. A call
 * that is begun while it connects waits; one that is begun in a transient failure fails at once,
 * unless it is told to wait. When the server says that it takes no more calls (GOAWAY), those under
 * way go on and new ones go to a new connection; calls that the server never began are begun anew
 * there.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_RPC_CHANNEL_H
#define OTR_NET_RPC_CHANNEL_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "net/rpc/backoff.h"
#include "net/rpc/call.h"
#include "net/rpc/conn.h"
#include "net/rpc/proxy.h"
#include "net/rpc/token.h"
#include "net/tls/tls.h"

typedef struct otr_rpc_channel otr_rpc_channel;

typedef enum otr_rpc_state {
    OTR_RPC_IDLE,
    OTR_RPC_CONNECTING,
    OTR_RPC_READY,
    OTR_RPC_TRANSIENT_FAILURE,
} otr_rpc_state;
const char *otr_rpc_state_name(otr_rpc_state state); /* "transient failure" */

/* Optional, all of them; from the loop, never from inside a call here. Freeing the channel is safe
 * in them. */
typedef struct otr_rpc_channel_ops {
    /* The state is another one than at the last call. Short ones between may not be told. `why` is
     * the last failure, "" when ready. */
    void (*state)(void *arg, otr_rpc_state state, const char *why);
    /* Certificates or the token changed. OTR_TLS_TAKEN: new connections, and new calls, use them;
     * otr_rpc_channel_renew() makes a new connection now. OTR_TLS_REFUSED: `why`. */
    void (*files)(void *arg, otr_tls_change change, const char *why);
} otr_rpc_channel_ops;

/* Texts are copied. */
typedef struct otr_rpc_channel_spec {
    const char *target;     /* see target.h */
    const char *authority;  /* NULL or "": the server name of `tls`, else host:port */
    const char *user_agent; /* NULL or "": "outrider/<version>" */
    otr_tls *tls;           /* borrowed; NULL: plain text. One for each channel. */
    otr_rpc_token
        *token; /* borrowed; NULL: none. It is not sent in plain text, but to the loopback */
    const otr_rpc_proxy_spec *proxy; /* NULL: none */
    otr_rpc_backoff backoff;
    otr_rpc_limits limits;
    uint64_t connect_timeout_ms; /* from the name to the server's settings; 0: 20 s */
    uint64_t refresh_ms;         /* how often files are looked at; 0: 5 s */
    const otr_rpc_channel_ops *ops;
    void *arg;
} otr_rpc_channel_spec;

otr_code otr_rpc_channel_new(otr_loop *loop, const otr_rpc_channel_spec *spec,
                             otr_rpc_channel **ret, otr_err *err) OTR_MUST_CHECK;
/* Its calls end with OTR_RPC_UNAVAILABLE; they stay their owners'. */
void otr_rpc_channel_free(otr_rpc_channel *channel);
/* Stay connected from now on. */
void otr_rpc_channel_connect(otr_rpc_channel *channel);
/* Calls under way go on where they are, all others go to a new connection. */
void otr_rpc_channel_renew(otr_rpc_channel *channel);

typedef struct otr_rpc_channel_info {
    otr_rpc_state state;
    uint64_t since_ns;                  /* monotonic: of the state */
    char last_error[OTR_ERR_MSG_BYTES]; /* "" : none yet. It stays when the channel is ready again.
                                         */
    uint64_t error_ns;                  /* of the last error; 0: none */
    uint64_t retry_ns;                  /* of the next attempt; 0: none is planned */
    unsigned attempts;                  /* that failed since the channel was last ready */
    uint64_t connects;                  /* that succeeded */
    size_t calls, waiting;              /* under way, and not begun */
    bool secure;
    otr_tls_peer peer;
} otr_rpc_channel_info;
void otr_rpc_channel_read(const otr_rpc_channel *channel, otr_rpc_channel_info *ret);

typedef enum otr_rpc_wait { OTR_RPC_FAIL_FAST, OTR_RPC_WAIT_FOR_READY } otr_rpc_wait;

typedef struct otr_rpc_call_spec {
    const char *path;                 /* "/package.Service/Method" */
    const otr_rpc_metadata *metadata; /* NULL: none; copied */
    uint64_t timeout_ms;              /* 0: none */
    otr_rpc_wait wait;
    size_t max_recv_bytes; /* 0: the channel's */
    const otr_rpc_call_ops *ops;
    void *arg;
} otr_rpc_call_spec;

/* `*ret` is the caller's, to be freed at any time. OTR_EQUOTA: too many calls are under way. */
otr_code otr_rpc_call_start(otr_rpc_channel *channel, const otr_rpc_call_spec *spec,
                            otr_rpc_call **ret, otr_err *err) OTR_MUST_CHECK;

#endif
