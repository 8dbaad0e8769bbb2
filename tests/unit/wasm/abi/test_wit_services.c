/* The typed services of the world 1.1, from a guest that wit-bindgen's bindings for C were made
 * for; and a guest of the world 1.0 beside it. */
#include "unit/wasm/fixture.h"
#include "unit/wasm/guest_files.h"

enum { MS = 5000 };

typedef struct services {
    otr_buf asked; /* "<operation> <input>\n" each; a length in front as "[n]" */
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf out;
} services;

static void services_deinit(services *s)
{
    otr_guest_free(s->guest);
    otr_guest_code_free(s->code);
    otr_buf_deinit(&s->out);
    otr_buf_deinit(&s->asked);
}

static otr_code note(services *s, const char *op, otr_bytes in, otr_err *err)
{
    size_t n = 0;
    if (strcmp(op, "http.request") == 0 && in.n >= 4) {
        n = (size_t)in.p[0] | (size_t)in.p[1] << 8;
        in = (otr_bytes){ in.p + 4, in.n - 4 };
    }
    otr_code rc = otr_buf_addf(&s->asked, err, "%s ", op);
    rc = rc == OTR_OK && n > 0 ? otr_buf_addf(&s->asked, err, "[%zu]", n) : rc;
    rc = rc == OTR_OK ? otr_buf_add(&s->asked, in, err) : rc;
    return rc == OTR_OK ? otr_buf_addc(&s->asked, '\n', err) : rc;
}

static otr_code reply(const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    static const char head[] = "{\"status\":207,\"headers\":{\"a\":\"1, 2\",\"b\":\"\\u00e9\"}}";
    const uint8_t n[] = { sizeof(head) - 1, 0, 0, 0 };
    if (in.n == 4 && memcmp(in.p, "deny", 4) == 0) {
        return otr_fail(err, OTR_EDENIED, "no grant for %s", op);
    }
    if (strcmp(op, "http.request") == 0) {
        otr_code rc = otr_buf_add(out, (otr_bytes){ n, sizeof(n) }, err);
        rc = rc == OTR_OK ? otr_buf_adds(out, head, err) : rc;
        return rc == OTR_OK ? otr_buf_adds(out, "hello", err) : rc;
    }
    if (strcmp(op, "clock.now") == 0) {
        return otr_buf_adds(out, "{\"unix_ns\":1700000000123456789,\"monotonic_ns\":42}", err);
    }
    if (strcmp(op, "env.get") == 0 && in.n == 4 && memcmp(in.p, "none", 4) == 0) {
        return otr_fail(err, OTR_ENOTFOUND, "not set");
    }
    return strncmp(op, "metric.", 7) == 0 ? OTR_OK : otr_buf_addf(out, err, "of %s", op);
}

static otr_code on_call(void *arg, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    otr_code rc = note(arg, op, in, err);
    return rc == OTR_OK ? reply(op, in, out, err) : rc;
}

static otr_code on_publish(void *arg, const char *topic, otr_bytes payload, otr_err *err)
{
    return note(arg, topic, payload, err);
}

static otr_code on_config(void *arg, const char *key, otr_buf *out, otr_err *err)
{
    (void)arg;
    (void)out;
    return otr_fail(err, OTR_ENOTFOUND, "no %s", key);
}

static void on_log(void *arg, int level, otr_bytes text)
{
    (void)arg;
    (void)level;
    (void)text;
}

static const otr_host_ops ops = {
    .publish = on_publish, .config = on_config, .call = on_call, .log = on_log
};

static otr_code load(services *s, otr_engine *engine, const char *file, otr_err *err)
{
    otr_buf wasm;
    char path[512];
    otr_buf_init(&s->asked, 1 << 20);
    otr_buf_init(&s->out, 1 << 20);
    otr_buf_init(&wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
    (void)snprintf(path, sizeof(path), "%s/tests/guests/%s", OTR_BINARY_DIR, file);
    otr_code rc = otr_buf_read_file(&wasm, path, err);
    otr_load_spec spec = { .name = "g", .wasm = otr_buf_bytes(&wasm) };
    rc = rc == OTR_OK ? otr_guest_load(engine, &spec, &s->code, err) : rc;
    otr_guest_spec guest = { .name = "g",
                             .ops = &ops,
                             .host = s,
                             .max_memory_bytes = 64 << 20,
                             .max_output_bytes = 1 << 20,
                             .init_ms = MS };
    rc = rc == OTR_OK ? otr_guest_new(s->code, &guest, &s->guest, err) : rc;
    otr_buf_deinit(&wasm);
    return rc;
}

static otr_code ask(services *s, const char *op, const char *in, otr_err *err)
{
    otr_buf_clear(&s->out);
    otr_buf_clear(&s->asked);
    return otr_guest_call(s->guest, op, otr_bytes_of(in), otr_now_ns() + MS * OTR_NS_PER_MS,
                          &s->out, err);
}

#define SERVICES(name)                                                          \
    ENGINE(engine);                                                             \
    OTR_CLEANUP(services_deinit) services name = { .code = NULL };              \
    otr_err err = { 0 };                                                        \
    REQUIRE_OK(open_engine(&engine, &err), err);                                \
    otr_code loaded = load(&name, engine, "services-wit.wasm", &err);           \
    if (loaded == OTR_ENOTFOUND) {                                              \
        otr_test_skip("the file is not built: see OTR_GUESTS in tests/guests"); \
        return;                                                                 \
    }                                                                           \
    REQUIRE_OK(loaded, err)

/* No failing allocation here: each run compiles megabytes. */
T_NO_OOM(a_request_and_its_answer_keep_every_part)
{
    SERVICES(s);
    REQUIRE_OK(ask(&s, "http", "https://h/p", &err), err);
    CHECK_HAS(otr_buf_text(&s.asked), "{\"method\":\"PUT\",\"url\":\"https://h/p\",\"headers\":{"
                                      "\"x-one\":\"1 \\\"quoted\\\"\",\"x-two\":\"2\"}}");
    CHECK(s.asked.n > 6 && memcmp(s.asked.p + s.asked.n - 6, "\0body\n", 6) == 0);
    CHECK_STR(otr_buf_text(&s.out), "207 a=1, 2;b=\xc3\xa9; hello");
}

T_NO_OOM(metrics_have_values_and_labels)
{
    SERVICES(s);
    REQUIRE_OK(ask(&s, "metrics", "hits", &err), err);
    CHECK_STR(otr_buf_text(&s.asked),
              "metric.counter {\"name\":\"hits\",\"value\":2.5,\"labels\":{\"color\":\"red\"}}\n"
              "metric.gauge {\"name\":\"hits\",\"value\":-1,\"labels\":{}}\n"
              "metric.histogram {\"name\":\"hits\",\"value\":0.25,\"labels\":{}}\n");
}

T_NO_OOM(clocks_are_exact)
{
    SERVICES(s);
    REQUIRE_OK(ask(&s, "clock", "", &err), err);
    CHECK_STR(otr_buf_text(&s.out), "1700000000123456789 42");
}

T_NO_OOM(the_other_services_answer_and_refuse)
{
    SERVICES(s);
    REQUIRE_OK(ask(&s, "instances", "", &err), err);
    CHECK_STR(otr_buf_text(&s.out), "of instances.list");
    REQUIRE_OK(ask(&s, "random", "\x10", &err), err);
    CHECK_STR(otr_buf_text(&s.asked), "random.bytes 16\n");
    REQUIRE_OK(ask(&s, "env", "HOME", &err), err);
    CHECK_STR(otr_buf_text(&s.out), "of env.get");
    REQUIRE_OK(ask(&s, "env", "none", &err), err);
    CHECK_STR(otr_buf_text(&s.out), "(none)");
    CHECK_INT(ask(&s, "env", "deny", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "no grant for env.get");
    CHECK_INT(ask(&s, "secrets", "deny", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "no grant for secret.get");
    REQUIRE_OK(ask(&s, "secrets", "token", &err), err);
    CHECK_STR(otr_buf_text(&s.out), "of secret.get");
    REQUIRE_OK(ask(&s, "process", "{}", &err), err);
    CHECK_HAS(otr_buf_text(&s.asked), "test.services of instances.list\n");
}

static bool imports(const services *s, const char *name)
{
    const otr_module_info *info = otr_guest_code_info(s->code);
    for (size_t i = 0; i < info->n_imports; i++) {
        if (strcmp(info->imports[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

T_NO_OOM(a_guest_of_the_world_1_0_runs_beside_one_of_1_1)
{
    SERVICES(s);
    OTR_CLEANUP(services_deinit) services old = { .code = NULL };
    REQUIRE_OK(load(&old, engine, "c-wit.wasm", &err), err);
    CHECK(imports(&s, "outrider:plugin/bus@1.1.0"));
    CHECK(imports(&old, "outrider:plugin/bus@1.0.0"));
    REQUIRE_OK(ask(&s, "info", "", &err), err);
    REQUIRE_OK(ask(&old, "info", "", &err), err);
    CHECK_HAS(otr_buf_text(&old.out), "\"api\":\"1\"");
}
