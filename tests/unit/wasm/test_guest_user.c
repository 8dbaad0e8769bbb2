/* Functions and operations that an embedder gives to its guests. */
#include "unit/wasm/own_guest.h"

#define I32 OTR_WASM_I32
#define I64 OTR_WASM_I64
#define F32 OTR_WASM_F32
#define F64 OTR_WASM_F64

/* Imports of each type and namespace, and Extism's way of handing over bytes. */
static const char guest[] =
    "(module"
    " (import \"extism:host/env\" \"input_offset\" (func $in (result i64)))"
    " (import \"extism:host/env\" \"length\" (func $length (param i64) (result i64)))"
    " (import \"extism:host/env\" \"output_set\" (func $out (param i64 i64)))"
    " (import \"extism:host/user\" \"mix\""
    "  (func $mix (param i32 i64 f32 f64) (result f64)))"
    " (import \"extism:host/user\" \"upper\" (func $upper (param i64) (result i64)))"
    " (import \"games/chess\" \"count\" (func $count (result i32)))"
    " (import \"games/go\" \"count\" (func $other (result i32)))"
    " (import \"extism:host/user\" \"refuse\" (func $refuse))"
    " (memory (export \"memory\") 1) (data (i32.const 8) \"in guest memory\")"
    " (func (export \"mixed\") (result i32)"
    "  (i32.trunc_f64_s (call $mix (i32.const -1) (i64.const 20) (f32.const 0.5)"
    "   (f64.const 0.5))))"
    " (func (export \"up\") (result i32) (local $h i64)"
    "  (local.set $h (call $upper (call $in)))"
    "  (call $out (local.get $h) (call $length (local.get $h))) (i32.const 0))"
    " (func (export \"junk\") (result i32) (drop (call $upper (i64.const 7))) (i32.const 0))"
    " (func (export \"counts\") (result i32)"
    "  (i32.add (i32.mul (call $count) (i32.const 10)) (call $other)))"
    " (func (export \"refused\") (result i32) (call $refuse) (i32.const 0)))";

typedef struct seen {
    int n;
    void *context, *host;
    char text[64];
    char where[200];
    otr_guest *guest;
} seen;

static otr_code mix(const otr_user_call *call, otr_val *vals, otr_err *err)
{
    (void)err;
    seen *s = call->user;
    (void)snprintf(s->text, sizeof(s->text), "%d %d %.1f %.1f", vals[0].i32, (int)vals[1].i64,
                   (double)vals[2].f32, vals[3].f64);
    s->context = call->context;
    s->host = call->host;
    vals[0].f64 = 42.5;
    return OTR_OK;
}

static otr_code upper(const otr_user_call *call, otr_val *vals, otr_err *err)
{
    uint8_t *p = NULL;
    size_t n = 0;
    char text[32];
    uint64_t given = 0, spare = 0;
    otr_code rc = otr_user_view(call, (uint64_t)vals[0].i64, &p, &n, err);
    if (rc != OTR_OK || n > sizeof(text)) {
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)(p[i] >= 'a' && p[i] <= 'z' ? p[i] - 32 : p[i]);
    }
    rc = otr_user_give(call, otr_bytes_of("not needed"), &spare, err);
    if (rc == OTR_OK) {
        rc = otr_user_release(call, spare, err);
    }
    if (rc == OTR_OK && otr_user_view(call, spare, &p, &n, NULL) == OTR_OK) {
        return otr_fail(err, OTR_EGUEST, "a released block is still there");
    }
    if (rc == OTR_OK) {
        rc = otr_user_give(call, (otr_bytes){ (const uint8_t *)text, n }, &given, err);
    }
    vals[0].i64 = (int64_t)given;
    return rc;
}

static otr_code count(const otr_user_call *call, otr_val *vals, otr_err *err)
{
    seen *s = call->user;
    uint8_t *p = NULL;
    otr_code rc = otr_user_memory(call, 8, 8, &p, err);
    if (rc == OTR_OK) {
        (void)snprintf(s->where, sizeof(s->where), "%s.%s %.8s", call->space, call->name,
                       (const char *)p);
        if (otr_user_memory(call, 65530, 8, &p, NULL) == OTR_OK) {
            return otr_fail(err, OTR_EGUEST, "a window past the end");
        }
    }
    vals[0].i32 = ++s->n;
    return rc;
}

static otr_code refuse(const otr_user_call *call, otr_val *vals, otr_err *err)
{
    (void)vals;
    otr_buf out;
    otr_buf_init(&out, 16);
    otr_code again = otr_guest_call(call->guest, "up", otr_bytes_of("x"), 0, &out, NULL);
    otr_buf_deinit(&out);
    return otr_fail(err, OTR_EDENIED, "not today (%d)", again == OTR_ESTATE);
}

static seen first, second;
static const otr_user_function functions[] = {
    { NULL, "mix", { 4, 1, { I32, I64, F32, F64 }, { F64 } }, mix, &first },
    { "extism:host/user", "upper", { 1, 1, { I64 }, { I64 } }, upper, NULL },
    { "games/chess", "count", { 0, 1, { 0 }, { I32 } }, count, &first },
    { "games/go", "count", { 0, 1, { 0 }, { I32 } }, count, &second },
    { NULL, "refuse", { 0 }, refuse, NULL },
};

static otr_load_spec load_spec(void)
{
    first = second = (seen){ 0 };
    return (otr_load_spec){ .name = "g.wasm",
                            .wasm = otr_bytes_of(guest),
                            .functions = functions,
                            .n_functions = OTR_COUNT(functions) };
}

T(values_of_each_type_cross_both_ways)
{
    OWN(o);
    otr_err err = { 0 };
    const otr_load_spec spec = load_spec();
    REQUIRE_OK(own_open(&o, &spec, &err), err);
    CHECK_INT(own_ask(&o, "mixed", "", &err), OTR_EINVAL); /* its result is 42, no success */
    CHECK_HAS(err.msg, "mixed failed with code 42");
    CHECK_STR(first.text, "-1 20 0.5 0.5");
    CHECK(first.host == &o);
    CHECK(first.context == NULL);
}

T(bytes_are_viewed_given_and_released_by_handle)
{
    OWN(o);
    otr_err err = { 0 };
    const otr_load_spec spec = load_spec();
    REQUIRE_OK(own_open(&o, &spec, &err), err);
    REQUIRE_OK(own_ask(&o, "up", "Letters 1", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "LETTERS 1");
    REQUIRE_OK(own_ask(&o, "up", "", &err), err);
    CHECK_INT(o.out.n, 0);
    CHECK_INT(own_ask(&o, "junk", "", &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "upper: 7 is not a handle");
    CHECK(otr_guest_dead(o.guest));
}

T(each_function_has_its_own_user_data_and_namespace)
{
    OWN(o);
    otr_err err = { 0 };
    const otr_load_spec spec = load_spec();
    REQUIRE_OK(own_open(&o, &spec, &err), err);
    second.n = 4;
    CHECK_INT(own_ask(&o, "counts", "", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "code 15");
    CHECK_INT(first.n, 1);
    CHECK_STR(first.where, "games/chess.count in guest");
    CHECK_STR(second.where, "games/go.count in guest");
}

T(the_context_of_a_call_reaches_its_functions_and_no_other_call)
{
    OWN(o);
    otr_err err = { 0 };
    const otr_load_spec spec = load_spec();
    REQUIRE_OK(own_open(&o, &spec, &err), err);
    int mine = 0;
    const otr_guest_ask ask = { .op = "mixed", .context = &mine };
    CHECK_INT(otr_guest_call_with(o.guest, &ask, &o.out, &err), OTR_EINVAL);
    CHECK(first.context == &mine);
    CHECK_INT(own_ask(&o, "mixed", "", &err), OTR_EINVAL);
    CHECK(first.context == NULL);
}

T(a_function_that_fails_ends_the_guest_and_cannot_call_it_again)
{
    OWN(o);
    otr_err err = { 0 };
    const otr_load_spec spec = load_spec();
    REQUIRE_OK(own_open(&o, &spec, &err), err);
    CHECK_INT(own_ask(&o, "refused", "", &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "not today (1)");
    CHECK(otr_guest_dead(o.guest));
}

/* ---- what is refused ---- */

static otr_code load_with(own *o, const char *wat, const otr_user_function *list, size_t n,
                          otr_err *err)
{
    const otr_load_spec spec = { .name = "g.wasm",
                                 .wasm = otr_bytes_of(wat),
                                 .abi = "extism",
                                 .functions = list,
                                 .n_functions = n };
    return own_load(o, &spec, NULL, err);
}

static const char plain[] = "(module (func (export \"run\") (result i32) (i32.const 0)))";

T(names_of_the_host_itself_are_refused)
{
    static const otr_user_function taken[] = {
        { NULL, "outrider_publish", { 0 }, refuse, NULL },
        { "extism:host/env", "alloc", { 0 }, refuse, NULL },
        { "env", "extism_var_get", { 0 }, refuse, NULL },
        { "wasi_snapshot_preview1", "fd_write", { 0 }, refuse, NULL },
    };
    for (size_t i = 0; i < OTR_COUNT(taken); i++) {
        OWN(o);
        otr_err err = { 0 };
        CHECK_INT(load_with(&o, plain, &taken[i], 1, &err), OTR_EINVAL);
        CHECK_HAS(err.msg, "is built in");
        CHECK_HAS(err.msg, taken[i].name);
    }
}

T(a_function_given_twice_or_without_code_is_refused)
{
    static const otr_user_function twice[] = { { NULL, "f", { 0 }, refuse, NULL },
                                               { "extism:host/user", "f", { 0 }, refuse, NULL } };
    static const otr_user_function none = { NULL, "f", { 0 }, NULL, NULL };
    static const otr_user_function other = {
        NULL, "f", { 1, 0, { OTR_WASM_OTHER }, { 0 } }, refuse, NULL
    };
    OWN(o);
    otr_err err = { 0 };
    CHECK_INT(load_with(&o, plain, twice, 2, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "extism:host/user.f is given twice");
    CHECK_INT(load_with(&o, plain, &none, 1, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "no code");
    CHECK_INT(load_with(&o, plain, &other, 1, &err), OTR_EINVAL);
}

T(an_import_of_another_type_than_the_function_is_named_at_load)
{
    static const otr_user_function f = { NULL, "fetch", { 1, 0, { I64 }, { 0 } }, refuse, NULL };
    OWN(o);
    otr_err err = { 0 };
    CHECK_INT(load_with(&o, "(module (import \"extism:host/user\" \"fetch\" (func (param i32))))",
                        &f, 1, &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "fetch: wanted is function (i32), offered is function (i64)");
    CHECK_INT(load_with(&o, "(module (import \"extism:host/user\" \"fetsh\" (func (param i64))))",
                        &f, 1, &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "fetsh: function (i64) is not offered (nearest: fetch)");
}

T(the_functions_are_copied)
{
    char name[] = "f", space[] = "own";
    otr_user_function f = { space, name, { 0, 1, { 0 }, { I32 } }, count, &first };
    OWN(o);
    otr_err err = { 0 };
    first = (seen){ .n = -1 };
    REQUIRE_OK(load_with(&o,
                         "(module (import \"own\" \"f\" (func $f (result i32)))"
                         " (memory (export \"memory\") 1)"
                         " (func (export \"run\") (result i32) (call $f)))",
                         &f, 1, &err),
               err);
    name[0] = space[0] = 'x';
    f.fn = NULL;
    REQUIRE_OK(own_start(&o, &err), err);
    REQUIRE_OK(own_ask(&o, "run", "", &err), err);
    CHECK_INT(first.n, 0);
    CHECK_HAS(first.where, "own.f");
}

/* ---- waPC ---- */

/* __guest_call hands "binding namespace operation", cut at the spaces of its input, to the host:
 * lengths are the first three bytes; the rest is the payload. */
static const char caller[] =
    "(module"
    " (import \"wapc\" \"__guest_request\" (func $req (param i32 i32)))"
    " (import \"wapc\" \"__guest_response\" (func $resp (param i32 i32)))"
    " (import \"wapc\" \"__guest_error\" (func $error (param i32 i32)))"
    " (import \"wapc\" \"__host_call\""
    "  (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"
    " (import \"wapc\" \"__host_response_len\" (func $hrl (result i32)))"
    " (import \"wapc\" \"__host_response\" (func $hr (param i32)))"
    " (import \"wapc\" \"__host_error_len\" (func $helen (result i32)))"
    " (import \"wapc\" \"__host_error\" (func $he (param i32)))"
    " (import \"own\" \"tick\" (func $tick (result i32)))"
    " (memory (export \"memory\") 2)"
    " (func (export \"ticks\") (param i32) (result i32) (i32.add (call $tick) (local.get 0)))"
    " (func (export \"__guest_call\") (param i32 i32) (result i32)"
    "  (local $b i32) (local $n i32) (local $o i32) (local $at i32)"
    "  (call $req (i32.const 0) (i32.const 1000))"
    "  (local.set $b (i32.load8_u (i32.const 1000)))"
    "  (local.set $n (i32.load8_u (i32.const 1001)))"
    "  (local.set $o (i32.load8_u (i32.const 1002)))"
    "  (local.set $at (i32.add (i32.const 1003)"
    "   (i32.add (local.get $b) (i32.add (local.get $n) (local.get $o)))))"
    "  (if (call $host (i32.const 1003) (local.get $b)"
    "     (i32.add (i32.const 1003) (local.get $b)) (local.get $n)"
    "     (i32.add (i32.const 1003) (i32.add (local.get $b) (local.get $n))) (local.get $o)"
    "     (local.get $at) (i32.sub (i32.add (i32.const 1000) (local.get 1)) (local.get $at)))"
    "   (then (call $hr (i32.const 40000)) (call $resp (i32.const 40000) (call $hrl))"
    "    (return (i32.const 1))))"
    "  (call $he (i32.const 40000)) (call $error (i32.const 40000) (call $helen))"
    "  (i32.const 0)))";

static otr_code answer(const otr_user_call *call, otr_bytes in, otr_buf *out, otr_err *err)
{
    if (call->context != NULL) {
        return otr_fail(err, OTR_EDENIED, "the context says no to %s", call->name);
    }
    return otr_buf_addf(out, err, "%s: %s/%s/%s %.*s", (const char *)call->user, call->binding,
                        call->space, call->name, (int)in.n, in.n > 0 ? (const char *)in.p : "");
}

static otr_code tick(const otr_user_call *call, otr_val *vals, otr_err *err)
{
    (void)call;
    (void)err;
    vals[0].i32 = 40;
    return OTR_OK;
}

static char exact_data[] = "exact", space_data[] = "space", any_data[] = "any";
static const otr_user_operation operations[] = {
    { "store", "kv", "get", answer, exact_data },
    { "store", "kv", NULL, answer, space_data },
    { "store", NULL, NULL, answer, any_data },
};
static const otr_user_function ticks = { "own", "tick", { 0, 1, { 0 }, { I32 } }, tick, NULL };

static otr_code open_caller(own *o, otr_err *err)
{
    const otr_load_spec spec = {
        .name = "w.wasm", .wasm = otr_bytes_of(caller), .functions = &ticks, .n_functions = 1
    };
    o->spec.operations = operations;
    o->spec.n_operations = OTR_COUNT(operations);
    return own_open(o, &spec, err);
}

T(host_operations_are_found_by_binding_namespace_and_name_in_their_order)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_caller(&o, &err), err);
    REQUIRE_OK(own_ask(&o, "x", "\5\2\3storekvgetA", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "exact: store/kv/get A");
    REQUIRE_OK(own_ask(&o, "x", "\5\2\3storekvsetB", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "space: store/kv/set B");
    REQUIRE_OK(own_ask(&o, "x", "\5\4\3storeblobputC", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "any: store/blob/put C");
}

T(an_unknown_operation_is_an_error_that_the_guest_can_read)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_caller(&o, &err), err);
    CHECK_INT(own_ask(&o, "x", "\5\2\3storxkvget", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "no operation \"get\" in namespace \"kv\" of binding \"storx\"; the host's "
                       "own binding is \"outrider\"");
    CHECK(!otr_guest_dead(o.guest));
    int mine = 0;
    const otr_guest_ask ask = { .op = "x",
                                .in = otr_bytes_of("\5\2\3storekvget"),
                                .context = &mine };
    CHECK_INT(otr_guest_call_with(o.guest, &ask, &o.out, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "the context says no to get");
    CHECK(!otr_guest_dead(o.guest));
}

T(functions_serve_wapc_guests_too)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_caller(&o, &err), err);
    const otr_typed two = { I32, { .i32 = 2 } };
    otr_typed_call call = { .ask = { .op = "ticks" }, .args = &two, .n_args = 1 };
    REQUIRE_OK(otr_guest_call_typed(o.guest, &call, NULL, &err), err);
    CHECK_INT(call.n_results, 1);
    CHECK_INT(call.results[0].val.i32, 42);
}
