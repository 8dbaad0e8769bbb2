/*
 * One HTTP/2 connection with its calls, as client or as server.
 *
 * Thread: loop.
 */
#ifndef OTR_NET_RPC_CONN_H
#define OTR_NET_RPC_CONN_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "net/rpc/call.h"
#include "net/rpc/pipe.h"

typedef struct otr_rpc_conn otr_rpc_conn;

typedef enum otr_rpc_role { OTR_RPC_CLIENT, OTR_RPC_SERVER } otr_rpc_role;

/* 0 means the default of base/limits.h, but where something else is said. */
typedef struct otr_rpc_limits {
    size_t max_recv_bytes; /* of one message, unpacked */
    size_t max_send_bytes;
    size_t queue_bytes; /* of one call: with so many waiting no message is taken */
    size_t
        sent_bytes; /* of all calls of a connection: with so many waiting a call takes one only */
    size_t held_bytes;             /* received on one connection and not delivered */
    size_t header_bytes;           /* that a peer sends at a time */
    unsigned max_streams;          /* server: calls under way on a connection */
    uint64_t keepalive_ms;         /* a ping after so long without a byte; 0: never */
    uint64_t keepalive_timeout_ms; /* the connection ends without an answer; 0: 20 s */
    bool keepalive_idle;           /* also without a call under way */
    uint64_t min_ping_ms; /* server: a client that pings more often, without calls, is sent away; 0:
                           * never */
    uint64_t handshake_ms; /* for the peer's first settings */
} otr_rpc_limits;

/* Fills in the defaults. */
otr_rpc_limits otr_rpc_limits_of(const otr_rpc_limits *given);

/* All but `incoming` (server), `refused` and `room` (client) are for both. Freeing the connection
 * is safe in each. */
typedef struct otr_rpc_conn_ops {
    void (*ready)(void *arg);                        /* the peer's settings came */
    void (*incoming)(void *arg, otr_rpc_call *call); /* a request: take it over */
    bool (*refused)(void *arg, otr_rpc_call *call);  /* it was not begun: true, it is taken back */
    /* The peer takes no new call; "too_many_pings" shows that we pinged too often. */
    void (*goaway)(void *arg, bool too_many_pings);
    void (*idle)(void *arg); /* the last call ended */
    void (*room)(void *arg); /* client: otr_rpc_conn_takes() may have become true */
    /* The last; its calls have ended. OTR_ESTATE: one of the two has closed it in order. */
    void (*closed)(void *arg, const otr_err *why);
} otr_rpc_conn_ops;

/* Owns the pipe from success on. */
otr_code otr_rpc_conn_new(otr_loop *loop, otr_rpc_role role, otr_rpc_pipe *pipe,
                          const otr_rpc_limits *limits, otr_rpc_conn **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_rpc_conn_set_owner(otr_rpc_conn *conn, const otr_rpc_conn_ops *ops, void *arg);
/* For otr_rpc_call_peer(); cut. */
void otr_rpc_conn_set_peer(otr_rpc_conn *conn, const char *text);
/* Calls that are left end with OTR_RPC_UNAVAILABLE. */
void otr_rpc_conn_free(otr_rpc_conn *conn);
size_t otr_rpc_conn_calls(const otr_rpc_conn *conn);
/* Whether the peer lets one more of a client's calls begin now: nghttp2 would keep what is beyond
 * that, also when the call has ended meanwhile, until a stream is free. */
bool otr_rpc_conn_takes(const otr_rpc_conn *conn);
/* Begins a client's call. */
otr_code otr_rpc_conn_begin(otr_rpc_conn *conn, otr_rpc_call *call, otr_err *err) OTR_MUST_CHECK;
/* Takes no new calls and tells the peer so; `closed` follows when those under way have ended. */
void otr_rpc_conn_drain(otr_rpc_conn *conn);

#endif
