/* The example plugins, driven message by message. */
#include "guest_files.h"

enum { CALL_MS = 5000 };

static void start(guest_file *f, otr_engine **engine, const char *file)
{
    otr_err err = { 0 };
    REQUIRE_OK(open_engine(engine, &err), err);
    REQUIRE_OK(guest_file_load(f, *engine, file, NULL, &err), err);
    REQUIRE_OK(guest_file_start(f, &err), err);
}

/* What the plugin publishes for a sample of instance `id` at second `t`. */
static const char *sample(guest_file *f, const char *id, unsigned t, double rate)
{
    char text[512];
    static otr_err err;
    err.msg[0] = '\0';
    (void)snprintf(text, sizeof text,
                   "{\"id\":1,\"topic\":\"nginx.metrics.sampled\",\"version\":1,"
                   "\"time\":\"2026-01-01T00:00:%02uZ\",\"data\":{\"id\":\"%s\",\"interval_ms\":%u,"
                   "\"status_ok\":true,\"requests_per_second\":%g,\"responses\":"
                   "{\"1xx\":0,\"2xx\":7,\"3xx\":1,\"4xx\":1,\"5xx\":1}}}",
                   t, id, t == 0 ? 0U : 1000U, rate);
    return guest_file_ask(f, "process", text, CALL_MS, &err) == OTR_OK ? otr_buf_text(&f->published)
                                                                       : err.msg;
}

static const char *refusal(guest_file *f, const char *op, const char *in)
{
    static otr_err err;
    err.msg[0] = '\0';
    otr_code rc = guest_file_ask(f, op, in, CALL_MS, &err);
    return rc == OTR_EINVAL ? err.msg : otr_code_name(rc);
}

static const char stopped[] = "{\"topic\":\"nginx.instance.stopped\",\"data\":{\"id\":\"a\"}}";

T_NO_OOM(rate_watch_refuses_bad_settings)
{
    const char *text;
    ENGINE(engine);
    GUEST_FILE(f);
    start(&f, &engine, "plugins/rate-watch.wasm");
    REQUIRE(f.guest != NULL);
    text = sample(&f, "a", 1, 1);
    CHECK_HAS(text, "before init");
    text = refusal(&f, "init", "");
    CHECK_HAS(text, "not a JSON object");
    text = refusal(&f, "init", "{}");
    CHECK_HAS(text, "threshold is missing");
    text = refusal(&f, "init", "{\"threshold\":\"many\"}");
    CHECK_HAS(text, "threshold must be a number");
    text = refusal(&f, "init", "{\"threshold\":-5}");
    CHECK_HAS(text, "threshold must be a number above 0");
    text = refusal(&f, "init", "{\"threshold\":10,\"clear\":20}");
    CHECK_HAS(text, "clear must not be above");
    text = refusal(&f, "init", "{\"threshold\":10,\"clear\":0}");
    CHECK_HAS(text, "clear must be");
    text = refusal(&f, "init", "{\"treshold\":10}");
    CHECK_HAS(text, "unknown key \"treshold\"");
}

T_NO_OOM(rate_watch_raises_and_clears_with_hysteresis)
{
    otr_err err = { 0 };
    ENGINE(engine);
    GUEST_FILE(f);
    start(&f, &engine, "plugins/rate-watch.wasm");
    REQUIRE(f.guest != NULL);
    REQUIRE_OK(guest_file_ask(&f, "init", "{\"threshold\":100,\"clear\":50}", CALL_MS, &err), err);
    CHECK_STR(sample(&f, "a", 0, 500), ""); /* the first sample tells no rate */
    CHECK_STR(sample(&f, "a", 1, 100), "");
    CHECK_STR(sample(&f, "a", 2, 100.5), "alert.request-rate {\"instance\":\"a\",\"rate\":100.5,"
                                         "\"threshold\":100,\"state\":\"raised\"}\n");
    CHECK_STR(sample(&f, "a", 3, 900), "");
    CHECK_STR(sample(&f, "b", 3, 10), "");
    CHECK_STR(sample(&f, "a", 4, 50), "");
    CHECK_STR(sample(&f, "a", 5, 49), "alert.request-rate {\"instance\":\"a\",\"rate\":49,"
                                      "\"threshold\":100,\"state\":\"cleared\"}\n");
    CHECK_STR(sample(&f, "a", 6, 99), "");
}

T_NO_OOM(rate_watch_keeps_old_settings_when_new_ones_are_wrong)
{
    const char *text;
    otr_err err = { 0 };
    ENGINE(engine);
    GUEST_FILE(f);
    start(&f, &engine, "plugins/rate-watch.wasm");
    REQUIRE(f.guest != NULL);
    REQUIRE_OK(guest_file_ask(&f, "init", "{\"threshold\":\"100\"}", CALL_MS, &err), err);
    text = refusal(&f, "reconfigure", "{\"threshold\":0}");
    CHECK_HAS(text, "threshold");
    text = sample(&f, "a", 1, 150);
    CHECK_HAS(text, "raised");
    REQUIRE_OK(guest_file_ask(&f, "reconfigure", "{\"threshold\":200}", CALL_MS, &err), err);
    text = sample(&f, "a", 2, 150);
    CHECK_HAS(text, "cleared");
    text = sample(&f, "a", 3, 250);
    CHECK_HAS(text, "raised");
    REQUIRE_OK(guest_file_ask(&f, "process", stopped, CALL_MS, &err), err);
    CHECK_HAS(otr_buf_text(&f.published), "cleared");
    text = refusal(&f, "process", "{\"data\":{}}");
    CHECK_HAS(text, "data.id");
}

T_NO_OOM(status_digest_refuses_bad_settings)
{
    const char *text;
    ENGINE(engine);
    GUEST_FILE(f);
    start(&f, &engine, "plugins/status-digest.wasm");
    REQUIRE(f.guest != NULL);
    text = refusal(&f, "init", "[]");
    CHECK_HAS(text, "not a JSON object");
    text = refusal(&f, "init", "{\"window\":0}");
    CHECK_HAS(text, "1 to 86400");
    text = refusal(&f, "init", "{\"window\":1.5}");
    CHECK_HAS(text, "1 to 86400");
    text = refusal(&f, "init", "{\"windows\":5}");
    CHECK_HAS(text, "unknown key \"windows\"");
    text = refusal(&f, "process", "junk");
    CHECK_HAS(text, "data.id");
    text = refusal(&f, "process", "{\"data\":{\"id\":\"a\"}}");
    CHECK_HAS(text, "no object responses");
}

T_NO_OOM(status_digest_adds_up_a_window)
{
    otr_err err = { 0 };
    ENGINE(engine);
    GUEST_FILE(f);
    start(&f, &engine, "plugins/status-digest.wasm");
    REQUIRE(f.guest != NULL);
    REQUIRE_OK(guest_file_ask(&f, "init", "{\"window\":2}", CALL_MS, &err), err);
    CHECK_STR(sample(&f, "a", 0, 1), "");
    CHECK_STR(sample(&f, "a", 1, 1), "");
    CHECK_STR(sample(&f, "a", 2, 1),
              "digest.status {\"instance\":\"a\",\"from\":\"2026-01-01T00:00:00Z\","
              "\"to\":\"2026-01-01T00:00:02Z\",\"total\":20,\"1xx\":0,\"2xx\":14,\"3xx\":2,"
              "\"4xx\":2,\"5xx\":2,\"error_ratio\":0.2}\n");
    CHECK_STR(sample(&f, "a", 3, 1), "");
    REQUIRE_OK(guest_file_ask(&f, "close", "", CALL_MS, &err), err);
    CHECK_HAS(otr_buf_text(&f.published), "\"from\":\"2026-01-01T00:00:02Z\"");
    CHECK_HAS(otr_buf_text(&f.published), "\"total\":10");
    REQUIRE_OK(guest_file_ask(&f, "close", "", CALL_MS, &err), err);
    CHECK_STR(otr_buf_text(&f.published), "");
}

T_NO_OOM(health_notes_writes_sentences)
{
    const char *text;
    otr_err err = { 0 };
    ENGINE(engine);
    GUEST_FILE(f);
    start(&f, &engine, "plugins/health-notes.wasm");
    REQUIRE(f.guest != NULL);
    text = refusal(&f, "process", "");
    CHECK_HAS(text, "no topic");
    REQUIRE_OK(
        guest_file_ask(&f, "process",
                       "{\"topic\":\"nginx.instance.started\",\"data\":{\"id\":\"a\",\"pid\":7,"
                       "\"workers\":[8,9],\"version\":\"1.22.1\",\"config\":\"/x\"}}",
                       CALL_MS, &err),
        err);
    CHECK_STR(otr_buf_text(&f.published),
              "note.instance {\"instance\":\"a\",\"text\":\"NGINX 1.22.1 (master 7) runs with "
              "2 workers on /x.\"}\n");
    REQUIRE_OK(guest_file_ask(&f, "process",
                              "{\"topic\":\"nginx.health.changed\",\"data\":{\"id\":\"a\","
                              "\"status\":\"unhealthy\",\"description\":\"\\\"x\\\" \\u00e9\"}}",
                              CALL_MS, &err),
               err);
    CHECK_STR(otr_buf_text(&f.published), "note.instance {\"instance\":\"a\",\"text\":\"NGINX is "
                                          "unhealthy: \\\"x\\\" \xC3\xA9.\"}\n");
}
