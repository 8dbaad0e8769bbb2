/*
 * What the files of src/net/rpc share: the inside of a call and of a connection.
 *
 * A call knows its connection's HTTP/2 session, but no file below session.c calls one above it:
 * a call that has something to send wakes its connection by a deferred call.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_RPC_INTERNAL_H
#define OTR_NET_RPC_INTERNAL_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"
#include "net/rpc/call.h"
#include "net/rpc/conn.h"
#include "net/rpc/metadata.h"
#include "net/rpc/pipe.h"
#include "net/rpc/reader.h"
#include "net/rpc/status.h"

struct otr_rpc_call {
    otr_rpc_call *next, *prev; /* in the ring of its connection, or of who keeps it until then */
    size_t *ring_n;            /* how many are in it */
    otr_loop *loop;
    otr_rpc_conn *conn; /* NULL: none yet, or no stream any more */
    int32_t stream;     /* 0: none */
    otr_rpc_role role;
    otr_rpc_limits limits;
    const otr_rpc_call_ops *ops; /* NULL: a server's call that nobody has accepted */
    void *arg;
    unsigned pins;
    bool freed; /* by its owner */

    /* out */
    otr_buf out; /* messages with their prefixes, from out_at on */
    size_t out_at;
    size_t out_counted; /* in conn->queued */
    bool kept_all;      /* what was sent is still in `out`: it can be sent anew on another stream */
    bool finished;      /* nothing is added to `out` any more */
    bool full;          /* `writable` is due */
    bool answered;      /* server: headers are out */
    bool trailed;       /* server: trailers are out, or nothing can be sent any more */
    unsigned attempts;
    bool wait; /* client: for the channel to be ready */

    /* in */
    otr_rpc_reader reader;
    otr_buf held;   /* came while the reader was paused */
    size_t counted; /* of what is held and read in part, in conn->held */
    bool paused, delivering, wide;
    bool peer_done; /* it sends no more … */
    bool told_done; /* … and the owner knows */

    /* headers */
    char *path, *authority;
    otr_rpc_metadata headers; /* to be sent: a client's request */
    otr_rpc_metadata got;     /* those that come or came last */
    size_t header_bytes;      /* of those that come */
    unsigned http_status;
    bool got_headers, bad_type, got_type;
    otr_rpc_status got_bad; /* what came cannot be taken; the text is in `message` */
    bool has_status;
    otr_rpc_status status; /* of the peer, or of us as a server */
    otr_buf message;
    otr_rpc_metadata trailers; /* server: to be sent */

    /* the end */
    otr_timer *timer;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    bool ending;          /* over as soon as what is held was read */
    bool over, told;
    bool answered_end;
    otr_loop_fn *tell_fn;
    otr_defer tell;
};

struct otr_rpc_conn {
    otr_loop *loop;
    otr_rpc_pipe *pipe;
    nghttp2_session *session;
    otr_rpc_role role;
    const otr_rpc_conn_ops *ops;
    void *arg;
    otr_rpc_limits limits;
    otr_rpc_call calls; /* head of the ring */
    size_t n_calls;
    size_t queued; /* of all calls: waits for the peer */
    size_t held;   /* of all calls: received and not delivered */
    otr_defer pump;
    otr_loop_fn *pump_fn;
    otr_timer *timer; /* keepalive; until it is ready: of the handshake */
    bool ready, kept, closing, dead, freed, told;
    bool draining, drained; /* no new calls; and the peer knows which one is the last */
    bool pinged;
    bool useful; /* a call was answered on it */
    unsigned pins;
    uint64_t last_read_ns;
    double resets, controls; /* what is left of the budgets, at budget_ns */
    uint64_t budget_ns;
    uint64_t last_ping_ns;
    unsigned ping_strikes;
    char peer[128];
    otr_err why;
};

/* Something is to be sent. */
static inline void otr_rpc_conn_wake(otr_rpc_conn *conn)
{
    if (!conn->dead && !conn->freed) {
        otr_loop_defer(conn->loop, &conn->pump, conn->pump_fn, conn);
    }
}

/* Kept of what was sent until the peer answers. */
enum { OTR_RPC_REPLAY_BYTES = 65536 };

/* ---- call.c ---- */

typedef struct otr_rpc_call_setup {
    otr_loop *loop;
    otr_rpc_role role;
    const otr_rpc_limits *limits;
    const otr_rpc_call_ops *ops;
    void *arg;
} otr_rpc_call_setup;

otr_code otr_rpc_call_new(const otr_rpc_call_setup *setup, otr_rpc_call **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_rpc_call_pin(otr_rpc_call *call);
void otr_rpc_call_unpin(otr_rpc_call *call);
/* At the end of a ring that counts its calls. */
void otr_rpc_call_link(otr_rpc_call *head, size_t *count, otr_rpc_call *call);
void otr_rpc_call_unlink(otr_rpc_call *call);
void otr_rpc_call_attach(otr_rpc_call *call, otr_rpc_conn *conn, int32_t stream);
/* Leaves its connection: the stream is closed, or is to be forgotten. */
void otr_rpc_call_detach(otr_rpc_call *call);
/* The end as the owner sees it; the first counts. `message` NULL: what call->message holds. */
void otr_rpc_call_over(otr_rpc_call *call, otr_rpc_status status, const char *message);
/* Resets the stream as well. */
void otr_rpc_call_fail(otr_rpc_call *call, otr_rpc_status status, const char *message);
/* Over as soon as what is held was read. */
void otr_rpc_call_ending(otr_rpc_call *call);
otr_code otr_rpc_call_set_timeout(otr_rpc_call *call, uint64_t timeout_ns, otr_err *err)
    OTR_MUST_CHECK;
/* Bytes of the peer; they count against its window until they are read. */
void otr_rpc_call_feed(otr_rpc_call *call, otr_bytes bytes);
void otr_rpc_call_peer_done(otr_rpc_call *call);
/* ---- queue.c ---- */

/* After each change of what waits. */
void otr_rpc_call_count_queued(otr_rpc_call *call);
/* What is to be sent next, up to `cap`. `*ret_end`: nothing follows. */
size_t otr_rpc_call_take(otr_rpc_call *call, uint8_t *to, size_t cap, bool *ret_end);
/* Begins anew on another stream; false: some of it is gone. */
bool otr_rpc_call_rewind(otr_rpc_call *call);

/* ---- submit.c ---- */

/* A request; `*ret` is its stream, to which the call is to be attached. */
otr_code otr_rpc_submit_request(otr_rpc_call *call, otr_rpc_conn *conn, int32_t *ret, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_rpc_submit_headers(otr_rpc_call *call, const otr_rpc_metadata *headers, otr_err *err)
    OTR_MUST_CHECK;
/* The end of a server's call that has sent nothing: an answer that is nothing else. */
otr_code otr_rpc_submit_status_alone(otr_rpc_call *call, otr_err *err) OTR_MUST_CHECK;

/* ---- session.c ---- */

otr_code otr_rpc_session_new(otr_rpc_conn *conn, otr_err *err) OTR_MUST_CHECK;

/* ---- guard.c ---- */

/* A frame that cost the peer nothing. False: it has sent too many, conn->why says which. */
bool otr_rpc_guard_control(otr_rpc_conn *conn);
bool otr_rpc_guard_reset(otr_rpc_conn *conn);
bool otr_rpc_guard_ping(otr_rpc_conn *conn);

#endif
