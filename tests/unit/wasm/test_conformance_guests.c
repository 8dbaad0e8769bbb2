/* The same plugin, made with each public kit, answers the same through otr_guest_*. */
#include <stdlib.h>
#include <unistd.h>

#include "unit/wasm/guest_files.h"

enum { SECOND_MS = 30000, LARGEST = 16 * 1024 * 1024, HOUR_S = 3600 };

/* The nightly run makes all the calls that the guests are held to; see tests/README.md. */
static int many_calls(void)
{
    if (getenv("OTR_NIGHTLY") == NULL) {
        return 3000;
    }
    alarm(HOUR_S); /* the harness allows minutes */
    return 100000;
}

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
    REQUIRE_OK(guest_file_ask(f, "reconfigure", "{\"a\":2}", SECOND_MS, &err), err);
}

/* The text travels as UTF-8, through kits that keep it as UTF-16 as well. */
static void check_text(guest_file *f)
{
    static const char text[] =
        "{\"id\":7,\"data\":{\"t\":\"h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\xA6\x80\"}}";
    otr_err err = { 0 };
    REQUIRE_OK(guest_file_ask(f, "process", text, SECOND_MS, &err), err);
    const char *said = otr_buf_text(&f->published);
    /* A kit may write what is not ASCII as escapes. */
    CHECK(strstr(said, "h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\xA6\x80") != NULL ||
          strstr(said, "h\\u00e9 \\u20ac \\ud83e\\udd80") != NULL);
    REQUIRE_OK(
        guest_file_ask(f, "note", "h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\xA6\x80", SECOND_MS, &err), err);
    CHECK_HAS(otr_buf_text(&f->logged), "h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\xA6\x80");
}

static void check_close(guest_file *f)
{
    otr_err err = { 0 };
    REQUIRE_OK(guest_file_ask(f, "close", "", SECOND_MS, &err), err);
    CHECK_HAS(otr_buf_text(&f->logged), "closed");
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
    CHECK_INT(guest_file_ask(f, "init", "7", SECOND_MS, &err), OTR_EINVAL);
    CHECK_INT(guest_file_ask(f, "reconfigure", "7", SECOND_MS, &err), OTR_EINVAL);
    CHECK(!otr_guest_dead(f->guest));
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

/* Every byte value at every place of a word, and no byte like its neighbour. */
static otr_code fill(otr_buf *in, otr_err *err)
{
    uint8_t *to = NULL;
    otr_code rc = otr_buf_reserve(in, LARGEST, &to, err);
    for (size_t i = 0; rc == OTR_OK && i < LARGEST; i++) {
        to[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    return rc;
}

static void check_same(guest_file *f, const uint8_t *bytes, size_t n)
{
    otr_err err = { 0 };
    REQUIRE_OK(guest_file_ask_bytes(f, "echo", (otr_bytes){ bytes, n }, SECOND_MS, &err), err);
    REQUIRE(f->out.n == n);
    CHECK(n == 0 || memcmp(f->out.p, bytes, n) == 0);
}

/* From nothing to 16 MB, through sizes around the eight bytes that PDKs copy at once. */
static void check_echo(guest_file *f)
{
    static const size_t sizes[] = { 0,    1,    7,     8,     9,     15,      16,     17,
                                    1000, 1024, 65535, 65536, 65537, OTR_MIB, LARGEST };
    static const uint8_t nuls[300];
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf in;
    otr_buf_init(&in, LARGEST);
    REQUIRE_OK(fill(&in, &err), err);
    for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
        check_same(f, in.p, sizes[i]);
    }
    check_same(f, nuls, sizeof nuls);
    check_same(f, in.p, 256); /* the large ones left nothing behind that harms a small one */
}

static void check_memory_is_steady(guest_file *f)
{
    static const char message[] = "{\"id\":7,\"data\":{\"a\":[1,2]}}";
    otr_err err = { 0 };
    uint64_t before = 0;
    long blocks = 0;
    for (int i = 0, n = many_calls(); i < n; i++) {
        REQUIRE_OK(guest_file_ask(f, "process", message, SECOND_MS, &err), err);
        if (i == n / 2) {
            before = otr_guest_memory_bytes(f->guest);
            blocks = otr_alloc_live();
        }
    }
    CHECK_INT(otr_alloc_live(), blocks);
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
    if (strcmp(name, "py-wit") == 0) {
        if (getenv("OTR_NIGHTLY") == NULL) {
            otr_test_skip("18 MB to compile: make test-nightly");
            return;
        }
        alarm(HOUR_S); /* the harness allows minutes */
    }
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
    f.memory_bytes = 512ULL * OTR_MIB;
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
    check_text(&f);
    check_memory_is_steady(&f);
    check_echo(&f);
    check_close(&f);
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
CONFORMS(rust_wit_bindgen_conforms, "rust-wit")
CONFORMS(js_componentize_qjs_conforms, "js-wit")
CONFORMS(python_componentize_py_conforms, "py-wit")
