/* Every import of the Extism ABI by each of its names, and the edges of a few that kits rely on. */
#include "unit/wasm/own_guest.h"

static const struct {
    const char *name, *type;
} functions[] = {
    { "alloc", "(param i64) (result i64)" },
    { "free", "(param i64)" },
    { "length", "(param i64) (result i64)" },
    { "length_unsafe", "(param i64) (result i64)" },
    { "load_u8", "(param i64) (result i32)" },
    { "load_u64", "(param i64) (result i64)" },
    { "store_u8", "(param i64 i32)" },
    { "store_u64", "(param i64 i64)" },
    { "input_length", "(result i64)" },
    { "input_offset", "(result i64)" },
    { "input_load_u8", "(param i64) (result i32)" },
    { "input_load_u64", "(param i64) (result i64)" },
    { "input_set", "(param i64 i64)" },
    { "output_set", "(param i64 i64)" },
    { "output_offset", "(result i64)" },
    { "output_length", "(result i64)" },
    { "error_set", "(param i64)" },
    { "error_get", "(result i64)" },
    { "reset", "" },
    { "memory_bytes", "(result i64)" },
    { "config_get", "(param i64) (result i64)" },
    { "var_get", "(param i64) (result i64)" },
    { "var_set", "(param i64 i64)" },
    { "http_request", "(param i64 i64) (result i64)" },
    { "http_status_code", "(result i32)" },
    { "http_headers", "(result i64)" },
    { "log_trace", "(param i64)" },
    { "log_debug", "(param i64)" },
    { "log_info", "(param i64)" },
    { "log_warn", "(param i64)" },
    { "log_error", "(param i64)" },
    { "get_log_level", "(result i32)" },
};

/* A guest that imports all of them from `module`, with `prefix` before each name. */
static otr_code open_all(own *o, const char *module, const char *prefix, const char *more,
                         otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, 1 << 16);
    otr_code rc = otr_buf_adds(&text, "(module ", err);
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(functions); i++) {
        rc = otr_buf_addf(&text, err, "(import \"%s\" \"%s%s\" (func $%s %s))\n", module, prefix,
                          functions[i].name, functions[i].name, functions[i].type);
    }
    rc = rc == OTR_OK ? otr_buf_addf(&text, err, "%s)", more) : rc;
    const otr_load_spec spec = {
        .name = "n.wasm", .wasm = otr_buf_bytes(&text), .abi = "extism", .rewrite = true
    };
    rc = rc == OTR_OK ? own_open(o, &spec, err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

static const char echoes[] =
    "(func (export \"run\") (call $output_set (call $input_offset) (call $input_length)))";

T_NO_OOM(every_name_of_every_function_is_offered) /* the same code as below, three times */
{
    static const struct {
        const char *module, *prefix;
    } ways[] = { { "extism:host/env", "" }, { "env", "" }, { "env", "extism_" } };
    for (size_t i = 0; i < OTR_COUNT(ways); i++) {
        OWN(o);
        otr_err err = { 0 };
        REQUIRE_OK(open_all(&o, ways[i].module, ways[i].prefix, echoes, &err), err);
        REQUIRE_OK(own_ask(&o, "run", "echo", &err), err);
        CHECK_STR(otr_buf_text(&o.out), "echo");
    }
}

/* Calls each with what is no handle, while memory is empty and while it is not. */
static const char odd[] =
    "(func $zero (param i64) (if (i64.ne (local.get 0) (i64.const 0)) (then (unreachable))))"
    "(func $all"
    " (call $zero (call $length (i64.const 0))) (call $zero (call $length (i64.const -1)))"
    " (call $zero (call $length (i64.const 520))) (call $zero (call $length (i64.const 511)))"
    " (call $zero (call $length (i64.const 1099511627776)))"
    " (call $zero (call $length_unsafe (i64.const 0)))"
    " (call $free (i64.const 0)) (call $free (i64.const -1)) (call $free (i64.const 520))"
    " (call $zero (call $alloc (i64.const 0))) (call $zero (call $alloc (i64.const -1)))"
    " (call $zero (call $alloc (i64.const 1099511627776)))"
    " (call $zero (call $load_u64 (i64.const -1))) (call $zero (call $load_u64 (i64.const -4)))"
    " (call $store_u64 (i64.const -1) (i64.const 1)) (call $store_u8 (i64.const -1) (i32.const 1))"
    " (call $zero (call $input_load_u64 (i64.const -1)))"
    " (call $zero (i64.extend_i32_u (call $input_load_u8 (i64.const -1))))"
    " (call $zero (call $var_get (i64.const 0))) (call $zero (call $config_get (i64.const 0)))"
    " (call $zero (call $http_headers)) (call $zero (i64.extend_i32_u (call $http_status_code)))"
    " (call $log_error (i64.const 0)))"
    "(func (export \"empty\") (call $all))"
    "(func (export \"full\") (local $h i64)"
    " (local.set $h (call $alloc (i64.const 100))) (call $all)"
    " (call $zero (call $length (i64.add (local.get $h) (i64.const 1))))"
    " (call $zero (call $length (i64.add (local.get $h) (i64.const 16))))"
    " (call $zero (i64.sub (call $length (local.get $h)) (i64.const 100)))"
    " (call $free (local.get $h)) (call $zero (call $length (local.get $h)))"
    " (call $free (local.get $h)))"
    "(func (export \"past\")"
    " (call $zero (call $input_load_u64 (i64.sub (call $input_length) (i64.const 7))))"
    " (call $zero (call $input_load_u64 (call $input_length)))"
    " (call $zero (i64.extend_i32_u (call $input_load_u8 (call $input_length)))))"
    "(func (export \"bad_output\")"
    " (call $output_set (call $input_offset) (call $input_length))"
    " (call $output_set (i64.const -1) (i64.const 5))"
    " (call $output_set (call $input_offset) (i64.const 1099511627776)))";

T(what_is_no_handle_is_harmless_with_and_without_blocks)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_all(&o, "extism:host/env", "", odd, &err), err);
    REQUIRE_OK(own_ask(&o, "empty", "", &err), err);
    REQUIRE_OK(own_ask(&o, "full", "", &err), err);
    REQUIRE_OK(own_ask(&o, "full", "input", &err), err);
}

T(input_ends_where_it_ends)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_all(&o, "extism:host/env", "", odd, &err), err);
    REQUIRE_OK(own_ask(&o, "past", "0123456789", &err), err);
    REQUIRE_OK(own_ask(&o, "past", "01234567", &err), err);
    REQUIRE_OK(own_ask(&o, "past", "abc", &err), err);
    REQUIRE_OK(own_ask(&o, "past", "", &err), err);
}

T(the_last_good_output_stands)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_all(&o, "extism:host/env", "", odd, &err), err);
    REQUIRE_OK(own_ask(&o, "bad_output", "good", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "good");
}

/* A text that was set fails the call, whatever its result is; so does a result. */
static const char results[] =
    "(func $text (result i64) (local $h i64) (local.set $h (call $alloc (i64.const 3)))"
    " (call $store_u8 (local.get $h) (i32.const 119))"
    " (call $store_u8 (i64.add (local.get $h) (i64.const 1)) (i32.const 104))"
    " (call $store_u8 (i64.add (local.get $h) (i64.const 2)) (i32.const 121)) (local.get $h))"
    "(func $out (call $output_set (call $input_offset) (call $input_length)))"
    "(func (export \"error_with_0\") (result i32)"
    " (call $error_set (call $text)) (call $out) (i32.const 0))"
    "(func (export \"error_with_none\") (call $error_set (call $text)) (call $out))"
    "(func (export \"error_with_1\") (result i32)"
    " (call $error_set (call $text)) (call $out) (i32.const 1))"
    "(func (export \"error_with_-1\") (result i32) (call $error_set (call $text)) (i32.const -1))"
    "(func (export \"code_alone\") (result i32) (call $out) (i32.const 7))"
    "(func (export \"refused\") (result i32)"
    " (call $var_set (call $text) (call $alloc (i64.const 5000))) (call $out) (i32.const 0))"
    "(func (export \"refused_and_cleared\") (result i32)"
    " (call $var_set (call $text) (call $alloc (i64.const 5000)))"
    " (call $error_set (i64.const 0)) (call $out) (i32.const 0))";

T(an_error_text_fails_the_call_and_so_does_a_result)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_all(&o, "extism:host/env", "", results, &err), err);
    static const char *const with_text[] = { "error_with_0", "error_with_none", "error_with_1",
                                             "error_with_-1" };
    for (size_t i = 0; i < OTR_COUNT(with_text); i++) {
        CHECK_INT(own_ask(&o, with_text[i], "lost", &err), OTR_EINVAL);
        CHECK_STR(err.msg, "why");
        CHECK_INT(o.out.n, 0);
    }
    CHECK_INT(own_ask(&o, "code_alone", "lost", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "code_alone failed with code 7 and no error text");
    CHECK(!otr_guest_dead(o.guest));
}

T(what_the_host_refuses_fails_the_call_unless_the_guest_clears_it)
{
    OWN(o);
    otr_err err = { 0 };
    o.spec.max_vars_bytes = 1000;
    REQUIRE_OK(open_all(&o, "extism:host/env", "", results, &err), err);
    CHECK_INT(own_ask(&o, "refused", "lost", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "the limit is 1000");
    REQUIRE_OK(own_ask(&o, "refused_and_cleared", "fine", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "fine");
}
