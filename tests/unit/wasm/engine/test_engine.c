#include <stdio.h>
#include <unistd.h>

#include "unit/wasm/fixture.h"

static const otr_engine_ops *wasmtime(void)
{
    return otr_engine_find("wasmtime");
}

/* ---- modules ---- */

static void expect_bad_module(const char *bytes, size_t n, const char *text)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(wasmtime()->open(NULL, &f.engine, &err), err);
    otr_code rc =
        wasmtime()->compile(f.engine, (otr_bytes){ (const uint8_t *)bytes, n }, &f.module, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_HAS(err.msg, text);
    CHECK(strchr(err.msg, '\n') == NULL);
}

T(an_unknown_engine_is_not_found)
{
    CHECK(otr_engine_find("wasmer") == NULL);
    CHECK_HAS(otr_engine_names(), "wasmtime");
}

T(an_empty_file_is_refused)
{
    expect_bad_module("", 0, "empty");
}

T(a_cut_module_is_refused)
{
    expect_bad_module("\0asm\1\0\0\0\1\x50", 10, "not a valid Wasm module");
}

T(bytes_that_are_no_module_are_refused)
{
    expect_bad_module("\x7f"
                      "ELF\2\1\1",
                      7, "neither a Wasm binary nor Wasm text");
    expect_bad_module("(module (func (export \"a\") nonsense))", 38, "neither");
}

T(a_proposal_that_no_engine_has_is_refused_by_name)
{
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK_INT(fixture_compile(&f, "(module (memory 1 2 (pagesize 1)))", &err), OTR_EUNSUP);
    CHECK_HAS(err.msg, "uses the custom page sizes proposal, which no engine here has");
    fixture_deinit(&f);
    CHECK_INT(fixture_compile(
                  &f, "(module (type (func)) (type (cont 0)) (memory 1 2 (pagesize 1)))", &err),
              OTR_EUNSUP);
    CHECK_HAS(err.msg, "uses the proposals ");
    CHECK_HAS(err.msg, "stack switching, custom page sizes");
}

T(a_proposal_that_wasmi_lacks_is_refused_there_with_advice)
{
    static const char throws[] = "(module (tag $e) (func (export \"f\") (throw $e)))";
    FIXTURE(f);
    otr_err err = { 0 };
#ifdef ON_WASMI
    CHECK_INT(fixture_compile(&f, throws, &err), OTR_EUNSUP);
    CHECK_HAS(err.msg, "uses the exceptions proposal, which the engine wasmi does not have: use "
                       "engine: wasmtime");
#else
    REQUIRE_OK(fixture_compile(&f, throws, &err), err);
#endif
}

T(a_component_is_refused_as_unsupported)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_code rc = fixture_compile(&f, "(component)", &err);
    CHECK_INT(rc, OTR_EUNSUP);
    CHECK_HAS(err.msg, "component");
}

T(a_name_with_a_nul_byte_is_refused)
{
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK_INT(fixture_compile(&f, "(module (func (export \"a\\00b\")))", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "NUL");
}

T(imports_and_exports_are_listed_with_their_types)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_compile(&f,
                               "(module (import \"a\" \"b\" (func (param i64 i32) (result f64)))"
                               " (memory (export \"memory\") 3)"
                               " (func (export \"wide\") (param v128))"
                               " (func (export \"f\") (result i32 f32) (i32.const 1)"
                               " (f32.const 2)))",
                               &err),
               err);
    const otr_module_info *info = wasmtime()->inspect(f.module);
    char text[64];
    REQUIRE(info->n_imports == 1 && info->n_exports == 3);
    CHECK_STR(info->imports[0].module, "a");
    CHECK_STR(info->imports[0].name, "b");
    CHECK_STR(otr_sig_text(&info->imports[0].sig, text, sizeof(text)), "(i64, i32) -> f64");
    CHECK_INT(info->memory_min_bytes, 3 * 65536);
    const otr_extern_info *fn = otr_module_export(info, "f");
    REQUIRE(fn != NULL);
    CHECK_STR(otr_sig_text(&fn->sig, text, sizeof(text)), "() -> (i32, f32)");
    CHECK_INT(otr_module_export(info, "wide")->sig.n_args, 255);
    CHECK(otr_module_export(info, "none") == NULL);
}

T(a_signature_text_is_cut_to_its_room)
{
    const otr_sig sig = { .n_args = 3, .args = { 0, 1, 2 }, .n_results = 1, .results = { 3 } };
    char text[8];
    CHECK_STR(otr_sig_text(&sig, text, sizeof(text)), "(i32, )");
    CHECK(otr_sig_eq(&sig, &sig));
    otr_sig other = sig;
    other.args[2] = OTR_WASM_F64;
    CHECK(!otr_sig_eq(&sig, &other));
}

/* ---- linking ---- */

static otr_code add_one(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)inst;
    (void)err;
    if (user != NULL) {
        (*(int *)user)++;
    }
    vals[0].i32++;
    return OTR_OK;
}

static otr_code refuse(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)inst;
    (void)vals;
    return otr_fail(err, OTR_EDENIED, "the host says no");
}

static const otr_import host[] = {
    { "env", "add_one", { .n_args = 1, .n_results = 1 }, add_one, NULL },
    { "env", "refuse", { .n_args = 0, .n_results = 0 }, refuse, NULL },
};

static const otr_spawn with_host = {
    .imports = host,
    .n_imports = OTR_COUNT(host),
    .max_memory_bytes = 1024 * 1024,
};

T(unknown_imports_are_all_named)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_code rc = fixture_spawn(&f,
                                "(module (import \"env\" \"gone\" (func (param i64)))"
                                " (import \"env\" \"add_one\" (func (param i32) (result i32)))"
                                " (import \"other\" \"mem\" (memory 1)))",
                                &with_host, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_HAS(err.msg, "env.gone function (i64) is not offered");
    CHECK_HAS(err.msg, "other.mem memory is not offered");
    CHECK(strstr(err.msg, "add_one") == NULL);
}

T(an_import_of_another_type_is_named_with_both_types)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_code rc =
        fixture_spawn(&f, "(module (import \"env\" \"add_one\" (func (param i64) (result i32))))",
                      &with_host, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_HAS(err.msg, "env.add_one wants function (i64) -> i32, offered is function (i32) -> i32");
}

T(a_missing_wasi_grant_is_named)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_code rc = fixture_spawn(
        &f, "(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32))))",
        NULL, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_HAS(err.msg, "sched_yield");
}

T(a_host_function_gets_its_user_and_its_values)
{
    FIXTURE(f);
    otr_err err = { 0 };
    int calls = 0;
    otr_spawn spec = with_host;
    spec.user = &calls;
    REQUIRE_OK(
        fixture_spawn(&f,
                      "(module (import \"env\" \"add_one\" (func $h (param i32) (result i32)))"
                      " (func (export \"f\") (param i32) (result i32)"
                      " (call $h (call $h (local.get 0)))))",
                      &spec, &err),
        err);
    int32_t v = 40;
    REQUIRE_OK(fixture_call(f.inst, "f", &v, 0, &err), err);
    CHECK_INT(v, 42);
    CHECK_INT(calls, 2);
}

T(a_failing_host_function_traps_with_its_text)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f,
                             "(module (import \"env\" \"refuse\" (func $r))"
                             " (func $asks (export \"f\") (call $r)))",
                             &with_host, &err),
               err);
    CHECK_INT(fixture_call(f.inst, "f", NULL, 0, &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "the host says no");
    CHECK_TRACE(err.msg, "no at asks");
    CHECK_INT(fixture_call(f.inst, "f", NULL, 0, &err), OTR_ESTATE);
}

static const char kernel_wat[] =
    "(module (import \"env\" \"add_one\" (func $h (param i32) (result i32)))"
    " (memory (export \"memory\") 1)"
    " (func (export \"twice\") (param i32) (result i32)"
    " (call $h (call $h (local.get 0)))))";

static void spawn_linked(fixture *f, otr_module *kernel, const char *wat, otr_code *rc,
                         otr_err *err)
{
    const otr_link link = { kernel, { "first", "second", NULL } };
    otr_spawn spec = with_host;
    spec.links = &link;
    spec.n_links = 1;
    *rc = fixture_spawn(f, wat, &spec, err);
}

static void free_module(otr_module **m)
{
    if (*m != NULL) {
        (*m)->ops->module_free(*m);
    }
}

T(a_link_satisfies_imports_under_each_of_its_names)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_code rc;
    REQUIRE_OK(wasmtime()->open(NULL, &f.engine, &err), err);
    OTR_CLEANUP(free_module) otr_module *kernel = NULL;
    REQUIRE_OK(wasmtime()->compile(f.engine, otr_bytes_of(kernel_wat), &kernel, &err), err);
    spawn_linked(&f, kernel,
                 "(module (import \"first\" \"twice\" (func $a (param i32) (result i32)))"
                 " (import \"second\" \"twice\" (func $b (param i32) (result i32)))"
                 " (import \"second\" \"memory\" (memory 1))"
                 " (memory (export \"memory\") 2)"
                 " (func (export \"f\") (param i32) (result i32)"
                 " (i32.store8 (i32.const 7) (i32.const 9))"
                 " (call $a (call $b (local.get 0)))))",
                 &rc, &err);
    REQUIRE_OK(rc, err);
    int32_t v = 1;
    REQUIRE_OK(fixture_call(f.inst, "f", &v, 0, &err), err);
    CHECK_INT(v, 5);
    uint8_t *p = NULL;
    REQUIRE_OK(wasmtime()->memory(f.inst, 0, 7, 1, &p, &err), err);
    CHECK_INT(*p, 9);
    CHECK_INT(wasmtime()->memory_bytes(f.inst), 3 * 65536);
    CHECK(wasmtime()->func(f.inst, 0, "twice") != NULL);
    CHECK(wasmtime()->func(f.inst, OTR_MEM_GUEST, "twice") == NULL);
    CHECK(wasmtime()->func(f.inst, 1, "f") != NULL); /* the guest comes after the links */
    CHECK(wasmtime()->func(f.inst, 2, "f") == NULL);
    CHECK(wasmtime()->func(f.inst, -2, "f") == NULL);
    f.inst->ops->instance_free(f.inst); /* before the kernel's module */
    f.inst = NULL;
    f.module->ops->module_free(f.module);
    f.module = NULL;
}

T(a_link_with_another_type_is_named)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_code rc;
    REQUIRE_OK(wasmtime()->open(NULL, &f.engine, &err), err);
    OTR_CLEANUP(free_module) otr_module *kernel = NULL;
    REQUIRE_OK(wasmtime()->compile(f.engine, otr_bytes_of(kernel_wat), &kernel, &err), err);
    spawn_linked(&f, kernel, "(module (import \"first\" \"twice\" (func (param i64))))", &rc, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_HAS(err.msg, "first.twice wants function (i64), offered is function (i32) -> i32");
    if (f.module != NULL) {
        f.module->ops->module_free(f.module);
        f.module = NULL;
    }
}

/* ---- memory ---- */

T(a_memory_window_is_bounds_checked)
{
    FIXTURE(f);
    otr_err err = { 0 };
    uint8_t *p;
    REQUIRE_OK(fixture_spawn(&f, "(module (memory (export \"memory\") 1))", NULL, &err), err);
    REQUIRE_OK(wasmtime()->memory(f.inst, OTR_MEM_GUEST, 0, 65536, &p, &err), err);
    REQUIRE_OK(wasmtime()->memory(f.inst, OTR_MEM_GUEST, 65536, 0, &p, &err), err);
    CHECK_INT(wasmtime()->memory(f.inst, OTR_MEM_GUEST, 65536, 1, &p, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "outside the guest's memory");
    CHECK_INT(wasmtime()->memory(f.inst, OTR_MEM_GUEST, UINT64_MAX, 2, &p, &err), OTR_EINVAL);
    CHECK_INT(wasmtime()->memory(f.inst, OTR_MEM_GUEST, 2, UINT64_MAX, &p, &err), OTR_EINVAL);
    CHECK_INT(wasmtime()->memory(f.inst, 3, 0, 1, &p, &err), OTR_EINVAL);
}

T(a_guest_without_memory_has_no_window)
{
    FIXTURE(f);
    otr_err err = { 0 };
    uint8_t *p;
    REQUIRE_OK(fixture_spawn(&f, "(module)", NULL, &err), err);
    CHECK_INT(wasmtime()->memory(f.inst, OTR_MEM_GUEST, 0, 0, &p, &err), OTR_EINVAL);
    CHECK_INT(wasmtime()->memory_bytes(f.inst), 0);
}

/* ---- traps ---- */

static void expect_trap(const char *body, const char *text)
{
    FIXTURE(f);
    otr_err err = { 0 };
    char wat[512];
    (void)snprintf(wat, sizeof(wat),
                   "(module (memory (export \"memory\") 1) (table 1 funcref)"
                   " (func $inner %s) (func $outer (export \"f\") (call $inner)))",
                   body);
    REQUIRE_OK(fixture_spawn(&f, wat, NULL, &err), err);
    CHECK_INT(fixture_call(f.inst, "f", NULL, 0, &err), OTR_EGUEST);
    CHECK_HAS(err.msg, text);
    CHECK_TRACE(err.msg, "at inner < outer");
    CHECK_INT(wasmtime()->exit_code(f.inst), -1);
}

T(each_kind_of_trap_has_its_reason_and_the_functions)
{
    expect_trap("unreachable", "`unreachable` instruction executed");
    expect_trap("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "integer divide by zero");
    expect_trap("(drop (i32.trunc_f32_s (f32.const nan)))", "invalid conversion to integer");
    expect_trap("(drop (i32.load (i32.const 65536)))", "out of bounds memory access");
    expect_trap("(call_indirect (i32.const 0))", "uninitialized element");
    expect_trap("(call_indirect (i32.const 9))", "undefined element");
}

T(a_stack_overflow_is_a_trap)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, "(module (func $deep (export \"f\") (call $deep)))", NULL, &err),
               err);
    CHECK_INT(fixture_call(f.inst, "f", NULL, 0, &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "call stack exhausted");
    CHECK_TRACE(err.msg, "exhausted at deep < deep");
    CHECK_TRACE(err.msg, "< ..");
}

T(a_trap_in_the_start_function_fails_the_spawn)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_code rc = fixture_spawn(&f, "(module (func $boot unreachable) (start $boot))", NULL, &err);
    CHECK_INT(rc, OTR_EGUEST);
    CHECK_TRACE(err.msg, "at boot");
    CHECK(f.inst == NULL);
}

/* ---- WASI ---- */

static char printed[256];

static void on_line(void *user, int fd, otr_bytes text)
{
    (void)user;
    size_t n = strlen(printed);
    (void)snprintf(printed + n, sizeof(printed) - n, "%d:%.*s|", fd, (int)text.n,
                   (const char *)text.p);
}

static const otr_wasi no_grants = { .line = on_line };

static otr_code spawn_wasi(fixture *f, const char *wat, const otr_wasi *wasi, otr_err *err)
{
    otr_spawn spec = { .wasi = wasi, .max_memory_bytes = 1024 * 1024 };
    return fixture_spawn(f, wat, &spec, err);
}

static const char prints[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_write\""
    "  (func $w (param i32 i32 i32 i32) (result i32)))"
    " (memory (export \"memory\") 1)"
    " (data (i32.const 0) \"\\10\\00\\00\\00\\08\\00\\00\\00\")"
    " (data (i32.const 16) \"one\\ntwo!\")"
    " (data (i32.const 32) \"\\10\\00\\00\\00\\ff\\ff\\ff\\ff\")"
    " (func (export \"f\") (param i32) (result i32)"
    "  (call $w (local.get 0) (i32.const 0) (i32.const 1) (i32.const 8)))"
    " (func (export \"outside\") (param i32) (result i32)"
    "  (call $w (local.get 0) (i32.const 32) (i32.const 1) (i32.const 8)))"
    " (func (export \"list\") (param i32) (result i32)"
    "  (call $w (i32.const 1) (local.get 0) (i32.const 1024) (i32.const 8)))"
    " (func (export \"count\") (param i32) (result i32)"
    "  (call $w (i32.const 1) (i32.const 0) (local.get 0) (i32.const 8)))"
    " (func (export \"ret\") (param i32) (result i32)"
    "  (call $w (i32.const 1) (i32.const 0) (i32.const 1) (local.get 0))))";

static int32_t ask(otr_instance *inst, const char *name, int32_t v)
{
    otr_err err = { 0 };
    return fixture_call(inst, name, &v, 0, &err) == OTR_OK ? v : -1;
}

T(printing_from_outside_memory_is_refused)
{
    FIXTURE(f);
    otr_err err = { 0 };
    printed[0] = '\0';
    REQUIRE_OK(spawn_wasi(&f, prints, &no_grants, &err), err);
    CHECK_INT(ask(f.inst, "outside", 1), 21);
    CHECK_INT(ask(f.inst, "list", 65528), 21);
    CHECK_INT(ask(f.inst, "list", -8), 21);
    CHECK_INT(ask(f.inst, "count", -1), 28);
    CHECK_INT(ask(f.inst, "ret", 65533), 21);
    CHECK_INT(ask(f.inst, "f", 0), 8);
    CHECK_INT(ask(f.inst, "f", 3), 8);
    CHECK_STR(printed, "");
}

T(a_guest_with_a_folder_prints_too)
{
    static const struct otr_wasi_dir dir = { "/tmp", "/data", false };
    static const otr_wasi granted = { .line = on_line, .dirs = &dir, .n_dirs = 1 };
    FIXTURE(f);
    otr_err err = { 0 };
    printed[0] = '\0';
    REQUIRE_OK(spawn_wasi(&f, prints, &granted, &err), err);
    CHECK_INT(ask(f.inst, "f", 1), 0);
    CHECK_INT(ask(f.inst, "f", 9), 8);
    CHECK_STR(printed, "1:one|1:two!|");
}

T(what_a_guest_prints_arrives_line_by_line)
{
    FIXTURE(f);
    otr_err err = { 0 };
    printed[0] = '\0';
    REQUIRE_OK(spawn_wasi(&f, prints, &no_grants, &err), err);
    int32_t fd = 1;
    REQUIRE_OK(fixture_call(f.inst, "f", &fd, 0, &err), err);
    CHECK_INT(fd, 0);
    fd = 2;
    REQUIRE_OK(fixture_call(f.inst, "f", &fd, 0, &err), err);
    REQUIRE(printed[0] != '\0');
    CHECK_STR(printed, "1:one|1:two!|2:one|2:two!|");
}

T(proc_exit_gives_its_code)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(spawn_wasi(&f,
                          "(module (import \"wasi_snapshot_preview1\" \"proc_exit\""
                          "  (func $e (param i32)))"
                          " (memory (export \"memory\") 1)"
                          " (func (export \"f\") (param i32) (call $e (local.get 0))))",
                          &no_grants, &err),
               err);
    int32_t code = 0;
    CHECK_INT(fixture_call(f.inst, "f", &code, 0, &err), OTR_EGUEST);
    CHECK_INT(wasmtime()->exit_code(f.inst), 0);
    code = 3;
    CHECK_INT(fixture_call(f.inst, "f", &code, 0, &err), OTR_EGUEST);
    CHECK_INT(wasmtime()->exit_code(f.inst), 3);
    CHECK_HAS(err.msg, "exit code 3");
    CHECK_INT(fixture_call(f.inst, "f", &code, 0, &err), OTR_ESTATE);
}

T(a_guest_without_grants_sees_no_environment_and_no_folder)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(spawn_wasi(&f,
                          "(module (import \"wasi_snapshot_preview1\" \"environ_sizes_get\""
                          "  (func $e (param i32 i32) (result i32)))"
                          " (import \"wasi_snapshot_preview1\" \"args_sizes_get\""
                          "  (func $a (param i32 i32) (result i32)))"
                          " (import \"wasi_snapshot_preview1\" \"fd_prestat_get\""
                          "  (func $p (param i32 i32) (result i32)))"
                          " (memory (export \"memory\") 1)"
                          " (func (export \"f\") (result i32)"
                          "  (drop (call $e (i32.const 0) (i32.const 4)))"
                          "  (drop (call $a (i32.const 8) (i32.const 12)))"
                          "  (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 8))))"
                          " (func (export \"dir\") (result i32)"
                          "  (call $p (i32.const 3) (i32.const 0))))",
                          &no_grants, &err),
               err);
    int32_t n = 0;
    REQUIRE_OK(fixture_call(f.inst, "f", &n, 0, &err), err);
    CHECK_INT(n, 0);
    REQUIRE_OK(fixture_call(f.inst, "dir", &n, 0, &err), err);
    CHECK_INT(n, 8); /* EBADF */
}

T(a_grant_that_cannot_be_given_fails_the_spawn)
{
    static const char wat[] =
        "(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32))))";
    static const struct otr_wasi_dir dir = { "/no/such/folder", "/data", false };
    static const char *const env[] = { "NOVALUE", NULL };
    FIXTURE(f);
    otr_err err = { 0 };
    const otr_wasi bad_dir = { .dirs = &dir, .n_dirs = 1 }, bad_env = { .env = env };
    CHECK_INT(spawn_wasi(&f, wat, &bad_dir, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "/no/such/folder");
    fixture_deinit(&f);
    CHECK_INT(spawn_wasi(&f, wat, &bad_env, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "NAME=value");
}
