/*
 * What a call has to send: messages with their prefixes, until the peer takes them.
 */
#include <string.h>

#include "net/rpc/internal.h"

enum {
    REPLAY_BYTES = OTR_RPC_REPLAY_BYTES,
    KEPT_BYTES = 65536, /* of a buffer that is empty */
};

void otr_rpc_call_count_queued(otr_rpc_call *call)
{
    size_t now = call->out.n - call->out_at;
    if (call->conn != NULL) {
        call->conn->queued += now;
        call->conn->queued -= call->out_counted;
        call->out_counted = now;
    }
}

size_t otr_rpc_call_queued(const otr_rpc_call *call)
{
    return call->out.n - call->out_at;
}

/* Forgets what was sent, unless it may have to be sent again. */
static void trim(otr_rpc_call *call)
{
    if (call->kept_all && call->role == OTR_RPC_CLIENT && !call->got_headers &&
        call->out_at <= REPLAY_BYTES) {
        return;
    }
    call->kept_all = false;
    size_t left = call->out.n - call->out_at;
    if (left == 0) {
        call->out_at = 0;
        if (call->out.cap > KEPT_BYTES) {
            otr_buf_deinit(&call->out);
        } else {
            otr_buf_clear(&call->out);
        }
    } else if (call->out_at > left && call->out_at > KEPT_BYTES) {
        memmove(call->out.p, call->out.p + call->out_at, left);
        otr_buf_cut(&call->out, left);
        call->out_at = 0;
    }
}

size_t otr_rpc_call_take(otr_rpc_call *call, uint8_t *to, size_t cap, bool *ret_end)
{
    size_t left = call->out.n - call->out_at;
    size_t n = left < cap ? left : cap;
    if (n > 0) {
        memcpy(to, call->out.p + call->out_at, n);
        call->out_at += n;
        trim(call);
        otr_rpc_call_count_queued(call);
    }
    if (call->full && otr_rpc_call_queued(call) <= call->limits.queue_bytes / 2) {
        otr_loop_defer(call->loop, &call->tell, call->tell_fn, call);
    }
    *ret_end = call->finished && otr_rpc_call_queued(call) == 0;
    return n;
}

bool otr_rpc_call_rewind(otr_rpc_call *call)
{
    enum { ATTEMPTS = 5 };
    if (!call->kept_all || call->got_headers || call->attempts >= ATTEMPTS) {
        return false;
    }
    call->attempts++;
    call->out_at = 0;
    return true;
}
