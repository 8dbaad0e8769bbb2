/*
 * What a host operation costs a guest: publish, through the grants of src/plugin, to a bus where
 * nobody listens.
 *
 *     bench_host extism|wapc|wit
 *
 * Prints the best time of one publish as the guest sees it (its call of the host, with everything
 * the host does for it on the guest's thread), then with the delivery on the loop.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "loop/loop.h"
#include "plugin/services/hostcalls.h"

enum { ROUNDS = 300, PUBLISHES = 1000 };
_Static_assert(PUBLISHES < OTR_LIMIT_PLUGIN_PUBLISH_CALL, "in one call");

#define TOPIC  "alert.x"
#define DATA   "{\\\"level\\\":1,\\\"text\\\":\\\"too many requests\\\"}"
#define DATA_N "38"
/* What stands between is done as often as there are PUBLISHES. */
#define LOOP "(local.set $i (i32.const 1000)) (loop $l "
#define END  " (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"

static const char extism[] =
    "(module"
    " (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
    " (import \"extism:host/env\" \"store_u8\" (func $store (param i64 i32)))"
    " (import \"extism:host/user\" \"outrider_publish\""
    "  (func $publish (param i64 i64) (result i64)))"
    " (memory (export \"memory\") 1)"
    " (data (i32.const 64) \"" TOPIC "\") (data (i32.const 128) \"" DATA "\")"
    " (func $copy (param $from i32) (param $n i32) (result i64) (local $to i64) (local $i i32)"
    "  (local.set $to (call $alloc (i64.extend_i32_u (local.get $n))))"
    "  (loop $l (call $store (i64.add (local.get $to) (i64.extend_i32_u (local.get $i)))"
    "    (i32.load8_u (i32.add (local.get $from) (local.get $i))))"
    "   (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))"
    "    (local.get $n))))"
    "  (local.get $to))"
    " (func (export \"many\") (result i32) (local $i i32) (local $topic i64) (local $data i64)"
    "  (local.set $topic (call $copy (i32.const 64) (i32.const 7)))"
    "  (local.set $data (call $copy (i32.const 128) (i32.const " DATA_N ")))"
    "  " LOOP "(drop (call $publish (local.get $topic) (local.get $data)))" END "  (i32.const 0)))";

static const char wapc[] =
    "(module"
    " (import \"wapc\" \"__host_call\""
    "  (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"
    " (memory (export \"memory\") 1)"
    " (data (i32.const 64) \"outriderpublish" TOPIC "\") (data (i32.const 128) \"" DATA "\")"
    " (func (export \"__guest_call\") (param i32 i32) (result i32) (local $i i32)"
    "  " LOOP "(drop (call $call (i32.const 64) (i32.const 8) (i32.const 72) (i32.const 7)"
    " (i32.const 79) (i32.const 7) (i32.const 128) (i32.const " DATA_N ")))" END
    "  (i32.const 1)))";

static const char wit[] =
    "(component"
    " (import \"outrider:plugin/bus@1.0.0\" (instance $bus (export \"publish\" (func"
    "  (param \"topic\" string) (param \"data\" (list u8)) (result (result (error string)))))))"
    " (core module $libc (memory (export \"memory\") 1)"
    "  (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))"
    " (core instance $libc (instantiate $libc))"
    " (alias core export $libc \"memory\" (core memory $memory))"
    " (alias core export $libc \"realloc\" (core func $realloc))"
    " (core func $publish (canon lower (func $bus \"publish\") (memory $memory)"
    "  (realloc $realloc)))"
    " (core module $m (import \"libc\" \"memory\" (memory 1))"
    "  (import \"host\" \"publish\" (func $publish (param i32 i32 i32 i32 i32)))"
    "  (data (i32.const 64) \"" TOPIC "\") (data (i32.const 128) \"" DATA "\")"
    "  (func (export \"many\") (param i32 i32) (result i32) (local $i i32)"
    "   " LOOP "(call $publish (i32.const 64) (i32.const 7) (i32.const 128)"
    " (i32.const " DATA_N ") (i32.const 16))" END
    "   (i32.store (i32.const 32) (i32.const 0)) (i32.store (i32.const "
    "36) (i32.const 0))"
    "   (i32.const 32)))"
    " (core instance $i (instantiate $m (with \"libc\" (instance $libc))"
    "  (with \"host\" (instance (export \"publish\" (func $publish))))))"
    " (func (export \"many\") (param \"in\" (list u8)) (result (list u8))"
    "  (canon lift (core func $i \"many\") (memory $memory) (realloc "
    "$realloc))))";

typedef struct bench {
    otr_loop *loop;
    otr_bus *bus;
    otr_hostcalls hc;
    otr_guest *guest;
    otr_buf out;
} bench;

static void check(otr_code rc, const otr_err *err)
{
    if (rc != OTR_OK) {
        (void)fprintf(stderr, "bench_host: %s\n", err->msg);
        exit(1);
    }
}

static void start(bench *b, const char *text)
{
    static char *granted[] = { "nginx.*", "alert.*", NULL };
    static char *pairs[] = { NULL };
    static const otr_manifest manifest = { .publish = granted,
                                           .config_pairs = pairs,
                                           .publish_per_s = OTR_NS_PER_S, /* counted, never met */
                                           .where = "bench" };
    otr_err err = { 0 };
    otr_engine *engine;
    otr_guest_code *code;
    check(otr_loop_new(&b->loop, &err), &err);
    check(otr_bus_new(b->loop, &b->bus, &err), &err);
    otr_hostcalls_init(&b->hc, "bench", &manifest);
    check(otr_engine_find("wasmtime")->open(NULL, &engine, &err), &err);
    const otr_load_spec load = { .name = "bench", .wasm = otr_bytes_of(text), .rewrite = true };
    check(otr_guest_load(engine, &load, &code, &err), &err);
    const otr_guest_spec spec = { .name = "bench", .ops = &otr_hostcalls_ops, .host = &b->hc };
    check(otr_guest_new(code, &spec, &b->guest, &err), &err);
    otr_buf_init(&b->out, OTR_MIB);
}

/* One call of the guest and the delivery of what it published; the time of each. */
static void round_of(bench *b, uint64_t *ret_guest_ns, uint64_t *ret_all_ns)
{
    otr_err err = { 0 };
    otr_hostcalls_begin(&b->hc, NULL);
    otr_buf_clear(&b->out);
    uint64_t began = otr_now_ns();
    check(otr_guest_call(b->guest, "many", otr_bytes_of("x"), began + OTR_NS_PER_S * 10, &b->out,
                         &err),
          &err);
    uint64_t called = otr_now_ns();
    uint64_t sent = otr_hostcalls_flush(&b->hc, b->bus);
    otr_loop_step(b->loop, 0);
    if (sent != PUBLISHES) {
        (void)fprintf(stderr, "bench_host: %llu of %d published\n", (unsigned long long)sent,
                      PUBLISHES);
        exit(1);
    }
    *ret_guest_ns = called - began;
    *ret_all_ns = otr_now_ns() - began;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *text;
    } guests[] = { { "extism", extism }, { "wapc", wapc }, { "wit", wit } };
    bench b = { 0 };
    uint64_t best_guest = UINT64_MAX, best_all = UINT64_MAX;
    for (size_t i = 0; i < OTR_COUNT(guests); i++) {
        if (argc == 2 && strcmp(argv[1], guests[i].name) == 0) {
            start(&b, guests[i].text);
        }
    }
    if (b.guest == NULL) {
        (void)fprintf(stderr, "usage: bench_host extism|wapc|wit\n");
        return 2;
    }
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t guest_ns, all_ns;
        round_of(&b, &guest_ns, &all_ns);
        best_guest = guest_ns < best_guest ? guest_ns : best_guest;
        best_all = all_ns < best_all ? all_ns : best_all;
    }
    (void)printf("publish %.1f ns\ndelivered %.1f ns\n", (double)best_guest / PUBLISHES,
                 (double)best_all / PUBLISHES);
    otr_guest_free(b.guest);
    otr_hostcalls_deinit(&b.hc);
    otr_buf_deinit(&b.out);
    return 0;
}
