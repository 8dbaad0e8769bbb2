#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "unit/wasm/fixture.h"
#include "wasm/guest.h"

/* ---- a host that remembers ---- */

typedef struct host {
    char log[512];
    otr_guest *guest; /* for re-entry */
    otr_code again;
} host;

static void note(host *h, const char *format, const char *a, otr_bytes b)
{
    size_t n = strlen(h->log);
    (void)snprintf(h->log + n, sizeof(h->log) - n, format, a, (int)b.n, (const char *)b.p);
}

static otr_code on_publish(void *arg, const char *topic, otr_bytes payload, otr_err *err)
{
    note(arg, "publish %s %.*s|", topic, payload);
    return strcmp(topic, "denied") == 0 ? otr_fail(err, OTR_EDENIED, "no grant") : OTR_OK;
}

static otr_code on_config(void *arg, const char *key, otr_buf *out, otr_err *err)
{
    note(arg, "config %s%.*s|", key, (otr_bytes){ NULL, 0 });
    return strcmp(key, "color") == 0 ? otr_buf_adds(out, "green", err)
                                     : otr_fail(err, OTR_ENOTFOUND, "no key %s", key);
}

static otr_code on_call(void *arg, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    host *h = arg;
    note(h, "call %s %.*s|", op, in);
    if (strcmp(op, "kv.again") == 0 && h->guest != NULL) {
        otr_buf again;
        otr_buf_init(&again, 1024);
        h->again = otr_guest_call(h->guest, "echo", in, 0, &again, NULL);
        otr_buf_deinit(&again);
    }
    if (strcmp(op, "kv.half") == 0) { /* leaves something behind and fails */
        otr_code rc = otr_buf_adds(out, "half", err);
        return rc == OTR_OK ? OTR_EIO : rc;
    }
    return otr_buf_add(out, in, err);
}

static void on_log(void *arg, int level, otr_bytes text)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "%d", level);
    note(arg, "log %s %.*s|", name, text);
}

static const otr_host_ops ops = {
    .publish = on_publish, .config = on_config, .call = on_call, .log = on_log
};

typedef struct wapc {
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf out;
    host host;
} wapc;

static void wapc_deinit(wapc *w)
{
    otr_guest_free(w->guest);
    otr_guest_code_free(w->code);
    if (w->engine != NULL) {
        w->engine->ops->close(w->engine);
    }
    otr_buf_deinit(&w->out);
}

static otr_code wapc_load(wapc *w, const char *wat, otr_err *err)
{
    const otr_load_spec load = { .name = "test", .wasm = otr_bytes_of(wat) };
    const otr_guest_spec spec = {
        .name = "test",
        .ops = &ops,
        .host = &w->host,
        .max_memory_bytes = 1024 * 1024,
        .max_output_bytes = 4096,
    };
    otr_buf_init(&w->out, 1 << 20);
    otr_code rc = otr_engine_find("wasmtime")->open(NULL, &w->engine, err);
    if (rc == OTR_OK) {
        rc = otr_guest_load(w->engine, &load, &w->code, err);
    }
    if (rc == OTR_OK) {
        rc = otr_guest_new(w->code, &spec, &w->guest, err);
    }
    w->host.guest = w->guest;
    return rc;
}

#define WAPC_GUEST(name) OTR_CLEANUP(wapc_deinit) wapc name = { 0 }

#define IMPORTS                                                                 \
    "(module (import \"wapc\" \"__guest_request\" (func $req (param i32 i32)))" \
    " (import \"wapc\" \"__guest_response\" (func $resp (param i32 i32)))"      \
    " (import \"wapc\" \"__guest_error\" (func $error (param i32 i32)))"        \
    " (import \"wapc\" \"__host_call\""                                         \
    "  (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"      \
    " (import \"wapc\" \"__host_response_len\" (func $hrl (result i32)))"       \
    " (import \"wapc\" \"__host_response\" (func $hr (param i32)))"             \
    " (import \"wapc\" \"__host_error_len\" (func $error_len (result i32)))"    \
    " (import \"wapc\" \"__host_error\" (func $he (param i32)))"                \
    " (import \"wapc\" \"__console_log\" (func $log (param i32 i32)))"          \
    " (memory (export \"memory\") 1)"

#define CALL "(func (export \"__guest_call\") (param i32 i32) (result i32) "

/* Answers with its input. */
static const char echo[] = IMPORTS CALL "(call $req (i32.const 0) (i32.const 1024))"
                                        " (call $resp (i32.const 1024) (local.get 1))"
                                        " (i32.const 1)))";

/* Input "<b><binding><n><space><o><operation><payload>" with one byte for each length: makes that
 * host call and answers with its response, or fails with its error. */
static const char asks[] = IMPORTS CALL
    "(local $b i32) (local $s i32) (local $o i32) (local $p i32) (local $n i32)"
    " (call $req (i32.const 0) (i32.const 1024))"
    " (local.set $b (i32.const 1025))"
    " (local.set $s (i32.add (i32.add (local.get $b) (i32.load8_u (i32.const 1024)))"
    "  (i32.const 1)))"
    " (local.set $o (i32.add (i32.add (local.get $s)"
    "  (i32.load8_u (i32.sub (local.get $s) (i32.const 1)))) (i32.const 1)))"
    " (local.set $p (i32.add (local.get $o)"
    "  (i32.load8_u (i32.sub (local.get $o) (i32.const 1)))))"
    " (local.set $n (i32.sub (i32.add (i32.const 1024) (local.get 1)) (local.get $p)))"
    " (if (result i32) (call $host"
    "   (local.get $b) (i32.load8_u (i32.const 1024))"
    "   (local.get $s) (i32.load8_u (i32.sub (local.get $s) (i32.const 1)))"
    "   (local.get $o) (i32.load8_u (i32.sub (local.get $o) (i32.const 1)))"
    "   (local.get $p) (local.get $n))"
    "  (then (call $hr (i32.const 8192)) (call $resp (i32.const 8192) (call $hrl))"
    "   (i32.const 1))"
    "  (else (call $he (i32.const 8192)) (call $error (i32.const 8192) (call $error_len))"
    "   (i32.const 0)))))";

static otr_code ask(wapc *w, const char *binding, const char *space, const char *op,
                    const char *payload)
{
    static char in[OTR_LIMIT_JSON_ASKED + 256];
    otr_err err = { 0 };
    int n = snprintf(in, sizeof(in), "%c%s%c%s%c%s%s", (char)strlen(binding), binding,
                     (char)strlen(space), space, (char)strlen(op), op, payload);
    otr_buf_clear(&w->out);
    otr_code rc = otr_guest_call(w->guest, "ask", (otr_bytes){ (const uint8_t *)in, (size_t)n },
                                 in_ms(5000), &w->out, &err);
    return rc == OTR_OK ? rc : otr_buf_adds(&w->out, err.msg, NULL) == OTR_OK ? rc : OTR_ENOMEM;
}

/* ---- memory that is not the guest's to give ---- */

static void expect_trap(const char *body, const char *text)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    char wat[2048];
    (void)snprintf(wat, sizeof(wat), "%s%s%s (i32.const 1)))", IMPORTS, CALL, body);
    REQUIRE_OK(wapc_load(&w, wat, &err), err);
    otr_code rc =
        otr_guest_call(w.guest, "operation", otr_bytes_of("input"), in_ms(5000), &w.out, &err);
    CHECK_INT(rc, OTR_EGUEST);
    CHECK_HAS(err.msg, text);
    CHECK(otr_guest_dead(w.guest));
    CHECK_INT(w.out.n, 0);
}

T(a_pointer_outside_memory_traps_in_every_host_function)
{
    static const char host_with[] =
        "(drop (call $host (i32.const %s) (i32.const %s) (i32.const %s) (i32.const %s)"
        " (i32.const %s) (i32.const %s) (i32.const %s) (i32.const %s)))";
    static const char outside[] = "outside the guest's memory";
    expect_trap("(call $req (i32.const 65530) (i32.const 0))", outside);
    expect_trap("(call $req (i32.const 0) (i32.const 65532))", outside);
    expect_trap("(call $req (i32.const -1) (i32.const -1))", outside);
    expect_trap("(call $resp (i32.const 65535) (i32.const 2))", outside);
    expect_trap("(call $resp (i32.const 0) (i32.const -1))", outside);
    expect_trap("(call $resp (i32.const -1) (i32.const -1))", outside);
    expect_trap("(call $resp (i32.const 0x80000000) (i32.const 0x80000000))", outside);
    expect_trap("(call $error (i32.const 65536) (i32.const 1))", outside);
    expect_trap("(call $error (i32.const 4) (i32.const 0x7fffffff))", outside);
    expect_trap("(call $log (i32.const 65536) (i32.const 1))", outside);
    expect_trap("(call $log (i32.const 1) (i32.const -1))", outside);
    for (int bad = 0; bad < 8; bad += 2) {
        char body[512];
        const char *v[8] = { "0", "1", "0", "1", "0", "1", "0", "1" };
        v[bad] = "65536";
        (void)snprintf(body, sizeof(body), host_with, v[0], v[1], v[2], v[3], v[4], v[5], v[6],
                       v[7]);
        expect_trap(body, outside);
        v[bad] = "0";
        v[bad + 1] = "-1";
        (void)snprintf(body, sizeof(body), host_with, v[0], v[1], v[2], v[3], v[4], v[5], v[6],
                       v[7]);
        expect_trap(body, outside);
    }
    /* a failed call leaves an error of some length behind */
    expect_trap("(drop (call $host (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)"
                " (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))"
                " (call $he (i32.const 65535))",
                outside);
}

T(a_pointer_without_bytes_may_be_anything)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS CALL "(call $resp (i32.const -1) (i32.const 0))"
                                      " (call $log (i32.const -1) (i32.const 0))"
                                      " (call $hr (i32.const -1)) (call $he (i32.const -1))"
                                      " (call $req (i32.const 65535) (i32.const -1))"
                                      " (i32.const 1)))",
                         &err),
               err);
    REQUIRE_OK(otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err), err);
    CHECK_INT(w.out.n, 0);
}

T(operation_and_input_may_overlap)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS CALL "(call $req (i32.const 2) (i32.const 4))"
                                      " (call $resp (i32.const 2) (i32.const 7))"
                                      " (i32.const 1)))",
                         &err),
               err);
    REQUIRE_OK(otr_guest_call(w.guest, "abcdef", otr_bytes_of("12345"), 0, &w.out, &err), err);
    CHECK_STR(otr_buf_text(&w.out), "abcdef5"); /* as wapc-rs has it: the operation stays */
}

/* ---- answers ---- */

T(the_input_comes_back)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w, echo, &err), err);
    REQUIRE_OK(otr_buf_adds(&w.out, "before:", &err), err);
    REQUIRE_OK(otr_guest_call(w.guest, "echo", otr_bytes_of("hello"), in_ms(5000), &w.out, &err),
               err);
    CHECK_STR(otr_buf_text(&w.out), "before:hello");
    CHECK_INT(otr_guest_memory_bytes(w.guest), 65536);
    CHECK(otr_guest_code_has(w.code, "anything"));
    CHECK_STR(otr_abi_name(otr_guest_code_abi(w.code)), "wapc");
}

T(a_guest_that_sets_no_response_gives_none)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w, IMPORTS CALL "(i32.const 1)))", &err), err);
    REQUIRE_OK(otr_guest_call(w.guest, "x", otr_bytes_of("in"), 0, &w.out, &err), err);
    CHECK_INT(w.out.n, 0);
}

T(the_last_response_counts)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS "(data (i32.const 0) \"firstlast\")" CALL
                                 "(call $resp (i32.const 0) (i32.const 5))"
                                 " (call $resp (i32.const 0) (i32.const 8192))"
                                 " (call $resp (i32.const 5) (i32.const 4)) (i32.const 1)))",
                         &err),
               err);
    REQUIRE_OK(otr_buf_adds(&w.out, "kept ", &err), err);
    REQUIRE_OK(otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err), err);
    CHECK_STR(otr_buf_text(&w.out), "kept last");
}

T(an_error_of_the_guest_is_told_and_it_lives_on)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS "(data (i32.const 0) \"bad luck\")" CALL
                                 "(call $resp (i32.const 0) (i32.const 3))"
                                 " (if (local.get 1)"
                                 "  (then (call $error (i32.const 0) (i32.const 8))))"
                                 " (i32.const 0)))",
                         &err),
               err);
    REQUIRE_OK(otr_buf_adds(&w.out, "kept", &err), err);
    otr_code rc = otr_guest_call(w.guest, "x", otr_bytes_of("in"), 0, &w.out, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_STR(err.msg, "bad luck");
    rc = otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_STR(err.msg, "x failed and gave no error text");
    CHECK_STR(otr_buf_text(&w.out), "kept");
    CHECK(!otr_guest_dead(w.guest));
}

/* The length of the input is the result; an error and a response come with each. */
T(only_result_1_is_success_whatever_the_guest_said_beside_it)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS "(data (i32.const 0) \"oops\")" CALL
                                 "(call $error (i32.const 0) (i32.const 4))"
                                 " (call $resp (i32.const 1) (i32.const 2)) (local.get 1)))",
                         &err),
               err);
    REQUIRE_OK(otr_guest_call(w.guest, "x", otr_bytes_of("1"), 0, &w.out, &err), err);
    CHECK_STR(otr_buf_text(&w.out), "op");
    CHECK_INT(otr_guest_call(w.guest, "x", otr_bytes_of("22"), 0, &w.out, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "oops");
    CHECK_INT(otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err), OTR_EINVAL);
    CHECK_STR(otr_buf_text(&w.out), "op");
}

T(an_error_without_a_response_is_a_failure_whatever_the_result)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS
                         "(data (i32.const 0) \"oops\")" CALL
                         "(call $error (i32.const 0) (i32.const 4))"
                         " (if (local.get 1) (then (call $resp (i32.const 0) (i32.const 0))))"
                         " (i32.const 1)))",
                         &err),
               err);
    CHECK_INT(otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "oops");
    CHECK(!otr_guest_dead(w.guest));
    REQUIRE_OK(otr_guest_call(w.guest, "x", otr_bytes_of("1"), 0, &w.out, &err), err);
    CHECK_INT(w.out.n, 0); /* an empty response is one */
}

T(a_response_above_the_limit_is_an_error_not_the_end)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS CALL "(call $resp (i32.const 0) (i32.const 4097))"
                                      " (i32.const 1)))",
                         &err),
               err);
    otr_code rc = otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err);
    CHECK_INT(rc, OTR_EINVAL);
    CHECK_STR(err.msg, "x: it answered with 4097 bytes; the limit is 4096");
    CHECK(!otr_guest_dead(w.guest));
}

T(an_endless_operation_ends_at_its_deadline)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w, IMPORTS CALL "(loop (br 0)) (i32.const 1)))", &err), err);
    otr_code rc = otr_guest_call(w.guest, "x", otr_bytes_of(""), in_ms(10), &w.out, &err);
    CHECK_INT(rc, OTR_ETIMEOUT);
    CHECK(otr_guest_dead(w.guest));
    rc = otr_guest_call(w.guest, "x", otr_bytes_of(""), in_ms(10), &w.out, &err);
    CHECK_INT(rc, OTR_ESTATE);
}

/* ---- host calls ---- */

T(host_calls_reach_the_operation_they_name)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w, asks, &err), err);
    CHECK_INT(ask(&w, "outrider", "bus", "publish", "{\"topic\":\"a.b\",\"data\":{\"x\":[1]}}"),
              OTR_OK);
    CHECK_INT(ask(&w, "outrider", "bus", "publish", "{\"topic\":\"empty\"}"), OTR_OK);
    CHECK_INT(ask(&w, "outrider", "publish", "c.d", "[2]"), OTR_OK);
    CHECK_INT(ask(&w, "outrider", "publish", "denied", "[2]"), OTR_EINVAL);
    CHECK_INT(ask(&w, "outrider", "config", "get", "color"), OTR_OK);
    CHECK_STR(otr_buf_text(&w.out), "green");
    CHECK_INT(ask(&w, "outrider", "log", "warn", "careful"), OTR_OK);
    CHECK_INT(ask(&w, "outrider", "log", "trace", "noise"), OTR_OK);
    CHECK_INT(ask(&w, "outrider", "kv", "get", "some key"), OTR_OK);
    CHECK_STR(otr_buf_text(&w.out), "some key");
    CHECK_STR(w.host.log, "publish a.b {\"x\":[1]}|publish empty |publish c.d [2]|publish denied "
                          "[2]|config color|log 2 careful|"
                          "log -1 noise|call kv.get some key|");
}

T(a_message_is_published_however_its_json_is_written)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w, asks, &err), err);
    static const char *const same[] = {
        "{\"topic\":\"a.b\",\"data\":[1]}",
        " { \"x\" : {\"topic\":\"no\",\"data\":0} , \"data\" : [1] , \"topic\" : \"a.b\" } ",
        "{\"top\\u0069c\":\"a.b\",\"data\":[1]}",
        "{\"topic\":\"a\\u002eb\",\"data\":[1]}",
    };
    for (size_t i = 0; i < OTR_COUNT(same); i++) {
        w.host.log[0] = '\0';
        CHECK_INT(ask(&w, "outrider", "bus", "publish", same[i]), OTR_OK);
        CHECK_STR(w.host.log, "publish a.b [1]|");
    }
    CHECK_INT(ask(&w, "outrider", "bus", "publish", "{\"topic\":\"a\",\"topic\":\"a\",\"data\":1}"),
              OTR_EINVAL);
}

/* What is not plain is parsed as a whole, which takes memory of the host's. */
T(a_large_message_is_taken_as_it_is_or_not_at_all)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w, asks, &err), err);
    static char text[OTR_LIMIT_JSON_ASKED + 64];
    static const char *const heads[] = { "{\"topic\":\"a.b\",\"data\":[",
                                         "{\"top\\u0069c\":\"a.b\",\"data\":[" };
    for (size_t i = 0; i < OTR_COUNT(heads); i++) {
        size_t n = strlen(heads[i]), end = OTR_LIMIT_JSON_ASKED + 32;
        memset(text, ' ', sizeof(text));
        memcpy(text, heads[i], n);
        memcpy(text + end, "]}", 3);
        CHECK_INT(ask(&w, "outrider", "bus", "publish", text), i == 0 ? OTR_OK : OTR_EINVAL);
    }
    CHECK_HAS(otr_buf_text(&w.out), "no escapes in their names");
}

T(a_failed_host_call_is_told_to_the_guest)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w, asks, &err), err);
    CHECK_INT(ask(&w, "other", "bus", "publish", ""), OTR_EINVAL);
    CHECK_STR(otr_buf_text(&w.out),
              "no operation \"publish\" in namespace \"bus\" of binding \"other\"; the host's own "
              "binding is \"outrider\"");
    CHECK_INT(ask(&w, "outrider", "bus", "publish", "{\"topic\":\"denied\",\"data\":1}"),
              OTR_EINVAL);
    CHECK_STR(otr_buf_text(&w.out), "no grant");
    CHECK_INT(ask(&w, "outrider", "bus", "publish", "{\"data\":1}"), OTR_EINVAL);
    CHECK_HAS(otr_buf_text(&w.out), "bus.publish wants");
    CHECK_INT(ask(&w, "outrider", "bus", "publish", "nonsense"), OTR_EINVAL);
    CHECK_HAS(otr_buf_text(&w.out), "bus.publish: ");
    CHECK_INT(ask(&w, "outrider", "bus", "publish", "[1]"), OTR_EINVAL);
    CHECK_INT(ask(&w, "outrider", "config", "get", "shape"), OTR_EINVAL);
    CHECK_STR(otr_buf_text(&w.out), "no key shape");
    CHECK_INT(ask(&w, "outrider", "log", "loud", "x"), OTR_EINVAL);
    CHECK_HAS(otr_buf_text(&w.out), "no level \"loud\"");
    CHECK_INT(ask(&w, "outrider", "kv", "half", ""), OTR_EINVAL);
    CHECK_STR(otr_buf_text(&w.out), "EIO");
    CHECK(!otr_guest_dead(w.guest));
}

T(a_name_that_is_too_long_is_refused)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    char name[129], key[300];
    memset(name, 'n', sizeof(name) - 1);
    name[128] = '\0';
    memset(key, 'k', sizeof(key) - 1);
    key[299] = '\0';
    /* lengths are one signed byte in ask(): 128 is as far as it goes */
    REQUIRE_OK(wapc_load(&w, asks, &err), err);
    CHECK_INT(ask(&w, name, "s", "o", ""), OTR_EINVAL);
    CHECK_HAS(otr_buf_text(&w.out), "a name has 128 bytes or more");
    CHECK_INT(ask(&w, "outrider", name, "o", ""), OTR_EINVAL);
    CHECK_INT(ask(&w, "outrider", "s", name, ""), OTR_EINVAL);
    CHECK_INT(ask(&w, "outrider", "config", "get", key), OTR_EINVAL);
    CHECK_HAS(otr_buf_text(&w.out), "the key is longer");
    CHECK_STR(w.host.log, "");
}

T(a_guest_is_not_entered_twice)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w, asks, &err), err);
    CHECK_INT(ask(&w, "outrider", "kv", "again", "x"), OTR_OK);
    CHECK_INT(w.host.again, OTR_ESTATE);
    CHECK_STR(otr_buf_text(&w.out), "x");
}

T(the_console_is_a_log_line_cut_to_its_limit)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS "(data (i32.const 0) \"on the console\")" CALL
                                 "(call $log (i32.const 0) (i32.const 14))"
                                 " (call $log (i32.const 16) (i32.const 60000)) (i32.const 1)))",
                         &err),
               err);
    REQUIRE_OK(otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err), err);
    CHECK_HAS(w.host.log, "log 1 on the console|");
}

/* ---- starting ---- */

T(start_functions_run_in_order_and_may_use_the_host)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS "(data (i32.const 0) \"123\")"
                                 " (func (export \"wapc_init\")"
                                 "  (call $log (i32.const 2) (i32.const 1)))"
                                 " (func (export \"_start\")"
                                 "  (call $log (i32.const 1) (i32.const 1)))"
                                 " (func (export \"_initialize\")"
                                 "  (call $log (i32.const 0) (i32.const 1)))" CALL
                                 "(i32.const 1)))",
                         &err),
               err);
    CHECK_STR(w.host.log, "log 1 1|log 1 2|log 1 3|");
}

/* The lengths of what a host call left, as two digits. */
#define LENGTHS                                                               \
    "(i32.store8 (i32.const 200) (i32.add (i32.const 48) (call $hrl)))"       \
    "(i32.store8 (i32.const 201) (i32.add (i32.const 48) (call $error_len)))" \
    "(call $resp (i32.const 200) (i32.const 2))"

T(a_call_begins_without_what_an_earlier_host_call_left)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    static const char asks_host[] =
        "(drop (call $host (i32.const 300) (i32.const 8) (i32.const 308) (i32.const 6)"
        " (i32.const 314) (i32.const 3) (i32.const 317) (i32.const 5)))";
    char text[4096];
    (void)snprintf(text, sizeof(text),
                   "%s (data (i32.const 300) \"outriderconfiggetshape\")"
                   " (func (export \"_start\") %s)%s (if (i32.eqz (local.get 0)) (then) (else"
                   " (if (i32.eq (local.get 0) (i32.const 1)) (then " LENGTHS ")"
                   " (else %s " LENGTHS "))))(i32.const 1)))",
                   IMPORTS, asks_host, CALL, asks_host);
    REQUIRE_OK(wapc_load(&w, text, &err), err);
    REQUIRE_OK(otr_guest_call(w.guest, "a", otr_bytes_of(""), 0, &w.out, &err), err);
    CHECK_STR(otr_buf_text(&w.out), "00");
    otr_buf_clear(&w.out);
    REQUIRE_OK(otr_guest_call(w.guest, "ab", otr_bytes_of(""), 0, &w.out, &err), err);
    CHECK(otr_buf_text(&w.out)[1] != '0');
    otr_buf_clear(&w.out);
    REQUIRE_OK(otr_guest_call(w.guest, "a", otr_bytes_of(""), 0, &w.out, &err), err);
    CHECK_STR(otr_buf_text(&w.out), "00");
}

T(guest_functions_of_the_abi_do_nothing_outside_a_call)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS "(data (i32.const 0) \"early\")"
                                 " (func (export \"wapc_init\")"
                                 "  (call $req (i32.const 100) (i32.const 200))"
                                 "  (call $resp (i32.const 0) (i32.const 5))"
                                 "  (call $error (i32.const 0) (i32.const 5)))" CALL
                                 "(i32.const 1)))",
                         &err),
               err);
    REQUIRE_OK(otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err), err);
    CHECK_INT(w.out.n, 0);
}

T(a_start_section_that_calls_the_host_is_heard)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    REQUIRE_OK(wapc_load(&w,
                         IMPORTS "(data (i32.const 0) \"outriderkvget\")"
                                 " (func $boot"
                                 "  (drop (call $host (i32.const 0) (i32.const 8)"
                                 "   (i32.const 8) (i32.const 2) (i32.const 10) (i32.const 3)"
                                 "   (i32.const 0) (i32.const 2))))"
                                 " (start $boot)" CALL
                                 "(call $resp (i32.const 0) (call $hrl)) (i32.const 1)))",
                         &err),
               err);
    CHECK_STR(w.host.log, "call kv.get ou|");
}

T(a_start_function_that_fails_is_named)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    otr_code rc = wapc_load(
        &w, IMPORTS "(func (export \"wapc_init\") unreachable)" CALL "(i32.const 1)))", &err);
    CHECK_INT(rc, OTR_EGUEST);
    CHECK_HAS(err.msg, "start function wapc_init: ");
}

T(a_start_function_of_another_type_is_refused_by_name)
{
    static const char *const wrong[] = {
        "(func (export \"wapc_init\") (result i32) (i32.const 0))",
        "(func (export \"_start\") (param i32))",
        "(global (export \"_initialize\") i32 (i32.const 0))",
    };
    static const char *const says[] = {
        "export wapc_init: wanted is (), as of a start function, it is () -> i32",
        "export _start: wanted is (), as of a start function, it is (i32)",
        "export _initialize: wanted is (), as of a start function, it is a global",
    };
    for (size_t i = 0; i < OTR_COUNT(wrong); i++) {
        WAPC_GUEST(w);
        otr_err err = { 0 };
        char wat[2048];
        (void)snprintf(wat, sizeof(wat), "%s%s%s(i32.const 1)))", IMPORTS, wrong[i], CALL);
        CHECK_INT(wapc_load(&w, wat, &err), OTR_EINVAL);
        CHECK_HAS(err.msg, says[i]);
    }
}

T(an_older_guest_imports_wasi_unstable)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    static const char older[] =
        "(module (import \"wasi_unstable\" \"fd_write\""
        "  (func $w (param i32 i32 i32 i32) (result i32)))"
        " (import \"wasi_unstable\" \"proc_exit\" (func $exit (param i32)))"
        " (import \"wapc\" \"__guest_response\" (func $resp (param i32 i32)))"
        " (memory (export \"memory\") 1) (data (i32.const 8) \"printed\\n\")"
        " (func (export \"_start\") (i32.store (i32.const 0) (i32.const 8))"
        "  (i32.store (i32.const 4) (i32.const 8))"
        "  (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))"
        "  (call $exit (i32.const 0)))" CALL "(call $resp (i32.const 8) (i32.const 7))"
        " (i32.const 1)))";
    REQUIRE_OK(wapc_load(&w, older, &err), err);
    CHECK_HAS(w.host.log, "printed");
    REQUIRE_OK(otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err), err);
    CHECK_STR(otr_buf_text(&w.out), "printed");
}

T(a_main_function_that_exits_with_0_has_started)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    static const char exits[] =
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
        " (memory (export \"memory\") 1)"
        " (func (export \"_start\") (call $exit (i32.const %d)))" CALL "(i32.const 1)))";
    char wat[512];
    (void)snprintf(wat, sizeof(wat), exits, 0);
    REQUIRE_OK(wapc_load(&w, wat, &err), err);
    REQUIRE_OK(otr_guest_call(w.guest, "x", otr_bytes_of(""), 0, &w.out, &err), err);
    wapc_deinit(&w);
    w = (wapc){ 0 };
    (void)snprintf(wat, sizeof(wat), exits, 2);
    CHECK_INT(wapc_load(&w, wat, &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "start function _start: the guest ended itself with exit code 2");
}

T(a_guest_without_the_call_export_is_refused)
{
    WAPC_GUEST(w);
    otr_err err = { 0 };
    CHECK_INT(wapc_load(&w, IMPORTS ")", &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "export __guest_call: function (i32, i32) -> i32 is missing");
    wapc_deinit(&w);
    w = (wapc){ 0 };
    CHECK_INT(wapc_load(&w, "(module (func (export \"__guest_call\") (param i64)))", &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "wanted is (i32, i32) -> i32, it is (i64)");
    CHECK_HAS(err.msg, "export memory");
}
