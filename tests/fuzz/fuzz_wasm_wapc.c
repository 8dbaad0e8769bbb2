/*
 * A guest that does to its host whatever the input says: 33-byte records of an operation and eight
 * numbers, passed as pointers and lengths to the imports of waPC.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "wasm/guest.h"

static const char wat[] =
    "(module (import \"wapc\" \"__guest_request\" (func $req (param i32 i32)))"
    " (import \"wapc\" \"__guest_response\" (func $resp (param i32 i32)))"
    " (import \"wapc\" \"__guest_error\" (func $error (param i32 i32)))"
    " (import \"wapc\" \"__host_call\""
    "  (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"
    " (import \"wapc\" \"__host_response_len\" (func $hrl (result i32)))"
    " (import \"wapc\" \"__host_response\" (func $hr (param i32)))"
    " (import \"wapc\" \"__host_error_len\" (func $error_len (result i32)))"
    " (import \"wapc\" \"__host_error\" (func $he (param i32)))"
    " (import \"wapc\" \"__console_log\" (func $log (param i32 i32)))"
    " (memory (export \"memory\") 2)"
    " (data (i32.const 0) \"outriderbuspublishconfiggetlogwarnkv{\\22topic\\22:\\22a\\22}\")"
    " (func $a (param $p i32) (param $i i32) (result i32)"
    "  (i32.load (i32.add (local.get $p) (i32.add (i32.const 1)"
    "   (i32.mul (local.get $i) (i32.const 4))))))"
    " (func $run (param $p i32)"
    "  (local $x i32) (local $y i32)"
    "  (local.set $x (call $a (local.get $p) (i32.const 0)))"
    "  (local.set $y (call $a (local.get $p) (i32.const 1)))"
    "  (block $8 (block $7 (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0"
    "   (br_table $0 $1 $2 $3 $4 $5 $6 $7 $8"
    "    (i32.rem_u (i32.load8_u (local.get $p)) (i32.const 9))))"
    "   (call $req (local.get $x) (local.get $y)) (return))"
    "   (call $resp (local.get $x) (local.get $y)) (return))"
    "   (call $error (local.get $x) (local.get $y)) (return))"
    "   (drop (call $host (local.get $x) (local.get $y)"
    "    (call $a (local.get $p) (i32.const 2)) (call $a (local.get $p) (i32.const 3))"
    "    (call $a (local.get $p) (i32.const 4)) (call $a (local.get $p) (i32.const 5))"
    "    (call $a (local.get $p) (i32.const 6)) (call $a (local.get $p) (i32.const 7))))"
    "   (return))"
    "   (drop (call $hrl)) (return))"
    "   (call $hr (local.get $x)) (return))"
    "   (drop (call $error_len)) (return))"
    "   (call $he (local.get $x)) (return))"
    "   (call $log (local.get $x) (local.get $y)))"
    " (func (export \"__guest_call\") (param i32 i32) (result i32)"
    "  (local $p i32) (local $end i32)"
    "  (call $req (i32.const 256) (i32.const 1024))"
    "  (local.set $p (i32.const 1024))"
    "  (local.set $end (i32.add (i32.const 1024) (local.get 1)))"
    "  (block $done (loop $next"
    "   (br_if $done (i32.gt_u (i32.add (local.get $p) (i32.const 33)) (local.get $end)))"
    "   (call $run (local.get $p))"
    "   (local.set $p (i32.add (local.get $p) (i32.const 33)))"
    "   (br $next)))"
    "  (i32.and (local.get 1) (i32.const 1))))";

static otr_code on_publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    (void)host;
    (void)payload;
    return topic[0] == 'a' ? OTR_OK : otr_fail(err, OTR_EDENIED, "not %s", topic);
}

static otr_code on_config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    (void)host;
    return otr_buf_adds(out, key, err);
}

static otr_code on_call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)host;
    return op[0] == 'k' ? otr_buf_add(out, in, err) : otr_fail(err, OTR_ENOTFOUND, "no %s", op);
}

static void on_log(void *host, int level, otr_bytes text)
{
    volatile uint8_t sum = (uint8_t)level;
    (void)host;
    for (size_t i = 0; i < text.n; i++) { /* reads it all: the sanitizer looks */
        sum = (uint8_t)(sum + text.p[i]);
    }
}

static const otr_host_ops ops = {
    .publish = on_publish, .config = on_config, .call = on_call, .log = on_log
};

static void must(otr_code rc)
{
    if (rc != OTR_OK) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static otr_engine *engine;
    static otr_guest_code *code;
    otr_guest *guest = NULL;
    otr_err err;
    if (code == NULL) {
        const otr_load_spec load = { .name = "fuzz", .wasm = otr_bytes_of(wat) };
        must(otr_engine_find("wasmtime")->open(NULL, &engine, &err));
        must(otr_guest_load(engine, &load, &code, &err));
    }
    const otr_guest_spec spec = { .name = "fuzz", .ops = &ops, .max_output_bytes = 65536 };
    must(otr_guest_new(code, &spec, &guest, &err));
    otr_buf out;
    otr_buf_init(&out, OTR_MIB);
    const otr_bytes in = { data, size < 100000 ? size : 100000 };
    otr_code rc = otr_guest_call(guest, "fuzz", in, otr_now_ns() + 10 * OTR_NS_PER_S, &out, &err);
    if (rc != OTR_OK && (out.n != 0 || err.msg[0] == '\0')) {
        abort(); /* a failure keeps the output as it was and says why */
    }
    otr_buf_deinit(&out);
    otr_guest_free(guest);
    return 0;
}
