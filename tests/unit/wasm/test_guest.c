/* Loading: which ABI a file speaks, what it lacks, what `inspect` says. */
#include <stdio.h>

#include "base/json.h"
#include "unit/wasm/fixture.h"
#include "wasm/guest.h"

typedef struct loaded {
    otr_engine *engine;
    otr_guest_code *code;
    otr_buf text;
} loaded;

static void loaded_deinit(loaded *l)
{
    otr_guest_code_free(l->code);
    if (l->engine != NULL) {
        l->engine->ops->close(l->engine);
    }
    otr_buf_deinit(&l->text);
    *l = (loaded){ 0 };
}

#define LOADED(name) OTR_CLEANUP(loaded_deinit) loaded name = { 0 }

static const char *const operations[] = { "info", "process", NULL };

static otr_code load(loaded *l, const char *wat, const char *abi, otr_err *err)
{
    const otr_load_spec spec = {
        .name = "p.wasm", .wasm = otr_bytes_of(wat), .abi = abi, .operations = operations
    };
    otr_code rc = otr_engine_find("wasmtime")->open(NULL, &l->engine, err);
    return rc == OTR_OK ? otr_guest_load(l->engine, &spec, &l->code, err) : rc;
}

static otr_code inspect(loaded *l, otr_bytes wasm, otr_err *err)
{
    const otr_load_spec spec = { .name = "p.wasm", .wasm = wasm, .operations = operations };
    otr_buf_init(&l->text, 1 << 20);
    otr_code rc = otr_engine_find("wasmtime")->open(NULL, &l->engine, err);
    return rc == OTR_OK ? otr_guest_inspect(l->engine, &spec, &l->text, err) : rc;
}

static const char wapc_ok[] = "(module (memory (export \"memory\") 2)"
                              " (func (export \"__guest_call\") (param i32 i32) (result i32)"
                              "  (i32.const 1)))";
static const char extism_ok[] = "(module (import \"extism:host/env\" \"alloc\""
                                "  (func (param i64) (result i64)))"
                                " (memory (export \"memory\") 1)"
                                " (func (export \"info\") (result i32) (i32.const 0))"
                                " (func (export \"process\") (result i32) (i32.const 0)))";

T(a_file_that_is_no_module_is_named)
{
    LOADED(l);
    otr_err err = { 0 };
    CHECK_INT(load(&l, "#!/bin/sh", NULL, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "p.wasm: ");
}

T(a_module_of_no_known_abi_says_what_it_has)
{
    LOADED(l);
    otr_err err = { 0 };
    otr_code rc = load(&l,
                       "(module (import \"game\" \"draw\" (func)) (func (export \"frame\"))"
                       " (func (export \"score\")))",
                       NULL, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_HAS(err.msg, "p.wasm: speaks none of the ABIs");
    CHECK_HAS(err.msg, "it imports from game and exports frame, score");
}

T(an_unknown_abi_name_is_refused)
{
    LOADED(l);
    otr_err err = { 0 };
    CHECK_INT(load(&l, wapc_ok, "proxy-wasm", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "no ABI is called \"proxy-wasm\"; there are extism, wapc");
    CHECK(otr_abi_find("proxy-wasm") == NULL);
    CHECK(otr_abi_find("extism") != NULL && otr_abi_find("wapc") != NULL);
    CHECK(otr_abi_find("wit") != NULL);
}

T(a_configured_abi_must_fit_the_file)
{
    LOADED(l);
    otr_err err = { 0 };
    CHECK_INT(load(&l, wapc_ok, "extism", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "is configured as extism, but the file speaks wapc");
}

T(every_missing_thing_is_listed)
{
    LOADED(l);
    otr_err err = { 0 };
    otr_code rc = load(&l,
                       "(module (import \"extism:host/env\" \"aloc\""
                       "  (func (param i64) (result i64)))"
                       " (import \"extism:host/env\" \"free\" (func (param i32)))"
                       " (import \"wasi_snapshot_preview1\" \"fd_write\""
                       "  (func (param i32 i32 i32 i32) (result i32)))"
                       " (func (export \"inf\") (result i32) (i32.const 0))"
                       " (func (export \"process\") (param i32)))",
                       NULL, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_HAS(err.msg, "p.wasm: does not fit extism: export info");
    CHECK_HAS(err.msg, "it is (i32)");
    CHECK_HAS(err.msg, "the export nearest to info is inf");
    CHECK_HAS(err.msg, "import extism:host/env.aloc: function (i64) -> i64 is not offered "
                       "(nearest: alloc)");
}

T(an_import_of_the_wrong_type_is_listed_with_both_types)
{
    LOADED(l);
    otr_err err = { 0 };
    otr_code rc = load(&l,
                       "(module (import \"wapc\" \"__guest_error\" (func (param i64)))"
                       " (memory (export \"memory\") 1)"
                       " (func (export \"__guest_call\") (param i32 i32) (result i32)"
                       "  (i32.const 1)))",
                       NULL, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_HAS(err.msg, "import wapc.__guest_error: wanted is function (i64), "
                       "offered is function (i32, i32)");
}

T(a_wasi_function_that_does_not_exist_is_missing)
{
    LOADED(l);
    otr_err err = { 0 };
    otr_code rc = load(&l,
                       "(module (import \"wasi_snapshot_preview1\" \"fd_fly\" (func))"
                       " (memory (export \"memory\") 1)"
                       " (func (export \"__guest_call\") (param i32 i32) (result i32)"
                       "  (i32.const 1)))",
                       NULL, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_HAS(err.msg, "import wasi_snapshot_preview1.fd_fly");
}

T(abis_are_told_apart)
{
    LOADED(l);
    otr_err err = { 0 };
    REQUIRE_OK(load(&l, wapc_ok, NULL, &err), err);
    CHECK_STR(otr_abi_name(otr_guest_code_abi(l.code)), "wapc");
    CHECK_INT(strlen(otr_guest_code_sha256(l.code)), 64);
    CHECK_INT(otr_guest_code_info(l.code)->memory_min_bytes, 2 * 65536);
    loaded_deinit(&l);
    REQUIRE_OK(load(&l, extism_ok, NULL, &err), err);
    CHECK_STR(otr_abi_name(otr_guest_code_abi(l.code)), "extism");
    CHECK(otr_guest_code_has(l.code, "process"));
    CHECK(!otr_guest_code_has(l.code, "close"));
}

T(two_files_of_one_abi_share_its_kernel)
{
    LOADED(l);
    otr_err err = { 0 };
    const otr_load_spec spec = { .name = "q.wasm", .wasm = otr_bytes_of(extism_ok) };
    otr_guest_code *second = NULL;
    REQUIRE_OK(load(&l, extism_ok, NULL, &err), err);
    REQUIRE_OK(otr_guest_load(l.engine, &spec, &second, &err), err);
    otr_guest_code_free(second);
}

T(inspect_reports_what_a_good_file_has)
{
    LOADED(l);
    otr_err err = { 0 };
    REQUIRE_OK(inspect(&l, otr_bytes_of(wapc_ok), &err), err);
    OTR_CLEANUP(otr_json_freep) otr_json *doc = NULL;
    REQUIRE_OK(otr_json_parse(otr_buf_bytes(&l.text), &doc, &err), err);
    CHECK_STR(otr_json_str(otr_json_get(doc, "abi"), ""), "wapc");
    CHECK_STR(otr_json_str(otr_json_get(doc, "engine"), ""), l.engine->ops->name);
    CHECK_STR(otr_json_str(otr_json_get(doc, "name"), ""), "p.wasm");
    CHECK_INT(otr_json_int(otr_json_get(doc, "memory_min_bytes"), 0), 131072);
    CHECK_INT(otr_json_int(otr_json_get(doc, "size"), 0), (int)strlen(wapc_ok));
    CHECK_INT(otr_json_size(otr_json_get(doc, "missing")), 0);
    CHECK_INT(otr_json_size(otr_json_get(doc, "exports")), 2);
    for (size_t i = 0; i < 2; i++) { /* in the file's order, or by name */
        const otr_json *x = otr_json_at(otr_json_get(doc, "exports"), i);
        bool call = strcmp(otr_json_str(otr_json_get(x, "kind"), ""), "function") == 0;
        CHECK_STR(otr_json_str(otr_json_get(x, "type"), ""), call ? "(i32, i32) -> i32" : "");
    }
}

T(inspect_reports_what_a_bad_file_lacks)
{
    LOADED(l);
    otr_err err = { 0 };
    REQUIRE_OK(inspect(&l, otr_bytes_of("(module (import \"wapc\" \"nonsense\" (func)))"), &err),
               err);
    CHECK_HAS(otr_buf_text(&l.text), "\"abi\":\"wapc\"");
    CHECK_HAS(otr_buf_text(&l.text), "export memory");
    CHECK_HAS(otr_buf_text(&l.text), "import wapc.nonsense");
    loaded_deinit(&l);
    REQUIRE_OK(inspect(&l, otr_bytes_of("(module)"), &err), err);
    CHECK_HAS(otr_buf_text(&l.text), "\"abi\":null");
    CHECK_HAS(otr_buf_text(&l.text), "speaks none of the ABIs");
}

T(inspect_fails_on_what_is_no_module)
{
    LOADED(l);
    otr_err err = { 0 };
    CHECK_INT(inspect(&l, otr_bytes_of("GIF89a"), &err), OTR_EINVAL);
    CHECK_INT(l.text.n, 0);
}
