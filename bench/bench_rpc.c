/*
 * gRPC calls a second and megabytes a second, over one connection on the loopback.
 *
 *     bench_rpc server                          prints its address, echoes until its input ends
 *     bench_rpc unary ADDRESS CALLS AT_ONCE     calls of 100 bytes
 *     bench_rpc stream ADDRESS MESSAGES BYTES   one call that echoes messages
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "net/rpc/channel.h"
#include "net/rpc/server.h"

enum { UNARY_BYTES = 100, TEN = 10, MESSAGE_MOST = 32 << 20 };
static const double MEGA = 1e6;

typedef struct bench {
    otr_loop *loop;
    otr_rpc_channel *channel;
    uint8_t *bytes;
    size_t size;
    uint64_t left, under_way, at_once; /* calls; of a stream: messages */
    uint64_t got_bytes;
    bool stream;
} bench;

static void die(const otr_err *err)
{
    (void)fprintf(stderr, "bench_rpc: %s\n", err->msg);
    exit(2);
}

/* ---- the server: what comes goes back ---- */

static void on_echo(void *arg, otr_rpc_call *call, otr_bytes message)
{
    (void)arg;
    otr_err err = { 0 };
    if (otr_rpc_call_send(call, message, &err) != OTR_OK) {
        die(&err);
    }
    if (otr_rpc_call_full(call)) {
        otr_rpc_call_pause(call);
    }
}

static void on_writable(void *arg, otr_rpc_call *call)
{
    (void)arg;
    otr_rpc_call_resume(call);
}

static void on_finished(void *arg, otr_rpc_call *call)
{
    (void)arg;
    otr_rpc_call_end(call, OTR_RPC_OK, NULL, NULL);
}

static void on_served(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    (void)arg;
    (void)end;
    otr_rpc_call_free(call);
}

static const otr_rpc_call_ops echo = {
    .message = on_echo,
    .finished = on_finished,
    .writable = on_writable,
    .closed = on_served,
};

static void on_call(void *arg, otr_rpc_call *call)
{
    otr_rpc_call_accept(call, &echo, arg);
}

static void on_input(void *arg, int events)
{
    (void)events;
    otr_loop_stop(arg);
}

static void serve(otr_loop *loop)
{
    char bound[OTR_RPC_BOUND_BYTES];
    otr_rpc_server *server = NULL;
    otr_watch *input = NULL;
    otr_err err = { 0 };
    const otr_rpc_server_spec spec = {
        .limits = { .max_recv_bytes = MESSAGE_MOST, .max_send_bytes = MESSAGE_MOST },
        .call = on_call,
    };
    if (otr_rpc_server_new(loop, &spec, &server, &err) != OTR_OK ||
        otr_rpc_server_listen(server, "127.0.0.1:0", NULL, bound, &err) != OTR_OK ||
        otr_watch_new(loop, 0, OTR_WATCH_READ, on_input, loop, &input, &err) != OTR_OK) {
        die(&err);
    }
    (void)printf("%s\n", bound);
    (void)fflush(stdout);
    otr_loop_run(loop);
    otr_rpc_server_free(server);
    otr_watch_free(input);
}

/* ---- the client ---- */

static void begin_more(bench *b);

static void on_message(void *arg, otr_rpc_call *call, otr_bytes message)
{
    bench *b = arg;
    (void)call;
    b->got_bytes += message.n;
}

static void pour(void *arg, otr_rpc_call *call)
{
    bench *b = arg;
    otr_err err = { 0 };
    while (b->left > 0 && !otr_rpc_call_full(call)) {
        if (otr_rpc_call_send(call, (otr_bytes){ b->bytes, b->size }, &err) != OTR_OK) {
            die(&err);
        }
        b->left--;
    }
    if (b->left == 0) {
        otr_rpc_call_finish(call);
    }
}

static void on_closed(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    bench *b = arg;
    if (end->status != OTR_RPC_OK) {
        (void)fprintf(stderr, "bench_rpc: status %d: %s\n", (int)end->status, end->message);
        exit(2);
    }
    otr_rpc_call_free(call);
    b->under_way--;
    begin_more(b);
}

static const otr_rpc_call_ops ops = {
    .message = on_message,
    .writable = pour,
    .closed = on_closed,
};

static void begin_more(bench *b)
{
    const otr_rpc_call_spec spec = {
        .path = "/b.B/Echo", .wait = OTR_RPC_WAIT_FOR_READY, .ops = &ops, .arg = b
    };
    otr_err err = { 0 };
    while (b->left > 0 && b->under_way < b->at_once) {
        otr_rpc_call *call = NULL;
        if (otr_rpc_call_start(b->channel, &spec, &call, &err) != OTR_OK) {
            die(&err);
        }
        b->under_way++;
        if (b->stream) {
            pour(b, call);
            return;
        }
        b->left--;
        if (otr_rpc_call_send(call, (otr_bytes){ b->bytes, b->size }, &err) != OTR_OK) {
            die(&err);
        }
        otr_rpc_call_finish(call);
    }
    if (b->left == 0 && b->under_way == 0) {
        otr_loop_stop(b->loop);
    }
}

static void measure(bench *b, const char *target)
{
    otr_err err = { 0 };
    uint64_t calls = b->left;
    const otr_rpc_channel_spec spec = {
        .target = target,
        .limits = { .max_recv_bytes = MESSAGE_MOST, .max_send_bytes = MESSAGE_MOST },
    };
    b->bytes = otr_zalloc(b->size);
    if (b->bytes == NULL || otr_rpc_channel_new(b->loop, &spec, &b->channel, &err) != OTR_OK) {
        die(&err);
    }
    uint64_t begin = otr_now_ns();
    begin_more(b);
    otr_loop_run(b->loop);
    double s = (double)(otr_now_ns() - begin) / (double)OTR_NS_PER_S;
    if (b->stream) {
        (void)printf("%.1f MB/s\n", (double)b->got_bytes / MEGA / s);
    } else {
        (void)printf("%.0f calls/s\n", (double)calls / s);
    }
    otr_rpc_channel_free(b->channel);
    otr_free(b->bytes);
}

int main(int argc, char **argv)
{
    bench b = { 0 };
    otr_err err = { 0 };
    if (otr_loop_new(&b.loop, &err) != OTR_OK) {
        die(&err);
    }
    if (argc == 2 && strcmp(argv[1], "server") == 0) {
        serve(b.loop);
    } else if (argc == 5) {
        char *end = NULL;
        uint64_t first = strtoull(argv[3], &end, TEN), second = strtoull(argv[4], &end, TEN);
        b.stream = strcmp(argv[1], "stream") == 0;
        b.left = first;
        b.size = b.stream ? second : UNARY_BYTES;
        b.at_once = b.stream ? 1 : second;
        measure(&b, argv[2]);
    } else {
        (void)fprintf(stderr, "usage: bench_rpc server | unary ADDRESS CALLS AT_ONCE | stream "
                              "ADDRESS MESSAGES BYTES\n");
        return 2;
    }
    otr_loop_free(b.loop);
    return 0;
}
