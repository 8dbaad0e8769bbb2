/*
 * One call of a WIT component that echoes a list<u8>, and a memcpy of the same bytes in and out.
 *
 *     bench_wit call|memcpy BYTES
 *
 * Prints the best time of a call. The guest copies nothing: it answers with its input where it
 * lies.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "wasm/guest.h"

enum { ROUNDS = 200 };

static const char echo[] =
    "(component (core module $m (memory (export \"memory\") 1)"
    " (func (export \"echo\") (param i32 i32) (result i32)"
    "  (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1))"
    "  (i32.const 16))"
    " (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (local $pages i32)"
    "  (local.set $pages (i32.sub (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 2))"
    "   (memory.size)))"
    "  (if (i32.gt_s (local.get $pages) (i32.const 0))"
    "   (then (drop (memory.grow (local.get $pages)))))"
    "  (i32.const 4096)))"
    "(core instance $i (instantiate $m))"
    "(alias core export $i \"memory\" (core memory $mem))"
    "(func (export \"echo\") (param \"in\" (list u8)) (result (list u8))"
    " (canon lift (core func $i \"echo\") (memory $mem) (realloc (func $i \"realloc\")))))";

static void check(otr_code rc, const otr_err *err)
{
    if (rc != OTR_OK) {
        (void)fprintf(stderr, "bench_wit: %s\n", err->msg);
        exit(1);
    }
}

/* Nothing is imported, so nothing is asked. */
static const otr_host_ops ops = { .publish = NULL };

static otr_guest *start(void)
{
    otr_err err = { 0 };
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    check(otr_engine_find("wasmtime")->open(NULL, &engine, &err), &err);
    const otr_load_spec load = { .name = "echo", .wasm = otr_bytes_of(echo) };
    check(otr_guest_load(engine, &load, &code, &err), &err);
    const otr_guest_spec spec = { .name = "echo", .ops = &ops, .max_memory_bytes = 256 * OTR_MIB };
    check(otr_guest_new(code, &spec, &guest, &err), &err);
    return guest;
}

typedef struct job {
    otr_guest *guest; /* NULL: memcpy */
    otr_bytes in;
    uint8_t *between, *copy;
    otr_buf out;
} job;

static void run(job *j)
{
    if (j->guest == NULL) {
        memcpy(j->between, j->in.p, j->in.n);
        __asm__ volatile("" : : "r"(j->between) : "memory");
        memcpy(j->copy, j->between, j->in.n);
        __asm__ volatile("" : : "r"(j->copy) : "memory");
        return;
    }
    otr_err err = { 0 };
    otr_buf_clear(&j->out);
    check(otr_guest_call(j->guest, "echo", j->in, 0, &j->out, &err), &err);
    if (j->out.n != j->in.n) {
        (void)fprintf(stderr, "bench_wit: wrong answer\n");
        exit(1);
    }
}

static double measure(job *j, uint64_t calls)
{
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < (j->in.n > 4 * OTR_MIB ? ROUNDS / 5 : ROUNDS); round++) {
        uint64_t started = otr_now_ns();
        for (uint64_t i = 0; i < calls; i++) {
            run(j);
        }
        uint64_t took = otr_now_ns() - started;
        best = took < best ? took : best;
    }
    return (double)best / (double)calls;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: bench_wit call|memcpy BYTES\n");
        return 2;
    }
    size_t n = (size_t)strtoull(argv[2], NULL, 10);
    uint8_t *in = otr_alloc(n + 1);
    job j = { .between = otr_zalloc(n + 1), .copy = otr_zalloc(n + 1) };
    if (in == NULL || j.between == NULL || j.copy == NULL) {
        return 1;
    }
    otr_alloc_large(in, n);
    otr_alloc_large(j.between, n);
    otr_alloc_large(j.copy, n);
    for (size_t i = 0; i < n; i++) {
        in[i] = (uint8_t)(i * 7);
    }
    j.in = (otr_bytes){ in, n };
    otr_buf_init(&j.out, 64 * OTR_MIB);
    if (strcmp(argv[1], "call") == 0) {
        j.guest = start();
        run(&j);
        if (n > 0 && memcmp(j.out.p, in, n) != 0) {
            (void)fprintf(stderr, "bench_wit: wrong answer\n");
            return 1;
        }
    }
    (void)printf("%.1f ns\n", measure(&j, 1 + 1000000 / (n + 500)));
    otr_guest_free(j.guest);
    otr_buf_deinit(&j.out);
    otr_free(j.between);
    otr_free(j.copy);
    otr_free(in);
    return 0;
}
