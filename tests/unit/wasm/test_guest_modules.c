/* Guests of several modules, and what an Extism manifest does to its guest. */
#include "unit/wasm/own_guest.h"

#define ENV(name, as, type) " (import \"extism:host/env\" \"" name "\" (func $" as " " type "))"

/* Turns the input into an answer in capitals, by a block of its own. */
static const char util[] = "(module" ENV("alloc", "alloc", "(param i64) (result i64)")
    ENV("load_u8", "load", "(param i64) (result i32)") ENV(
        "store_u8", "store",
        "(param i64 i32)") " (global $ready (mut i32) (i32.const 0))"
                           " (func (export \"_initialize\") (global.set $ready (i32.const 1)))"
                           " (func (export \"upper\") (param $from i64) (param $n i64) (result i64)"
                           "  (local $to i64) (local $i i64)"
                           "  (if (i32.eqz (global.get $ready)) (then (unreachable)))"
                           "  (local.set $to (call $alloc (local.get $n)))"
                           "  (block $done (loop $next"
                           "   (br_if $done (i64.ge_u (local.get $i) (local.get $n)))"
                           "   (call $store (i64.add (local.get $to) (local.get $i))"
                           "    (i32.and (i32.const 0xdf) (call $load (i64.add (local.get $from) "
                           "(local.get $i)))))"
                           "   (local.set $i (i64.add (local.get $i) (i64.const 1))) (br $next)))"
                           "  (local.get $to)))";

static const char middle[] =
    "(module (import \"util\" \"upper\" (func $up (param i64 i64) (result i64)))"
    " (func (export \"up\") (param i64 i64) (result i64)"
    "  (call $up (local.get 0) (local.get 1))))";

static const char user[] =
    "(module" ENV("input_offset", "in", "(result i64)") ENV("input_length", "n", "(result i64)")
        ENV("output_set", "out",
            "(param i64 i64)") " (import \"middle\" \"up\" (func $up (param i64 i64) (result i64)))"
                               " (func (export \"run\") (result i32)"
                               "  (call $out (call $up (call $in) (call $n)) (call $n)) (i32.const "
                               "0)))";

static otr_load_module module_of(const char *name, const char *text)
{
    return (otr_load_module){ name, otr_bytes_of(text) };
}

static void check_chain(bool rewrite)
{
    OWN(o);
    otr_err err = { 0 };
    const otr_load_module modules[] = { module_of("middle", middle), module_of("util", util) };
    const otr_load_spec spec = { .name = "m.wasm",
                                 .wasm = otr_bytes_of(user),
                                 .rewrite = rewrite,
                                 .modules = modules,
                                 .n_modules = 2 };
    REQUIRE_OK(own_open(&o, &spec, &err), err);
    REQUIRE_OK(own_ask(&o, "run", "letters", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "LETTERS");
    REQUIRE_OK(own_ask(&o, "run", "again", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "AGAIN");
}

T(modules_are_linked_by_name_in_any_order_and_share_extism_memory)
{
    check_chain(false);
    check_chain(true);
}

static otr_code load_two(own *o, const char *main, otr_load_module a, otr_load_module b,
                         otr_err *err)
{
    const otr_load_module modules[] = { a, b };
    const otr_load_spec spec = { .name = "m.wasm",
                                 .wasm = otr_bytes_of(main),
                                 .modules = modules,
                                 .n_modules = b.name != NULL ? 2 : 1 };
    return own_load(o, &spec, NULL, err);
}

static const otr_load_module nothing = { NULL, { NULL, 0 } };

T(a_ring_of_modules_is_refused)
{
    OWN(o);
    otr_err err = { 0 };
    CHECK_INT(load_two(&o, user,
                       module_of("a", "(module (import \"b\" \"f\" (func)) (func (export \"f\")))"),
                       module_of("b", "(module (import \"a\" \"f\" (func)) (func (export \"f\")))"),
                       &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "m.wasm: the module a imports from itself in a ring of modules");
}

T(names_of_modules_are_checked)
{
    static const char *const taken[] = { "main", "env", "extism:host/user", "wasi_unstable", "" };
    otr_err err = { 0 };
    for (size_t i = 0; i < OTR_COUNT(taken); i++) {
        OWN(o);
        CHECK_INT(load_two(&o, user, module_of(taken[i], util), nothing, &err), OTR_EINVAL);
        CHECK_HAS(err.msg, "a linked module cannot be called");
    }
    OWN(o);
    CHECK_INT(load_two(&o, user, module_of("a", util), module_of("a", util), &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "two linked modules are called \"a\"");
}

T(what_a_linked_module_lacks_is_named_with_it)
{
    OWN(o);
    otr_err err = { 0 };
    CHECK_INT(load_two(&o, user, module_of("middle", middle),
                       module_of("util", "(module (func (export \"uper\") (param i64)))"), &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "import util.upper: function (i64, i64) -> i64 is not offered");
    CHECK_HAS(err.msg, "(nearest: uper)");
    CHECK_HAS(err.msg, "the module middle needs that");
    CHECK_INT(load_two(&o, user, module_of("middle", "not wasm"), nothing, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "m.wasm: module middle: ");
}

T(an_initialize_of_another_type_is_refused_with_its_module)
{
    OWN(o);
    otr_err err = { 0 };
    CHECK_INT(load_two(&o, user, module_of("middle", middle),
                       module_of("util", "(module (func (export \"_initialize\") (param i64)))"),
                       &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "export _initialize: wanted is (), as of a start function, it is (i64)");
    CHECK_HAS(err.msg, "the module util exports that");
}

T(modules_are_for_extism_guests)
{
    OWN(o);
    otr_err err = { 0 };
    CHECK_INT(load_two(&o,
                       "(module (memory (export \"memory\") 1)"
                       " (func (export \"__guest_call\") (param i32 i32) (result i32)"
                       "  (i32.const 1)))",
                       module_of("a", "(module)"), nothing, &err),
              OTR_EUNSUP);
    CHECK_HAS(err.msg, "speaks wapc; modules are linked to guests of extism only");
}

/* Each has a memory and prints by WASI what lies at 100 of its own. */
#define PRINTS(text)                                                             \
    " (import \"wasi_snapshot_preview1\" \"fd_write\""                           \
    "  (func $write (param i32 i32 i32 i32) (result i32)))"                      \
    " (memory (export \"memory\") 1) (data (i32.const 100) \"" text "\\n\")"     \
    " (data (i32.const 0) \"\\64\\00\\00\\00\\04\\00\\00\\00\")"                 \
    " (func $print (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1)" \
    "  (i32.const 16))))"

T(a_linked_module_prints_from_its_own_memory)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(
        load_two(&o,
                 "(module (import \"part\" \"f\" (func $f))"
                 " (import \"extism:host/env\" \"alloc\""
                 "  (func (param i64) (result i64)))" PRINTS(
                     "one") " (func (export \"run\") (call $print) (call $f) (call $print)))",
                 module_of("part", "(module" PRINTS("two") " (export \"f\" (func $print)))"),
                 nothing, &err),
        err);
    REQUIRE_OK(own_start(&o, &err), err);
    REQUIRE_OK(own_ask(&o, "run", "", &err), err);
    CHECK_STR(otr_buf_text(&o.logged), "1:one;1:two;1:one;");
}

T(inspect_lists_linked_modules)
{
    OWN(o);
    otr_err err = { 0 };
    otr_buf text;
    const otr_load_module modules[] = { module_of("middle", middle) };
    const otr_load_spec spec = {
        .name = "m.wasm", .wasm = otr_bytes_of(user), .modules = modules, .n_modules = 1
    };
    otr_buf_init(&text, 1 << 20);
    otr_code rc = otr_engine_find("wasmtime")->open(NULL, &o.engine, &err);
    rc = rc == OTR_OK ? otr_guest_inspect(o.engine, &spec, &text, &err) : rc;
    if (rc == OTR_OK) {
        CHECK_HAS(otr_buf_text(&text), "\"modules\":[{\"name\":\"middle\",\"imports\":");
        CHECK_HAS(otr_buf_text(&text), "import util.upper");
        CHECK_HAS(otr_buf_text(&text), "the module middle needs that");
    }
    otr_buf_deinit(&text);
    REQUIRE_OK(rc, err);
}

/* ---- manifests ---- */

/* Base64 of `text` without its padding's help: into `out`. */
static void add_base64(otr_buf *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text);
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < n && rc == OTR_OK; i += 3) {
        uint32_t b[3] = { 0 };
        for (size_t k = 0; k < 3 && i + k < n; k++) {
            b[k] = (uint8_t)text[i + k];
        }
        uint32_t v = b[0] << 16 | b[1] << 8 | b[2];
        rc = otr_buf_addf(out, NULL, "%c%c%c%c", digits[v >> 18], digits[v >> 12 & 63],
                          i + 1 < n ? digits[v >> 6 & 63] : '=', i + 2 < n ? digits[v & 63] : '=');
    }
}

/* A manifest of `user` and the modules it needs, or of one guest, with `more` keys. */
static otr_code load_manifest(own *o, const char *only, const char *more, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, 1 << 20);
    otr_code rc = otr_buf_adds(&text, "{\"wasm\":[{\"name\":\"main\",\"data\":\"", err);
    if (rc == OTR_OK) {
        add_base64(&text, only != NULL ? only : user);
        rc = otr_buf_adds(&text, "\"}", err);
    }
    if (rc == OTR_OK && only == NULL) {
        rc = otr_buf_adds(&text, ",{\"name\":\"middle\",\"data\":\"", err);
        add_base64(&text, middle);
        rc = rc == OTR_OK ? otr_buf_adds(&text, "\"},{\"name\":\"util\",\"data\":\"", err) : rc;
        add_base64(&text, util);
        rc = rc == OTR_OK ? otr_buf_adds(&text, "\"}", err) : rc;
    }
    rc = rc == OTR_OK ? otr_buf_addf(&text, err, "]%s}", more) : rc;
    const otr_load_spec spec = { .name = "plugin.json",
                                 .wasm = otr_buf_bytes(&text),
                                 .rewrite = true };
    rc = rc == OTR_OK ? own_load(o, &spec, NULL, err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

T(a_manifest_is_a_plugin_file)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(load_manifest(&o, NULL, "", &err), err);
    REQUIRE_OK(own_start(&o, &err), err);
    CHECK_INT(strlen(otr_guest_code_sha256(o.code)), 64);
    CHECK(otr_guest_code_manifest(o.code) != NULL);
    REQUIRE_OK(own_ask(&o, "run", "letters", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "LETTERS");
}

T(a_manifest_of_another_abi_or_with_modules_beside_it_is_refused)
{
    OWN(o);
    otr_err err = { 0 };
    const otr_load_module beside = module_of("util", util);
    const char text[] = "{\"wasm\":[{\"data\":\"KG1vZHVsZSk=\"}]}";
    otr_load_spec spec = { .name = "plugin.json", .wasm = otr_bytes_of(text), .abi = "wapc" };
    CHECK_INT(own_load(&o, &spec, NULL, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "plugin.json: is configured as wapc, but the file is an Extism manifest");
    spec.abi = NULL;
    spec.modules = &beside;
    spec.n_modules = 1;
    CHECK_INT(own_load(&o, &spec, NULL, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "names all of its modules itself");
}

/* Says with its result what it met. */
static const char limited[] = "(module" ENV("alloc", "alloc", "(param i64) (result i64)") ENV(
    "length", "length", "(param i64) (result i64)") ENV("store_u8", "store", "(param i64 i32)")
    ENV("input_offset", "in",
        "(result i64)") ENV("config_get", "config",
                            "(param i64) (result i64)") ENV("var_set", "var_set", "(param i64 i64)")
        ENV("http_request", "http", "(param i64 i64) (result i64)") ENV(
            "output_set", "out",
            "(param i64 i64)") " (memory (export \"memory\") 1)"
                               " (func (export \"grow\") (result i32) (memory.grow (i32.const 16)))"
                               " (func (export \"take\") (result i32)"
                               "  (i64.eqz (call $alloc (i64.const 1048576))))"
                               " (func (export \"spin\") (loop $l (br $l)))"
                               " (func (export \"config\") (result i32) (local $v i64)"
                               "  (local.set $v (call $config (call $in)))"
                               "  (call $out (local.get $v) (call $length (local.get $v))) "
                               "(i32.const 0))"
                               " (func (export \"var\") (call $var_set (call $alloc (i64.const 10))"
                               "  (call $alloc (i64.const 100))))"
                               " (func (export \"fetch\") (call $out (call $http (call $in) "
                               "(i64.const 0)) (i64.const 10))))";

T(max_pages_bounds_all_memory_of_the_guest)
{
    OWN(o);
    OWN(p);
    otr_err err = { 0 };
    REQUIRE_OK(load_manifest(&o, limited, "", &err), err);
    REQUIRE_OK(own_start(&o, &err), err);
    CHECK_INT(own_ask(&o, "grow", "", &err), OTR_EINVAL); /* 1: it grew from 1 page */
    CHECK_HAS(err.msg, "code 1");
    REQUIRE_OK(load_manifest(&p, limited, ",\"memory\":{\"max_pages\":8}", &err), err);
    REQUIRE_OK(own_start(&p, &err), err);
    CHECK_INT(own_ask(&p, "grow", "", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "code -1");
    CHECK_INT(own_ask(&p, "take", "", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "code 1");
}

T(max_pages_are_those_that_the_plugin_takes_itself)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(load_manifest(&o, limited, ",\"memory\":{\"max_pages\":17}", &err), err);
    REQUIRE_OK(own_start(&o, &err), err);
    CHECK_INT(own_ask(&o, "grow", "", &err), OTR_EINVAL); /* from 1 page by 16 */
    CHECK_HAS(err.msg, "code 1");
}

T(a_manifest_cannot_widen_the_memory_limit)
{
    OWN(o);
    otr_err err = { 0 };
    o.spec.max_memory_bytes = 8 * 65536;
    REQUIRE_OK(load_manifest(&o, limited, ",\"memory\":{\"max_pages\":1000}", &err), err);
    REQUIRE_OK(own_start(&o, &err), err);
    CHECK_INT(own_ask(&o, "grow", "", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "code -1");
}

T(timeout_ms_ends_a_call_that_has_a_later_deadline)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(load_manifest(&o, limited, ",\"timeout_ms\":20", &err), err);
    REQUIRE_OK(own_start(&o, &err), err);
    uint64_t begin = otr_now_ns();
    CHECK_INT(own_ask(&o, "spin", "", &err), OTR_ETIMEOUT);
    CHECK(otr_now_ns() - begin < 10000 * OTR_NS_PER_MS);
}

T(a_deadline_before_timeout_ms_stands)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(load_manifest(&o, limited, ",\"timeout_ms\":600000", &err), err);
    REQUIRE_OK(own_start(&o, &err), err);
    CHECK_INT(otr_guest_call(o.guest, "spin", otr_bytes_of(""), otr_now_ns() + 20 * OTR_NS_PER_MS,
                             &o.out, &err),
              OTR_ETIMEOUT);
}

T(config_of_the_manifest_lies_under_that_of_the_host)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(
        load_manifest(&o, limited, ",\"config\":{\"k\":\"brought\",\"own\":\"\\u00e9\"}", &err),
        err);
    REQUIRE_OK(own_start(&o, &err), err);
    REQUIRE_OK(own_ask(&o, "config", "k", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "of the host");
    REQUIRE_OK(own_ask(&o, "config", "own", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "\xc3\xa9");
    REQUIRE_OK(own_ask(&o, "config", "none", &err), err);
    CHECK_INT(o.out.n, 0);
    otr_buf_clear(&o.out);
    REQUIRE_OK(otr_guest_code_config(o.code, otr_bytes_of("{\"k\":[1],\"z\":2}"), &o.out, &err),
               err);
    CHECK_STR(otr_buf_text(&o.out), "{\"k\":[1],\"z\":2,\"own\":\"\xc3\xa9\"}");
}

T(max_var_bytes_and_max_http_response_bytes_are_errors_of_the_call)
{
    OWN(o);
    OWN(p);
    otr_err err = { 0 };
    REQUIRE_OK(load_manifest(&o, limited, "", &err), err);
    REQUIRE_OK(own_start(&o, &err), err);
    REQUIRE_OK(own_ask(&o, "var", "", &err), err);
    REQUIRE_OK(own_ask(&o, "fetch", "{}", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "0123456789");
    REQUIRE_OK(load_manifest(&p, limited,
                             ",\"memory\":{\"max_var_bytes\":60,\"max_http_response_bytes\":9}",
                             &err),
               err);
    REQUIRE_OK(own_start(&p, &err), err);
    CHECK_INT(own_ask(&p, "var", "", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "the limit is 60");
    CHECK_INT(own_ask(&p, "fetch", "{}", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "the HTTP answer has 10 bytes; the limit is 9");
    CHECK(!otr_guest_dead(p.guest));
}
