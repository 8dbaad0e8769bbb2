#include "net/rpc/channel.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "net/rpc/dial.h"
#include "net/rpc/internal.h"
#include "net/rpc/target.h"

enum { CONNECT_MS = 20000, REFRESH_MS = 5000 };

/* A connection of the channel. */
typedef struct link {
    struct link *next;
    otr_rpc_channel *channel;
    otr_rpc_conn *conn;
} link;

struct otr_rpc_channel {
    otr_loop *loop;
    otr_rpc_target target;
    char *authority, *user_agent;
    otr_tls *tls;
    otr_rpc_token *token;
    otr_rpc_proxy proxy;
    bool by_proxy;
    otr_rpc_backoff backoff;
    otr_rpc_limits limits;
    uint64_t connect_ms;
    const otr_rpc_channel_ops *ops;
    void *arg;

    otr_rpc_state state, told_state;
    uint64_t since_ns, error_ns, retry_ns, ready_ns;
    otr_err error;
    unsigned failures;
    uint64_t connects;
    bool wanted; /* stay connected */
    otr_rpc_dial *dial;
    link *now;            /* connecting (its settings have not come) or ready */
    link *draining;       /* the newest first */
    otr_rpc_call pending; /* head of the ring */
    size_t n_pending;
    otr_timer *retry, *refresh;
    otr_loop_fn *later_fn;
    otr_defer later; /* begins what is pending, tells the state */
    bool freed;
    unsigned pins;
};

static void begin_attempt(otr_rpc_channel *channel);

const char *otr_rpc_state_name(otr_rpc_state state)
{
    static const char *const names[] = { "idle", "connecting", "ready", "transient failure" };
    return (size_t)state < OTR_COUNT(names) ? names[state] : "unknown";
}

static void set_state(otr_rpc_channel *channel, otr_rpc_state state);

/* ---- connections ---- */

static void drop_link(otr_rpc_channel *channel, link *l)
{
    if (channel->now == l) {
        channel->now = NULL;
    }
    for (link **at = &channel->draining; *at != NULL; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            break;
        }
    }
    otr_rpc_conn_free(l->conn);
    otr_free(l);
}

static void fail_pending(otr_rpc_channel *channel, const char *why)
{
    otr_rpc_call *next;
    for (otr_rpc_call *call = channel->pending.next; call != &channel->pending; call = next) {
        next = call->next;
        if (!call->wait) {
            otr_rpc_call_over(call, OTR_RPC_UNAVAILABLE, why);
        }
    }
}

static void note_error(otr_rpc_channel *channel, const otr_err *why)
{
    channel->error = *why;
    channel->error_ns = otr_now_ns();
}

/* Waits, then tries again. */
static void back_off(otr_rpc_channel *channel)
{
    uint64_t ms = otr_rpc_backoff_next(&channel->backoff, randombytes_random());
    channel->retry_ns = otr_now_ns() + ms * OTR_NS_PER_MS;
    otr_timer_start(channel->retry, ms, 0);
}

static void attempt_failed(otr_rpc_channel *channel, const otr_err *why)
{
    note_error(channel, why);
    channel->failures++;
    set_state(channel, OTR_RPC_TRANSIENT_FAILURE);
    fail_pending(channel, channel->error.msg);
    back_off(channel);
}

/* A connection that was ready takes no calls any more. One that neither answered a call nor lasted
 * is tried again after a wait: a server that accepts and closes is not to be asked without end. */
static void connection_lost(otr_rpc_channel *channel, bool useful)
{
    enum { LASTED_MS = 1000 };
    bool lasted = useful || otr_now_ns() - channel->ready_ns >= LASTED_MS * OTR_NS_PER_MS;
    if (lasted) {
        otr_rpc_backoff_reset(&channel->backoff);
    }
    if (!channel->wanted && channel->n_pending == 0) {
        set_state(channel, OTR_RPC_IDLE);
    } else if (lasted) {
        begin_attempt(channel);
    } else {
        set_state(channel, OTR_RPC_CONNECTING);
        back_off(channel);
    }
}

static void on_ready(void *arg)
{
    link *l = arg;
    otr_rpc_channel *channel = l->channel;
    if (l == channel->now) {
        channel->failures = 0;
        channel->connects++;
        channel->ready_ns = otr_now_ns();
        set_state(channel, OTR_RPC_READY);
    }
}

static bool on_refused(void *arg, otr_rpc_call *call)
{
    otr_rpc_channel *channel = ((link *)arg)->channel;
    if (channel->freed) {
        return false;
    }
    otr_rpc_call_link(&channel->pending, &channel->n_pending, call);
    otr_loop_defer(channel->loop, &channel->later, channel->later_fn, channel);
    return true;
}

static void retire(otr_rpc_channel *channel)
{
    link *l = channel->now;
    channel->now = NULL;
    l->next = channel->draining;
    channel->draining = l;
    size_t n = 0;
    for (link *at = channel->draining; at != NULL; at = at->next) {
        n++;
        if (n == OTR_LIMIT_RPC_DRAINING && at->next != NULL) {
            drop_link(channel, at->next);
            break;
        }
    }
}

static void on_goaway(void *arg, bool too_many_pings)
{
    link *l = arg;
    otr_rpc_channel *channel = l->channel;
    if (too_many_pings && channel->limits.keepalive_ms > 0) {
        channel->limits.keepalive_ms *= 2;
    }
    if (l == channel->now) {
        bool ready = channel->state == OTR_RPC_READY;
        note_error(channel, &l->conn->why);
        retire(channel);
        if (ready) {
            connection_lost(channel, l->conn->useful);
        } else {
            attempt_failed(channel, &channel->error);
        }
    }
}

static void on_room(void *arg)
{
    link *l = arg;
    otr_rpc_channel *channel = l->channel;
    if (l == channel->now && channel->n_pending > 0 && otr_rpc_conn_takes(l->conn)) {
        otr_loop_defer(channel->loop, &channel->later, channel->later_fn, channel);
    }
}

static void on_closed(void *arg, const otr_err *why)
{
    link *l = arg;
    otr_rpc_channel *channel = l->channel;
    bool now = l == channel->now;
    bool ready = channel->state == OTR_RPC_READY;
    bool useful = l->conn->useful;
    otr_err copy = *why;
    drop_link(channel, l);
    if (now && ready) {
        note_error(channel, &copy);
        connection_lost(channel, useful);
    } else if (now) {
        attempt_failed(channel, &copy);
    }
}

static const otr_rpc_conn_ops conn_ops = {
    .ready = on_ready,
    .refused = on_refused,
    .goaway = on_goaway,
    .idle = on_room,
    .room = on_room,
    .closed = on_closed,
};

/* ---- attempts ---- */

static otr_code take_pipe(otr_rpc_channel *channel, otr_rpc_pipe *pipe, otr_err *err)
{
    link *l = otr_zalloc(sizeof(*l));
    if (l == NULL) {
        otr_rpc_pipe_free(pipe);
        return otr_fail_nomem(err);
    }
    otr_rpc_limits limits = channel->limits;
    limits.handshake_ms = channel->connect_ms;
    otr_code rc = otr_rpc_conn_new(channel->loop, OTR_RPC_CLIENT, pipe, &limits, &l->conn, err);
    if (rc != OTR_OK) {
        otr_rpc_pipe_free(pipe);
        otr_free(l);
        return rc;
    }
    l->channel = channel;
    otr_rpc_conn_set_owner(l->conn, &conn_ops, l);
    channel->now = l;
    return OTR_OK;
}

static void on_dialled(void *arg, otr_rpc_pipe *pipe, const otr_err *err)
{
    otr_rpc_channel *channel = arg;
    otr_err why = *err;
    otr_rpc_dial_free(otr_steal(&channel->dial));
    if (pipe == NULL || take_pipe(channel, pipe, &why) != OTR_OK) {
        attempt_failed(channel, &why);
    }
}

static void begin_attempt(otr_rpc_channel *channel)
{
    const otr_rpc_dial_spec spec = {
        .target = &channel->target,
        .proxy = channel->by_proxy ? &channel->proxy : NULL,
        .tls = channel->tls,
        .timeout_ms = channel->connect_ms,
        .turn = channel->failures,
        .done = on_dialled,
        .arg = channel,
    };
    otr_err err = { 0 };
    otr_timer_stop(channel->retry);
    channel->retry_ns = 0;
    set_state(channel, OTR_RPC_CONNECTING);
    if (otr_rpc_dial_start(channel->loop, &spec, &channel->dial, &err) != OTR_OK) {
        attempt_failed(channel, &err);
    }
}

static void on_retry(void *arg)
{
    otr_rpc_channel *channel = arg;
    channel->retry_ns = 0;
    if (channel->wanted || channel->n_pending > 0) {
        begin_attempt(channel);
    } else {
        set_state(channel, OTR_RPC_IDLE);
    }
}

/* ---- what is done at the end of the round ---- */

static void begin_pending(otr_rpc_channel *channel)
{
    while (channel->pending.next != &channel->pending && channel->state == OTR_RPC_READY &&
           channel->now != NULL && otr_rpc_conn_takes(channel->now->conn)) {
        otr_rpc_call *call = channel->pending.next;
        otr_err err = { 0 };
        otr_rpc_call_unlink(call);
        if (otr_rpc_conn_begin(channel->now->conn, call, &err) != OTR_OK) {
            otr_rpc_call_over(
                call, err.code == OTR_ESTATE ? OTR_RPC_UNAVAILABLE : OTR_RPC_RESOURCE_EXHAUSTED,
                err.msg);
        }
    }
    if (channel->n_pending > 0 && channel->state == OTR_RPC_IDLE) {
        begin_attempt(channel);
    }
}

static void unpin(otr_rpc_channel *channel);

static void on_later(void *arg)
{
    otr_rpc_channel *channel = arg;
    channel->pins++;
    begin_pending(channel);
    if (channel->state != channel->told_state) {
        channel->told_state = channel->state;
        if (channel->ops != NULL && channel->ops->state != NULL) {
            channel->ops->state(channel->arg, channel->state,
                                channel->state == OTR_RPC_READY ? "" : channel->error.msg);
        }
    }
    unpin(channel);
}

static void set_state(otr_rpc_channel *channel, otr_rpc_state state)
{
    if (channel->state != state) {
        channel->state = state;
        channel->since_ns = otr_now_ns();
    }
    otr_loop_defer(channel->loop, &channel->later, on_later, channel);
}

static void on_refresh(void *arg)
{
    otr_rpc_channel *channel = arg;
    otr_err tls_err = { 0 }, token_err = { 0 };
    otr_tls_change tls = OTR_TLS_SAME, token = OTR_TLS_SAME;
    if (channel->tls != NULL) {
        tls = otr_tls_refresh(channel->tls, &tls_err);
    }
    if (channel->token != NULL) {
        token = otr_rpc_token_refresh(channel->token, &token_err);
    }
    channel->pins++;
    if (channel->ops != NULL && channel->ops->files != NULL) {
        if (tls != OTR_TLS_SAME) {
            channel->ops->files(channel->arg, tls, tls_err.msg);
        }
        if (token != OTR_TLS_SAME && !channel->freed) {
            channel->ops->files(channel->arg, token, token_err.msg);
        }
    }
    unpin(channel);
}

/* ---- life ---- */

static otr_code copy_names(otr_rpc_channel *channel, const otr_rpc_channel_spec *spec, otr_err *err)
{
    char text[OTR_RPC_AUTHORITY_BYTES];
    const char *authority = spec->authority;
    if (authority == NULL || authority[0] == '\0') {
        authority = spec->tls != NULL ? otr_tls_server_name(spec->tls) : "";
    }
    if (authority[0] == '\0') {
        authority = otr_rpc_target_authority(&channel->target, text);
    }
    const char *agent = spec->user_agent;
    if (agent == NULL || agent[0] == '\0') {
        agent = "outrider/" OTR_VERSION;
    }
    channel->authority = otr_strdup(authority);
    channel->user_agent = otr_strdup(agent);
    return channel->authority != NULL && channel->user_agent != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code set_up(otr_rpc_channel *channel, const otr_rpc_channel_spec *spec, otr_err *err)
{
    otr_code rc = otr_rpc_target_parse(spec->target, 0, &channel->target, err);
    rc = rc == OTR_OK ? copy_names(channel, spec, err) : rc;
    if (rc == OTR_OK && spec->token != NULL && spec->tls == NULL &&
        !otr_rpc_target_is_loopback(&channel->target)) {
        rc = otr_fail(err, OTR_EINVAL, "a token is not sent to %s without TLS", spec->target);
    }
    if (rc == OTR_OK && spec->proxy != NULL) {
        rc = otr_rpc_proxy_init(&channel->proxy, spec->proxy, err);
        channel->by_proxy =
            rc == OTR_OK && !otr_rpc_no_proxy(channel->proxy.no_proxy, &channel->target);
    }
    rc = rc == OTR_OK ? otr_timer_new(channel->loop, on_retry, channel, &channel->retry, err) : rc;
    rc = rc == OTR_OK ? otr_timer_new(channel->loop, on_refresh, channel, &channel->refresh, err)
                      : rc;
    if (rc == OTR_OK && (spec->tls != NULL || spec->token != NULL)) {
        uint64_t ms = spec->refresh_ms > 0 ? spec->refresh_ms : REFRESH_MS;
        otr_timer_start(channel->refresh, ms, ms);
    }
    return rc;
}

otr_code otr_rpc_channel_new(otr_loop *loop, const otr_rpc_channel_spec *spec,
                             otr_rpc_channel **ret, otr_err *err)
{
    otr_rpc_channel *channel = otr_zalloc(sizeof(*channel));
    if (channel == NULL) {
        return otr_fail_nomem(err);
    }
    channel->loop = loop;
    channel->later_fn = on_later;
    channel->tls = spec->tls;
    channel->token = spec->token;
    channel->backoff = spec->backoff;
    channel->limits = otr_rpc_limits_of(&spec->limits);
    channel->connect_ms = spec->connect_timeout_ms > 0 ? spec->connect_timeout_ms : CONNECT_MS;
    channel->ops = spec->ops;
    channel->arg = spec->arg;
    channel->since_ns = otr_now_ns();
    channel->pending.next = channel->pending.prev = &channel->pending;
    otr_code rc = set_up(channel, spec, err);
    if (rc != OTR_OK) {
        otr_rpc_channel_free(channel);
        return rc;
    }
    *ret = channel;
    return OTR_OK;
}

static void release(otr_rpc_channel *channel)
{
    otr_rpc_proxy_deinit(&channel->proxy);
    otr_free(channel->authority);
    otr_free(channel->user_agent);
    otr_free(channel);
}

static void unpin(otr_rpc_channel *channel)
{
    if (--channel->pins == 0 && channel->freed) {
        release(channel);
    }
}

void otr_rpc_channel_free(otr_rpc_channel *channel)
{
    if (channel == NULL || channel->freed) {
        return;
    }
    channel->freed = true;
    otr_rpc_dial_free(channel->dial);
    while (channel->draining != NULL) {
        drop_link(channel, channel->draining);
    }
    if (channel->now != NULL) {
        drop_link(channel, channel->now);
    }
    while (channel->pending.next != &channel->pending) {
        otr_rpc_call_over(channel->pending.next, OTR_RPC_UNAVAILABLE, "the channel was closed");
    }
    otr_timer_free(channel->retry);
    otr_timer_free(channel->refresh);
    otr_loop_defer_cancel(&channel->later);
    if (channel->pins == 0) {
        release(channel);
    }
}

void otr_rpc_channel_connect(otr_rpc_channel *channel)
{
    channel->wanted = true;
    if (channel->state == OTR_RPC_IDLE) {
        begin_attempt(channel);
    }
}

void otr_rpc_channel_renew(otr_rpc_channel *channel)
{
    if (channel->state != OTR_RPC_READY || channel->now == NULL) {
        if (channel->state == OTR_RPC_TRANSIENT_FAILURE) { /* what is new may mend it */
            otr_rpc_backoff_reset(&channel->backoff);
            begin_attempt(channel);
        }
        return;
    }
    otr_rpc_conn *conn = channel->now->conn;
    retire(channel);
    otr_rpc_conn_drain(conn);
    otr_rpc_backoff_reset(&channel->backoff);
    if (channel->wanted || channel->n_pending > 0) {
        begin_attempt(channel);
    } else {
        set_state(channel, OTR_RPC_IDLE);
    }
}

static size_t calls_of(const otr_rpc_channel *channel)
{
    size_t n = channel->now != NULL ? otr_rpc_conn_calls(channel->now->conn) : 0;
    for (const link *l = channel->draining; l != NULL; l = l->next) {
        n += otr_rpc_conn_calls(l->conn);
    }
    return n;
}

void otr_rpc_channel_read(const otr_rpc_channel *channel, otr_rpc_channel_info *ret)
{
    *ret = (otr_rpc_channel_info){
        .state = channel->state,
        .since_ns = channel->since_ns,
        .error_ns = channel->error_ns,
        .retry_ns = channel->retry_ns,
        .attempts = channel->failures,
        .connects = channel->connects,
        .calls = calls_of(channel),
        .waiting = channel->n_pending,
    };
    (void)snprintf(ret->last_error, sizeof(ret->last_error), "%s", channel->error.msg);
    if (channel->state == OTR_RPC_READY && channel->now != NULL) {
        ret->secure = otr_rpc_pipe_peer(channel->now->conn->pipe, &ret->peer);
    }
}

/* ---- calls ---- */

static otr_code fill_call(otr_rpc_channel *channel, otr_rpc_call *call,
                          const otr_rpc_call_spec *spec, otr_err *err)
{
    if (spec->path == NULL || spec->path[0] != '/') {
        return otr_fail(err, OTR_EINVAL, "the path of a call begins with a slash");
    }
    call->path = otr_strdup(spec->path);
    call->authority = otr_strdup(channel->authority);
    if (call->path == NULL || call->authority == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_rpc_metadata_take(&call->headers, otr_bytes_of("user-agent"),
                                        otr_bytes_of(channel->user_agent), err);
    if (rc == OTR_OK && channel->token != NULL) {
        rc = otr_rpc_metadata_take(&call->headers, otr_bytes_of("authorization"),
                                   otr_bytes_of(otr_rpc_token_text(channel->token)), err);
    }
    if (rc == OTR_OK && spec->metadata != NULL) {
        rc = otr_rpc_metadata_copy(&call->headers, spec->metadata, err);
    }
    if (rc == OTR_OK && spec->timeout_ms > 0) {
        uint64_t ns = spec->timeout_ms < UINT64_MAX / OTR_NS_PER_MS
                          ? spec->timeout_ms * OTR_NS_PER_MS
                          : UINT64_MAX;
        rc = otr_rpc_call_set_timeout(call, ns, err);
    }
    return rc;
}

static otr_code place_call(otr_rpc_channel *channel, otr_rpc_call *call, otr_err *err)
{
    if (channel->state == OTR_RPC_READY && channel->now != NULL && channel->n_pending == 0 &&
        otr_rpc_conn_takes(channel->now->conn)) {
        return otr_rpc_conn_begin(channel->now->conn, call, err);
    }
    if (channel->state == OTR_RPC_TRANSIENT_FAILURE && !call->wait) {
        otr_rpc_call_over(call, OTR_RPC_UNAVAILABLE, channel->error.msg);
        return OTR_OK;
    }
    otr_rpc_call_link(&channel->pending, &channel->n_pending, call);
    otr_loop_defer(channel->loop, &channel->later, on_later, channel);
    return OTR_OK;
}

otr_code otr_rpc_call_start(otr_rpc_channel *channel, const otr_rpc_call_spec *spec,
                            otr_rpc_call **ret, otr_err *err)
{
    if (calls_of(channel) + channel->n_pending >= OTR_LIMIT_RPC_CALLS) {
        return otr_fail(err, OTR_EQUOTA, "%d calls are under way", OTR_LIMIT_RPC_CALLS);
    }
    otr_rpc_limits limits = channel->limits;
    limits.max_recv_bytes = spec->max_recv_bytes > 0 ? spec->max_recv_bytes : limits.max_recv_bytes;
    const otr_rpc_call_setup setup = { .loop = channel->loop,
                                       .role = OTR_RPC_CLIENT,
                                       .limits = &limits,
                                       .ops = spec->ops,
                                       .arg = spec->arg };
    otr_rpc_call *call = NULL;
    otr_code rc = otr_rpc_call_new(&setup, &call, err);
    if (rc != OTR_OK) {
        return rc;
    }
    call->wait = spec->wait == OTR_RPC_WAIT_FOR_READY;
    rc = fill_call(channel, call, spec, err);
    rc = rc == OTR_OK ? place_call(channel, call, err) : rc;
    if (rc != OTR_OK) {
        otr_rpc_call_free(call);
        return rc;
    }
    *ret = call;
    return OTR_OK;
}
