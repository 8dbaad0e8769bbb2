/*
 * What the Wasm host costs: calls in both directions, a memory window, an instance, a waPC echo.
 *
 *     bench_wasm [CACHE_FOLDER]
 *
 * Prints the best of several runs in nanoseconds, one line each. Every call has a deadline. With a
 * folder also what it costs to take the largest module from the code cache there.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "wasm/guest.h"

enum { RUNS = 30, CALLS = 100000, SPAWNS = 2000, MANY_FUNCTIONS = 2000 };

static void check(otr_code rc, const otr_err *err)
{
    if (rc != OTR_OK) {
        (void)fprintf(stderr, "bench_wasm: %s\n", err->msg);
        exit(1);
    }
}

static otr_code nothing(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)inst;
    (void)vals;
    (void)err;
    return OTR_OK;
}

static const otr_import imports[] = { { .module = "env", .name = "nothing", .fn = nothing } };

static const char plain[] = "(module (import \"env\" \"nothing\" (func $n))"
                            " (memory (export \"memory\") 1)"
                            " (func (export \"empty\"))"
                            " (func (export \"calls\") (param i32)"
                            "  (loop (call $n) (br_if 0"
                            "   (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))";

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void report(const char *name, uint64_t best_ns, uint64_t n)
{
    (void)printf("%-28s %12.1f ns\n", name, (double)best_ns / (double)n);
}

static void bench_calls(otr_instance *inst)
{
    const otr_engine_ops *ops = inst->ops;
    otr_err err = { 0 };
    otr_val vals[1] = { { .i64 = 0 } };
    otr_call call = { ops->func(inst, OTR_MEM_GUEST, "empty"), vals, otr_now_ns() * 2 };
    uint64_t best = UINT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        uint64_t begin = otr_now_ns();
        for (int i = 0; i < CALLS; i++) {
            check(ops->call(inst, &call, &err), &err);
        }
        best = least(best, otr_now_ns() - begin);
    }
    report("host to guest, empty", best, CALLS);

    call.func = ops->func(inst, OTR_MEM_GUEST, "calls");
    best = UINT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        vals[0].i32 = CALLS;
        uint64_t begin = otr_now_ns();
        check(ops->call(inst, &call, &err), &err);
        best = least(best, otr_now_ns() - begin);
    }
    report("guest to host, empty", best, CALLS);
}

static void bench_memory(otr_instance *inst)
{
    otr_err err = { 0 };
    uint8_t *p;
    volatile uint8_t sink = 0;
    uint64_t best = UINT64_MAX;
    for (int run = 0; run < RUNS; run++) {
        uint64_t begin = otr_now_ns();
        for (int i = 0; i < CALLS; i++) {
            check(inst->ops->memory(inst, OTR_MEM_GUEST, (uint64_t)(i & 1023), 64, &p, &err), &err);
            sink = p[0];
        }
        best = least(best, otr_now_ns() - begin);
    }
    (void)sink;
    report("memory window", best, CALLS);
}

static void bench_spawn(otr_module *m, const otr_spawn *spec)
{
    otr_err err = { 0 };
    otr_instance *inst;
    uint64_t best = UINT64_MAX;
    for (int run = 0; run < RUNS / 3; run++) {
        uint64_t begin = otr_now_ns();
        for (int i = 0; i < SPAWNS; i++) {
            check(m->ops->spawn(m, spec, &inst, &err), &err);
            m->ops->instance_free(inst);
        }
        best = least(best, otr_now_ns() - begin);
    }
    report("spawn and free", best, SPAWNS);
}

static void bench_engine(otr_engine *engine)
{
    otr_err err = { 0 };
    otr_module *m;
    otr_instance *inst;
    const otr_spawn spec = { .imports = imports, .n_imports = 1, .max_memory_bytes = 1 << 20 };
    check(engine->ops->compile(engine, otr_bytes_of(plain), &m, &err), &err);
    check(engine->ops->spawn(m, &spec, &inst, &err), &err);
    bench_calls(inst);
    bench_memory(inst);
    engine->ops->instance_free(inst);
    bench_spawn(m, &spec);
    engine->ops->module_free(m);
}

/* ---- waPC ---- */

static const char echo[] = "(module (import \"wapc\" \"__guest_request\" (func $q (param i32 i32)))"
                           " (import \"wapc\" \"__guest_response\" (func $r (param i32 i32)))"
                           " (memory (export \"memory\") 600)"
                           " (func (export \"__guest_call\") (param i32 i32) (result i32)"
                           "  (call $q (i32.const 0) (i32.const 65536))"
                           "  (call $r (i32.const 65536) (local.get 1)) (i32.const 1)))";

static void bench_echo(otr_guest *guest, size_t n)
{
    char name[40];
    otr_err err = { 0 };
    otr_buf out;
    uint8_t *in = otr_zalloc(n);
    uint64_t calls = 1 + 2000000 / (n + 200), best = UINT64_MAX;
    otr_buf_init(&out, 64U << 20);
    if (in != NULL) {
        memset(in, 7, n); /* pages never written are one page of zeros, which lies in the cache */
    }
    for (int run = 0; run < RUNS && in != NULL; run++) {
        uint64_t begin = otr_now_ns();
        for (uint64_t i = 0; i < calls; i++) {
            otr_buf_clear(&out);
            check(otr_guest_call(guest, "echo", (otr_bytes){ in, n }, begin + 60 * OTR_NS_PER_S,
                                 &out, &err),
                  &err);
        }
        best = least(best, otr_now_ns() - begin);
        if (out.n != n) {
            (void)fprintf(stderr, "bench_wasm: wrong answer\n");
            exit(1);
        }
    }
    (void)snprintf(name, sizeof(name), "waPC echo, %zu bytes", n);
    report(name, best, calls);
    otr_buf_deinit(&out);
    otr_free(in);
}

static void bench_wapc(otr_engine *engine)
{
    static const size_t sizes[] = { 16, 1024, 65536, 1048576, 16777216 };
    static const otr_host_ops ops = { 0 };
    otr_err err = { 0 };
    otr_guest_code *code;
    otr_guest *guest;
    const otr_load_spec load = { .name = "echo", .wasm = otr_bytes_of(echo) };
    const otr_guest_spec spec = { .name = "echo", .ops = &ops, .max_memory_bytes = 64U << 20 };
    check(otr_guest_load(engine, &load, &code, &err), &err);
    check(otr_guest_new(code, &spec, &guest, &err), &err);
    for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
        bench_echo(guest, sizes[i]);
    }
    otr_guest_free(guest);
    otr_guest_code_free(code);
}

/* ---- cache ---- */

/* A module of many functions that each do a little. */
static void write_large(otr_buf *wat)
{
    otr_err err = { 0 };
    check(otr_buf_adds(wat, "(module", &err), &err);
    for (int i = 0; i < MANY_FUNCTIONS; i++) {
        check(otr_buf_addf(wat, &err,
                           "(func (export \"f%d\") (param i32 i32) (result i32)"
                           " (if (i32.gt_u (local.get 0) (i32.const %d))"
                           " (then (local.set 1 (i32.mul (local.get 1) (i32.const %d)))))"
                           " (i32.add (local.get 1) (i32.rotl (local.get 0) (i32.const 3))))",
                           i, i, i + 7),
              &err);
    }
    check(otr_buf_addc(wat, ')', &err), &err);
}

static void bench_cache(otr_engine *engine)
{
    otr_err err = { 0 };
    otr_module *m;
    otr_buf wat;
    uint64_t best = UINT64_MAX;
    otr_buf_init(&wat, 4U << 20);
    write_large(&wat);
    for (int run = 0; run < RUNS; run++) {
        uint64_t begin = otr_now_ns();
        check(engine->ops->compile(engine, otr_buf_bytes(&wat), &m, &err), &err);
        uint64_t took = otr_now_ns() - begin;
        engine->ops->module_free(m);
        if (run == 0) {
            report("2,000 functions, first", took, 1);
        }
        best = least(best, took);
    }
    report("2,000 functions, kept", best, 1);
    otr_buf_deinit(&wat);
}

int main(int argc, char **argv)
{
    otr_err err = { 0 };
    otr_engine *engine;
    check(otr_engine_find("wasmtime")->open(argc > 1 ? argv[1] : NULL, &engine, &err), &err);
    bench_engine(engine);
    bench_wapc(engine);
    if (argc > 1) {
        bench_cache(engine);
    }
    engine->ops->close(engine);
    return 0;
}
