#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "modules/topics.h"
#include "support/test.h"

static void check(const otr_topic *topic, const void *payload, const char *expected)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 65536);
    otr_err err = { 0 };
    REQUIRE_OK(topic->encode(payload, &out, &err), err);
    CHECK_STR(otr_buf_text(&out), expected);
    OTR_CLEANUP(otr_json_freep) otr_json *parsed = NULL;
    REQUIRE_OK(otr_json_parse(otr_buf_bytes(&out), &parsed, &err), err);
}

T(names_and_versions_are_those_of_the_table)
{
    const otr_topic *topics[] = { &otr_topic_instance_started, &otr_topic_instance_changed,
                                  &otr_topic_instance_stopped, &otr_topic_health_changed,
                                  &otr_topic_metrics_sampled,  &otr_topic_config_reloaded,
                                  &otr_topic_plugin_changed };
    static const char *const names[] = { "nginx.instance.started", "nginx.instance.changed",
                                         "nginx.instance.stopped", "nginx.health.changed",
                                         "nginx.metrics.sampled",  "agent.config.reloaded",
                                         "agent.plugin.changed" };
    for (size_t i = 0; i < OTR_COUNT(topics); i++) {
        CHECK_STR(topics[i]->name, names[i]);
        CHECK_INT(topics[i]->version, 1);
        CHECK(topics[i]->drop != NULL && topics[i]->encode != NULL);
    }
}

T(half_built_payloads_are_dropped_too)
{
    otr_instance_event *event = otr_zalloc(sizeof(*event));
    REQUIRE(event != NULL);
    otr_topic_instance_started.drop(event);
    otr_health_event *health = otr_zalloc(sizeof(*health));
    REQUIRE(health != NULL);
    otr_topic_health_changed.drop(health);
}

T(instance_is_encoded_with_bytes_that_are_no_text_replaced)
{
    char empty[] = "", binary[] = "/usr/sbin/nginx", version[] = "1.22.1", bad[] = "/etc/\xff.conf";
    char log_path[] = "/var/a.log";
    pid_t workers[] = { 11, 12 };
    otr_nginx_log logs[] = { { .path = log_path } };
    otr_nginx_instance i = { .pid = 10,
                             .workers = workers,
                             .n_workers = 2,
                             .binary = binary,
                             .version = version,
                             .config = bad,
                             .prefix = empty,
                             .configure = empty,
                             .error_log = empty,
                             .stub_status = empty,
                             .access_logs = logs,
                             .n_access_logs = 1,
                             .config_error = empty };
    memcpy(i.id, "an-id", 6);
    otr_instance_event event = { &i };
    check(
        &otr_topic_instance_started, &event,
        "{\"id\":\"an-id\",\"pid\":10,\"uid\":0,\"stranger\":false,\"net_ns\":0,\"own_net\":false,"
        "\"workers\":[11,12],\"maker\":\"\",\"version\":\"1.22.1\",\"plus\":false,"
        "\"binary\":\"/usr/sbin/nginx\",\"replaced\":false,\"config\":\"/etc/\xef\xbf\xbd.conf\","
        "\"config_error\":\"\",\"config_changed\":false,\"prefix\":\"\",\"error_log\":\"\","
        "\"stub_status\":\"\","
        "\"access_logs\":[\"/var/a.log\"],\"remarks\":[],\"truncated\":{}}");
}

enum { MANY = 9000 };

/* The JSON of an instance with `n` access logs and workers. */
static otr_json *encode_many(size_t n, otr_buf *out)
{
    static otr_nginx_log logs[MANY];
    static char paths[MANY][160];
    static pid_t workers[MANY];
    for (size_t i = 0; i < n; i++) {
        snprintf(paths[i], sizeof(paths[i]), "/var/log/%0100d/host-%zu.log", 0, i);
        logs[i] = (otr_nginx_log){ .path = paths[i] };
        workers[i] = (pid_t)(i + 1);
    }
    char empty[] = "";
    otr_nginx_instance i = { .workers = workers,
                             .n_workers = n,
                             .binary = empty,
                             .maker = empty,
                             .version = empty,
                             .config = empty,
                             .prefix = empty,
                             .configure = empty,
                             .error_log = empty,
                             .stub_status = empty,
                             .access_logs = logs,
                             .n_access_logs = n,
                             .config_error = empty };
    otr_instance_event event = { &i };
    otr_json *root = NULL;
    otr_err err = { 0 };
    if (otr_topic_instance_started.encode(&event, out, &err) == OTR_OK) {
        (void)!otr_json_parse(otr_buf_bytes(out), &root, &err);
    }
    return root;
}

T(long_lists_of_an_instance_are_cut_at_an_item_and_say_how_many_are_missing)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, OTR_LIMIT_EVENT_BYTES);
    OTR_CLEANUP(otr_json_freep) otr_json *root = encode_many(MANY, &out);
    REQUIRE(root != NULL);
    const otr_json *logs = otr_json_get(root, "access_logs"),
                   *cut = otr_json_get(root, "truncated");
    size_t shown = otr_json_size(logs);
    CHECK(shown > 10 && shown < 200);
    CHECK_INT(otr_json_int(otr_json_get(cut, "access_logs"), 0), MANY - (int64_t)shown);
    CHECK_HAS(otr_json_str(otr_json_at(logs, shown - 1), ""), ".log"); /* a whole item */
    CHECK_INT(otr_json_size(otr_json_get(root, "workers")), OTR_LIMIT_INSTANCE_WORKERS);
    CHECK_INT(otr_json_int(otr_json_get(cut, "workers"), 0), MANY - OTR_LIMIT_INSTANCE_WORKERS);
    CHECK(otr_json_get(cut, "remarks") == NULL);
}

T(lists_that_fit_are_whole)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, OTR_LIMIT_EVENT_BYTES);
    OTR_CLEANUP(otr_json_freep) otr_json *root = encode_many(20, &out);
    REQUIRE(root != NULL);
    CHECK_INT(otr_json_size(otr_json_get(root, "access_logs")), 20);
    CHECK_INT(otr_json_size(otr_json_get(root, "truncated")), 0);
}

T(health_is_encoded_by_name)
{
    char why[] = "PID: 1 is not running";
    otr_health_event event = { .id = "x", .status = OTR_HEALTH_UNHEALTHY, .description = why };
    check(&otr_topic_health_changed, &event,
          "{\"id\":\"x\",\"status\":\"unhealthy\",\"description\":\"PID: 1 is not running\"}");
    CHECK_STR(otr_health_name(OTR_HEALTH_HEALTHY), "healthy");
    CHECK_STR(otr_health_name(OTR_HEALTH_DEGRADED), "degraded");
    CHECK_STR(otr_health_name(OTR_HEALTH_UNKNOWN), "unknown");
}

T(sample_is_encoded_with_its_responses)
{
    otr_metrics_event event = { .id = "x",
                                .interval_ns = 1500000000,
                                .status_ok = true,
                                .active = 1,
                                .reading = 2,
                                .writing = 3,
                                .waiting = 4,
                                .accepted = 5,
                                .handled = 6,
                                .requests = 7,
                                .requests_delta = 3,
                                .requests_per_second = 2.5,
                                .logs_ok = true,
                                .responses = { 1, 2, 3, 4, 5 },
                                .log_lines = 16,
                                .log_unparsed = 17 };
    check(&otr_topic_metrics_sampled, &event,
          "{\"id\":\"x\",\"interval_ms\":1500,\"status_ok\":true,\"status_error\":\"\","
          "\"active\":1,\"reading\":2,"
          "\"writing\":3,\"waiting\":4,\"accepted\":5,\"handled\":6,\"requests\":7,"
          "\"requests_delta\":3,\"requests_per_second\":2.5,\"logs_ok\":true,"
          "\"responses\":{\"1xx\":1,\"2xx\":2,\"3xx\":3,\"4xx\":4,\"5xx\":5},\"log_lines\":16,"
          "\"log_unparsed\":17}");
}

T(sample_tells_request_times_where_lines_do)
{
    otr_histogram times = { 0 };
    for (uint64_t ms = 1; ms <= 1000; ms++) {
        otr_histogram_add(&times, ms);
    }
    otr_metrics_event event = { .id = "x", .logs_ok = true, .times = &times };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 4096);
    otr_err err;
    REQUIRE_OK(otr_topic_metrics_sampled.encode(&event, &out, &err), err);
    REQUIRE_OK(otr_buf_addc(&out, '\0', &err), err);
    CHECK_HAS((const char *)out.p,
              "\"log_unparsed\":0,\"request_time\":{\"count\":1000,\"mean\":0.5005,");
    CHECK_HAS((const char *)out.p, "\"max\":1}}");
}

T(sample_tells_errors_where_the_log_is_read)
{
    otr_log_errors errors = { .levels = { [OTR_LEVEL_ERROR] = 3 }, .causes = { [0] = 2 } };
    otr_metrics_event event = { .id = "x", .errors = &errors };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 4096);
    otr_err err;
    REQUIRE_OK(otr_topic_metrics_sampled.encode(&event, &out, &err), err);
    REQUIRE_OK(otr_buf_addc(&out, '\0', &err), err);
    CHECK_HAS((const char *)out.p,
              "\"errors\":{\"levels\":{\"emerg\":0,\"alert\":0,\"crit\":0,\"error\":3,\"warn\":0,"
              "\"notice\":0,\"info\":0,\"debug\":0},\"causes\":{\"upstream_timed_out\":2}}}");
}

T(events_of_the_agent_are_encoded)
{
    char file[] = "/etc/a.conf", name[] = "p", reason[] = "\"why\"";
    otr_reload_event reload = { .file = file, .generation = 2 };
    check(&otr_topic_config_reloaded, &reload, "{\"file\":\"/etc/a.conf\",\"generation\":2}");
    otr_plugin_event plugin = { .name = name, .state = "running", .reason = reason };
    check(&otr_topic_plugin_changed, &plugin,
          "{\"name\":\"p\",\"state\":\"running\",\"reason\":\"\\\"why\\\"\"}");
}

T(drift_tells_no_digest_of_what_not_everybody_may_read)
{
    char open_path[] = "/etc/a.conf", closed_path[] = "/etc/b.conf", gone_path[] = "/etc/c.conf";
    otr_drift_file files[] = {
        { .path = open_path,
          .kind = OTR_DRIFT_CHANGED,
          .old_digest = "11",
          .new_digest = "22",
          .old_mode = 0644,
          .new_mode = 0644,
          .seen_ns = 1000000000,
          .writer = { .pid = 7, .comm = "v\x1bi", .user = "alice" },
          .owner = "root" },
        { .path = closed_path,
          .kind = OTR_DRIFT_ADDED,
          .new_digest = "33",
          .old_mode = OTR_DRIFT_NO_MODE,
          .new_mode = 0600,
          .owner = "bob" },
        { .path = gone_path,
          .kind = OTR_DRIFT_REMOVED,
          .old_digest = "44",
          .old_mode = 0640,
          .new_mode = OTR_DRIFT_NO_MODE },
    };
    otr_drift_report report = { .id = "an-id",
                                .version = "v",
                                .known = true,
                                .files = files,
                                .n = OTR_COUNT(files),
                                .more = 2,
                                .since_ns = 1000000000 };
    otr_drift_event event = { &report };
    check(
        &otr_topic_config_drifted, &event,
        "{\"id\":\"an-id\",\"version\":\"v\",\"known\":true,\"since\":\"1970-01-01T00:00:01.000Z\","
        "\"files\":[{\"path\":\"/etc/a.conf\",\"kind\":\"changed\",\"named\":false,"
        "\"old_digest\":\"11\",\"new_digest\":\"22\",\"noticed\":\"1970-01-01T00:00:01.000Z\","
        "\"modified\":null,\"owner\":\"root\",\"by\":\"alice (v\\u001bi, process 7)\"},"
        "{\"path\":\"/etc/b.conf\",\"kind\":\"added\",\"named\":false,\"old_digest\":\"\","
        "\"new_digest\":\"\",\"noticed\":null,\"modified\":null,\"owner\":\"bob\",\"by\":\"\"},"
        "{\"path\":\"/etc/c.conf\",\"kind\":\"removed\",\"named\":false,\"old_digest\":\"\","
        "\"new_digest\":\"\",\"noticed\":null,\"modified\":null,\"owner\":\"\",\"by\":\"\"}],"
        "\"more\":2,\"by\":\"alice (v\\u001bi, process 7)\",\"remark\":\"\"}");
}

T(a_long_list_of_drifted_files_is_cut_and_counted)
{
    enum { MANY_FILES = 256 };
    static char path[] = "/etc/nginx/conf.d/some-long-name-of-a-file-in-a-folder.conf";
    OTR_CLEANUP(otr_freep) otr_drift_file *files = otr_calloc(MANY_FILES, sizeof(*files));
    REQUIRE(files != NULL);
    for (size_t i = 0; i < MANY_FILES; i++) {
        files[i] = (otr_drift_file){ .path = path, .old_mode = 0644, .new_mode = 0644 };
    }
    otr_drift_report report = { .id = "an-id", .files = files, .n = MANY_FILES, .more = 5 };
    otr_drift_event event = { &report };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 65536);
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    REQUIRE(otr_topic_config_drifted.encode(&event, &out, NULL) == OTR_OK);
    CHECK(out.n < OTR_LIMIT_EVENT_BYTES);
    REQUIRE(otr_json_parse(otr_buf_bytes(&out), &root, NULL) == OTR_OK);
    CHECK_INT((int64_t)otr_json_size(otr_json_get(root, "files")) +
                  otr_json_int(otr_json_get(root, "more"), 0),
              MANY_FILES + 5);
}
