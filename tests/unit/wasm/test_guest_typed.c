/* Exported functions of any type, and what a guest does when it is swapped. */
#include "unit/wasm/own_guest.h"

#define I32 OTR_WASM_I32
#define I64 OTR_WASM_I64
#define F32 OTR_WASM_F32
#define F64 OTR_WASM_F64

static const char guest[] =
    "(module"
    " (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
    " (import \"extism:host/env\" \"store_u8\" (func $store (param i64 i32)))"
    " (import \"extism:host/env\" \"input_length\" (func $length (result i64)))"
    " (import \"extism:host/env\" \"output_set\" (func $out (param i64 i64)))"
    " (import \"extism:host/env\" \"error_set\" (func $error (param i64)))"
    " (global $sum (mut i32) (i32.const 0))"
    " (func (export \"all\") (param i32 i64 f32 f64) (result f64 f32 i64 i32)"
    "  (local.get 3) (local.get 2) (local.get 1) (local.get 0))"
    " (func (export \"one\") (param i64) (result i64)"
    "  (i64.add (local.get 0) (call $length)))"
    " (func (export \"nothing\"))"
    " (func (export \"run\") (result i32) (i32.const 0))"
    " (func (export \"out\") (param i32) (result i32) (local $h i64)"
    "  (local.set $h (call $alloc (i64.const 1)))"
    "  (call $store (local.get $h) (local.get 0))"
    "  (call $out (local.get $h) (i64.const 1)) (i32.const 7))"
    " (func (export \"fail\") (param i32) (result i32) (local $h i64)"
    "  (local.set $h (call $alloc (i64.const 1)))"
    "  (call $store (local.get $h) (local.get 0)) (call $error (local.get $h)) (i32.const 0))"
    " (func (export \"add\") (param i32) (result i32)"
    "  (global.set $sum (i32.add (global.get $sum) (local.get 0))) (global.get $sum))"
    " (func $trap (export \"trap\") (param i32) (unreachable))"
    " (func (export \"spin\") (param i32) (loop $l (br $l)))"
    " (func (export \"v128\") (param v128))"
    " (global (export \"g\") i32 (i32.const 1)))";

static otr_code open_guest(own *o, otr_err *err)
{
    const otr_load_spec spec = { .name = "t.wasm", .wasm = otr_bytes_of(guest), .rewrite = true };
    return own_open(o, &spec, err);
}

/* One i32 in, one i32 out. */
static otr_code one_i32(own *o, const char *name, int32_t in, int32_t *ret, otr_err *err)
{
    const otr_typed arg = { I32, { .i32 = in } };
    otr_typed_call call = { .ask = { .op = name, .deadline_ns = otr_now_ns() + 20000000000U },
                            .args = &arg,
                            .n_args = 1 };
    otr_code rc = otr_guest_call_typed(o->guest, &call, &o->out, err);
    if (rc == OTR_OK) {
        *ret = call.n_results == 1 ? call.results[0].val.i32 : -1;
    }
    return rc;
}

T(four_values_of_four_types_go_in_and_come_out)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, &err), err);
    const otr_typed args[] = { { I32, { .i32 = INT32_MIN } },
                               { I64, { .i64 = INT64_MIN } },
                               { F32, { .f32 = -0.25F } },
                               { F64, { .f64 = 1e300 } } };
    otr_typed_call call = { .ask = { .op = "all" }, .args = args, .n_args = 4 };
    REQUIRE_OK(otr_guest_call_typed(o.guest, &call, NULL, &err), err);
    CHECK_INT(call.n_results, 4);
    CHECK_INT(call.results[0].type, F64);
    CHECK(call.results[0].val.f64 == 1e300);
    CHECK_INT(call.results[1].type, F32);
    CHECK(call.results[1].val.f32 == -0.25F);
    CHECK_INT(call.results[2].type, I64);
    CHECK(call.results[2].val.i64 == INT64_MIN);
    CHECK_INT(call.results[3].type, I32);
    CHECK_INT(call.results[3].val.i32, INT32_MIN);
}

T(input_and_output_bytes_go_beside_the_values)
{
    OWN(o);
    otr_err err = { 0 };
    int32_t ret = 0;
    REQUIRE_OK(open_guest(&o, &err), err);
    const otr_typed arg = { I64, { .i64 = 100 } };
    otr_typed_call call = { .ask = { .op = "one", .in = otr_bytes_of("12345") },
                            .args = &arg,
                            .n_args = 1 };
    REQUIRE_OK(otr_guest_call_typed(o.guest, &call, NULL, &err), err);
    CHECK_INT(call.results[0].val.i64, 105);
    REQUIRE_OK(one_i32(&o, "out", 'x', &ret, &err), err);
    CHECK_INT(ret, 7); /* no error code */
    CHECK_STR(otr_buf_text(&o.out), "x");
}

T(arguments_that_do_not_fit_are_refused_with_both_types)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, &err), err);
    const otr_typed arg = { I32, { .i32 = 1 } };
    otr_typed_call call = { .ask = { .op = "one" }, .args = &arg, .n_args = 1 };
    CHECK_INT(otr_guest_call_typed(o.guest, &call, NULL, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "the function one is (i64) -> i64; it was given (i32)");
    call.n_args = 0;
    CHECK_INT(otr_guest_call_typed(o.guest, &call, NULL, &err), OTR_EINVAL);
    call.ask.op = "absent";
    CHECK_INT(otr_guest_call_typed(o.guest, &call, NULL, &err), OTR_ENOTFOUND);
    call.ask.op = "g";
    CHECK_INT(otr_guest_call_typed(o.guest, &call, NULL, &err), OTR_ENOTFOUND);
    call.ask.op = "v128";
    CHECK_INT(otr_guest_call_typed(o.guest, &call, NULL, &err), OTR_EUNSUP);
    CHECK(!otr_guest_dead(o.guest));
    REQUIRE_OK(own_ask(&o, "run", "", &err), err);
}

T(an_error_that_the_guest_set_fails_a_typed_call)
{
    OWN(o);
    otr_err err = { 0 };
    int32_t ret = 5;
    REQUIRE_OK(open_guest(&o, &err), err);
    CHECK_INT(one_i32(&o, "fail", '!', &ret, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "!");
    CHECK_INT(ret, 5);
    CHECK_INT(o.out.n, 0);
    REQUIRE_OK(one_i32(&o, "add", 1, &ret, &err), err);
    CHECK_INT(ret, 1);
}

T(a_trap_and_a_deadline_end_a_typed_call_and_the_guest)
{
    otr_err err = { 0 };
    int32_t ret = 0;
    OWN(o);
    REQUIRE_OK(open_guest(&o, &err), err);
    CHECK_INT(one_i32(&o, "trap", 1, &ret, &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "unreachable");
    CHECK_HAS(err.msg, "trap"); /* where it was: wasmi knows the export alone */
    CHECK(otr_guest_dead(o.guest));
    CHECK_INT(one_i32(&o, "add", 1, &ret, &err), OTR_ESTATE);
    OWN(p);
    REQUIRE_OK(open_guest(&p, &err), err);
    const otr_typed arg = { I32, { .i32 = 1 } };
    otr_typed_call call = { .ask = { .op = "spin", .deadline_ns = otr_now_ns() + 5000000 },
                            .args = &arg,
                            .n_args = 1 };
    CHECK_INT(otr_guest_call_typed(p.guest, &call, NULL, &err), OTR_ETIMEOUT);
    CHECK(otr_guest_dead(p.guest));
}

T(only_functions_that_take_nothing_are_operations)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_guest(&o, &err), err);
    CHECK(otr_guest_code_has(o.code, "run"));
    CHECK(otr_guest_code_has(o.code, "nothing"));
    CHECK(!otr_guest_code_has(o.code, "one"));
    CHECK(!otr_guest_code_has(o.code, "g"));
    CHECK(!otr_guest_code_has(o.code, "absent"));
    CHECK_INT(own_ask(&o, "one", "", &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "the guest's export one is (i64) -> i64");
}

/* ---- swap ---- */

static otr_code load_text(own *o, const char *wat, otr_guest_code **ret, otr_err *err)
{
    const otr_load_spec spec = { .name = "new.wasm", .wasm = otr_bytes_of(wat), .abi = "extism" };
    return otr_guest_load(o->engine, &spec, ret, err);
}

static const char newer[] =
    "(module"
    " (import \"extism:host/env\" \"log_info\" (func $log (param i64)))"
    " (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
    " (func (export \"run\") (result i32) (call $log (call $alloc (i64.const 1))) (i32.const 0))"
    " (func (export \"add\") (param i32) (result i32) (i32.const -1)))";

T(a_swap_puts_the_new_code_in_place_of_the_old_one)
{
    OWN(o);
    otr_err err = { 0 };
    int32_t ret = 0;
    otr_guest_code *code = NULL;
    REQUIRE_OK(open_guest(&o, &err), err);
    REQUIRE_OK(one_i32(&o, "add", 3, &ret, &err), err);
    CHECK_INT(ret, 3);
    REQUIRE_OK(load_text(&o, newer, &code, &err), err);
    otr_code rc = otr_guest_swap(o.guest, code, &err);
    if (rc == OTR_OK) { /* the old code is of no use any more */
        otr_guest_code_free(o.code);
        o.code = code;
    } else {
        otr_guest_code_free(code);
    }
    REQUIRE_OK(rc, err);
    REQUIRE_OK(one_i32(&o, "add", 3, &ret, &err), err);
    CHECK_INT(ret, -1);
    REQUIRE_OK(own_ask(&o, "run", "", &err), err); /* reaches its host at the guest's place */
    CHECK(o.logged.n > 0);
}

T(new_code_that_does_not_start_leaves_the_old_one_at_work)
{
    OWN(o);
    otr_err err = { 0 };
    int32_t ret = 0;
    otr_guest_code *code = NULL;
    REQUIRE_OK(open_guest(&o, &err), err);
    REQUIRE_OK(one_i32(&o, "add", 3, &ret, &err), err);
    REQUIRE_OK(load_text(&o,
                         "(module (func $s (unreachable)) (start $s)"
                         " (func (export \"run\") (result i32) (i32.const 0)))",
                         &code, &err),
               err);
    CHECK_INT(otr_guest_swap(o.guest, code, &err), OTR_EGUEST);
    otr_guest_code_free(code);
    REQUIRE_OK(one_i32(&o, "add", 4, &ret, &err), err);
    CHECK_INT(ret, 7);
}

T(a_swap_revives_a_dead_guest)
{
    OWN(o);
    otr_err err = { 0 };
    int32_t ret = 0;
    REQUIRE_OK(open_guest(&o, &err), err);
    CHECK_INT(one_i32(&o, "trap", 1, &ret, &err), OTR_EGUEST);
    REQUIRE_OK(otr_guest_swap(o.guest, o.code, &err), err);
    CHECK(!otr_guest_dead(o.guest));
    REQUIRE_OK(one_i32(&o, "add", 4, &ret, &err), err);
    CHECK_INT(ret, 4);
}
