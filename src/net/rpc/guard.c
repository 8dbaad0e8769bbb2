/*
 * What a peer may do to us for nothing: so much at once, and so much in a second.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "net/rpc/internal.h"

static void refill(otr_rpc_conn *conn)
{
    uint64_t now = otr_now_ns();
    double s = (double)(now - conn->budget_ns) / (double)OTR_NS_PER_S;
    conn->budget_ns = now;
    conn->controls += s * OTR_LIMIT_RPC_CONTROLS_S;
    conn->resets += s * OTR_LIMIT_RPC_RESETS_S;
    conn->controls =
        conn->controls < OTR_LIMIT_RPC_CONTROLS ? conn->controls : OTR_LIMIT_RPC_CONTROLS;
    conn->resets = conn->resets < OTR_LIMIT_RPC_RESETS ? conn->resets : OTR_LIMIT_RPC_RESETS;
}

static bool refuse(otr_rpc_conn *conn, const char *what, const char *debug)
{
    (void)otr_fail(&conn->why, OTR_EQUOTA, "the peer sent too many %s", what);
    (void)nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(conn->session),
                                NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)debug, strlen(debug));
    conn->closing = true;
    otr_rpc_conn_wake(conn);
    return false;
}

bool otr_rpc_guard_control(otr_rpc_conn *conn)
{
    refill(conn);
    conn->controls -= 1;
    return conn->controls >= 0 ||
           refuse(conn, "frames that carry nothing", "too_many_control_frames");
}

bool otr_rpc_guard_reset(otr_rpc_conn *conn)
{
    refill(conn);
    conn->resets -= 1;
    return conn->resets >= 0 || refuse(conn, "resets of calls", "too_many_resets");
}

/* As gRPC's servers do: pings without anything of ours between them that come too soon. */
bool otr_rpc_guard_ping(otr_rpc_conn *conn)
{
    enum { STRIKES = 2 };
    uint64_t now = otr_now_ns();
    uint64_t last = conn->last_ping_ns;
    conn->last_ping_ns = now;
    if (conn->role != OTR_RPC_SERVER || conn->limits.min_ping_ms == 0 || last == 0 ||
        now - last >= conn->limits.min_ping_ms * OTR_NS_PER_MS) {
        return true;
    }
    conn->ping_strikes++;
    return conn->ping_strikes <= STRIKES || refuse(conn, "pings", "too_many_pings");
}
