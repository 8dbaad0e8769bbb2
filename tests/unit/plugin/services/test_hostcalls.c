#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "loop/loop.h"
#include "plugin/services/hostcalls.h"
#include "plugin/services/services.h"
#include "support/test.h"

typedef struct fixture {
    otr_loop *loop;
    otr_bus *bus;
    otr_sub *sub;
    otr_hostcalls hc;
    otr_manifest manifest;
    unsigned seen;
    char last[64];
} fixture;

static char *granted[] = { "alert.*", NULL };
static char *pairs[] = { "threshold", "10", NULL };

static void ready(void *arg, otr_sub *sub)
{
    fixture *f = arg;
    for (otr_msg *msg; (msg = otr_sub_take(sub)) != NULL; otr_msg_unref(msg)) {
        f->seen++;
        const otr_bus_json *json = msg->payload;
        size_t n = json->n < sizeof(f->last) - 1 ? json->n : sizeof(f->last) - 1;
        memcpy(f->last, json->bytes, n);
        f->last[n] = '\0';
    }
}

static otr_code setup(fixture *f, otr_err *err)
{
    static const char *const all[] = { "*", NULL };
    otr_sub_spec spec = {
        .name = "test", .patterns = all, .capacity = 4096, .ready = ready, .arg = f
    };
    otr_log_set_level(OTR_LOG_ERROR);
    f->manifest =
        (otr_manifest){ .publish = granted, .config_pairs = pairs, .where = "x.yaml:1:1" };
    otr_hostcalls_init(&f->hc, "p", &f->manifest);
    otr_code rc = otr_loop_new(&f->loop, err);
    rc = rc == OTR_OK ? otr_bus_new(f->loop, &f->bus, err) : rc;
    return rc == OTR_OK ? otr_bus_subscribe(f->bus, &spec, &f->sub, err) : rc;
}

static void teardown(fixture *f)
{
    otr_hostcalls_deinit(&f->hc);
    otr_sub_free(f->sub);
    otr_bus_free(f->bus);
    otr_loop_free(f->loop);
}

#define SETUP                                \
    OTR_CLEANUP(teardown) fixture f = { 0 }; \
    otr_err err = { 0 };                     \
    REQUIRE_OK(setup(&f, &err), err)

static otr_code publish(fixture *f, const char *topic, const char *json, otr_err *err)
{
    return otr_hostcalls_ops.publish(&f->hc, topic, otr_bytes_of(json), err);
}

T(a_topic_without_grant_is_denied_and_counted)
{
    SETUP;
    REQUIRE(publish(&f, "other.topic", "1", &err) == OTR_EDENIED);
    CHECK_HAS(err.msg, "x.yaml:1:1");
    CHECK_INT(otr_gate_denials(&f.hc.gate), 1);
    CHECK_INT(otr_hostcalls_flush(&f.hc, f.bus), 0);
}

T(malformed_topics_and_data_are_refused)
{
    SETUP;
    CHECK(publish(&f, "", "1", &err) == OTR_EINVAL);
    CHECK(publish(&f, "alert.*", "1", &err) == OTR_EINVAL);
    CHECK(publish(&f, "alert..x", "1", &err) == OTR_EINVAL);
    CHECK(publish(&f, "alert.x", "{", &err) == OTR_EINVAL);
    CHECK(publish(&f, "alert.x", "", &err) == OTR_EINVAL);
    CHECK_INT(f.hc.outbox.dropped, 2);
}

T(messages_of_one_call_are_bounded)
{
    SETUP;
    unsigned sent = 0;
    for (unsigned i = 0; i < OTR_LIMIT_PLUGIN_PUBLISH_CALL + 10; i++) {
        sent += publish(&f, "alert.x", "1", &err) == OTR_OK;
    }
    CHECK_INT(sent, OTR_LIMIT_PLUGIN_PUBLISH_CALL);
    CHECK_INT(f.hc.outbox.dropped, 10);
    otr_hostcalls_begin(&f.hc, NULL);
    CHECK(publish(&f, "alert.x", "1", &err) == OTR_OK);
}

T(messages_a_second_are_bounded_beside_those_of_one_call)
{
    SETUP;
    unsigned sent = 0, calls = 0;
    f.manifest.publish_per_s = 10;
    for (calls = 0; calls < 10; calls++) {
        otr_hostcalls_begin(&f.hc, NULL);
        for (unsigned i = 0; i < OTR_LIMIT_PLUGIN_PUBLISH_CALL; i++) {
            sent += publish(&f, "alert.x", "1", &err) == OTR_OK;
        }
    }
    CHECK(sent >= OTR_LIMIT_PLUGIN_PUBLISH_CALL);
    CHECK(sent < 2 * OTR_LIMIT_PLUGIN_PUBLISH_CALL); /* that would take over 100 seconds */
    CHECK_INT(f.hc.outbox.dropped, calls * OTR_LIMIT_PLUGIN_PUBLISH_CALL - sent);
    CHECK(publish(&f, "alert.x", "1", &err) == OTR_EQUOTA);
    CHECK_HAS(err.msg, "limits.publish");
}

T_NO_OOM(instances_of_a_plugin_share_what_they_may_publish_and_log)
{
    SETUP;
    otr_hostcalls other;
    unsigned sent = 0;
    f.manifest.publish_per_s = 1;
    otr_hostcalls_init(&other, "p", &f.manifest);
    other.gate.paid_ns = f.hc.gate.paid_ns;
    other.gate.budget = f.hc.gate.budget;
    otr_clock_fake(1000 * OTR_NS_PER_S);
    for (unsigned i = 0; i < OTR_LIMIT_PLUGIN_PUBLISH_CALL; i++) {
        sent += otr_hostcalls_ops.publish(i % 2 == 0 ? &f.hc : &other, "alert.x", otr_bytes_of("1"),
                                          NULL) == OTR_OK;
    }
    otr_code rc = otr_hostcalls_ops.publish(&other, "alert.x", otr_bytes_of("1"), &err);
    for (unsigned i = 0; i < 2 * OTR_LIMIT_PLUGIN_LOGS_PER_S; i++) {
        otr_hostcalls_ops.log(i % 2 == 0 ? &f.hc : &other, OTR_LOG_DEBUG, otr_bytes_of("spam"));
    }
    otr_clock_fake(0);
    uint64_t lines = f.hc.lines + other.lines;
    otr_hostcalls_deinit(&other);
    CHECK_INT(sent, OTR_LIMIT_PLUGIN_PUBLISH_CALL);
    CHECK_INT(rc, OTR_EQUOTA);
    CHECK_INT(lines, OTR_LIMIT_PLUGIN_LOGS_PER_S);
}

T_NO_OOM(what_is_published_at_once_is_bounded_by_its_bytes)
{
    SETUP;
    OTR_CLEANUP(otr_buf_deinit) otr_buf big;
    uint8_t *at = NULL;
    enum { SIZE = 5 * OTR_MIB };
    otr_buf_init(&big, SIZE);
    REQUIRE_OK(otr_buf_reserve(&big, SIZE, &at, &err), err);
    memset(at, 'x', SIZE);
    at[0] = at[SIZE - 1] = '"';
    const otr_bytes text = { at, SIZE };
    for (int i = 0; i < 3; i++) {
        REQUIRE_OK(otr_hostcalls_ops.publish(&f.hc, "alert.x", text, &err), err);
    }
    CHECK_INT(otr_hostcalls_ops.publish(&f.hc, "alert.x", text, &err), OTR_EQUOTA);
    REQUIRE_OK(publish(&f, "alert.x", "1", &err), err);
    CHECK_INT(otr_hostcalls_flush(&f.hc, f.bus), 4);
    REQUIRE_OK(otr_hostcalls_ops.publish(&f.hc, "alert.x", text, &err), err);
}

T(published_messages_reach_the_bus_in_order)
{
    SETUP;
    REQUIRE_OK(publish(&f, "alert.x", "1", &err), err);
    REQUIRE_OK(publish(&f, "alert.y", "{\"n\":2}", &err), err);
    CHECK_INT(f.seen, 0);
    CHECK_INT(otr_hostcalls_flush(&f.hc, f.bus), 2);
    otr_loop_step(f.loop, 0);
    CHECK_INT(f.seen, 2);
    CHECK_STR(f.last, "{\"n\":2}");
}

T(config_gives_values_and_says_what_is_missing)
{
    SETUP;
    otr_buf out;
    otr_buf_init(&out, 100);
    otr_code rc = otr_hostcalls_ops.config(&f.hc, "threshold", &out, &err);
    bool same = rc == OTR_OK && strcmp(otr_buf_text(&out), "10") == 0;
    otr_buf_deinit(&out);
    REQUIRE_OK(rc, err);
    CHECK(same);
    CHECK(otr_hostcalls_ops.config(&f.hc, "nothing", &out, &err) == OTR_ENOTFOUND);
    otr_buf_deinit(&out);
}

T(a_log_storm_is_cut_and_counted)
{
    SETUP;
    otr_clock_fake(1000 * OTR_NS_PER_S);
    for (unsigned i = 0; i < 5 * OTR_LIMIT_PLUGIN_LOGS_PER_S; i++) {
        otr_hostcalls_ops.log(&f.hc, OTR_LOG_DEBUG, otr_bytes_of("spam"));
    }
    CHECK_INT(f.hc.lines, OTR_LIMIT_PLUGIN_LOGS_PER_S);
    CHECK_INT(otr_log_budget_dropped(&f.hc.own), 4 * OTR_LIMIT_PLUGIN_LOGS_PER_S);
    otr_clock_fake(1001 * OTR_NS_PER_S);
    otr_hostcalls_ops.log(&f.hc, OTR_LOG_DEBUG, otr_bytes_of("again"));
    otr_clock_fake(0);
    CHECK_INT(f.hc.lines, OTR_LIMIT_PLUGIN_LOGS_PER_S + 1);
    CHECK_INT(otr_log_budget_dropped(&f.hc.own), 4 * OTR_LIMIT_PLUGIN_LOGS_PER_S);
}

static otr_code ask(fixture *f, const char *op, const char *in, char *answer, size_t cap,
                    otr_err *err)
{
    otr_buf out;
    otr_buf_init(&out, 4096);
    otr_code rc = otr_hostcalls_ops.call(&f->hc, op, otr_bytes_of(in), &out, err);
    (void)snprintf(answer, cap, "%s", otr_buf_text(&out));
    otr_buf_deinit(&out);
    return rc;
}

T(kv_is_denied_without_a_grant_and_other_operations_are_unknown)
{
    SETUP;
    char answer[64];
    CHECK(ask(&f, "kv.get", "a", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK(ask(&f, "kv.set", "{}", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK(ask(&f, "http.request", "{}", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK_INT(otr_gate_denials(&f.hc.gate), 3);
    REQUIRE(ask(&f, "fly", "", answer, sizeof(answer), &err) == OTR_EUNSUP);
    CHECK_HAS(err.msg, "fly");
}

static bool open_store(fixture *f, char path[])
{
    int fd = mkstemp(path);
    close(fd);
    f->manifest.store = path;
    f->manifest.kv_bytes = 1000;
    return fd >= 0;
}

static void close_store(fixture *f, const char *path)
{
    otr_gate_close(&f->hc.gate, &otr_service_kv);
    for (const char *const *end = (const char *const[]){ "", "-wal", "-shm", NULL }; *end != NULL;
         end++) {
        char name[48];
        (void)snprintf(name, sizeof(name), "%s%s", path, *end);
        unlink(name);
    }
}

T(kv_keeps_json_values_by_key)
{
    SETUP;
    char path[] = "/tmp/otr-kv-XXXXXX", answer[64];
    REQUIRE(open_store(&f, path));
    CHECK(ask(&f, "kv.set", "{\"key\":\"n\"}", answer, sizeof(answer), &err) == OTR_EINVAL);
    CHECK(ask(&f, "kv.set", "{\"key\":\"n\",\"value\":{\"a\":1}}", answer, sizeof(answer), &err) ==
          OTR_OK);
    CHECK(ask(&f, "kv.get", "n", answer, sizeof(answer), &err) == OTR_OK);
    CHECK_STR(answer, "{\"a\":1}");
    CHECK(ask(&f, "kv.list", "", answer, sizeof(answer), &err) == OTR_OK);
    CHECK_STR(answer, "[\"n\"]");
    CHECK(ask(&f, "kv.delete", "n", answer, sizeof(answer), &err) == OTR_OK);
    CHECK_STR(answer, "true");
    CHECK(ask(&f, "kv.get", "n", answer, sizeof(answer), &err) == OTR_ENOTFOUND);
    char key[OTR_LIMIT_KV_KEY_BYTES + 2] = "";
    memset(key, 'k', sizeof(key) - 1);
    CHECK(ask(&f, "kv.get", key, answer, sizeof(answer), &err) == OTR_EQUOTA);
    key[OTR_LIMIT_KV_KEY_BYTES] = '\0';
    CHECK(ask(&f, "kv.get", key, answer, sizeof(answer), &err) == OTR_ENOTFOUND);
    CHECK(ask(&f, "kv.get", "a\xff", answer, sizeof(answer), &err) == OTR_EINVAL);
    otr_buf none;
    otr_buf_init(&none, 64);
    otr_bytes nul = { (const uint8_t *)"a\0b", 3 };
    CHECK_INT(otr_hostcalls_ops.call(&f.hc, "kv.get", nul, &none, &err), OTR_EINVAL);
    otr_buf_deinit(&none);
    close_store(&f, path);
}

/* {"key":"n","value":[0,0,…]}, with the member `name` in the place of "value". */
static void make_set(otr_buf *out, const char *name, size_t items)
{
    otr_err err = { 0 };
    otr_buf_clear(out);
    REQUIRE_OK(otr_buf_addf(out, &err, "{\"key\":\"\\u006e\",\"%s\":[0", name), err);
    for (size_t i = 1; i < items; i++) {
        REQUIRE_OK(otr_buf_adds(out, ",0", &err), err);
    }
    REQUIRE_OK(otr_buf_adds(out, "]}", &err), err);
}

T_NO_OOM(a_large_value_is_kept_as_it_is_written_and_no_tree_is_made)
{
    enum { ITEMS = 20000 };
    SETUP;
    char path[] = "/tmp/otr-kv-XXXXXX";
    OTR_CLEANUP(otr_buf_deinit) otr_buf in, out;
    otr_buf_init(&in, OTR_MIB);
    otr_buf_init(&out, OTR_MIB);
    REQUIRE(open_store(&f, path));
    f.manifest.kv_bytes = OTR_MIB;
    make_set(&in, "value", ITEMS);
    REQUIRE_OK(otr_hostcalls_ops.call(&f.hc, "kv.set", otr_buf_bytes(&in), &out, &err), err);
    REQUIRE_OK(otr_hostcalls_ops.call(&f.hc, "kv.get", otr_bytes_of("n"), &out, &err), err);
    CHECK_INT(out.n, 2 * ITEMS + 1);
    CHECK(otr_json_valid(otr_buf_bytes(&out)));
    make_set(&in, "v\\u0061lue", 10);
    REQUIRE_OK(otr_hostcalls_ops.call(&f.hc, "kv.set", otr_buf_bytes(&in), &out, &err), err);
    make_set(&in, "v\\u0061lue", ITEMS);
    CHECK_INT(otr_hostcalls_ops.call(&f.hc, "kv.set", otr_buf_bytes(&in), &out, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "without escapes");
    f.manifest.metrics = 10;
    CHECK_INT(otr_hostcalls_ops.call(&f.hc, "metric.gauge", otr_buf_bytes(&in), &out, &err),
              OTR_EQUOTA);
    close_store(&f, path);
}

T(kv_lists_are_a_page_when_the_question_has_after_or_limit)
{
    static const struct {
        const char *in, *answer; /* NULL: OTR_EINVAL */
    } all[] = {
        { "k", "[\"k1\",\"k2\",\"k3\"]" },
        { "", "[\"k1\",\"k2\",\"k3\",\"{\\\"prefix\\\":\\\"k\\\"}\"]" },
        { "{\"prefix\":\"k\"}", "[\"{\\\"prefix\\\":\\\"k\\\"}\"]" }, /* a prefix, as ever */
        { "{\"limit\":2}", "{\"keys\":[\"k1\",\"k2\"],\"more\":true}" },
        { "{\"limit\":4}", "{\"keys\":[\"k1\",\"k2\",\"k3\",\"{\\\"prefix\\\":\\\"k\\\"}\"],"
                           "\"more\":false}" },
        { "{\"prefix\":\"k\",\"limit\":3}", "{\"keys\":[\"k1\",\"k2\",\"k3\"],\"more\":false}" },
        { "{\"prefix\":\"k\",\"after\":\"k1\",\"limit\":1}", "{\"keys\":[\"k2\"],\"more\":true}" },
        { "{\"prefix\":\"k\",\"after\":\"k2\"}", "{\"keys\":[\"k3\"],\"more\":false}" },
        { "{\"after\":\"~\"}", "{\"keys\":[],\"more\":false}" },
        { "{\"limit\":0}", NULL },
        { "{\"limit\":10001}", NULL },
        { "{\"limit\":\"2\"}", NULL },
        { "{\"limit\":2.5}", NULL },
        { "{\"after\":1}", NULL },
        { "{\"prefix\":null,\"limit\":1}", NULL },
    };
    SETUP;
    char path[] = "/tmp/otr-kv-XXXXXX", answer[256];
    REQUIRE(open_store(&f, path));
    static const char *const keys[] = { "k3", "k1", "{\\\"prefix\\\":\\\"k\\\"}", "k2" };
    for (size_t i = 0; i < OTR_COUNT(keys); i++) {
        char in[64];
        (void)snprintf(in, sizeof(in), "{\"key\":\"%s\",\"value\":1}", keys[i]);
        REQUIRE_OK(ask(&f, "kv.set", in, answer, sizeof(answer), &err), err);
    }
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        otr_code rc = ask(&f, "kv.list", all[i].in, answer, sizeof(answer), &err);
        CHECK_INT(rc, all[i].answer != NULL ? OTR_OK : OTR_EINVAL);
        CHECK_STR(answer, all[i].answer != NULL ? all[i].answer : "");
    }
    close_store(&f, path);
}

static void deinit(otr_buf *b)
{
    otr_buf_deinit(b);
}

T(a_page_of_keys_ends_where_the_answer_is_full)
{
    SETUP;
    char path[] = "/tmp/otr-kv-XXXXXX", answer[64];
    REQUIRE(open_store(&f, path));
    for (char key[] = "{\"key\":\"aaaaaaaaaa\",\"value\":1}"; key[8] < 'i'; key[8]++) {
        REQUIRE_OK(ask(&f, "kv.set", key, answer, sizeof(answer), &err), err);
    }
    OTR_CLEANUP(deinit) otr_buf out;
    otr_buf_init(&out, 80);
    REQUIRE_OK(otr_hostcalls_ops.call(&f.hc, "kv.list", otr_bytes_of("{\"limit\":9}"), &out, &err),
               err);
    CHECK_STR(otr_buf_text(&out), "{\"keys\":[\"aaaaaaaaaa\",\"baaaaaaaaa\",\"caaaaaaaaa\"],"
                                  "\"more\":true}");
    otr_buf_deinit(&out);
    otr_buf_init(&out, 40); /* not even one: an empty page would be asked for again and again */
    CHECK_INT(otr_hostcalls_ops.call(&f.hc, "kv.list", otr_bytes_of("{\"limit\":9}"), &out, &err),
              OTR_EQUOTA);
    close_store(&f, path);
}

T(random_bytes_are_bounded)
{
    SETUP;
    char answer[64];
    CHECK(ask(&f, "random.bytes", "", answer, sizeof(answer), &err) == OTR_EINVAL);
    CHECK(ask(&f, "random.bytes", "1025", answer, sizeof(answer), &err) == OTR_EINVAL);
    CHECK(ask(&f, "random.bytes", "-1", answer, sizeof(answer), &err) == OTR_EINVAL);
    CHECK(ask(&f, "random.bytes", "16", answer, sizeof(answer), &err) == OTR_OK);
}

T(variables_and_secrets_need_their_names_in_a_grant)
{
    SETUP;
    char answer[64];
    char *names[] = { "A", "UNSET", NULL }, *env[] = { "A=1=2", NULL };
    CHECK(ask(&f, "env.get", "A", answer, sizeof(answer), &err) == OTR_EDENIED);
    f.manifest.env_names = names;
    f.manifest.env = env;
    CHECK(ask(&f, "env.get", "HOME", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK(ask(&f, "env.get", "", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK(ask(&f, "env.get", "B", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK(ask(&f, "env.get", "a", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK_HAS(err.msg, "grants.env");
    CHECK(ask(&f, "secret.get", "token", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK_HAS(err.msg, "grants.secrets");
    CHECK_INT(otr_gate_denials(&f.hc.gate), 6);
    CHECK(ask(&f, "env.get", "UNSET", answer, sizeof(answer), &err) == OTR_ENOTFOUND);
    CHECK(ask(&f, "env.get", "A", answer, sizeof(answer), &err) == OTR_OK);
    CHECK_STR(answer, "1=2");
}

T(a_secret_is_read_at_load_from_a_file_that_is_closed_to_others)
{
    SETUP;
    char path[] = "/tmp/otr-secret-XXXXXX", answer[64], gone[] = "/nonexistent/token", name[] = "t";
    char *secrets[] = { name, gone, NULL, NULL, NULL };
    f.manifest.secrets = secrets;
    CHECK(otr_hostcalls_load(&f.hc, &err) != OTR_OK);
    CHECK_HAS(err.msg, gone);
    CHECK(ask(&f, "secret.get", "t", answer, sizeof(answer), &err) == OTR_ESTATE);
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    CHECK_INT(write(fd, "hush\n", 5), 5);
    secrets[1] = path;
    CHECK_INT(fchmod(fd, 0644), 0);
    CHECK(otr_hostcalls_load(&f.hc, &err) != OTR_OK);
    CHECK_HAS(err.msg, "chmod");
    CHECK(strstr(err.msg, "hush") == NULL);
    CHECK_INT(fchmod(fd, 0640), 0);
    close(fd);
    char second[] = "second", empty[] = "/tmp/otr-secret-XXXXXX";
    fd = mkstemp(empty);
    REQUIRE(fd >= 0 && fchmod(fd, 0600) == 0);
    CHECK_INT(write(fd, "\r\n", 2), 2);
    close(fd);
    secrets[2] = second;
    secrets[3] = empty;
    CHECK_INT(otr_hostcalls_load(&f.hc, &err), OTR_OK);
    unlink(path);
    unlink(empty);
    CHECK(ask(&f, "secret.get", "second", answer, sizeof(answer), &err) == OTR_OK);
    CHECK_STR(answer, "");
    CHECK(ask(&f, "secret.get", path, answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK(ask(&f, "secret.get", "t", answer, sizeof(answer), &err) == OTR_OK);
    CHECK_STR(answer, "hush");
    CHECK(ask(&f, "secret.get", "u", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK(ask(&f, "secret.get", "", answer, sizeof(answer), &err) == OTR_EDENIED);
}

T(metrics_need_a_grant_that_bounds_them)
{
    SETUP;
    char answer[64];
    static const char a[] = "{\"name\":\"a\",\"value\":1}", b[] = "{\"name\":\"b\",\"value\":1}";
    CHECK(ask(&f, "metric.counter", a, answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK_HAS(err.msg, "grants.metrics");
    CHECK_INT(otr_gate_denials(&f.hc.gate), 1);
    f.manifest.metrics = 1;
    CHECK(ask(&f, "metric.counter", a, answer, sizeof(answer), &err) == OTR_OK);
    CHECK(ask(&f, "metric.gauge", b, answer, sizeof(answer), &err) == OTR_EQUOTA);
    CHECK(ask(&f, "metric.histogram", "1", answer, sizeof(answer), &err) == OTR_EINVAL);
    REQUIRE(otr_hostcalls_metrics(&f.hc) != NULL);
    CHECK_INT(otr_hostcalls_metrics(&f.hc)->n, 1);
}

/* ---- instances ---- */

static const char *about(const void *payload)
{
    return payload;
}

static otr_code encode_name(const void *payload, otr_buf *out, otr_err *err)
{
    return otr_buf_addf(out, err, "{\"id\":\"%s\"}", (const char *)payload);
}

static otr_code encode_changed(const void *payload, otr_buf *out, otr_err *err)
{
    return otr_buf_addf(out, err, "{\"id\":\"%s\",\"new\":true}", (const char *)payload);
}

static const otr_topic started = { "nginx.instance.started", 1, NULL, encode_name };
static const otr_topic changed = { "nginx.instance.changed", 1, NULL, encode_changed };
static const otr_topic health = { "nginx.health.changed", 1, NULL, encode_name };

static otr_code note(fixture *f, const otr_topic *topic, otr_fact fact, const char *name,
                     otr_err *err)
{
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    otr_code rc = otr_msg_new(topic, (void *)(uintptr_t)name, "t", NULL, &msg, err);
    return rc == OTR_OK ? otr_facts_note(&f->hc.gate.facts, msg, fact, about, err) : rc;
}

T(the_list_of_instances_needs_a_grant)
{
    SETUP;
    char answer[256];
    REQUIRE_OK(note(&f, &started, OTR_FACT_BEGINS, "a", &err), err);
    CHECK(ask(&f, "instances.list", "", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK_HAS(err.msg, "grants.instances");
    CHECK_INT(otr_gate_denials(&f.hc.gate), 1);
}

T(files_of_a_configuration_need_a_grant_and_a_question)
{
    SETUP;
    char answer[256];
    CHECK(ask(&f, "nginx_config.get", "/x", answer, sizeof(answer), &err) == OTR_EDENIED);
    CHECK_HAS(err.msg, "grants.nginx_config");
    f.manifest.see_config = true;
    CHECK(ask(&f, "nginx_config.get", "/x", answer, sizeof(answer), &err) == OTR_ESTATE);
    CHECK_HAS(err.msg, "only while a question about a configuration");
}

T(the_list_of_instances_has_each_once_and_as_it_is)
{
    SETUP;
    char answer[256];
    f.manifest.see_instances = true;
    REQUIRE_OK(ask(&f, "instances.list", "", answer, sizeof(answer), &err), err);
    CHECK_STR(answer, "[]");
    REQUIRE_OK(note(&f, &started, OTR_FACT_BEGINS, "a", &err), err);
    REQUIRE_OK(note(&f, &started, OTR_FACT_BEGINS, "b", &err), err);
    REQUIRE_OK(note(&f, &changed, OTR_FACT_IS, "a", &err), err);
    REQUIRE_OK(note(&f, &health, OTR_FACT_IS, "b", &err), err);
    REQUIRE_OK(ask(&f, "instances.list", "", answer, sizeof(answer), &err), err);
    CHECK_STR(answer, "[{\"id\":\"b\"},{\"id\":\"a\",\"new\":true}]");
}
