/* WASI preview 2 of components: what they print, wasi:http, and versions that do not match. */
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "support/test.h"
#include "unit/wasm/wasi_components.h"
#include "wasm/guest.h"

typedef struct seen {
    char lines[256], asked[1024];
    bool granted;
    otr_code fails; /* of a request */
} seen;

typedef struct guest {
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf out;
    seen seen;
} guest;

static void guest_deinit(guest *g)
{
    otr_guest_free(g->guest);
    otr_guest_code_free(g->code);
    if (g->engine != NULL) {
        g->engine->ops->close(g->engine);
    }
    otr_buf_deinit(&g->out);
}

#define GUEST(name) OTR_CLEANUP(guest_deinit) guest name = { .seen = { .granted = true } }

static void add(char *to, size_t room, const char *what, otr_bytes b)
{
    size_t n = strlen(to);
    (void)snprintf(to + n, room - n, "%s%.*s|", what, (int)b.n, b.n > 0 ? (const char *)b.p : "");
}

static otr_code on_call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    seen *s = host;
    static const char head[] = "{\"status\":200,\"headers\":{\"a\":\"b\"}}";
    const uint8_t n[] = { sizeof(head) - 1, 0, 0, 0 };
    if (!s->granted) {
        add(s->asked, sizeof(s->asked), "denied ", otr_bytes_of(op));
        return otr_fail(err, OTR_EDENIED, "%s: not granted", op);
    }
    otr_bytes from = in.n > 4 ? (otr_bytes){ in.p + 4, in.n - 4 } : in;
    add(s->asked, sizeof(s->asked), "", from);
    if (s->fails != OTR_OK) {
        return otr_fail(err, s->fails, "it failed");
    }
    otr_code rc = otr_buf_add(out, (otr_bytes){ n, sizeof(n) }, err);
    rc = rc == OTR_OK ? otr_buf_adds(out, head, err) : rc;
    return rc == OTR_OK ? otr_buf_adds(out, "welcome", err) : rc;
}

static bool is_granted(void *host, const char *op)
{
    return ((const seen *)host)->granted && strcmp(op, "http.request") == 0;
}

static void on_log(void *host, int level, otr_bytes text)
{
    seen *s = host;
    add(s->lines, sizeof(s->lines), level == OTR_LOG_WARN ? "err " : "out ", text);
}

static const otr_host_ops ops = { .call = on_call, .log = on_log, .granted = is_granted };

static otr_code load(guest *g, const char *wat, otr_err *err)
{
    const otr_load_spec spec = { .name = "test", .wasm = otr_bytes_of(wat) };
    otr_buf_init(&g->out, OTR_MIB);
    otr_code rc = otr_engine_find("wasmtime")->open(NULL, &g->engine, err);
    return rc == OTR_OK ? otr_guest_load(g->engine, &spec, &g->code, err) : rc;
}

static otr_code start(guest *g, const char *wat, otr_err *err)
{
    const otr_guest_spec spec = {
        .name = "test", .ops = &ops, .host = &g->seen, .max_memory_bytes = OTR_MIB, .init_ms = 10000
    };
    otr_code rc = load(g, wat, err);
    return rc == OTR_OK ? otr_guest_new(g->code, &spec, &g->guest, err) : rc;
}

static otr_code ask(guest *g, const char *op, const char *in, otr_err *err)
{
    otr_buf_clear(&g->out);
    return otr_guest_call(g->guest, op, otr_bytes_of(in), otr_now_ns() + 10 * OTR_NS_PER_S, &g->out,
                          err);
}

/* ---- printing ---- */

T(text_without_a_line_end_comes_at_the_end_of_the_call)
{
    otr_err err = { 0 };
    GUEST(g);
    REQUIRE_OK(start(&g, prints, &err), err);
    REQUIRE_OK(ask(&g, "say", "one\ntwo", &err), err);
    CHECK_STR(g.seen.lines, "out one|out two|");
    REQUIRE_OK(ask(&g, "warn", "three", &err), err);
    REQUIRE_OK(ask(&g, "say", "four\n", &err), err);
    CHECK_STR(g.seen.lines, "out one|out two|err three|out four|");
}

T(last_words_before_a_trap_are_not_lost)
{
    otr_err err = { 0 };
    GUEST(g);
    REQUIRE_OK(start(&g, prints, &err), err);
    CHECK_INT(ask(&g, "die", "goodbye", &err), OTR_EGUEST);
    CHECK_STR(g.seen.lines, "out goodbye|");
}

T(what_is_printed_while_a_component_is_made_is_not_lost)
{
    otr_err err = { 0 };
    GUEST(g);
    REQUIRE_OK(start(&g, prints_at_start, &err), err);
    CHECK_STR(g.seen.lines, "out born|");
}

/* ---- wasi:http ---- */

static otr_code start_http(guest *g, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf wat;
    otr_buf_init(&wat, 65536);
    otr_code rc = otr_buf_adds(&wat, http_world, err);
    rc = rc == OTR_OK ? otr_buf_adds(&wat, http_more, err) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(&wat, http_guest, err) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(&wat, http_module, err) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(&wat, http_exports, err) : rc;
    return rc == OTR_OK ? start(g, otr_buf_text(&wat), err) : rc;
}

T_NO_OOM(a_request_without_a_grant_is_denied_and_counted) /* each compiles for long */
{
    otr_err err = { 0 };
    GUEST(g);
    g.seen.granted = false;
    REQUIRE_OK(start_http(&g, &err), err);
    REQUIRE_OK(ask(&g, "get", "example.com", &err), err);
    CHECK_STR(otr_buf_text(&g.out), "!P"); /* HTTP-request-denied */
    CHECK_STR(g.seen.asked, "denied http.request|");
    REQUIRE_OK(ask(&g, "post", "some", &err), err);
    CHECK_STR(otr_buf_text(&g.out), "!P");
}

T_NO_OOM(a_granted_request_goes_out_and_its_answer_comes_back) /* each compiles for long */
{
    otr_err err = { 0 };
    GUEST(g);
    REQUIRE_OK(start_http(&g, &err), err);
    REQUIRE_OK(ask(&g, "get", "example.com", &err), err);
    CHECK_STR(otr_buf_text(&g.out), "welcome");
    CHECK_STR(g.seen.asked, "{\"method\":\"GET\",\"url\":\"https://example.com/\","
                            "\"headers\":{\"x-asked\":\"yes\"}}|");
}

T_NO_OOM(a_request_with_a_body_is_sent_when_that_is_finished) /* each compiles for long */
{
    otr_err err = { 0 };
    GUEST(g);
    REQUIRE_OK(start_http(&g, &err), err);
    REQUIRE_OK(ask(&g, "early", "some", &err), err);
    CHECK_STR(otr_buf_text(&g.out), "!}"); /* there is no answer yet */
    CHECK_STR(g.seen.asked, "");
    REQUIRE_OK(ask(&g, "post", "some", &err), err);
    CHECK_STR(otr_buf_text(&g.out), "welcome");
    CHECK_STR(g.seen.asked, "{\"method\":\"POST\",\"url\":\"https://example.com/\","
                            "\"headers\":{\"x-asked\":\"yes\"}}some|");
    g.seen.asked[0] = '\0';
    REQUIRE_OK(ask(&g, "post", "longer than 4", &err), err);
    CHECK_STR(otr_buf_text(&g.out), "!R"); /* HTTP-request-body-size: not the content-length */
    CHECK_STR(g.seen.asked, "");
}

T_NO_OOM(a_request_that_fails_is_an_error_code_and_the_guest_lives_on) /* each compiles for long */
{
    static const struct {
        otr_code fails;
        const char *told;
    } cases[] = {
        { OTR_ETIMEOUT, "!b" }, /* HTTP-response-timeout */
        { OTR_EDENIED, "!P" },  /* of this URL */
        { OTR_EIO, "!g" },      /* internal-error, with the text */
    };
    otr_err err = { 0 };
    GUEST(g);
    REQUIRE_OK(start_http(&g, &err), err);
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        g.seen.fails = cases[i].fails;
        REQUIRE_OK(ask(&g, "get", "example.com", &err), err);
        CHECK_STR(otr_buf_text(&g.out), cases[i].told);
    }
    REQUIRE_OK(ask(&g, "get", "", &err), err);
    CHECK_STR(otr_buf_text(&g.out), "!T"); /* HTTP-request-URI-invalid */
}

/* ---- versions ---- */

T_NO_OOM(what_is_missing_is_told_as_wanted_there_and_what_to_do) /* each compiles for long */
{
    static const struct {
        const char *import, *told;
    } cases[] = {
        { "wasi:random/random@0.3.0",
          "import wasi:random/random@0.3.0: 0.3.0 is wanted, this agent has "
          "0.2.12: build the plugin for WASI 0.2 (wasip2)" },
        { "wasi:random/random@0.2.0-rc-2023-11-10",
          "0.2.0-rc-2023-11-10 is wanted, this agent has 0.2.12: "
          "build the plugin against wasi:random@0.2.12" },
        { "wasi:random/dice@0.2.0",
          "wasi:random@0.2.12 of this agent has no such interface, only insecure, "
          "insecure-seed, random" },
        { "outrider:plugin/bus@2.0.0",
          "import outrider:plugin/bus@2.0.0: 2.0.0 is wanted, this agent has "
          "1.1.0: build the plugin against outrider:plugin@1.1.0 or an older "
          "1.x, or take an agent that has 2.0.0" },
        { "acme:shop/shelf@1.0.0",
          "import acme:shop/shelf@1.0.0 is not offered by this agent, which has "
          "the interfaces of outrider:plugin@1.1.0" },
        { "outrider:plugin/bus@1.7.0",
          "import outrider:plugin/bus@1.7.0: its take is wanted and not there; "
          "this agent has 1.1.0" },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        otr_err err = { 0 };
        GUEST(g);
        char wat[512];
        (void)snprintf(
            wat, sizeof(wat),
            "(component (import \"%s\" (instance (export \"take\" (func (param \"n\" u32))))))",
            cases[i].import);
        CHECK_INT(load(&g, wat, &err), OTR_EINVAL);
        CHECK_HAS(err.msg, cases[i].told);
    }
}

T(every_missing_interface_is_named_at_once)
{
    otr_err err = { 0 };
    GUEST(g);
    CHECK_INT(load(&g,
                   "(component (import \"a:b/c@1.0.0\" (instance (export \"f\" (func))))"
                   " (import \"d:e/f@1.0.0\" (instance (export \"f\" (func))))"
                   " (import \"wasi:io/poll@0.3.0\" (instance (export \"f\" (func)))))",
                   &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "import wasi:io/poll@0.3.0: 0.3.0 is wanted");
    CHECK_HAS(err.msg, "import a:b/c@1.0.0, d:e/f@1.0.0 is not offered");
}

T_NO_OOM(any_version_of_wasi_02_loads) /* each compiles for long */
{
    static const char *const versions[] = {
        "0.2.0", "0.2.1", "0.2.3", "0.2.6", "0.2.12", "0.2.99"
    };
    for (size_t i = 0; i < OTR_COUNT(versions); i++) {
        otr_err err = { 0 };
        GUEST(g);
        char wat[256];
        (void)snprintf(wat, sizeof(wat),
                       "(component (import \"wasi:random/random@%s\" (instance"
                       " (export \"get-random-u64\" (func (result u64))))))",
                       versions[i]);
        REQUIRE_OK(load(&g, wat, &err), err);
    }
}

T(a_lifecycle_of_another_version_is_told)
{
    static const char *const wanted[] = { "info", NULL };
    static const char *const exports[] = { "outrider:plugin/lifecycle@2.0.0",
                                           "outrider:plugin/lifecycle@0.9.0",
                                           "outrider:plugin/lifecycle" };
    for (size_t i = 0; i < OTR_COUNT(exports); i++) {
        otr_err err = { 0 };
        GUEST(g);
        char wat[256], told[128];
        (void)snprintf(wat, sizeof(wat), "(component (instance $i) (export \"%s\" (instance $i)))",
                       exports[i]);
        (void)snprintf(told, sizeof(told), "it exports %s, this agent calls version 1.1.0",
                       exports[i]);
        const otr_load_spec spec = { .name = "test",
                                     .operations = wanted,
                                     .wasm = otr_bytes_of(wat) };
        REQUIRE_OK(otr_engine_find("wasmtime")->open(NULL, &g.engine, &err), err);
        CHECK_INT(otr_guest_load(g.engine, &spec, &g.code, &err), OTR_EINVAL);
        CHECK_HAS(err.msg, told);
    }
}
