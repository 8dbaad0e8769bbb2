/*
 * Every conformance guest uses every host service through its kit, against the real host calls: kv,
 * HTTP on loopback, metrics, clock, randomness, environment, secrets, configuration, log, publish,
 * and files where the kit has WASI.
 */
#include "base/json.h"
#include "plugin/services/services.h"
#include "unit/plugin/services/granted.h"

enum { CALL_MS = 30000, HOUR_S = 3600 };

typedef granted fixture;

static otr_code setup(fixture *f, const char *name, otr_err *err)
{
    char file[64];
    (void)snprintf(file, sizeof file, "tests/guests/%s.wasm", name);
    otr_code rc = granted_init(f, CALL_MS * OTR_NS_PER_MS, err);
    rc = rc == OTR_OK ? open_engine(&f->engine, err) : rc;
    return rc == OTR_OK ? guest_file_load(&f->guest, f->engine, file, NULL, err) : rc;
}

/* The guest's operation `host`: the name, a line break, the input. */
static otr_code ask_bytes(fixture *f, const char *op, otr_bytes in)
{
    otr_buf all;
    otr_buf_init(&all, OTR_MIB);
    otr_code rc = otr_buf_adds(&all, op, &f->err);
    rc = rc == OTR_OK ? otr_buf_adds(&all, "\n", &f->err) : rc;
    rc = rc == OTR_OK ? otr_buf_add(&all, in, &f->err) : rc;
    otr_hostcalls_begin(&f->hc, NULL);
    rc = rc == OTR_OK
             ? guest_file_ask_bytes(&f->guest, "host", otr_buf_bytes(&all), CALL_MS, &f->err)
             : rc;
    otr_buf_deinit(&all);
    return rc;
}

static otr_code ask(fixture *f, const char *op, const char *in)
{
    return ask_bytes(f, op, otr_bytes_of(in));
}

static otr_code tell(fixture *f, const char *op, const char *in)
{
    otr_hostcalls_begin(&f->hc, NULL);
    return guest_file_ask(&f->guest, op, in, CALL_MS, &f->err);
}

#define ANSWER (otr_buf_text(&f->guest.out))

static bool has(const fixture *f, const char *op)
{
    return otr_guest_code_has(f->guest.code, op);
}

static void check_kv(fixture *f)
{
    enum { KEY = 5, VALUE = 256 };
    uint8_t put[4 + KEY + VALUE] = { KEY, 0, 0, 0, 'c', 'l', 0xC3, 0xA9, '1' };
    for (size_t i = 0; i < VALUE; i++) {
        put[4 + KEY + i] = (uint8_t)(i + 128); /* begins with what is not UTF-8 */
    }
    CHECK_INT(ask(f, "kv.get",
                  "cl\xC3\xA9"
                  "1"),
              OTR_EINVAL);
    REQUIRE_OK(ask_bytes(f, "kv.put", (otr_bytes){ put, sizeof put }), f->err);
    REQUIRE_OK(ask(f, "kv.get",
                   "cl\xC3\xA9"
                   "1"),
               f->err);
    REQUIRE(f->guest.out.n == VALUE);
    CHECK(memcmp(f->guest.out.p, put + 4 + KEY, VALUE) == 0);
    REQUIRE_OK(ask(f, "kv.set", "{\"key\":\"b\",\"value\":{\"n\":[1,2]}}"), f->err);
    REQUIRE_OK(ask(f, "kv.get", "b"), f->err);
    CHECK_STR(ANSWER, "{\"n\":[1,2]}");
    REQUIRE_OK(ask(f, "kv.list", ""), f->err);
    CHECK_STR(ANSWER, "[\"b\",\"cl\xC3\xA9"
                      "1\"]");
    REQUIRE_OK(ask(f, "kv.list", "{\"limit\":1}"), f->err);
    CHECK_STR(ANSWER, "{\"keys\":[\"b\"],\"more\":true}");
    REQUIRE_OK(ask(f, "kv.list", "{\"prefix\":\"c\",\"after\":\"b\"}"), f->err);
    CHECK_STR(ANSWER, "{\"keys\":[\"cl\xC3\xA9"
                      "1\"],\"more\":false}");
    REQUIRE_OK(ask(f, "kv.delete", "b"), f->err);
    CHECK_STR(ANSWER, "true");
    REQUIRE_OK(ask(f, "kv.delete", "b"), f->err);
    CHECK_STR(ANSWER, "false");
    put[4] = 0; /* a key with a NUL */
    CHECK_INT(ask_bytes(f, "kv.put", (otr_bytes){ put, sizeof put }), OTR_EINVAL);
    CHECK(!otr_guest_dead(f->guest.guest));
}

/* By the function of sdk/, which only the kits for C have. */
static void check_page(fixture *f, const char *name)
{
    if (strncmp(name, "c-", 2) != 0 || strstr(name, "-wit") != NULL) {
        return;
    }
    REQUIRE_OK(ask(f, "kv.set", "{\"key\":\"p1\",\"value\":1}"), f->err);
    REQUIRE_OK(ask(f, "kv.set", "{\"key\":\"p\\\"2\",\"value\":1}"), f->err);
    REQUIRE_OK(tell(f, "page", "o"), f->err);
    CHECK_STR(ANSWER, "{\"keys\":[\"p\\\"2\"],\"more\":true}");
    REQUIRE_OK(tell(f, "page", "p\"2"), f->err);
    CHECK_STR(ANSWER, "{\"keys\":[\"p1\"],\"more\":false}");
}

/* Length of the JSON, the JSON, the body: see plugin/services/services.h. */
static otr_code request(fixture *f, const char *method, const char *path, otr_bytes body)
{
    char json[256];
    uint8_t head[4] = { 0 };
    otr_buf in;
    int n = snprintf(json, sizeof json, "{\"url\":\"http://127.0.0.1:%u%s\",\"method\":\"%s\"}",
                     (unsigned)f->server.port, path, method);
    head[0] = (uint8_t)n;
    otr_buf_init(&in, 4096);
    otr_code rc = otr_buf_add(&in, (otr_bytes){ head, 4 }, &f->err);
    rc = rc == OTR_OK ? otr_buf_adds(&in, json, &f->err) : rc;
    rc = rc == OTR_OK ? otr_buf_add(&in, body, &f->err) : rc;
    rc = rc == OTR_OK ? ask_bytes(f, "http.request", otr_buf_bytes(&in)) : rc;
    otr_buf_deinit(&in);
    return rc;
}

/* The answer has status 200, the server's header and this body. */
static void check_response(const fixture *f, const uint8_t *body, size_t n)
{
    const otr_buf *out = &f->guest.out;
    OTR_CLEANUP(otr_json_freep) otr_json *head = NULL;
    otr_err err = { 0 };
    REQUIRE(out->n >= 4);
    size_t head_n = out->p[0] + 256U * out->p[1];
    REQUIRE(out->n == 4 + head_n + n);
    CHECK(memcmp(out->p + 4 + head_n, body, n) == 0);
    REQUIRE_OK(otr_json_parse((otr_bytes){ out->p + 4, head_n }, &head, &err), err);
    CHECK_INT(otr_json_int(otr_json_get(head, "status"), 0), 200);
    CHECK(otr_json_get(otr_json_get(head, "headers"), "x-server") != NULL);
}

static void check_http(fixture *f)
{
    uint8_t all[256];
    char url[64];
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = (uint8_t)i;
    }
    REQUIRE_OK(request(f, "GET", "/bytes", (otr_bytes){ NULL, 0 }), f->err);
    check_response(f, all, sizeof all);
    REQUIRE_OK(request(f, "POST", "/mirror", (otr_bytes){ all, sizeof all }), f->err);
    check_response(f, all, sizeof all);
    if (has(f, "http") && strcmp(otr_abi_name(otr_guest_code_abi(f->guest.code)), "extism") == 0) {
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/text", (unsigned)f->server.port);
        REQUIRE_OK(tell(f, "http", url), f->err);
        CHECK_STR(ANSWER, "200 hello");
    }
}

static void check_small_services(fixture *f)
{
    uint8_t first[32];
    REQUIRE_OK(ask(f, "clock.now", ""), f->err);
    CHECK_HAS(ANSWER, "\"unix_ns\":1");
    CHECK_HAS(ANSWER, "\"monotonic_ns\":");
    REQUIRE_OK(ask(f, "random.bytes", "32"), f->err);
    REQUIRE(f->guest.out.n == sizeof first);
    memcpy(first, f->guest.out.p, sizeof first);
    REQUIRE_OK(ask(f, "random.bytes", "32"), f->err);
    REQUIRE(f->guest.out.n == sizeof first);
    CHECK(memcmp(first, f->guest.out.p, sizeof first) != 0);
    REQUIRE_OK(ask(f, "env.get", "COLOUR"), f->err);
    CHECK_STR(ANSWER, "bl\xC3\xA5");
    REQUIRE_OK(ask(f, "secret.get", "token"), f->err);
    CHECK_STR(ANSWER, "hush");
    REQUIRE_OK(ask(f, "metric.counter", "{\"name\":\"a\",\"value\":1}"), f->err);
    CHECK_INT(f->guest.out.n, 0);
    REQUIRE_OK(ask(f, "metric.gauge", "{\"name\":\"b\",\"value\":-2.5}"), f->err);
    REQUIRE_OK(ask(f, "metric.histogram", "{\"name\":\"c\",\"value\":0.1}"), f->err);
    REQUIRE(otr_hostcalls_metrics(&f->hc) != NULL);
    CHECK_INT(otr_hostcalls_metrics(&f->hc)->n, 3);
    REQUIRE_OK(tell(f, "config", "k"), f->err);
    CHECK_STR(ANSWER, "v");
    uint64_t logged = f->hc.lines;
    otr_log_set_level(OTR_LOG_INFO); /* kits ask for the level before they log */
    REQUIRE_OK(tell(f, "note", "a line"), f->err);
    otr_log_set_level(OTR_LOG_ERROR);
    CHECK_INT(f->hc.lines, logged + 1);
}

/* Whatever operations there are: the guest is told what the host calls say themselves. */
static void check_any_operation(fixture *f)
{
    static const char *const names[] = { "instances.list", "fly.away", "env.get", "http.request" };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        otr_buf out;
        otr_err err = { 0 };
        otr_buf_init(&out, OTR_MIB);
        otr_hostcalls_begin(&f->hc, NULL);
        otr_code rc = otr_gate_call(&f->hc.gate, names[i], otr_bytes_of(""), &out, &err);
        otr_code through = ask(f, names[i], "");
        CHECK_INT(through == OTR_OK, rc == OTR_OK);
        if (rc == OTR_OK) {
            CHECK_STR(ANSWER, otr_buf_text(&out));
        } else {
            CHECK_INT(through, OTR_EINVAL);
            CHECK_HAS(f->err.msg, err.msg);
        }
        otr_buf_deinit(&out);
    }
}

static void check_publish(fixture *f)
{
    static const char message[] = "{\"id\":7,\"data\":{\"a\":[1,2]}}";
    REQUIRE_OK(tell(f, "process", message), f->err);
    REQUIRE(f->hc.outbox.first != NULL);
    CHECK_STR(f->hc.outbox.first->topic, "test.echo");
    CHECK_INT(f->hc.outbox.first->json->n, 11);
    CHECK(memcmp(f->hc.outbox.first->json->bytes, "{\"a\":[1,2]}", 11) == 0);
}

/* The same guest without any grant: each service says no, the text names the grant, it lives on. */
static void grant_nothing(otr_manifest *m)
{
    static char *nothing[] = { NULL };
    m->publish = nothing;
    m->kv_bytes = 0;
    m->metrics = 0;
    m->env_names = m->env = NULL;
    m->secrets = NULL;
    m->http.n = 0;
}

static void check_all_denied(fixture *f)
{
    static const struct {
        const char *op, *in, *grant;
    } asks[] = { { "kv.get", "a", "kv_bytes" },
                 { "kv.list", "", "kv_bytes" },
                 { "kv.delete", "a", "kv_bytes" },
                 { "kv.set", "{\"key\":\"a\",\"value\":1}", "kv_bytes" },
                 { "env.get", "COLOUR", "env" },
                 { "secret.get", "token", "secrets" },
                 { "nginx_config.get", "/x", "nginx_config" },
                 { "metric.counter", "{\"name\":\"a\",\"value\":1}", "metrics" } };
    uint64_t before = otr_gate_denials(&f->hc.gate);
    char text[32];
    for (size_t i = 0; i < OTR_COUNT(asks); i++) {
        (void)snprintf(text, sizeof text, "grants.%s", asks[i].grant);
        CHECK_INT(ask(f, asks[i].op, asks[i].in), OTR_EINVAL);
        CHECK_HAS(f->err.msg, text);
    }
    CHECK_INT(request(f, "GET", "/text", (otr_bytes){ NULL, 0 }), OTR_EINVAL);
    CHECK_HAS(f->err.msg, "grants.http");
    CHECK_INT(tell(f, "process", "{\"data\":{}}"), OTR_EINVAL);
    CHECK_HAS(f->err.msg, "grants.publish");
    CHECK_INT(otr_gate_denials(&f->hc.gate), before + OTR_COUNT(asks) + 2);
    CHECK(!otr_guest_dead(f->guest.guest));
}

static void check_denials(fixture *f)
{
    /* What the operator wrote last allows nothing, while the sandbox was made with all of it. */
    otr_manifest none = f->manifest;
    grant_nothing(&none);
    none.serial++;
    atomic_store(&f->hc.gate.policy, &none);
    check_all_denied(f);
    atomic_store(&f->hc.gate.policy, &f->manifest);
    REQUIRE_OK(ask(f, "env.get", "COLOUR"), f->err);
    /* The other way round. */
    none = f->manifest;
    grant_nothing(&f->manifest);
    atomic_store(&f->hc.gate.policy, &none);
    check_all_denied(f);
    atomic_store(&f->hc.gate.policy, NULL);
    otr_gate_close(&f->hc.gate, &otr_service_kv);
    check_all_denied(f);
}

/* By the kit's own files. waPC's operations are not seen from outside: its name says so. */
static void check_files(fixture *f, const char *name)
{
    char path[128], text[16] = { 0 };
    if (strcmp(name, "go-wapc") != 0 && (strstr(name, "-extism") == NULL || !has(f, "read"))) {
        return;
    }
    REQUIRE_OK(tell(f, "write", "/in/note\nkept"), f->err);
    (void)snprintf(path, sizeof path, "%s/in/note", f->folder);
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    CHECK_INT(fread(text, 1, sizeof text - 1, file), 4);
    (void)fclose(file);
    CHECK_STR(text, "kept");
    REQUIRE_OK(tell(f, "read", "/in/note"), f->err);
    CHECK_STR(ANSWER, "kept");
    CHECK_INT(tell(f, "read", "/in/../outside"), OTR_EINVAL);
    CHECK_INT(tell(f, "read", f->store), OTR_EINVAL);
    CHECK_INT(tell(f, "write", "/in/../outside\nx"), OTR_EINVAL);
}

static void check_all(fixture *f, const char *name)
{
    REQUIRE_OK(guest_file_start(&f->guest, &f->err), f->err);
    REQUIRE_OK(tell(f, "init", "{\"k\":\"v\"}"), f->err);
    check_publish(f);
    check_small_services(f);
    check_kv(f);
    check_page(f, name);
    check_http(f);
    check_any_operation(f);
    check_files(f, name);
    check_denials(f);
    REQUIRE_OK(tell(f, "reconfigure", "{}"), f->err);
    REQUIRE_OK(tell(f, "close", ""), f->err);
}

static void serves(const char *name)
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
    otr_err err = { 0 };
    OTR_CLEANUP(granted_deinit) fixture f = { .engine = NULL };
    otr_code rc = setup(&f, name, &err);
    if (rc == OTR_ENOTFOUND) {
        otr_test_skip("the file is not built: see OTR_GUESTS in tests/guests");
        return;
    }
    REQUIRE_OK(rc, err);
    check_all(&f, name);
}

/* No failing allocation here: each run compiles megabytes, and the host calls have tests for that.
 */
#define SERVES(test, name) \
    T_NO_OOM(test)         \
    {                      \
        serves(name);      \
    }

SERVES(c_over_extism_gets_every_service, "c-extism")
SERVES(c_over_wapc_gets_every_service, "c-wapc")
SERVES(c_with_wasi_libc_gets_every_service, "c-wasi-extism")
SERVES(cpp_over_extism_gets_every_service, "cpp-extism")
SERVES(rust_extism_pdk_gets_every_service, "rust-extism")
SERVES(rust_wapc_guest_gets_every_service, "rust-wapc")
SERVES(assemblyscript_extism_pdk_gets_every_service, "as-extism")
SERVES(assemblyscript_wapc_guest_gets_every_service, "as-wapc")
SERVES(zig_over_extism_gets_every_service, "zig-extism")
SERVES(zig_over_wapc_gets_every_service, "zig-wapc")
SERVES(go_extism_pdk_gets_every_service, "go-extism")
SERVES(go_over_wapc_gets_every_service, "go-wapc")
SERVES(c_wit_bindgen_gets_every_service, "c-wit")
SERVES(rust_wit_bindgen_gets_every_service, "rust-wit")
SERVES(js_componentize_qjs_gets_every_service, "js-wit")
SERVES(python_componentize_py_gets_every_service, "py-wit")
