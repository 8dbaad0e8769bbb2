/* How a call of an Extism guest ends, and whose a block is: each answer is libextism 1.41's, but
 * for those that docs/abi/differences.md lists. One test without memory is enough: each compiles a
 * guest for every allocation that fails. */
#include "unit/wasm/own_guest.h"

/* Texts are blocks of one letter: A, B and K are "AAAAA", "BBBBB" and "k". */
static const char head[] =
    "(module"
    "(import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
    "(import \"extism:host/env\" \"free\" (func $free (param i64)))"
    "(import \"extism:host/env\" \"length\" (func $length (param i64) (result i64)))"
    "(import \"extism:host/env\" \"store_u8\" (func $store (param i64 i32)))"
    "(import \"extism:host/env\" \"input_length\" (func $input_length (result i64)))"
    "(import \"extism:host/env\" \"input_offset\" (func $input_offset (result i64)))"
    "(import \"extism:host/env\" \"output_set\" (func $output_set (param i64 i64)))"
    "(import \"extism:host/env\" \"error_set\" (func $error_set (param i64)))"
    "(import \"extism:host/env\" \"error_get\" (func $error_get (result i64)))"
    "(import \"extism:host/env\" \"config_get\" (func $config_get (param i64) (result i64)))"
    "(import \"extism:host/env\" \"var_get\" (func $var_get (param i64) (result i64)))"
    "(import \"extism:host/env\" \"var_set\" (func $var_set (param i64 i64)))"
    "(import \"extism:host/env\" \"http_request\" (func $http (param i64 i64) (result i64)))"
    "(import \"extism:host/env\" \"log_info\" (func $log (param i64)))"
    "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "(memory (export \"memory\") 1) (global $a (mut i64) (i64.const 0))"
    "(func $fill (param $n i64) (param $v i32) (result i64) (local $p i64) (local $i i64)"
    " (local.set $p (call $alloc (local.get $n)))"
    " (loop $l (call $store (i64.add (local.get $p) (local.get $i)) (local.get $v))"
    "  (local.set $i (i64.add (local.get $i) (i64.const 1)))"
    "  (br_if $l (i64.lt_u (local.get $i) (local.get $n)))) (local.get $p))"
    "(func $A (result i64) (call $fill (i64.const 5) (i32.const 65)))"
    "(func $B (result i64) (call $fill (i64.const 5) (i32.const 66)))"
    "(func $K (result i64) (call $fill (i64.const 1) (i32.const 107)))"
    "(func $out (param i64) (call $output_set (local.get 0) (i64.const 5)))"
    "(func $fail (global.set $a (call $A)) (call $error_set (global.get $a)))"
    "(func $gone (param i64) (if (i64.ne (call $length (local.get 0)) (i64.const 0))"
    " (then (unreachable))))"
    "(func $deep (call $deep))";

static otr_code open_guest(own *o, const char *body, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, 1 << 16);
    otr_code rc = otr_buf_addf(&text, err, "%s%s)", head, body);
    const otr_load_spec spec = {
        .name = "e.wasm", .wasm = otr_buf_bytes(&text), .abi = "extism", .rewrite = true
    };
    rc = rc == OTR_OK ? own_open(o, &spec, err) : rc;
    otr_buf_deinit(&text);
    return rc;
}

/* ---- exit codes ---- */

static const char exits[] =
    "(func (export \"exit_0\") (result i32) (call $out (call $A)) (call $exit (i32.const 0))"
    " (i32.const 9))"
    "(func (export \"exit_0_void\") (call $out (call $A)) (call $exit (i32.const 0)))"
    "(func (export \"exit_0_bare\") (result i32) (call $exit (i32.const 0)) (i32.const 9))"
    "(func (export \"exit_0_failed\") (result i32) (call $out (call $B)) (call $fail)"
    " (call $exit (i32.const 0)) (i32.const 0))"
    "(func (export \"exit_0_cleared\") (result i32) (call $out (call $A)) (call $fail)"
    " (call $error_set (i64.const 0)) (call $exit (i32.const 0)) (i32.const 9))"
    "(func (export \"exit_3\") (result i32) (call $out (call $A)) (call $exit (i32.const 3))"
    " (i32.const 0))"
    "(func (export \"exit_3_failed\") (result i32) (call $fail) (call $exit (i32.const 3))"
    " (i32.const 0))"
    "(func (export \"trap\") (unreachable))"
    "(func (export \"typed\") (param i32) (result i32) (call $exit (i32.const 0)) (i32.const 0))"
    "(func (export \"typed_void\") (param i32) (call $out (call $A)) (call $exit (i32.const 0)))";

T_NO_OOM(exit_code_0_is_success_and_its_output_stands)
{
    static const char *const fine[] = { "exit_0", "exit_0_void", "exit_0_cleared", "exit_0" };
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, exits, &err), err);
    for (size_t i = 0; i < OTR_COUNT(fine); i++) {
        REQUIRE_OK(own_ask(&o, fine[i], "in", &err), err);
        CHECK_STR(otr_buf_text(&o.out), "AAAAA");
        CHECK(!otr_guest_dead(o.guest));
    }
    REQUIRE_OK(own_ask(&o, "exit_0_bare", "in", &err), err);
    CHECK_INT(o.out.n, 0);
    CHECK_INT(own_ask(&o, "exit_0_failed", "", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "AAAAA");
    CHECK(!otr_guest_dead(o.guest));
}

T_NO_OOM(a_trap_after_exit_code_0_is_a_trap)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, exits, &err), err);
    REQUIRE_OK(own_ask(&o, "exit_0", "", &err), err);
    CHECK_INT(own_ask(&o, "trap", "", &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "unreachable");
    CHECK(otr_guest_dead(o.guest));
}

T_NO_OOM(any_other_exit_code_is_a_failure)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, exits, &err), err);
    CHECK_INT(own_ask(&o, "exit_3", "", &err), OTR_EGUEST);
    CHECK_STR(err.msg, "the guest ended itself with exit code 3");
    CHECK_INT(o.out.n, 0);
    CHECK(otr_guest_dead(o.guest));
}

T_NO_OOM(an_error_text_comes_before_an_exit_code)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, exits, &err), err);
    CHECK_INT(own_ask(&o, "exit_3_failed", "", &err), OTR_EGUEST);
    CHECK_STR(err.msg, "AAAAA: the guest ended itself with exit code 3");
}

static otr_code ask_typed(own *o, const char *op, otr_err *err)
{
    const otr_typed one = { OTR_WASM_I32, { .i32 = 1 } };
    otr_typed_call call = { .ask = { .op = op }, .args = &one, .n_args = 1 };
    otr_buf_clear(&o->out);
    return otr_guest_call_typed(o->guest, &call, &o->out, err);
}

T_NO_OOM(a_typed_function_may_end_with_exit_code_0_when_it_owes_no_result)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, exits, &err), err);
    REQUIRE_OK(ask_typed(&o, "typed_void", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "AAAAA");
    CHECK_INT(ask_typed(&o, "typed", &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "exit code 0");
}

/* ---- error texts ---- */

static const char errors[] =
    "(func (export \"trap\") (call $fail) (unreachable))"
    "(func (export \"freed_trap\") (call $fail) (call $free (global.get $a)) (unreachable))"
    "(func (export \"range\") (call $fail) (drop (i32.load (i32.const 9999999))))"
    "(func (export \"stack\") (call $fail) (call $deep))"
    "(func (export \"host\") (call $fail) (call $log (i64.const 3)))"
    "(func (export \"loop\") (call $fail) (loop $l (br $l)))"
    "(func (export \"cleared\") (call $fail) (call $error_set (i64.const 0)) (unreachable))"
    "(func (export \"freed\") (result i32) (call $fail) (call $free (global.get $a))"
    " (i32.const 1))"
    "(func (export \"freed_0\") (result i32) (call $fail) (call $free (global.get $a))"
    " (i32.const 0))"
    "(func (export \"reused\") (result i32) (local $i i32) (call $fail)"
    " (call $free (global.get $a)) (drop (call $fill (i64.const 70000) (i32.const 67)))"
    " (loop $l (drop (call $B)) (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    "  (br_if $l (i32.lt_u (local.get $i) (i32.const 300)))) (i32.const 1))"
    "(func (export \"freed_is_gone\") (result i32) (call $fail) (call $free (global.get $a))"
    " (call $gone (global.get $a)) (call $free (global.get $a)) (call $gone (global.get $a))"
    " (i32.const 1))"
    "(func (export \"again\") (result i32) (local $i i32)"
    " (block (loop $l (global.set $a (call $fill (i64.const 400000) (i32.const 65)))"
    "  (call $error_set (global.get $a)) (call $free (global.get $a))"
    "  (br_if 1 (i64.eqz (global.get $a)))"
    "  (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    "  (br_if $l (i32.lt_u (local.get $i) (i32.const 20)))))"
    " (i64.eqz (global.get $a)))" /* 1: no room, though one block at a time is in use */
    "(func (export \"overwritten\") (call $fail) (call $store (global.get $a) (i32.const 66)))"
    "(func (export \"no_text\") (result i32) (call $out (call $A))"
    " (call $error_set (i64.add (call $A) (i64.const 2))) (i32.const 0))"
    "(func (export \"input\") (call $error_set (call $input_offset)))"
    "(func (export \"last\") (call $error_set (call $A)) (call $error_set (call $B)))";

/* Each block is freed, or given away, after the next one was made: 40,000 of 1 to 4096 bytes. */
static const char gaps[] =
    "(func (export \"gaps\") (result i32) (local $n i64) (local $p i64) (local $q i64)"
    " (loop $l (local.set $q (call $alloc (i64.add (i64.const 1) (i64.rem_u (i64.mul (local.get $n)"
    "   (i64.const 7)) (i64.const 4096)))))"
    "  (if (i64.eqz (local.get $q)) (then (return (i32.const 1))))"
    "  (call $error_set (local.get $q)) (call $free (local.get $q)) (call $free (local.get $p))"
    "  (local.set $p (call $alloc (i64.add (i64.const 1) (i64.rem_u (local.get $n)"
    "   (i64.const 4096))))) (call $output_set (local.get $p) (i64.const 1))"
    "  (call $error_set (i64.const 0)) (local.set $n (i64.add (local.get $n) (i64.const 1)))"
    "  (br_if $l (i64.lt_u (local.get $n) (i64.const 40000)))) (i32.const 0))"
    "(func (export \"gaps_given\") (result i32) (local $n i64) (local $p i64)"
    " (loop $l (local.set $p (call $alloc (i64.add (i64.const 1) (i64.rem_u (i64.mul (local.get $n)"
    "   (i64.const 7)) (i64.const 4096)))))"
    "  (if (i64.eqz (local.get $p)) (then (return (i32.const 1))))"
    "  (call $store (local.get $p) (i32.const 107)) (drop (call $var_get (local.get $p)))"
    "  (local.set $n (i64.add (local.get $n) (i64.const 1)))"
    "  (br_if $l (i64.lt_u (local.get $n) (i64.const 5000)))) (i32.const 0))";

static void check_text(const char *op, otr_code code, const char *text)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, errors, &err), err);
    otr_code rc = otr_guest_call(o.guest, op, otr_bytes_of("input"),
                                 otr_now_ns() + 300 * OTR_NS_PER_MS, &o.out, &err);
    CHECK_INT(rc, code);
    CHECK_HAS(err.msg, text);
    CHECK(strncmp(err.msg, text, strlen(text)) == 0);
}

T_NO_OOM(an_error_text_comes_before_the_trap)
{
    check_text("trap", OTR_EGUEST, "AAAAA: wasm `unreachable`");
    check_text("freed_trap", OTR_EGUEST, "AAAAA: wasm `unreachable`");
    check_text("range", OTR_EGUEST, "AAAAA: ");
    check_text("stack", OTR_EGUEST, "AAAAA: ");
    check_text("host", OTR_EGUEST, "AAAAA: log text: 3 is not a handle");
    check_text("loop", OTR_ETIMEOUT, "AAAAA: the call ran past its deadline");
    check_text("cleared", OTR_EGUEST, "wasm `unreachable`");
}

T_NO_OOM(an_error_text_stays_when_its_block_is_freed)
{
    static const char *const freed[] = { "freed", "freed_0", "reused", "freed_is_gone" };
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, errors, &err), err);
    for (size_t i = 0; i < OTR_COUNT(freed); i++) {
        CHECK_INT(own_ask(&o, freed[i], "", &err), OTR_EINVAL);
        CHECK_STR(err.msg, "AAAAA");
    }
    CHECK(!otr_guest_dead(o.guest));
}

T_NO_OOM(error_texts_that_were_freed_do_not_add_up)
{
    OWN(o);
    otr_err err = { 0 };
    o.spec.max_memory_bytes = 2 << 20;
    REQUIRE_OK(open_guest(&o, errors, &err), err);
    CHECK_INT(own_ask(&o, "again", "", &err), OTR_EINVAL);
    CHECK(strncmp(err.msg, "AAAAA", 5) == 0);
}

T_NO_OOM(blocks_of_changing_sizes_leave_no_gaps)
{
    static const char *const all[] = { "gaps", "gaps_given" };
    OWN(o);
    otr_err err = { 0 };
    o.spec.max_memory_bytes = 2 << 20;
    REQUIRE_OK(open_guest(&o, gaps, &err), err);
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        REQUIRE_OK(own_ask(&o, all[i], "", &err), err);
    }
}

T_NO_OOM(the_last_error_text_counts_as_it_is_at_the_end)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, errors, &err), err);
    CHECK_INT(own_ask(&o, "overwritten", "", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "BAAAA");
    CHECK_INT(own_ask(&o, "last", "", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "BBBBB");
    CHECK_INT(own_ask(&o, "input", "of the call", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "of the call");
    REQUIRE_OK(own_ask(&o, "no_text", "", &err), err); /* no block of its own: no error */
    CHECK_STR(otr_buf_text(&o.out), "AAAAA");
}

/* ---- whose a block is ---- */

static const char owners[] =
    "(func $k (global.set $a (call $K)))"
    "(func (export \"config\") (call $k) (call $out (call $config_get (global.get $a)))"
    " (call $gone (global.get $a)))"
    "(func (export \"no_config\") (call $k) (call $store (global.get $a) (i32.const 120))"
    " (call $out (call $config_get (global.get $a))) (call $gone (global.get $a)))"
    "(func (export \"var\") (local $v i64) (call $k) (local.set $v (call $A))"
    " (call $var_set (global.get $a) (local.get $v))"
    " (call $gone (global.get $a)) (call $gone (local.get $v))"
    " (call $k) (local.set $v (call $var_get (global.get $a))) (call $gone (global.get $a))"
    " (call $free (global.get $a)) (call $out (local.get $v))" /* the old way, once more */
    " (if (i64.ne (call $length (local.get $v)) (i64.const 5)) (then (unreachable))))"
    "(func (export \"unset\") (call $k) (call $var_set (global.get $a) (i64.const 0))"
    " (call $gone (global.get $a)))"
    "(func (export \"both\") (call $k) (call $var_set (global.get $a) (global.get $a))"
    " (call $gone (global.get $a)))"
    "(func (export \"log\") (call $k) (call $log (global.get $a)) (call $gone (global.get $a)))"
    "(func (export \"http\") (local $b i64) (call $k) (local.set $b (call $B))"
    " (drop (call $http (global.get $a) (local.get $b)))"
    " (call $gone (global.get $a)) (call $gone (local.get $b)))"
    "(func (export \"input\") (call $log (call $input_offset)) (call $gone (call $input_offset))"
    " (if (i64.ne (call $input_length) (i64.const 0)) (then (unreachable))))"
    "(func (export \"answer\") (call $k) (call $output_set (global.get $a) (i64.const 1))"
    " (call $log (global.get $a)) (drop (call $B)) (call $free (global.get $a)) (drop (call $B)))"
    "(func (export \"answer_input\")"
    " (call $output_set (call $input_offset) (call $input_length))"
    " (call $log (call $input_offset)) (drop (call $fill (i64.const 70000) (i32.const 66)))"
    " (drop (call $B)) (drop (call $B)))"
    "(func (export \"error\") (call $fail) (call $log (global.get $a)) (drop (call $B)))"
    "(func (export \"many\") (result i32) (local $i i32) (local $v i64)"
    " (loop $l (call $k) (local.set $v (call $alloc (i64.const 400000)))"
    "  (if (i64.eqz (local.get $v)) (then (return (i32.const 1))))"
    "  (call $var_set (global.get $a) (local.get $v))"
    "  (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    "  (br_if $l (i32.lt_u (local.get $i) (i32.const 250)))) (i32.const 0))"
    "(func (export \"many_answers\") (result i32) (local $i i32) (local $v i64)"
    " (loop $l (local.set $v (call $alloc (i64.const 400000)))"
    "  (if (i64.eqz (local.get $v)) (then (return (i32.const 1))))"
    "  (call $store (local.get $v) (i32.const 65)) (call $output_set (local.get $v) (i64.const 1))"
    "  (call $free (local.get $v)) (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    "  (br_if $l (i32.lt_u (local.get $i) (i32.const 50)))) (i32.const 0))";

T(host_functions_own_the_blocks_they_are_given)
{
    static const char *const all[] = { "no_config", "unset", "both", "log", "http", "input" };
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, owners, &err), err);
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        REQUIRE_OK(own_ask(&o, all[i], "input", &err), err);
    }
    REQUIRE_OK(own_ask(&o, "config", "", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "of th");
    REQUIRE_OK(own_ask(&o, "var", "", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "AAAAA");
}

T_NO_OOM(an_answer_stays_when_its_block_goes)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, owners, &err), err);
    REQUIRE_OK(own_ask(&o, "answer", "", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "k");
    REQUIRE_OK(own_ask(&o, "answer_input", "what came in", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "what came in");
    CHECK_INT(own_ask(&o, "error", "", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "AAAAA");
}

T_NO_OOM(blocks_that_were_given_away_are_used_again)
{
    OWN(o);
    otr_err err = { 0 };
    o.spec.max_memory_bytes = 2 << 20;
    REQUIRE_OK(open_guest(&o, owners, &err), err);
    REQUIRE_OK(own_ask(&o, "many", "", &err), err);
    REQUIRE_OK(own_ask(&o, "many_answers", "", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "A");
}

/* ---- start functions ---- */

T_NO_OOM(a_start_function_of_another_type_is_refused_by_name)
{
    static const char *const wrong[] = {
        "(func (export \"_initialize\") (result i32) (i32.const 0))",
        "(func (export \"_initialize\") (param i32))",
        "(global (export \"_initialize\") i32 (i32.const 1))",
        "(func (export \"__wasm_call_ctors\") (param i64))",
        "(func (export \"hs_init\") (param i32))",
        "(table (export \"_start\") 1 funcref)",
    };
    static const char *const says[] = {
        "export _initialize: wanted is (), as of a start function, it is () -> i32",
        "export _initialize: wanted is (), as of a start function, it is (i32)",
        "export _initialize: wanted is (), as of a start function, it is a global",
        "export __wasm_call_ctors: wanted is (), as of a start function, it is (i64)",
        "export hs_init: wanted is (i32, i32), as of a start function, it is (i32)",
        "export _start: wanted is (), as of a start function, it is a table",
    };
    for (size_t i = 0; i < OTR_COUNT(wrong); i++) {
        OWN(o);
        otr_err err = { 0 };
        CHECK_INT(open_guest(&o, wrong[i], &err), OTR_EINVAL);
        CHECK_HAS(err.msg, says[i]);
    }
}

T_NO_OOM(start_functions_of_the_right_type_run)
{
    static const char run[] = "(global $g (mut i32) (i32.const 0))"
                              "(func (export \"run\") (result i32) (i32.sub (global.get $g)"
                              " (i32.const 7)))";
    static const char *const right[] = {
        "(func (export \"_initialize\") (global.set $g (i32.const 7)))",
        "(func (export \"hs_init\") (param i32 i32) (result i32) (global.set $g (i32.const 7))"
        " (i32.const 0))",
        "(func (export \"__wasm_call_ctors\") (global.set $g (i32.const 7)))"
        "(func (export \"_start\") (result i32) (i32.const 0))",
    };
    for (size_t i = 0; i < OTR_COUNT(right); i++) {
        OWN(o);
        otr_err err = { 0 };
        char text[512];
        (void)snprintf(text, sizeof(text), "%s%s", run, right[i]);
        REQUIRE_OK(open_guest(&o, text, &err), err);
        REQUIRE_OK(own_ask(&o, "run", "", &err), err);
    }
}

T_NO_OOM(a_start_function_that_gives_up_says_why)
{
    OWN(o);
    otr_err err = { 0 };
    CHECK_INT(open_guest(&o, "(func (export \"_initialize\") (call $fail) (unreachable))", &err),
              OTR_EGUEST);
    CHECK_HAS(err.msg, "start function _initialize: AAAAA: wasm `unreachable`");
}
