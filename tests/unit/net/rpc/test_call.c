/*
 * Client and server of one process, in one loop: what an owner may do in a callback.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "net/rpc/channel.h"
#include "net/rpc/internal.h"
#include "net/rpc/server.h"
#include "support/test.h"

typedef enum act {
    NOTHING,
    CANCEL_CALL,
    FREE_CALL,
    FREE_CHANNEL,
    PAUSE_CALL,
    FREE_SERVER,
    END_TWICE,
    END_LARGE,
} act;

typedef struct bench {
    otr_loop *loop;
    otr_rpc_server *server;
    otr_rpc_channel *channel;
    otr_rpc_call *call;       /* the client's */
    otr_rpc_call *served[16]; /* the server's */
    size_t n_served;
    act at_message, at_served, at_headers;
    unsigned messages, served_messages, closed, served_closed, writable;
    otr_rpc_status status;
    bool stopped;
} bench;

static void end_large(otr_rpc_call *call)
{
    enum { VALUE = 60000, TEXT = 8000 };
    static uint8_t value[VALUE];
    static char text[TEXT];
    otr_rpc_metadata trailers;
    memset(text, '\n', sizeof text - 1);
    otr_rpc_metadata_init(&trailers, VALUE + 1000);
    if (otr_rpc_metadata_add(&trailers, "x-bin", (otr_bytes){ value, VALUE }, NULL) == OTR_OK) {
        otr_rpc_call_end(call, OTR_RPC_ABORTED, text, &trailers);
    }
    otr_rpc_metadata_deinit(&trailers);
}

static void do_act(bench *b, act what, otr_rpc_call *call)
{
    switch (what) {
    case NOTHING:
        break;
    case CANCEL_CALL:
        otr_rpc_call_cancel(call);
        break;
    case FREE_CALL:
        otr_rpc_call_free(call);
        if (call == b->call) {
            b->call = NULL;
        }
        for (size_t i = 0; i < b->n_served; i++) {
            b->served[i] = b->served[i] == call ? NULL : b->served[i];
        }
        break;
    case FREE_CHANNEL:
        otr_rpc_channel_free(b->channel);
        b->channel = NULL;
        break;
    case PAUSE_CALL:
        otr_rpc_call_pause(call);
        break;
    case FREE_SERVER:
        otr_rpc_server_free(b->server);
        b->server = NULL;
        break;
    case END_TWICE:
        otr_rpc_call_end(call, OTR_RPC_ABORTED, "first", NULL);
        otr_rpc_call_end(call, OTR_RPC_OK, "second", NULL);
        break;
    case END_LARGE:
        end_large(call);
        break;
    }
}

static void on_served_message(void *arg, otr_rpc_call *call, otr_bytes message)
{
    bench *b = arg;
    b->served_messages++;
    if (otr_rpc_call_send(call, message, NULL) != OTR_OK) {
        otr_rpc_call_end(call, OTR_RPC_RESOURCE_EXHAUSTED, "full", NULL);
    }
    do_act(b, b->at_served, call);
}

static void on_served_finished(void *arg, otr_rpc_call *call)
{
    (void)arg;
    otr_rpc_call_end(call, OTR_RPC_OK, NULL, NULL);
}

static void on_served_closed(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    bench *b = arg;
    (void)end;
    b->served_closed++;
    do_act(b, FREE_CALL, call);
}

static const otr_rpc_call_ops served_ops = {
    .message = on_served_message,
    .finished = on_served_finished,
    .closed = on_served_closed,
};

static void on_call(void *arg, otr_rpc_call *call)
{
    bench *b = arg;
    if (strcmp(otr_rpc_call_path(call), "/echo") == 0 && b->n_served < OTR_COUNT(b->served)) {
        b->served[b->n_served++] = call;
        otr_rpc_call_accept(call, &served_ops, b);
    }
}

static void on_headers(void *arg, otr_rpc_call *call, const otr_rpc_metadata *headers)
{
    bench *b = arg;
    (void)headers;
    do_act(b, b->at_headers, call);
}

static void on_message(void *arg, otr_rpc_call *call, otr_bytes message)
{
    bench *b = arg;
    unsigned sum = 0;
    b->messages++;
    do_act(b, b->at_message, call);
    for (size_t i = 0; i < message.n; i++) { /* it lives until the callback returns */
        sum += message.p[i];
    }
    CHECK(sum == 'x' * message.n);
}

static void on_writable(void *arg, otr_rpc_call *call)
{
    bench *b = arg;
    (void)call;
    b->writable++;
}

static void on_closed(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    bench *b = arg;
    b->closed++;
    b->status = end->status;
    do_act(b, FREE_CALL, call);
}

static const otr_rpc_call_ops ops = {
    .headers = on_headers,
    .message = on_message,
    .writable = on_writable,
    .closed = on_closed,
};

static void bench_free(bench *b)
{
    otr_rpc_call_free(b->call);
    otr_rpc_channel_free(b->channel);
    for (size_t i = 0; i < b->n_served; i++) {
        otr_rpc_call_free(b->served[i]);
    }
    otr_rpc_server_free(b->server);
    otr_loop_free(b->loop);
}

static otr_code bench_new(bench *b, const otr_rpc_limits *limits, otr_err *err)
{
    char bound[OTR_RPC_BOUND_BYTES];
    const otr_rpc_server_spec server = { .call = on_call, .arg = b };
    otr_code rc = otr_loop_new(&b->loop, err);
    rc = rc == OTR_OK ? otr_rpc_server_new(b->loop, &server, &b->server, err) : rc;
    rc = rc == OTR_OK ? otr_rpc_server_listen(b->server, "127.0.0.1:0", NULL, bound, err) : rc;
    const otr_rpc_channel_spec channel = { .target = bound,
                                           .backoff = { .initial_ms = 1, .max_ms = 2 },
                                           .limits = *limits };
    return rc == OTR_OK ? otr_rpc_channel_new(b->loop, &channel, &b->channel, err) : rc;
}

static otr_code begin(bench *b, const char *path, uint64_t timeout_ms, otr_err *err)
{
    const otr_rpc_call_spec spec = {
        .path = path, .timeout_ms = timeout_ms, .ops = &ops, .arg = b
    };
    return otr_rpc_call_start(b->channel, &spec, &b->call, err);
}

static void send_x(bench *b, size_t n, unsigned times)
{
    uint8_t *bytes = malloc(n);
    if (bytes != NULL) {
        memset(bytes, 'x', n);
        for (unsigned i = 0; i < times && b->call != NULL; i++) {
            (void)!otr_rpc_call_send(b->call, (otr_bytes){ bytes, n }, NULL);
        }
    }
    free(bytes);
}

/* Until the client's call has ended and the server's too, for as long as a test may wait. */
static void run(bench *b, unsigned served)
{
    uint64_t end = otr_now_ns() + 10 * OTR_NS_PER_S;
    while ((b->call != NULL || b->served_closed < served) && otr_now_ns() < end &&
           otr_alloc_failed() == 0) {
        otr_loop_step(b->loop, 20);
    }
    for (int i = 0; i < 5; i++) {
        otr_loop_step(b->loop, 0);
    }
}

static const otr_rpc_limits defaults;

/* One call with some messages and what the test does in a callback. */
static bench one(act at_headers, act at_message, act at_served)
{
    bench b = { .at_headers = at_headers, .at_message = at_message, .at_served = at_served };
    otr_err err = { 0 };
    otr_code rc = bench_new(&b, &defaults, &err);
    rc = rc == OTR_OK ? begin(&b, "/echo", 8000, &err) : rc;
    if (rc == OTR_OK) {
        send_x(&b, 1000, 5);
        otr_rpc_call_finish(b.call);
        run(&b, 0);
    }
    bench_free(&b);
    return b;
}

T(a_call_goes_both_ways_and_ends_once)
{
    bench b = one(NOTHING, NOTHING, NOTHING);
    CHECK_INT(b.status, OTR_RPC_OK);
    CHECK_INT(b.messages, 5);
    CHECK_INT(b.closed, 1);
}

T(a_call_may_be_cancelled_in_its_own_message)
{
    bench b = one(NOTHING, CANCEL_CALL, NOTHING);
    CHECK_INT(b.status, OTR_RPC_CANCELLED);
    CHECK_INT(b.messages, 1);
    CHECK_INT(b.closed, 1);
}

T(a_call_may_be_freed_in_each_callback)
{
    bench b = one(NOTHING, FREE_CALL, NOTHING);
    CHECK_INT(b.messages, 1);
    CHECK_INT(b.closed, 0);
    b = one(FREE_CALL, NOTHING, NOTHING);
    CHECK_INT(b.messages + b.closed, 0);
    b = one(NOTHING, NOTHING, FREE_CALL);
    CHECK_INT(b.closed, 1);
    CHECK(b.status != OTR_RPC_OK);
}

T(a_channel_may_be_freed_in_a_callback_of_its_call)
{
    bench b = one(NOTHING, FREE_CHANNEL, NOTHING);
    CHECK_INT(b.closed, 1);
    CHECK_INT(b.status, OTR_RPC_UNAVAILABLE);
    b = one(FREE_CHANNEL, NOTHING, NOTHING);
    CHECK_INT(b.closed, 1);
}

T(a_server_may_be_freed_in_a_callback_of_its_call)
{
    bench b = one(NOTHING, NOTHING, FREE_SERVER);
    CHECK_INT(b.closed, 1);
    CHECK_INT(b.status, OTR_RPC_UNAVAILABLE);
}

T(the_first_end_counts)
{
    bench b = one(NOTHING, NOTHING, END_TWICE);
    CHECK_INT(b.closed, 1);
    CHECK_INT(b.status, OTR_RPC_ABORTED);
}

T(a_call_that_nobody_accepts_is_unimplemented)
{
    bench b = { 0 };
    otr_err err = { 0 };
    otr_code rc = bench_new(&b, &defaults, &err);
    rc = rc == OTR_OK ? begin(&b, "/none", 8000, &err) : rc;
    if (rc == OTR_OK) {
        run(&b, 0);
        CHECK_INT(b.status, OTR_RPC_UNIMPLEMENTED);
    }
    bench_free(&b);
}

T(a_deadline_ends_a_call_that_was_never_begun)
{
    bench b = { 0 };
    otr_err err = { 0 };
    otr_code rc = otr_loop_new(&b.loop, &err);
    const otr_rpc_channel_spec spec = { .target = "unix:/nowhere/at/all" };
    rc = rc == OTR_OK ? otr_rpc_channel_new(b.loop, &spec, &b.channel, &err) : rc;
    const otr_rpc_call_spec call = {
        .path = "/x", .timeout_ms = 20, .wait = OTR_RPC_WAIT_FOR_READY, .ops = &ops, .arg = &b
    };
    rc = rc == OTR_OK ? otr_rpc_call_start(b.channel, &call, &b.call, &err) : rc;
    if (rc == OTR_OK) {
        run(&b, 0);
        CHECK_INT(b.status, OTR_RPC_DEADLINE_EXCEEDED);
        otr_rpc_channel_info info;
        otr_rpc_channel_read(b.channel, &info);
        CHECK_INT(info.waiting, 0);
        CHECK_HAS(info.last_error, "/nowhere/at/all");
    }
    bench_free(&b);
}

T(a_queue_takes_up_to_its_mark_and_says_when_there_is_room)
{
    bench b = { 0 };
    otr_err err = { 0 };
    const otr_rpc_limits limits = { .queue_bytes = 10000, .max_send_bytes = 4000 };
    otr_code rc = bench_new(&b, &limits, &err);
    rc = rc == OTR_OK ? begin(&b, "/echo", 8000, &err) : rc;
    if (rc == OTR_OK) {
        uint8_t bytes[4001];
        memset(bytes, 'x', sizeof bytes);
        CHECK_INT(otr_rpc_call_send(b.call, (otr_bytes){ bytes, 4001 }, &err), OTR_EINVAL);
        unsigned taken = 0;
        while (otr_rpc_call_send(b.call, (otr_bytes){ bytes, 4000 }, &err) == OTR_OK) {
            taken++;
        }
        CHECK(otr_alloc_failed() > 0 || (taken == 3 && err.code == OTR_EQUOTA));
        CHECK(otr_alloc_failed() > 0 || otr_rpc_call_queued(b.call) == (size_t)3 * 4005);
        otr_rpc_call_finish(b.call);
        CHECK_INT(otr_rpc_call_send(b.call, (otr_bytes){ bytes, 1 }, &err), OTR_ESTATE);
        run(&b, 0);
        CHECK_INT(b.messages, 3);
        CHECK_INT(b.writable, 1);
    }
    bench_free(&b);
}

/* Half of a long queue is sent and still in its block: the next message finds room all the same. */
T(a_message_is_taken_whenever_the_queue_is_below_its_mark)
{
    enum { MARK = 200000, MOST = 400000, FIRST = 390000 };
    bench b = { 0 };
    otr_err err = { 0 };
    const otr_rpc_limits limits = { .queue_bytes = MARK, .max_send_bytes = MOST };
    otr_code rc = bench_new(&b, &limits, &err);
    rc = rc == OTR_OK ? begin(&b, "/none", 8000, &err) : rc;
    if (rc == OTR_OK) {
        static uint8_t bytes[MOST];
        static uint8_t sent[FIRST / 4 - 500]; /* twice: a little less than what is left */
        bool end = false;
        if (otr_rpc_call_send(b.call, (otr_bytes){ bytes, FIRST }, &err) == OTR_OK) {
            (void)otr_rpc_call_take(b.call, sent, sizeof sent, &end);
            (void)otr_rpc_call_take(b.call, sent, sizeof sent, &end);
            CHECK(!otr_rpc_call_full(b.call));
            rc = otr_rpc_call_send(b.call, (otr_bytes){ bytes, MOST }, &err);
            CHECK(rc == OTR_OK || otr_alloc_failed() > 0);
        }
    }
    bench_free(&b);
}

/* Trailers and message, each within its own limit, are more than 64 KiB together. */
T(an_end_with_as_much_as_is_allowed_reaches_the_client)
{
    bench b = { .at_served = END_LARGE };
    otr_err err = { 0 };
    const otr_rpc_limits limits = { .header_bytes = 200000 };
    otr_code rc = bench_new(&b, &limits, &err);
    rc = rc == OTR_OK ? begin(&b, "/echo", 8000, &err) : rc;
    if (rc == OTR_OK) {
        send_x(&b, 10, 1);
        run(&b, 0);
        CHECK_INT(b.status, OTR_RPC_ABORTED);
    }
    bench_free(&b);
}

T(what_comes_while_a_reader_pauses_waits_for_it)
{
    bench b = { .at_message = PAUSE_CALL };
    otr_err err = { 0 };
    otr_code rc = bench_new(&b, &defaults, &err);
    rc = rc == OTR_OK ? begin(&b, "/echo", 8000, &err) : rc;
    if (rc == OTR_OK) {
        send_x(&b, 20, 4);
        otr_rpc_call_finish(b.call);
        for (unsigned i = 1; i <= 4 && b.call != NULL && otr_alloc_failed() == 0; i++) {
            uint64_t end = otr_now_ns() + 5 * OTR_NS_PER_S;
            while (b.messages < i && b.call != NULL && otr_now_ns() < end &&
                   otr_alloc_failed() == 0) {
                otr_loop_step(b.loop, 20);
            }
            for (int k = 0; k < 3; k++) {
                otr_loop_step(b.loop, 1);
            }
            CHECK_INT(b.messages, i);
            CHECK(b.closed == 0 || i == 4);
            if (b.call != NULL) {
                otr_rpc_call_resume(b.call);
            }
        }
        run(&b, 0);
        CHECK_INT(b.status, OTR_RPC_OK);
    }
    bench_free(&b);
}

static void on_stopped(void *arg)
{
    ((bench *)arg)->stopped = true;
}

T(a_stopping_server_finishes_what_is_under_way)
{
    bench b = { 0 };
    otr_err err = { 0 };
    otr_code rc = bench_new(&b, &defaults, &err);
    rc = rc == OTR_OK ? begin(&b, "/echo", 8000, &err) : rc;
    if (rc == OTR_OK) {
        uint64_t end = otr_now_ns() + 8 * OTR_NS_PER_S;
        send_x(&b, 10, 1);
        while (b.messages == 0 && b.call != NULL && otr_now_ns() < end && otr_alloc_failed() == 0) {
            otr_loop_step(b.loop, 20);
        }
        otr_rpc_server_stop(b.server, 5000, on_stopped, &b);
        send_x(&b, 10, 1);
        if (b.call != NULL) {
            otr_rpc_call_finish(b.call);
        }
        while (!b.stopped && otr_now_ns() < end && otr_alloc_failed() == 0) {
            otr_loop_step(b.loop, 20);
        }
        CHECK_INT(b.messages, 2);
        CHECK_INT(b.status, OTR_RPC_OK);
        CHECK(b.stopped);
    }
    bench_free(&b);
}

T(what_a_channel_cannot_begin_with_is_said)
{
    otr_loop *loop = NULL;
    otr_err err = { 0 };
    REQUIRE_OK(otr_loop_new(&loop, &err), err);
    otr_rpc_channel *channel = NULL;
    otr_rpc_channel_spec spec = { .target = "nonsense" };
    CHECK(otr_rpc_channel_new(loop, &spec, &channel, &err) != OTR_OK);
    otr_rpc_token *token = NULL;
    const otr_rpc_token_spec inline_token = { .value = " secret\n" };
    if (otr_rpc_token_new(&inline_token, &token, &err) == OTR_OK) {
        CHECK_STR(otr_rpc_token_text(token), "secret");
        spec = (otr_rpc_channel_spec){ .target = "192.0.2.1:1", .token = token };
        CHECK(otr_rpc_channel_new(loop, &spec, &channel, &err) != OTR_OK);
    }
    otr_rpc_token_free(token);
    const otr_rpc_token_spec bad[] = {
        { .value = " " }, { .value = "a b" }, { .path = "/nowhere" }, { 0 }
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK(otr_rpc_token_new(&bad[i], &token, &err) != OTR_OK);
    }
    CHECK_STR(otr_rpc_state_name(OTR_RPC_TRANSIENT_FAILURE), "transient failure");
    otr_loop_free(loop);
}
