/*
 * A guest that does what a test tells it: a program of records in its own memory, each a call of
 * one imported Extism function whose operands may be results of earlier records. It behaves the
 * same on the kernel and rewritten; that is what the differential fuzzer checks.
 */
#ifndef OTR_TESTS_SUPPORT_EXTISM_PROBE_H
#define OTR_TESTS_SUPPORT_EXTISM_PROBE_H

#include <stdio.h>
#include <wasmtime.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "wasm/abi/abi.h"
#include "wasm/guest.h"

#define ENV_  "extism:host/env"
#define USER_ "extism:host/user"

/* name, module, arguments, type of the second one, type of the result */
#define PROBE_FUNCTIONS(X)                      \
    X(alloc, ENV_, 1, "", "i64")                \
    X(free, ENV_, 1, "", "")                    \
    X(length, ENV_, 1, "", "i64")               \
    X(length_unsafe, ENV_, 1, "", "i64")        \
    X(load_u8, ENV_, 1, "", "i32")              \
    X(load_u64, ENV_, 1, "", "i64")             \
    X(store_u8, ENV_, 2, "i32", "")             \
    X(store_u64, ENV_, 2, "i64", "")            \
    X(input_length, ENV_, 0, "", "i64")         \
    X(input_offset, ENV_, 0, "", "i64")         \
    X(input_load_u8, ENV_, 1, "", "i32")        \
    X(input_load_u64, ENV_, 1, "", "i64")       \
    X(output_set, ENV_, 2, "i64", "")           \
    X(error_set, ENV_, 1, "", "")               \
    X(error_get, ENV_, 0, "", "i64")            \
    X(reset, ENV_, 0, "", "")                   \
    X(config_get, ENV_, 1, "", "i64")           \
    X(var_get, ENV_, 1, "", "i64")              \
    X(var_set, ENV_, 2, "i64", "")              \
    X(http_request, ENV_, 2, "i64", "i64")      \
    X(http_status_code, ENV_, 0, "", "i32")     \
    X(http_headers, ENV_, 0, "", "i64")         \
    X(log_trace, ENV_, 1, "", "")               \
    X(log_debug, ENV_, 1, "", "")               \
    X(log_info, ENV_, 1, "", "")                \
    X(log_warn, ENV_, 1, "", "")                \
    X(log_error, ENV_, 1, "", "")               \
    X(get_log_level, ENV_, 0, "", "i32")        \
    X(outrider_publish, USER_, 2, "i64", "i64") \
    X(outrider_call, USER_, 2, "i64", "i64")    \
    X(outrider_error, USER_, 0, "", "i64")

#define PROBE_ENUM(name, module, n, second, result) P_##name,
enum { PROBE_FUNCTIONS(PROBE_ENUM) P_COUNT };

typedef struct probe_function {
    const char *name, *module;
    int n_args;
    const char *second, *result;
} probe_function;

#define PROBE_ROW(name, module, n, second, result) { #name, module, n, second, result },
static const probe_function probe_functions[] = { PROBE_FUNCTIONS(PROBE_ROW) };

enum { PROBE_RECORDS = 4000, PROBE_RECORD_BYTES = 32, PROBE_RESULTS_AT = 131072 };

/* The guest as text; `env` is the module name of Extism's own functions. */
static otr_code probe_text(const char *env, otr_buf *t, otr_err *err)
{
    otr_code rc = otr_buf_adds(t, "(module\n", err);
    for (size_t i = 0; rc == OTR_OK && i < P_COUNT; i++) {
        const probe_function *f = &probe_functions[i];
        rc = otr_buf_addf(t, err, "(import \"%s\" \"%s\" (func $%s%s%s%s%s%s%s%s))\n",
                          strcmp(f->module, ENV_) == 0 ? env : f->module, f->name, f->name,
                          f->n_args > 0 ? " (param i64)" : "", f->n_args > 1 ? " (param " : "",
                          f->second, f->n_args > 1 ? ")" : "",
                          f->result[0] != '\0' ? " (result " : "", f->result,
                          f->result[0] != '\0' ? ")" : "");
    }
    if (rc == OTR_OK) {
        rc = otr_buf_adds(t,
                          "(memory (export \"memory\") 4)\n"
                          "(func $do (param $op i32) (param $a i64) (param $b i64) (result i64)\n",
                          err);
    }
    for (size_t i = 0; rc == OTR_OK && i < P_COUNT; i++) {
        const probe_function *f = &probe_functions[i];
        const char *b = f->n_args < 2         ? ""
                        : f->second[1] == '3' ? "(i32.wrap_i64 (local.get $b))"
                                              : "(local.get $b)";
        rc = otr_buf_addf(
            t, err,
            "(if (i32.eq (local.get $op) (i32.const %zu)) (then %s%s (call $%s %s %s)%s%s))\n", i,
            f->result[0] != '\0' ? "(return " : "",
            f->result[0] != '\0' && f->result[1] == '3' ? "(i64.extend_i32_u " : "", f->name,
            f->n_args > 0 ? "(local.get $a)" : "", b,
            f->result[0] != '\0' && f->result[1] == '3' ? ")" : "",
            f->result[0] != '\0' ? ")" : " (return (i64.const 0))");
    }
    if (rc == OTR_OK) {
        rc = otr_buf_adds(
            t,
            "(unreachable))\n"
            "(func $operand (param $value i64) (param $ref i32) (result i64)\n"
            " (if (i32.eqz (local.get $ref)) (then (return (local.get $value))))\n"
            " (i64.add (local.get $value)\n"
            "  (i64.load offset=131064 (i32.shl (local.get $ref) (i32.const 3)))))\n"
            "(func $run (export \"run\") (result i32) (local $i i32) (local $p i32)\n"
            " (block $end (loop $next\n"
            "  (br_if $end (i32.ge_u (local.get $i) (i32.load (i32.const 0))))\n"
            "  (local.set $p (i32.add (i32.const 32) (i32.shl (local.get $i) (i32.const 5))))\n"
            "  (i64.store offset=131072 (i32.shl (local.get $i) (i32.const 3))\n"
            "   (call $do (i32.load (local.get $p))\n"
            "    (call $operand (i64.load offset=8 (local.get $p)) (i32.load offset=4 (local.get "
            "$p)))\n"
            "    (call $operand (i64.load offset=16 (local.get $p)) (i32.load offset=24 (local.get "
            "$p)))))\n"
            "  (local.set $i (i32.add (local.get $i) (i32.const 1)))\n"
            "  (br $next)))\n"
            " (i32.load (i32.const 4)))\n"
            "(func (export \"run_void\") (drop (call $run)))\n"
            "(func (export \"wrong\") (param i32)))\n",
            err);
    }
    return rc;
}

/* Text to binary: the rewriter takes binary modules. */
static otr_code probe_binary(const char *text, otr_buf *ret, otr_err *err)
{
    wasm_byte_vec_t binary;
    wasmtime_error_t *error = wasmtime_wat2wasm(text, strlen(text), &binary);
    if (error != NULL) {
        wasm_name_t message;
        wasmtime_error_message(error, &message);
        otr_code rc = otr_fail(err, OTR_EINVAL, "%.*s", (int)message.size, message.data);
        wasm_byte_vec_delete(&message);
        wasmtime_error_delete(error);
        return rc;
    }
    otr_code rc = otr_buf_add(ret, (otr_bytes){ (const uint8_t *)binary.data, binary.size }, err);
    wasm_byte_vec_delete(&binary);
    return rc;
}

/* ---- a program ---- */

typedef struct probe {
    uint8_t records[PROBE_RECORDS * PROBE_RECORD_BYTES];
    uint32_t n;
    int32_t code; /* what `run` answers */
} probe;

typedef struct probe_arg {
    int64_t value;
    uint32_t ref; /* 1 + index of the record whose result is added; 0: none */
} probe_arg;

#define V(x)     ((probe_arg){ (int64_t)(x), 0 })
#define R(i)     ((probe_arg){ 0, (uint32_t)(i) + 1 })
#define RV(i, x) ((probe_arg){ (int64_t)(x), (uint32_t)(i) + 1 })

static void probe_put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static uint64_t probe_get64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

/* Adds a record; returns its index. */
static uint32_t probe_do(probe *p, uint32_t op, probe_arg a, probe_arg b)
{
    if (p->n == PROBE_RECORDS) {
        return p->n - 1;
    }
    uint8_t *r = p->records + (size_t)p->n * PROBE_RECORD_BYTES;
    memset(r, 0, PROBE_RECORD_BYTES);
    probe_put32(r, op);
    probe_put32(r + 4, a.ref);
    probe_put32(r + 8, (uint32_t)(uint64_t)a.value);
    probe_put32(r + 12, (uint32_t)((uint64_t)a.value >> 32));
    probe_put32(r + 16, (uint32_t)(uint64_t)b.value);
    probe_put32(r + 20, (uint32_t)((uint64_t)b.value >> 32));
    probe_put32(r + 24, b.ref);
    return p->n++;
}

/* Writes the program into the guest. */
static otr_code probe_load(const probe *p, otr_guest *g, otr_err *err)
{
    uint8_t *m;
    otr_code rc = g->inst->ops->memory(g->inst, OTR_MEM_GUEST, 0, PROBE_RESULTS_AT, &m, err);
    if (rc == OTR_OK) {
        probe_put32(m, p->n);
        probe_put32(m + 4, (uint32_t)p->code);
        memcpy(m + 32, p->records, (size_t)p->n * PROBE_RECORD_BYTES);
    }
    return rc;
}

/* The result of record `i` of the last call; all ones when it cannot be read. */
static uint64_t probe_result(otr_guest *g, uint32_t i)
{
    uint8_t *m;
    if (g->inst->ops->memory(g->inst, OTR_MEM_GUEST, PROBE_RESULTS_AT + 8 * (uint64_t)i, 8, &m,
                             NULL) != OTR_OK) {
        return UINT64_MAX;
    }
    return probe_get64(m);
}

#endif
