/* The table of docs/abi/proposals.md: each proposal of WebAssembly on each engine and ABI, by a
 * small guest that uses it. What is refused must be so when it is loaded, and must be named.
 *
 * OTR_WRITE_PROPOSALS=1 writes the table into the file instead of comparing it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "support/test.h"
#include "wasm/engine/wasmi.h" /* OTR_HAVE_WASMI */
#include "wasm/engine/wat.h"
#include "wasm/guest.h"

enum { TEXT_BYTES = 1 << 16, SECONDS = 20 };

static const char page[] = OTR_SOURCE_DIR "/docs/abi/proposals.md";
static const char begin_mark[] = "<!-- table: made by tests/unit/wasm/test_proposals.c -->\n";
static const char end_mark[] = "<!-- end -->\n";

typedef struct proposal {
    const char *name;
    const char *memory; /* the guest's exported one, or NULL: "(memory (export "memory") 1)" */
    const char *items;  /* of the module */
    const char *body;   /* an i32: 7 when all is well */
} proposal;

static const char older_try[] = "exceptions, the older form"; /* has no text: see patch() */

static const proposal proposals[] = {
    { "multi-value", NULL, "(func $two (result i32 i32) (i32.const 3) (i32.const 4))",
      "(i32.add (call $two))" },
    { "mutable globals, sign extension, saturating conversions", NULL,
      "(global $g (export \"g\") (mut i32) (i32.const 6))",
      "(global.set $g (i32.add (global.get $g) (i32.sub (i32.const 0)"
      " (i32.extend8_s (i32.const 255))))) (drop (i32.trunc_sat_f64_s (f64.const 1e300)))"
      " (global.get $g)" },
    { "bulk memory", NULL, "(data $d \"\\07\")",
      "(memory.init $d (i32.const 8) (i32.const 0) (i32.const 1)) (data.drop $d)"
      " (memory.copy (i32.const 16) (i32.const 8) (i32.const 1)) (i32.load (i32.const 16))" },
    { "reference types", NULL, "(table $x 4 externref)",
      "(drop (table.grow $x (ref.null extern) (i32.const 3))) (table.size $x)" },
    { "SIMD", NULL, "", "(i32x4.extract_lane 2 (v128.const i32x4 0 0 7 0))" },
    { "relaxed SIMD", NULL, "",
      "(i32x4.extract_lane 0 (i32x4.relaxed_laneselect (v128.const i32x4 7 7 7 7)"
      " (v128.const i32x4 0 0 0 0) (v128.const i32x4 -1 -1 -1 -1)))" },
    { "tail calls", NULL,
      "(func $t (param i32) (result i32) (if (i32.eqz (local.get 0)) (then (return (i32.const 7))))"
      " (return_call $t (i32.sub (local.get 0) (i32.const 1))))",
      "(call $t (i32.const 300000))" },
    { "extended constant expressions", NULL,
      "(global $sum i32 (i32.add (i32.const 3) (i32.mul (i32.const 2) (i32.const 2))))",
      "(global.get $sum)" },
    { "several memories", NULL, "(memory $b 1)",
      "(i32.store $b (i32.const 0) (i32.const 7))"
      " (memory.copy 0 $b (i32.const 8) (i32.const 0) (i32.const 4)) (i32.load (i32.const 8))" },
    { "memory64, its memories", "(memory (export \"memory\") i64 1)", "",
      "(i32.store (i64.const 8) (i32.const 7)) (i32.load (i64.const 8))" },
    { "memory64, its tables", NULL, "(table $t i64 7 funcref)", "(i32.wrap_i64 (table.size $t))" },
    { "wide arithmetic", NULL, "",
      "(i64.add128 (i64.const 3) (i64.const 0) (i64.const 4) (i64.const 0)) (drop)"
      " (i32.wrap_i64)" },
    { "typed function references", NULL,
      "(type $seven (func (result i32))) (func $f (type $seven) (i32.const 7)) (elem declare func "
      "$f)",
      "(call_ref $seven (ref.func $f))" },
    { "GC: structures and arrays", NULL,
      "(type $pair (struct (field i32) (field (mut i32)))) (type $bytes (array (mut i8)))",
      "(i32.add (struct.get $pair 0 (struct.new $pair (i32.const 3) (i32.const 0)))"
      " (array.get_u $bytes (array.new $bytes (i32.const 4) (i32.const 9)) (i32.const 8)))" },
    { "GC: i31", NULL, "", "(i31.get_u (ref.i31 (i32.const 7)))" },
    { "GC: constants that read the module's own globals", NULL,
      "(global $a i32 (i32.const 7)) (global $b i32 (global.get $a))", "(global.get $b)" },
    { "exceptions", NULL, "(tag $e (param i32))",
      "(block $h (result i32) (try_table (catch $e $h) (throw $e (i32.const 7))) (i32.const 0))" },
    { older_try, NULL, "", "(block (result i32) (i32.const 7))" },
    { "threads: atomic instructions", NULL, "",
      "(drop (i32.atomic.rmw.add (i32.const 8) (i32.const 7)))"
      " (i32.atomic.load (i32.const 8))" },
    { "threads: shared memory", "(memory (export \"memory\") 1 1 shared)", "", "(i32.const 7)" },
    { "custom page sizes", NULL, "(memory $small 100 (pagesize 1))",
      "(i32.store8 $small (i32.const 99) (i32.const 7)) (i32.load8_u $small (i32.const 99))" },
    { "stack switching", NULL,
      "(type $ft (func)) (type $ct (cont $ft)) (func $x) (elem declare func $x)",
      "(resume $ct (cont.new $ct (ref.func $x))) (i32.const 7)" },
};

typedef struct setting {
    const char *abi, *engine;
} setting;

static const setting settings[] = { { "extism", "wasmtime" },
                                    { "extism", "wasmi" },
                                    { "wapc", "wasmtime" },
                                    { "wapc", "wasmi" },
                                    { "wit", "wasmtime" } };

/* A guest of the ABI with the operation "run", which fails unless the proposal's code gives 7. */
static otr_code write_guest(const proposal *p, const char *abi, otr_buf *out, otr_err *err)
{
    const char *memory = p->memory != NULL ? p->memory : "(memory (export \"memory\") 1)";
    if (strcmp(abi, "extism") == 0) { /* with a call that the rewriter takes */
        return otr_buf_addf(
            out, err,
            "(module (import \"extism:host/env\" \"input_length\" (func $n (result "
            "i64))) %s %s (func $try (result i32) %s) (func (export \"run\") (result "
            "i32) (i32.sub (i32.add (call $try) (i32.wrap_i64 (call $n))) "
            "(i32.const 7))))",
            memory, p->items, p->body);
    }
    if (strcmp(abi, "wapc") == 0) {
        return otr_buf_addf(out, err,
                            "(module (import \"wapc\" \"__guest_request\" (func (param i32 i32))) "
                            "%s %s (func $try (result i32) %s) (func (export \"__guest_call\") "
                            "(param i32 i32) (result i32) (i32.eq (call $try) (i32.const 7))))",
                            memory, p->items, p->body);
    }
    return otr_buf_addf(
        out, err,
        "(component (core module $m %s %s (func $try (result i32) %s) (func (export "
        "\"run\") (if (i32.ne (call $try) (i32.const 7)) (then (unreachable)))))"
        " (core instance $i (instantiate $m))"
        " (func (export \"run\") (canon lift (core func $i \"run\"))))",
        memory, p->items, p->body);
}

/* Makes a `try` of the older form of the block in the guest. */
static otr_code patch(otr_buf *text, otr_buf *binary, otr_err *err)
{
    static const uint8_t block[] = { 0x02, 0x7f, 0x41, 0x07, 0x0b };
    otr_code rc = otr_wat_to_wasm(otr_buf_bytes(text), binary, err);
    for (size_t i = 0; rc == OTR_OK && i + sizeof(block) <= binary->n; i++) {
        if (memcmp(binary->p + i, block, sizeof(block)) == 0) {
            binary->p[i] = 0x06;
            return OTR_OK;
        }
    }
    return rc == OTR_OK ? otr_fail(err, OTR_EINVAL, "the block is not found") : rc;
}

static otr_code run(otr_guest_code *code, otr_err *err)
{
    const otr_guest_spec spec = { .name = "guest" };
    otr_guest *guest = NULL;
    otr_buf answer;
    otr_buf_init(&answer, TEXT_BYTES);
    otr_code rc = otr_guest_new(code, &spec, &guest, err);
    if (rc == OTR_OK) {
        rc = otr_guest_call(guest, "run", (otr_bytes){ NULL, 0 },
                            otr_now_ns() + SECONDS * OTR_NS_PER_S, &answer, err);
    }
    otr_guest_free(guest);
    otr_buf_deinit(&answer);
    return rc;
}

/* Whether the guest runs; a refusal must come from loading it, and name a proposal. */
static bool offers(otr_engine *engine, const proposal *p, const setting *s)
{
    otr_err err = { 0 };
    otr_buf text, binary;
    otr_guest_code *code = NULL;
    otr_buf_init(&text, TEXT_BYTES);
    otr_buf_init(&binary, TEXT_BYTES);
    otr_code rc = write_guest(p, s->abi, &text, &err);
    rc = rc == OTR_OK && p->name == older_try ? patch(&text, &binary, &err) : rc;
    const otr_load_spec spec = { .name = p->name,
                                 .wasm = otr_buf_bytes(binary.n > 0 ? &binary : &text),
                                 .abi = s->abi,
                                 .rewrite = true };
    rc = rc == OTR_OK ? otr_guest_load(engine, &spec, &code, &err) : rc;
    bool loaded = rc == OTR_OK;
    rc = loaded ? run(code, &err) : rc;
    if (rc != OTR_OK) {
        otr_test_check(!loaded && rc == OTR_EUNSUP, __FILE__, __LINE__, err.msg);
        CHECK_HAS(err.msg, "proposal");
        CHECK_HAS(err.msg, strcmp(s->engine, "wasmi") == 0 ? "engine" : "no engine here has");
        CHECK(strstr(err.msg, "use engine:") == NULL || strcmp(s->engine, "wasmi") == 0);
    }
    otr_guest_code_free(code);
    otr_buf_deinit(&text);
    otr_buf_deinit(&binary);
    return rc == OTR_OK;
}

static otr_engine *engines[OTR_COUNT(settings)]; /* in the order of `settings`, some the same */

static otr_code open_engines(otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(settings); i++) {
        for (size_t k = 0; k < i && engines[i] == NULL; k++) {
            engines[i] = strcmp(settings[k].engine, settings[i].engine) == 0 ? engines[k] : NULL;
        }
        if (engines[i] == NULL) {
            rc = otr_engine_find(settings[i].engine)->open(NULL, &engines[i], err);
        }
    }
    return rc;
}

static void close_engines(void)
{
    for (size_t i = 0; i < OTR_COUNT(settings); i++) {
        for (size_t k = i + 1; k < OTR_COUNT(settings); k++) {
            engines[k] = engines[k] == engines[i] ? NULL : engines[k];
        }
        if (engines[i] != NULL) {
            engines[i]->ops->close(engines[i]);
        }
        engines[i] = NULL;
    }
}

static otr_code write_table(otr_buf *out, otr_err *err)
{
    otr_code rc = otr_buf_adds(out, "| proposal |", err);
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(settings); i++) {
        rc = otr_buf_addf(out, err, " %s, %s |", settings[i].abi, settings[i].engine);
    }
    rc = rc == OTR_OK ? otr_buf_adds(out, "\n|---|", err) : rc;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(settings); i++) {
        rc = otr_buf_adds(out, "---|", err);
    }
    for (size_t p = 0; rc == OTR_OK && p < OTR_COUNT(proposals); p++) {
        rc = otr_buf_addf(out, err, "\n| %s |", proposals[p].name);
        for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(settings); i++) {
            rc = otr_buf_addf(out, err, " %s |",
                              offers(engines[i], &proposals[p], &settings[i]) ? "yes" : "no");
        }
    }
    return rc == OTR_OK ? otr_buf_adds(out, "\n", err) : rc;
}

static bool replace_table(const otr_buf *file, const otr_buf *table)
{
    const char *text = (const char *)file->p;
    const char *from = strstr(text, begin_mark), *to = strstr(text, end_mark);
    FILE *f = from != NULL && to != NULL ? fopen(page, "we") : NULL;
    if (f == NULL) {
        return false;
    }
    from += sizeof(begin_mark) - 1;
    bool ok = fwrite(text, 1, (size_t)(from - text), f) > 0 &&
              fwrite(table->p, 1, table->n, f) > 0 && fputs(to, f) >= 0;
    return fclose(f) == 0 && ok;
}

T_NO_OOM(the_table_of_proposals_is_true) /* some hundred guests: each allocation would take hours */
{
#if !defined(OTR_HAVE_WASMI) || !defined(OTR_ENGINES_OURS)
    otr_test_skip("needs both engines");
#else
    otr_err err = { 0 };
    otr_buf file, table;
    otr_buf_init(&file, 1 << 20);
    otr_buf_init(&table, TEXT_BYTES);
    otr_code rc = open_engines(&err);
    rc = rc == OTR_OK ? write_table(&table, &err) : rc;
    rc = rc == OTR_OK ? otr_buf_read_file(&file, page, &err) : rc;
    close_engines();
    CHECK_STR(err.code == OTR_OK || rc == OTR_OK ? "" : err.msg, "");
    if (getenv("OTR_WRITE_PROPOSALS") != NULL) {
        CHECK(rc == OTR_OK && replace_table(&file, &table));
    } else if (strstr(otr_buf_text(&file), otr_buf_text(&table)) == NULL) {
        otr_test_check(false, __FILE__, __LINE__, otr_buf_text(&table));
    }
    otr_buf_deinit(&file);
    otr_buf_deinit(&table);
#endif
}
