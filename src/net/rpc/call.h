/*
 * One call, in both roles: messages in and out, and one end.
 *
 * A message is bytes; what they mean is the caller's. Sending never waits: what the peer does not
 * take yet is kept, up to a mark above which otr_rpc_call_send() takes no more until `writable`.
 * A reader that is slow says otr_rpc_call_pause(): the peer may then send one window more, which
 * holds up no other call. Each call ends once, with `closed`, whatever happens to peer, connection
 * or deadline.
 *
 * Callbacks come from the loop. In each of them every function here may be called, also
 * otr_rpc_call_free(), after which no callback follows.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_RPC_CALL_H
#define OTR_NET_RPC_CALL_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "net/rpc/metadata.h"
#include "net/rpc/status.h"
#include "net/tls/tls.h"

typedef struct otr_rpc_call otr_rpc_call;

/* Borrowed until return, all of it. */
typedef struct otr_rpc_end {
    otr_rpc_status status;
    const char *message;              /* for a person; "" */
    const otr_rpc_metadata *trailers; /* of the peer; client */
    bool answered;                    /* the status is the peer's word, not ours about it */
} otr_rpc_end;

typedef struct otr_rpc_call_ops {
    /* Optional. Client: what the peer sent before its first message; not for an answer that is a
     * status alone. */
    void (*headers)(void *arg, otr_rpc_call *call, const otr_rpc_metadata *headers);
    void (*message)(void *arg, otr_rpc_call *call, otr_bytes message); /* borrowed until return */
    /* Optional. Server: the client sends no more. */
    void (*finished)(void *arg, otr_rpc_call *call);
    /* Optional. After otr_rpc_call_full() was true: half of the mark is free again. */
    void (*writable)(void *arg, otr_rpc_call *call);
    void (*closed)(void *arg, otr_rpc_call *call, const otr_rpc_end *end);
} otr_rpc_call_ops;

/* Queues one message. OTR_EQUOTA: too much waits already, try again at `writable` (on a connection
 * where very much waits, a call that has nothing queued takes one message); OTR_EINVAL: it
 * is larger than max_send_bytes; OTR_ESTATE: the call is over, or no more was to follow. */
otr_code otr_rpc_call_send(otr_rpc_call *call, otr_bytes message, otr_err *err) OTR_MUST_CHECK;
/* Whether otr_rpc_call_send() would say OTR_EQUOTA now. Asking it orders `writable`. */
bool otr_rpc_call_full(otr_rpc_call *call);
size_t otr_rpc_call_queued(const otr_rpc_call *call); /* bytes that wait for the peer */
/* Client: no more messages follow. */
void otr_rpc_call_finish(otr_rpc_call *call);
/* No more `message` from now on (what came is kept), until otr_rpc_call_resume(). */
void otr_rpc_call_pause(otr_rpc_call *call);
void otr_rpc_call_resume(otr_rpc_call *call);
/* Tells the peer; `closed` follows with OTR_RPC_CANCELLED. */
void otr_rpc_call_cancel(otr_rpc_call *call);
/* Cancels it when it is not over. NULL is fine. */
void otr_rpc_call_free(otr_rpc_call *call);

/* ---- of a server's call ---- */

/* From `call` of the server's ops on, exactly once, before anything else. The call is the
 * callee's. */
void otr_rpc_call_accept(otr_rpc_call *call, const otr_rpc_call_ops *ops, void *arg);
const char *otr_rpc_call_path(const otr_rpc_call *call);      /* "/package.Service/Method" */
const char *otr_rpc_call_authority(const otr_rpc_call *call); /* "" */
const otr_rpc_metadata *otr_rpc_call_metadata(const otr_rpc_call *call);
/* Monotonic; UINT64_MAX: none. */
uint64_t otr_rpc_call_deadline_ns(const otr_rpc_call *call);
/* Who is at the other end: its address as text, and what TLS knows (false: plain text). */
const char *otr_rpc_call_peer(const otr_rpc_call *call);
bool otr_rpc_call_peer_tls(const otr_rpc_call *call, otr_tls_peer *ret);
/* Optional, before the first message: metadata that goes before it. */
otr_code otr_rpc_call_headers(otr_rpc_call *call, const otr_rpc_metadata *headers, otr_err *err)
    OTR_MUST_CHECK;
/* The end, after all that is queued; `closed` follows when it was sent. `message` and `trailers`
 * may be NULL. When memory is out the peer gets a bare status. */
void otr_rpc_call_end(otr_rpc_call *call, otr_rpc_status status, const char *message,
                      const otr_rpc_metadata *trailers);

#endif
