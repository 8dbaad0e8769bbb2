/*
 * Messages a second through the bus on one core, from making a message to its last unref.
 *
 *     bench_bus [SUBSCRIBERS [BATCH [MILLIONS]]]
 *
 * A publisher on the loop makes BATCH messages a round, gives each to the bus and drops its own
 * reference; every subscriber takes all it is offered. Prints ns a message and millions of messages
 * a second of the best of several runs, and fails if a single message was lost.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bus/bus.h"

enum { RUNS = 5, SUBSCRIBERS_MOST = 100, QUEUE = 1024 };

typedef struct bench {
    otr_loop *loop;
    otr_bus *bus;
    otr_sub *subs[SUBSCRIBERS_MOST];
    otr_defer again;
    uint64_t batch, left, taken;
} bench;

static const otr_topic topic = { "bench.tick", 1, NULL, NULL };

static void die(const otr_err *err)
{
    (void)fprintf(stderr, "bench_bus: %s\n", err->msg);
    exit(2);
}

static void on_ready(void *arg, otr_sub *sub)
{
    bench *b = arg;
    for (otr_msg *msg; (msg = otr_sub_take(sub)) != NULL;) {
        b->taken += msg->topic == &topic;
        (void)otr_msg_unref(msg);
    }
}

static void publish_batch(void *arg)
{
    bench *b = arg;
    otr_err err;
    if (b->left == 0) {
        otr_loop_stop(b->loop);
        return;
    }
    for (uint64_t i = 0; i < b->batch && b->left > 0; i++, b->left--) {
        otr_msg *msg;
        if (otr_msg_new(&topic, NULL, "bench", NULL, &msg, &err) != OTR_OK ||
            otr_bus_publish(b->bus, msg, &err) != OTR_OK) {
            die(&err);
        }
        (void)otr_msg_unref(msg);
    }
    otr_loop_defer(b->loop, &b->again, publish_batch, b);
}

static uint64_t run_once(bench *b, size_t n, uint64_t messages)
{
    otr_err err;
    if (otr_loop_new(&b->loop, &err) != OTR_OK || otr_bus_new(b->loop, &b->bus, &err) != OTR_OK) {
        die(&err);
    }
    otr_sub_spec spec = {
        .name = "bench",
        .patterns = (const char *const[]){ "bench.*", NULL },
        .capacity = QUEUE,
        .ready = on_ready,
        .arg = b,
    };
    for (size_t i = 0; i < n; i++) {
        if (otr_bus_subscribe(b->bus, &spec, &b->subs[i], &err) != OTR_OK) {
            die(&err);
        }
    }
    b->left = messages;
    b->taken = 0;
    uint64_t from_ns = otr_now_ns();
    otr_loop_defer(b->loop, &b->again, publish_batch, b);
    otr_loop_run(b->loop);
    uint64_t took_ns = otr_now_ns() - from_ns;
    for (size_t i = 0; i < n; i++) {
        otr_sub_free(b->subs[i]);
    }
    otr_bus_free(b->bus);
    otr_loop_free(b->loop);
    if (b->taken != messages * n) {
        (void)fprintf(stderr, "bench_bus: %llu of %llu messages arrived\n",
                      (unsigned long long)b->taken, (unsigned long long)(messages * n));
        exit(1);
    }
    return took_ns;
}

static uint64_t argument(int argc, char **argv, int i, uint64_t least, uint64_t most,
                         uint64_t otherwise)
{
    if (argc <= i) {
        return otherwise;
    }
    char *end;
    unsigned long long value = strtoull(argv[i], &end, 10);
    if (*end != '\0' || value < least || value > most) {
        (void)fprintf(stderr, "usage: bench_bus [SUBSCRIBERS 1-%d [BATCH 1-%d [MILLIONS]]]\n",
                      SUBSCRIBERS_MOST, QUEUE);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static bench b;
    size_t n = argument(argc, argv, 1, 1, SUBSCRIBERS_MOST, 1);
    b.batch = argument(argc, argv, 2, 1, QUEUE, 64);
    uint64_t messages = argument(argc, argv, 3, 1, 1000, n > 1 ? 1 : 5) * 1000000;
    uint64_t best_ns = UINT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        uint64_t took_ns = run_once(&b, n, messages);
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    double ns = (double)best_ns / (double)messages;
    printf("1 -> %zu, batch %llu: %.1f ns/msg, %.2f M msg/s\n", n, (unsigned long long)b.batch, ns,
           1000.0 / ns);
    return 0;
}
