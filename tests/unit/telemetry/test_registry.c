#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "support/test.h"
#include "telemetry/names.h"
#include "telemetry/registry.h"

static void free_registry(void *slot)
{
    otr_registry_free(*(otr_registry **)slot);
}

static void deinit_buf(void *buf)
{
    otr_buf_deinit(buf);
}

#define REGISTRY(reg, e)                                   \
    otr_err e = { 0 };                                     \
    OTR_CLEANUP(free_registry) otr_registry *(reg) = NULL; \
    REQUIRE_OK(otr_registry_new(&(reg), &(e)), e)

#define BUF(buf)                          \
    OTR_CLEANUP(deinit_buf) otr_buf(buf); \
    otr_buf_init(&(buf), OTR_MIB)

static const char *const one_label[] = { "outcome", NULL };
static const otr_family requests = { .name = "nginx.http.requests",
                                     .unit = "requests",
                                     .help = "Requests since NGINX started.",
                                     .kind = OTR_METRIC_COUNTER };
static const otr_family connections = { .name = "nginx.http.connection.count",
                                        .unit = "connections",
                                        .help = "Connections now.",
                                        .kind = OTR_METRIC_GAUGE,
                                        .labels = one_label };
static const double bounds[] = { 0.001, 0.5, 2, 0 };
static const otr_family durations = { .name = "outrider.plugin.call.duration",
                                      .unit = "s",
                                      .help = "Time in calls.",
                                      .kind = OTR_METRIC_HISTOGRAM,
                                      .buckets = bounds };

T(too_many_label_values_are_refused)
{
    REGISTRY(reg, e);
    otr_series *s = NULL;
    const char *const two[] = { "a", "b", NULL };
    CHECK(otr_registry_series(reg, &connections, two, &s, &e) == OTR_EINVAL);
    CHECK_HAS(e.msg, "has 1 labels, 2 values were given");
    CHECK(otr_registry_series(reg, &connections, NULL, &s, &e) == OTR_EINVAL);
}

T(two_families_with_one_exported_name_are_refused)
{
    REGISTRY(reg, e);
    otr_series *s = NULL;
    otr_family twin = requests;
    twin.name = "nginx_http.requests";
    REQUIRE_OK(otr_registry_series(reg, &requests, NULL, &s, &e), e);
    CHECK(otr_registry_series(reg, &twin, NULL, &s, &e) == OTR_ESTATE);
    CHECK_HAS(e.msg, "nginx_http_requests_total");
    otr_series_drop(s);
    REQUIRE_OK(otr_registry_series(reg, &twin, NULL, &s, &e), e);
    otr_series_drop(s); /* `twin` ends before the registry */
}

/* A histogram h is exported as h_bucket, h_sum and h_count, too. */
T(a_part_of_a_histogram_has_its_name_alone)
{
    static const struct {
        const char *name;
        otr_metric_kind kind;
        bool refused;
    } others[] = {
        { "app.h.count", OTR_METRIC_GAUGE, true },     { "app_h_sum", OTR_METRIC_GAUGE, true },
        { "app.h_bucket", OTR_METRIC_GAUGE, true },    { "app.h", OTR_METRIC_GAUGE, true },
        { "app.h.count", OTR_METRIC_COUNTER, false },  { "app.h.counts", OTR_METRIC_GAUGE, false },
        { "app.h.count", OTR_METRIC_HISTOGRAM, true }, { "app.count", OTR_METRIC_GAUGE, false },
        { "app", OTR_METRIC_HISTOGRAM, false },
    };
    static const double few[] = { 1, 0 };
    const otr_family histogram = {
        .name = "app.h", .unit = "", .help = "", .kind = OTR_METRIC_HISTOGRAM, .buckets = few
    };
    for (size_t i = 0; i < OTR_COUNT(others); i++) {
        otr_family other = {
            .name = others[i].name, .unit = "", .help = "", .kind = others[i].kind
        };
        other.buckets = others[i].kind == OTR_METRIC_HISTOGRAM ? few : NULL;
        for (int turn = 0; turn < 2; turn++) { /* whichever comes first */
            REGISTRY(reg, e);
            otr_series *s = NULL, *t = NULL;
            REQUIRE_OK(otr_registry_series(reg, turn == 0 ? &histogram : &other, NULL, &s, &e), e);
            otr_code rc = otr_registry_series(reg, turn == 0 ? &other : &histogram, NULL, &t, &e);
            CHECK(rc == (others[i].refused ? OTR_ESTATE : OTR_OK) || rc == OTR_ENOMEM);
            if (rc == OTR_ESTATE) {
                CHECK_HAS(e.msg, "would be exported as app_h");
            }
            otr_series_drop(s);
            otr_series_drop(t);
        }
    }
}

T(two_labels_with_one_exported_name_are_refused)
{
    REGISTRY(reg, e);
    otr_series *s = NULL;
    static const char *const labels[] = { "a.b", "a_b", NULL }, *const le[] = { "le", NULL };
    const char *const values[] = { "1", "2", NULL };
    static otr_family family, histogram;
    family = connections;
    family.labels = labels;
    CHECK(otr_registry_series(reg, &family, values, &s, &e) == OTR_EINVAL);
    histogram = durations;
    histogram.labels = le;
    CHECK(otr_registry_series(reg, &histogram, (const char *const[]){ "1", NULL }, &s, &e) ==
          OTR_EINVAL);
}

T(bounds_that_do_not_ascend_are_refused)
{
    REGISTRY(reg, e);
    otr_series *s = NULL;
    static const double bad[] = { 2, 1, 0 }, none[] = { 0 };
    static otr_family family;
    family = durations;
    family.buckets = bad;
    CHECK(otr_registry_series(reg, &family, NULL, &s, &e) == OTR_EINVAL);
    family.buckets = none;
    CHECK(otr_registry_series(reg, &family, NULL, &s, &e) == OTR_EINVAL);
}

/* The ceiling takes 20,000 allocations: each one failing would take minutes and show nothing new.
 */
T_NO_OOM(series_end_at_the_ceiling_and_a_drop_makes_room)
{
    REGISTRY(reg, e);
    otr_series *s = NULL, *first = NULL;
    char value[16];
    const char *const values[] = { value, NULL };
    for (int i = 0; i < OTR_LIMIT_METRIC_SERIES; i++) {
        snprintf(value, sizeof(value), "v%d", i);
        REQUIRE_OK(otr_registry_series(reg, &connections, values, &s, &e), e);
        first = first == NULL ? s : first;
    }
    snprintf(value, sizeof(value), "one more");
    CHECK(otr_registry_series(reg, &connections, values, &s, &e) == OTR_EQUOTA);
    CHECK_HAS(e.msg, "nginx.http.connection.count");
    otr_series_drop(first);
    CHECK(otr_registry_series(reg, &connections, values, &s, &e) == OTR_OK);
}

T(a_very_long_label_value_is_refused)
{
    REGISTRY(reg, e);
    otr_series *s = NULL;
    char value[OTR_LIMIT_METRIC_LABEL_BYTES + 2];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    const char *const values[] = { value, NULL };
    CHECK(otr_registry_series(reg, &connections, values, &s, &e) == OTR_EQUOTA);
}

T(an_output_past_the_buffers_ceiling_is_an_error)
{
    REGISTRY(reg, e);
    otr_series *s = NULL;
    otr_buf small;
    otr_buf_init(&small, 20);
    REQUIRE_OK(otr_registry_series(reg, &requests, NULL, &s, &e), e);
    CHECK(otr_registry_prometheus(reg, &small, &e) != OTR_OK);
    otr_buf_deinit(&small);
}

T(equal_values_give_the_same_series)
{
    REGISTRY(reg, e);
    otr_series *a = NULL, *b = NULL, *c = NULL;
    REQUIRE_OK(
        otr_registry_series(reg, &connections, (const char *const[]){ "ACTIVE", NULL }, &a, &e), e);
    REQUIRE_OK(
        otr_registry_series(reg, &connections, (const char *const[]){ "ACTIVE", NULL }, &b, &e), e);
    REQUIRE_OK(
        otr_registry_series(reg, &connections, (const char *const[]){ "READING", NULL }, &c, &e),
        e);
    CHECK(a == b);
    CHECK(a != c);
}

static void check_name(const char *name, const char *unit, otr_metric_kind kind, const char *want)
{
    otr_err e = { 0 };
    BUF(out);
    otr_family family = { .name = name, .unit = unit, .kind = kind };
    REQUIRE_OK(otr_prom_metric_name(&family, &out, &e), e);
    CHECK_STR(otr_buf_text(&out), want);
}

T(names_are_translated_as_the_collector_does)
{
    static const struct {
        const char *name, *unit;
        otr_metric_kind kind;
        const char *want;
    } rows[] = {
        { "nginx.http.connection.count", "connections", OTR_METRIC_GAUGE,
          "nginx_http_connection_count_connections" },
        { "nginx.http.requests", "requests", OTR_METRIC_COUNTER, "nginx_http_requests_total" },
        { "nginx.http.connections", "connections", OTR_METRIC_COUNTER,
          "nginx_http_connections_total" },
        { "nginx.http.request.count", "requests", OTR_METRIC_GAUGE,
          "nginx_http_request_count_requests" },
        { "nginx.http.response.count", "responses", OTR_METRIC_GAUGE,
          "nginx_http_response_count_responses" },
        { "nginx.http.request.io", "bytes", OTR_METRIC_COUNTER,
          "nginx_http_request_io_bytes_total" },
        { "nginx.http.upstream.peer.header.time", "ms", OTR_METRIC_GAUGE,
          "nginx_http_upstream_peer_header_time_milliseconds" },
        { "system.cpu.time", "s", OTR_METRIC_COUNTER, "system_cpu_time_seconds_total" },
        { "system.cpu.utilization", "1", OTR_METRIC_GAUGE, "system_cpu_utilization_ratio" },
        { "system.cpu.logical.count", "{cpu}", OTR_METRIC_GAUGE, "system_cpu_logical_count" },
        { "system.memory.usage", "By", OTR_METRIC_GAUGE, "system_memory_usage_bytes" },
        { "system.network.io", "By", OTR_METRIC_COUNTER, "system_network_io_bytes_total" },
        { "system.disk.operations", "{operations}", OTR_METRIC_COUNTER,
          "system_disk_operations_total" },
        { "a.total.of", "By/s", OTR_METRIC_COUNTER, "a_of_bytes_per_second_total" },
        { "5xx..rate!", "", OTR_METRIC_GAUGE, "_5xx_rate" },
        { "h", "is_deployed", OTR_METRIC_GAUGE, "h_is_deployed" },
    };
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        check_name(rows[i].name, rows[i].unit, rows[i].kind, rows[i].want);
    }
}

T(a_name_without_letters_is_refused)
{
    otr_err e = { 0 };
    BUF(out);
    otr_family family = { .name = "...", .unit = "s" };
    CHECK(otr_prom_metric_name(&family, &out, &e) == OTR_EINVAL);
    CHECK_INT(out.n, 0);
}

T(label_names_are_made_legal)
{
    otr_err e = { 0 };
    BUF(out);
    REQUIRE_OK(otr_prom_label_name("nginx.status-range", &out, &e), e);
    CHECK_STR(otr_buf_text(&out), "nginx_status_range");
    otr_buf_clear(&out);
    REQUIRE_OK(otr_prom_label_name("2xx", &out, &e), e);
    CHECK_STR(otr_buf_text(&out), "key_2xx");
}

T(families_come_sorted_with_help_and_type)
{
    REGISTRY(reg, e);
    BUF(out);
    otr_series *r = NULL, *c = NULL;
    REQUIRE_OK(otr_registry_series(reg, &requests, NULL, &r, &e), e);
    REQUIRE_OK(
        otr_registry_series(reg, &connections, (const char *const[]){ "ACTIVE", NULL }, &c, &e), e);
    otr_series_set(r, 12345678901.0);
    otr_series_set(c, 0.1);
    REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
    CHECK_STR(otr_buf_text(&out),
              "# HELP nginx_http_connection_count_connections Connections now.\n"
              "# TYPE nginx_http_connection_count_connections gauge\n"
              "nginx_http_connection_count_connections{outcome=\"ACTIVE\"} 0.1\n"
              "# HELP nginx_http_requests_total Requests since NGINX started.\n"
              "# TYPE nginx_http_requests_total counter\n"
              "nginx_http_requests_total 12345678901\n");
}

T(label_values_and_help_are_escaped)
{
    REGISTRY(reg, e);
    BUF(out);
    otr_series *s = NULL;
    static otr_family family;
    family = connections;
    family.help = "back\\slash \"quote\"\nline";
    REQUIRE_OK(
        otr_registry_series(
            reg, &family,
            (const char *const[]){ "a\\b\"c\nd\xff\xc3\xa9\xf0\x9f\x98\x80\x1b\xe2\x80\xae", NULL },
            &s, &e),
        e);
    otr_series_set(s, NAN);
    REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
    CHECK_HAS(otr_buf_text(&out), " back\\\\slash \"quote\"\\nline\n");
    CHECK_HAS(
        otr_buf_text(&out),
        "{outcome=\"a\\\\b\\\"c\\nd\xef\xbf\xbd\xc3\xa9\xf0\x9f\x98\x80\\\\x1b\\\\u202e\"} NaN\n");
}

T(numbers_keep_their_value)
{
    REGISTRY(reg, e);
    static const struct {
        double value;
        const char *want;
    } rows[] = {
        { 0, " 0\n" },
        { -3, " -3\n" },
        { 1e15, " 1000000000000000\n" },
        { 0.1 + 0.2, " 0.30000000000000004\n" },
        { 1e300, " 1e+300\n" },
        { HUGE_VAL, " +Inf\n" },
        { -HUGE_VAL, " -Inf\n" },
    };
    otr_series *s = NULL;
    REQUIRE_OK(otr_registry_series(reg, &connections, (const char *const[]){ "x", NULL }, &s, &e),
               e);
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        BUF(out);
        otr_series_set(s, rows[i].value);
        REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
        CHECK_HAS(otr_buf_text(&out), rows[i].want);
    }
}

T(histograms_are_cumulative_and_ignore_nan)
{
    REGISTRY(reg, e);
    BUF(out);
    otr_series *s = NULL;
    REQUIRE_OK(otr_registry_series(reg, &durations, NULL, &s, &e), e);
    otr_series_observe(s, 0.5); /* a bound belongs to its own bucket */
    otr_series_observe(s, 1);
    otr_series_observe(s, 5);
    otr_series_observe(s, NAN);
    REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
    CHECK_HAS(otr_buf_text(&out), "outrider_plugin_call_duration_seconds_bucket{le=\"0.001\"} 0\n"
                                  "outrider_plugin_call_duration_seconds_bucket{le=\"0.5\"} 1\n"
                                  "outrider_plugin_call_duration_seconds_bucket{le=\"2\"} 2\n"
                                  "outrider_plugin_call_duration_seconds_bucket{le=\"+Inf\"} 3\n"
                                  "outrider_plugin_call_duration_seconds_sum 6.5\n"
                                  "outrider_plugin_call_duration_seconds_count 3\n");
    otr_buf_clear(&out);
    otr_series_set_histogram(s, (const uint64_t[]){ 4, 0, 0, 1 }, 9);
    REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
    CHECK_HAS(otr_buf_text(&out), "_count 5\n");
}

T(a_counter_never_falls)
{
    REGISTRY(reg, e);
    otr_series *s = NULL;
    REQUIRE_OK(otr_registry_series(reg, &requests, NULL, &s, &e), e);
    otr_series_add(s, 2);
    otr_series_add(s, -1);
    otr_series_add(s, NAN);
    CHECK(otr_series_value(s) == 2);
}

T(a_dropped_series_leaves_the_output)
{
    REGISTRY(reg, e);
    BUF(out);
    otr_series *s[3] = { NULL };
    for (int i = 0; i < 3; i++) {
        const char *const values[] = { (const char *[]){ "a", "b", "c" }[i], NULL };
        REQUIRE_OK(otr_registry_series(reg, &connections, values, &s[i], &e), e);
    }
    otr_series_drop(s[1]);
    REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
    CHECK(strstr(otr_buf_text(&out), "\"b\"") == NULL);
    otr_series_drop(s[0]);
    otr_series_drop(s[2]);
    otr_series_drop(NULL);
    otr_buf_clear(&out);
    REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
    CHECK_STR(otr_buf_text(&out), "");
}

static void raise_gauge(void *arg)
{
    otr_series_add(*(otr_series **)arg, 1);
}

T(collectors_run_before_each_export_until_taken_away)
{
    REGISTRY(reg, e);
    BUF(out);
    otr_series *s = NULL;
    REQUIRE_OK(otr_registry_series(reg, &requests, NULL, &s, &e), e);
    REQUIRE_OK(otr_registry_on_collect(reg, raise_gauge, &s, &e), e);
    REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
    REQUIRE_OK(otr_registry_json(reg, &out, &e), e);
    CHECK(otr_series_value(s) == 2);
    otr_registry_off_collect(reg, &s);
    REQUIRE_OK(otr_registry_json(reg, &out, &e), e);
    CHECK(otr_series_value(s) == 2);
}

T(json_names_every_series)
{
    REGISTRY(reg, e);
    BUF(out);
    otr_series *s = NULL, *h = NULL;
    REQUIRE_OK(
        otr_registry_series(reg, &connections, (const char *const[]){ "ACTIVE", NULL }, &s, &e), e);
    otr_series_set(s, 7);
    REQUIRE_OK(otr_registry_series(reg, &durations, NULL, &h, &e), e);
    otr_series_observe(h, 1);
    REQUIRE_OK(otr_registry_json(reg, &out, &e), e);
    CHECK_STR(otr_buf_text(&out),
              "[{\"name\":\"nginx.http.connection.count\",\"kind\":\"gauge\",\"unit\":"
              "\"connections\",\"labels\":{\"outcome\":\"ACTIVE\"},\"value\":7},"
              "{\"name\":\"outrider.plugin.call.duration\",\"kind\":\"histogram\",\"unit\":\"s\","
              "\"labels\":{},\"value\":{\"buckets\":[{\"le\":0.001,\"count\":0},{\"le\":0.5,"
              "\"count\":0},{\"le\":2,\"count\":1},{\"le\":null,\"count\":0}],\"count\":1,"
              "\"sum\":1}}]");
}

/* Runs a foreign program: nothing of ours allocates in between. */
/* A registry of `n` series of one family, with values 0 … n-1. */
static void make_many(otr_registry *reg, size_t n, otr_err *e)
{
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%050zu", i);
        const char *const values[] = { name, NULL };
        otr_series *s = NULL;
        REQUIRE_OK(otr_registry_series(reg, &connections, values, &s, e), *e);
        otr_series_set(s, (double)i);
    }
}

T(text_that_is_too_long_ends_at_a_series_and_says_how_many_are_missing)
{
    REGISTRY(reg, e);
    make_many(reg, 100, &e);
    OTR_CLEANUP(deinit_buf) otr_buf out;
    otr_buf_init(&out, 4096);
    REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
    const char *text = otr_buf_text(&out);
    size_t lines = 0, more = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    const char *last = strstr(text, "\n# ");
    while (last != NULL && strstr(last + 1, "\n# ") != NULL) {
        last = strstr(last + 1, "\n# ");
    }
    REQUIRE(last != NULL);
    CHECK_INT(sscanf(last, "\n# %zu more series found no room", &more), 1);
    CHECK_INT(lines - 3 + more, 100); /* HELP, TYPE and the last line are no series */
    CHECK(text[out.n - 1] == '\n' && more > 0 && more < 100);
}

T(json_that_is_too_long_ends_at_an_item_and_says_how_many_are_missing)
{
    REGISTRY(reg, e);
    make_many(reg, 100, &e);
    OTR_CLEANUP(deinit_buf) otr_buf out;
    otr_buf_init(&out, 4096);
    REQUIRE_OK(otr_registry_json(reg, &out, &e), e);
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    REQUIRE_OK(otr_json_parse(otr_buf_bytes(&out), &root, &e), e);
    size_t n = otr_json_size(root);
    REQUIRE(n > 2);
    CHECK_INT((int64_t)n - 1 + otr_json_int(otr_json_get(otr_json_at(root, n - 1), "more"), 0),
              100);
}

T_NO_OOM(promtool_accepts_the_output)
{
    if (access("/usr/bin/promtool", X_OK) != 0) {
        otr_test_skip("promtool (package prometheus) is not installed");
        return;
    }
    REGISTRY(reg, e);
    BUF(out);
    otr_series *s = NULL;
    REQUIRE_OK(otr_registry_series(reg, &requests, NULL, &s, &e), e);
    REQUIRE_OK(otr_registry_series(reg, &durations, NULL, &s, &e), e);
    otr_series_observe(s, 0.7);
    const char *const odd[] = { "\"\\\n\xff", NULL };
    REQUIRE_OK(otr_registry_series(reg, &connections, odd, &s, &e), e);
    otr_series_set(s, NAN);
    REQUIRE_OK(otr_registry_prometheus(reg, &out, &e), e);
    FILE *p = popen("/usr/bin/promtool check metrics", "w");
    REQUIRE(p != NULL);
    CHECK(fwrite(out.p, 1, out.n, p) == out.n);
    CHECK_INT(pclose(p), 0);
}
