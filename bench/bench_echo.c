/*
 * One call of an Extism or waPC guest that echoes its input.
 *
 *     bench_echo GUEST.wasm BYTES [kernel|rewritten [zero|keep]]
 *
 * Prints the best time of a call with the answer in our own memory. Its length is looked at each
 * time, its bytes once a round, outside of what is timed: echo_host.c does the same. `kernel`: the
 * guest as it is, its loads and stores are calls of our kernel; `rewritten` (default): they are
 * inline. `keep` leaves old bytes in Extism memory between calls.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "wasm/guest.h"

enum { ROUNDS = 200, MAX_FILE = 1 << 20 };

static void check(otr_code rc, const otr_err *err)
{
    if (rc != OTR_OK) {
        (void)fprintf(stderr, "bench_echo: %s\n", err->msg);
        exit(1);
    }
}

static otr_code config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    (void)host;
    (void)out;
    return otr_fail(err, OTR_ENOTFOUND, "no key %s", key);
}

static otr_code publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    (void)host;
    (void)payload;
    return otr_fail(err, OTR_EDENIED, "no grant for %s", topic);
}

static otr_code call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)host;
    (void)in;
    (void)out;
    return otr_fail(err, OTR_EDENIED, "no grant for %s", op);
}

static void log_line(void *host, int level, otr_bytes text)
{
    (void)host;
    (void)level;
    (void)text;
}

static otr_guest *start(const char *path, bool rewrite, otr_zeroing zeroing)
{
    static const otr_host_ops ops = {
        .publish = publish, .config = config, .call = call, .log = log_line
    };
    otr_err err = { 0 };
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf wasm;
    otr_buf_init(&wasm, MAX_FILE);
    check(otr_engine_find("wasmtime")->open(NULL, &engine, &err), &err);
    check(otr_buf_read_file(&wasm, path, &err), &err);
    const otr_load_spec load = { .name = path, .wasm = otr_buf_bytes(&wasm), .rewrite = rewrite };
    check(otr_guest_load(engine, &load, &code, &err), &err);
    const otr_guest_spec spec = { .name = "echo",
                                  .ops = &ops,
                                  .max_memory_bytes = 256U << 20,
                                  .max_output_bytes = 64U << 20,
                                  .zeroing = zeroing };
    check(otr_guest_new(code, &spec, &guest, &err), &err);
    otr_buf_deinit(&wasm);
    return guest;
}

static uint64_t measure(otr_guest *guest, otr_bytes in, uint64_t calls)
{
    uint64_t best = UINT64_MAX;
    bool good = true;
    otr_err err = { 0 };
    otr_buf out;
    otr_buf_init(&out, 64U << 20);
    for (int round = 0; round < (in.n > 4U << 20 ? ROUNDS / 5 : ROUNDS); round++) {
        uint64_t started = otr_now_ns();
        for (uint64_t i = 0; i < calls; i++) {
            otr_buf_clear(&out);
            check(otr_guest_call(guest, "echo", in, 0, &out, &err), &err);
            good = good && out.n == in.n;
        }
        uint64_t took = otr_now_ns() - started;
        if (!good || (in.n > 0 && memcmp(out.p, in.p, in.n) != 0)) {
            (void)fprintf(stderr, "bench_echo: wrong answer\n");
            exit(1);
        }
        best = took < best ? took : best;
    }
    otr_buf_deinit(&out);
    return best;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr,
                      "usage: bench_echo GUEST.wasm BYTES [kernel|rewritten [zero|keep]]\n");
        return 2;
    }
    size_t n = (size_t)strtoull(argv[2], NULL, 10);
    bool rewrite = argc < 4 || strcmp(argv[3], "kernel") != 0;
    otr_zeroing zeroing = argc > 4 && strcmp(argv[4], "keep") == 0 ? OTR_ZERO_NEVER : OTR_ZERO_USED;
    uint8_t *in = otr_alloc(n + 1);
    if (in == NULL) {
        return 1;
    }
    otr_alloc_large(in, n);
    for (size_t i = 0; i < n; i++) {
        in[i] = (uint8_t)(i * 7);
    }
    uint64_t calls = 1 + 4000000 / (n + 1000);
    otr_guest *guest = start(argv[1], rewrite, zeroing);
    (void)printf("%.1f ns\n", (double)measure(guest, (otr_bytes){ in, n }, calls) / (double)calls);
    otr_guest_free(guest);
    otr_free(in);
    return 0;
}
