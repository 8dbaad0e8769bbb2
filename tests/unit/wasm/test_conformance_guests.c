/* The same plugin, made with each public kit, answers the same through otr_guest_*. */
#include "guest_files.h"

enum { SECOND_MS = 10000 };

static bool is_extism(const otr_guest_code *code)
{
    return strcmp(otr_abi_name(otr_guest_code_abi(code)), "extism") == 0;
}

static void check_contract(guest_file *f)
{
    otr_err err = { 0 };
    REQUIRE_OK(guest_file_ask(f, "info", "", SECOND_MS, &err), err);
    CHECK_HAS(otr_buf_text(&f->out), "\"api\":\"1\"");
    REQUIRE_OK(guest_file_ask(f, "subscriptions", "", SECOND_MS, &err), err);
    CHECK_HAS(otr_buf_text(&f->out), "test.ping");
    REQUIRE_OK(guest_file_ask(f, "init", "{\"a\":1}", SECOND_MS, &err), err);
    REQUIRE_OK(guest_file_ask(f, "process", "{\"id\":7,\"data\":{\"a\":[1,2]}}", SECOND_MS, &err),
               err);
    CHECK_STR(otr_buf_text(&f->published), "test.echo {\"a\":[1,2]}\n");
    CHECK(otr_guest_memory_bytes(f->guest) > 0);
}

static void check_errors(guest_file *f)
{
    otr_err err = { 0 };
    CHECK_INT(guest_file_ask(f, "fail", "", SECOND_MS, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "asked to fail");
    CHECK(!otr_guest_dead(f->guest));
    CHECK_INT(guest_file_ask(f, "config", "nothing", SECOND_MS, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "no such key");
    CHECK_INT(guest_file_ask(f, "process", "{}", SECOND_MS, &err), OTR_EINVAL);
}

static void check_services(guest_file *f)
{
    otr_err err = { 0 };
    REQUIRE_OK(guest_file_ask(f, "config", "k", SECOND_MS, &err), err);
    CHECK_STR(otr_buf_text(&f->out), "v");
    REQUIRE_OK(guest_file_ask(f, "note", "h\xC3\xA9", SECOND_MS, &err), err);
    CHECK_HAS(otr_buf_text(&f->logged), "h\xC3\xA9");
    REQUIRE_OK(guest_file_ask(f, "count", "", SECOND_MS, &err), err);
    CHECK_STR(otr_buf_text(&f->out), "1");
    REQUIRE_OK(guest_file_ask(f, "count", "", SECOND_MS, &err), err);
    CHECK_STR(otr_buf_text(&f->out), "2");
    if (is_extism(f->code)) {
        REQUIRE_OK(guest_file_ask(f, "vars", "", SECOND_MS, &err), err);
        REQUIRE_OK(guest_file_ask(f, "vars", "", SECOND_MS, &err), err);
        CHECK_STR(otr_buf_text(&f->out), "2");
    }
}

/* From nothing to a megabyte, through sizes around the eight bytes that PDKs copy at once. */
static void check_echo(guest_file *f)
{
    static const size_t sizes[] = { 0, 1, 7, 8, 9, 15, 16, 17, 1000, 65535, 65536, 65537, OTR_MIB };
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf in;
    uint8_t *to = NULL;
    otr_buf_init(&in, OTR_MIB);
    REQUIRE_OK(otr_buf_reserve(&in, OTR_MIB, &to, &err), err);
    for (size_t i = 0; i < OTR_MIB; i++) {
        to[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
        otr_buf_clear(&f->out);
        otr_code rc = otr_guest_call(f->guest, "echo", (otr_bytes){ to, sizes[i] },
                                     otr_now_ns() + SECOND_MS * OTR_NS_PER_MS, &f->out, &err);
        REQUIRE_OK(rc, err);
        REQUIRE(f->out.n == sizes[i]);
        CHECK(sizes[i] == 0 || memcmp(f->out.p, to, sizes[i]) == 0);
    }
}

static void check_memory_is_steady(guest_file *f)
{
    otr_err err = { 0 };
    uint64_t before = 0;
    for (int i = 0; i < 3000; i++) {
        REQUIRE_OK(
            guest_file_ask(f, "process", "{\"id\":7,\"data\":{\"a\":[1,2]}}", SECOND_MS, &err),
            err);
        before = i == 1500 ? otr_guest_memory_bytes(f->guest) : before;
    }
    /* Go's heap breathes; every other guest stays where it was. */
    uint64_t slack = before > 4 * OTR_MIB ? 2 * OTR_MIB : 0;
    CHECK(otr_guest_memory_bytes(f->guest) <= before + slack);
}

static void check_trap(guest_file *f)
{
    otr_err err = { 0 };
    CHECK_INT(guest_file_ask(f, "trap", "", SECOND_MS, &err), OTR_EGUEST);
    CHECK(otr_guest_dead(f->guest));
}

static void conforms(const char *name)
{
#ifdef ON_WASMI
    if (strstr(name, "-wit") != NULL) {
        otr_test_skip("components run on wasmtime alone");
        return;
    }
#endif
    char file[128];
    otr_err err = { 0 };
    ENGINE(engine);
    GUEST_FILE(f);
    REQUIRE_OK(open_engine(&engine, &err), err);
    (void)snprintf(file, sizeof file, "tests/guests/%s.wasm", name);
    otr_code rc = guest_file_load(&f, engine, file, NULL, &err);
    if (rc == OTR_ENOTFOUND) {
        otr_test_skip("the file is not built: see OTR_GUESTS in tests/guests");
        return;
    }
    REQUIRE_OK(rc, err);
    REQUIRE_OK(guest_file_start(&f, &err), err);
    check_contract(&f);
    check_errors(&f);
    check_services(&f);
    check_echo(&f);
    check_memory_is_steady(&f);
    check_trap(&f);
}

/* No failing allocation here: each run compiles megabytes, and the adapters have tests for that. */
#define CONFORMS(test, name) \
    T_NO_OOM(test)           \
    {                        \
        conforms(name);      \
    }

CONFORMS(c_over_extism_conforms, "c-extism")
CONFORMS(c_over_wapc_conforms, "c-wapc")
CONFORMS(c_with_wasi_libc_conforms, "c-wasi-extism")
CONFORMS(cpp_over_extism_conforms, "cpp-extism")
CONFORMS(rust_extism_pdk_conforms, "rust-extism")
CONFORMS(rust_wapc_guest_conforms, "rust-wapc")
CONFORMS(assemblyscript_extism_pdk_conforms, "as-extism")
CONFORMS(assemblyscript_wapc_guest_conforms, "as-wapc")
CONFORMS(zig_over_extism_conforms, "zig-extism")
CONFORMS(zig_over_wapc_conforms, "zig-wapc")
CONFORMS(go_extism_pdk_conforms, "go-extism")
CONFORMS(go_over_wapc_conforms, "go-wapc")
CONFORMS(c_wit_bindgen_conforms, "c-wit")
CONFORMS(js_componentize_qjs_conforms, "js-wit")
