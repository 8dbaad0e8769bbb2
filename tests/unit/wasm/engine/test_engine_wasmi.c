#include "unit/wasm/on_wasmi.h"

#ifdef OTR_HAVE_WASMI
#include "unit/wasm/engine/test_engine.c"

T(wasmi_runs_a_start_function_in_slices)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f,
                             "(module (global $n (mut i32) (i32.const 0))"
                             " (func $boot (loop $again"
                             "  (global.set $n (i32.add (global.get $n) (i32.const 1)))"
                             "  (br_if $again (i32.lt_u (global.get $n) (i32.const 300000)))))"
                             " (start $boot)"
                             " (func (export \"n\") (result i32) (global.get $n)))",
                             NULL, &err),
               err);
    CHECK_INT(wasmtime()->inspect(f.module)->n_exports, 1); /* the lifted one is not shown */
    int32_t n = 0;
    REQUIRE_OK(fixture_call(f.inst, "n", &n, 0, &err), err);
    CHECK_INT(n, 300000);
}

T(wasmi_refuses_a_bad_start_section)
{
    static const char typed[] = "(module (func $f (param i32)) (start $f))";
    static const char taken[] = "(module (func (export \"outrider:start\")) (func $f) (start $f))";
    expect_bad_module(typed, sizeof(typed) - 1, "not a valid Wasm module");
    expect_bad_module(taken, sizeof(taken) - 1, "not a valid Wasm module");
}

static const char descriptors[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_read\""
    "  (func $read (param i32 i32 i32 i32) (result i32)))"
    " (import \"wasi_snapshot_preview1\" \"fd_close\" (func $close (param i32) (result i32)))"
    " (import \"wasi_snapshot_preview1\" \"fd_seek\""
    "  (func $seek (param i32 i64 i32 i32) (result i32)))"
    " (import \"wasi_snapshot_preview1\" \"fd_fdstat_get\""
    "  (func $stat (param i32 i32) (result i32)))"
    " (import \"wasi_snapshot_preview1\" \"fd_filestat_get\""
    "  (func $filestat (param i32 i32) (result i32)))"
    " (import \"wasi_snapshot_preview1\" \"path_open\" (func $open"
    "  (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"
    " (memory (export \"memory\") 1)"
    " (func (export \"read\") (param i32) (result i32)"
    "  (call $read (local.get 0) (i32.const 0) (i32.const 0) (i32.const 8)))"
    " (func (export \"close\") (param i32) (result i32) (call $close (local.get 0)))"
    " (func (export \"seek\") (param i32) (result i32)"
    "  (call $seek (local.get 0) (i64.const 0) (i32.const 0) (i32.const 8)))"
    " (func (export \"stat\") (param i32) (result i32) (call $stat (local.get 0) (i32.const 8)))"
    " (func (export \"filestat\") (param i32) (result i32)"
    "  (call $filestat (i32.const 1) (local.get 0)))"
    " (func (export \"open\") (param i32) (result i32)"
    "  (call $open (local.get 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)"
    "   (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 8))))";

T(wasmi_offers_three_descriptors_and_no_file)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(spawn_wasi(&f, descriptors, &no_grants, &err), err);
    CHECK_INT(ask(f.inst, "read", 0), WASI_OK);
    CHECK_INT(ask(f.inst, "read", 1), WASI_BADF);
    CHECK_INT(ask(f.inst, "close", 2), WASI_OK);
    CHECK_INT(ask(f.inst, "close", 3), WASI_BADF);
    CHECK_INT(ask(f.inst, "seek", 0), WASI_SPIPE);
    CHECK_INT(ask(f.inst, "seek", -1), WASI_BADF);
    CHECK_INT(ask(f.inst, "stat", 1), WASI_OK);
    CHECK_INT(ask(f.inst, "stat", 7), WASI_BADF);
    CHECK_INT(ask(f.inst, "filestat", 8), WASI_OK);
    CHECK_INT(ask(f.inst, "filestat", 65500), WASI_FAULT);
    CHECK_INT(ask(f.inst, "open", 3), WASI_BADF);
}

static const char asks_around[] = "(module (import \"wasi_snapshot_preview1\" \"args_get\""
                                  "  (func $args (param i32 i32) (result i32)))"
                                  " (import \"wasi_snapshot_preview1\" \"environ_get\""
                                  "  (func $env (param i32 i32) (result i32)))"
                                  " (import \"wasi_snapshot_preview1\" \"clock_time_get\""
                                  "  (func $now (param i32 i64 i32) (result i32)))"
                                  " (import \"wasi_snapshot_preview1\" \"random_get\""
                                  "  (func $random (param i32 i32) (result i32)))"
                                  " (memory (export \"memory\") 1)"
                                  " (func (export \"args\") (param i32) (result i32)"
                                  "  (call $args (i32.const 0) (local.get 0)))"
                                  " (func (export \"env\") (param i32) (result i32)"
                                  "  (call $env (i32.const 16) (local.get 0)))"
                                  " (func (export \"now\") (param i32) (result i32)"
                                  "  (call $now (local.get 0) (i64.const 0) (i32.const 512)))"
                                  " (func (export \"random\") (param i32) (result i32)"
                                  "  (call $random (i32.const 1024) (local.get 0))))";

T(wasmi_gives_arguments_environment_time_and_random_bytes)
{
    static const char *const args[] = { "guest", "-v", NULL }, *const env[] = { "A=1", NULL };
    static const otr_wasi wasi = { .args = args, .env = env };
    FIXTURE(f);
    otr_err err = { 0 };
    uint8_t *p = NULL;
    REQUIRE_OK(spawn_wasi(&f, asks_around, &wasi, &err), err);
    CHECK_INT(ask(f.inst, "args", 65535), WASI_FAULT);
    CHECK_INT(ask(f.inst, "args", 100), WASI_OK);
    CHECK_INT(ask(f.inst, "env", 200), WASI_OK);
    CHECK_INT(ask(f.inst, "now", 0), WASI_OK);
    CHECK_INT(ask(f.inst, "now", 1), WASI_OK);
    CHECK_INT(ask(f.inst, "now", 9), WASI_INVAL);
    CHECK_INT(ask(f.inst, "random", 64), WASI_OK);
    CHECK_INT(ask(f.inst, "random", -1), WASI_FAULT);
    REQUIRE_OK(f.inst->ops->memory(f.inst, OTR_MEM_GUEST, 0, 2048, &p, &err), err);
    CHECK(memcmp(p + 100, "guest\0-v", 9) == 0);
    CHECK_INT(p[4], 106); /* where "-v" lies */
    CHECK_STR((const char *)p + 200, "A=1");
    uint8_t any = 0;
    for (int i = 0; i < 64; i++) {
        any |= p[1024 + i];
    }
    CHECK(any != 0);
}
#endif
