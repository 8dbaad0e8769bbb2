/*
 * Writes metrics of every kind as OTLP to its output, for test_otlp.py.
 *
 *     otlp_probe registry | kinds
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "telemetry/otlp.h"
#include "telemetry/registry.h"

static const char *const outcome[] = { "nginx.connections.outcome", "instance.id", "instance.type",
                                       NULL };
static const double bounds[] = { 0.5, 2, 0 };
static const char *const plain[] = { "instance.id", "instance.type", NULL };
static const otr_family families[] = {
    { "nginx.http.connections", "connections", "All.", OTR_METRIC_COUNTER, outcome, NULL, 0 },
    { "nginx.http.request.count", "requests", "Now.", OTR_METRIC_GAUGE, plain, NULL, 0 },
    { "nginx.http.request.duration", "s", "Times.", OTR_METRIC_HISTOGRAM, plain, bounds, 0 },
    { "system.cpu.time", "s", "Time.", OTR_METRIC_COUNTER, NULL, NULL, 0 },
    { "system.memory.limit", "By", "Most.", OTR_METRIC_GAUGE, NULL, NULL, OTR_FAMILY_UP_DOWN },
    { "system.cpu.load_average.1m", "{thread}", "", OTR_METRIC_GAUGE, NULL, NULL,
      OTR_FAMILY_FRACTION },
};

static void die(const otr_err *err)
{
    (void)fprintf(stderr, "otlp_probe: %s\n", err->msg);
    exit(2);
}

static otr_series *series(otr_registry *reg, size_t family, const char *const *values)
{
    otr_err err = { 0 };
    otr_series *s = NULL;
    if (otr_registry_series(reg, &families[family], values, &s, &err) != OTR_OK) {
        die(&err);
    }
    return s;
}

static void of_registry(otr_buf *out)
{
    otr_err err = { 0 };
    otr_registry *reg = NULL;
    if (otr_registry_new(&reg, &err) != OTR_OK) {
        die(&err);
    }
    static const char *const ids[] = { "one", "two" };
    for (size_t i = 0; i < 2; i++) {
        const char *const accepted[] = { "ACCEPTED", ids[i], "nginx", NULL };
        const char *const handled[] = { "HANDLED", ids[i], "nginx", NULL };
        const char *const alone[] = { ids[i], "nginx", NULL };
        otr_series_set(series(reg, 0, accepted), 9007199254740991.0);
        otr_series_set(series(reg, 0, handled), (double)i);
        otr_series_set(series(reg, 1, alone), -3);
        otr_series_observe(series(reg, 2, alone), 0.25);
        otr_series_observe(series(reg, 2, alone), 100);
    }
    otr_series_set(series(reg, 3, NULL), 1.5);
    otr_series_set(series(reg, 4, NULL), 1024);
    otr_series_set(series(reg, 5, NULL), 0.75);
    otr_registry_otlp_spec spec = {
        .version = "9.9", .resource_id = "r", .start_ns = 10, .boot_ns = 5, .time_ns = 20
    };
    size_t points = 0;
    if (otr_registry_otlp(reg, &spec, out, &points, &err) != OTR_OK) {
        die(&err);
    }
    otr_registry_free(reg);
}

static void of_kinds(otr_buf *out)
{
    static const otr_otlp_attribute bad = { "k", "a\xff\xc3\xa9" };
    static const otr_otlp_point point = { &bad, 1, 10, 20 };
    static const uint64_t waits[] = { 0, 1, 3, 1000, 86400000 };
    otr_histogram h = { 0 }, empty = { 0 };
    for (size_t i = 0; i < OTR_COUNT(waits); i++) {
        otr_histogram_add(&h, waits[i]);
    }
    otr_err err = { 0 };
    otr_otlp w;
    otr_otlp_begin(&w, out, &err);
    otr_otlp_resource(&w, &bad, 1);
    otr_otlp_scope(&w, "scope", "1");
    otr_otlp_metric_begin(
        &w, &(otr_otlp_metric){ "e", "s", "help", OTR_OTLP_EXPONENTIAL, OTR_OTLP_DELTA });
    otr_otlp_exponential(&w, &point, &h);
    otr_otlp_exponential(&w, &point, &empty);
    otr_otlp_metric_begin(&w, &(otr_otlp_metric){ "d", "", "", OTR_OTLP_SUM, OTR_OTLP_DELTA });
    otr_otlp_int(&w, &point, INT64_MIN);
    otr_otlp_double(&w, &point, -0.5);
    if (otr_otlp_end(&w) != OTR_OK) {
        die(&err);
    }
}

int main(int argc, char **argv)
{
    otr_buf out;
    otr_buf_init(&out, OTR_MIB);
    if (argc == 2 && strcmp(argv[1], "registry") == 0) {
        of_registry(&out);
    } else {
        of_kinds(&out);
    }
    size_t n = fwrite(out.p, 1, out.n, stdout);
    bool ok = n == out.n;
    otr_buf_deinit(&out);
    return ok ? 0 : 2;
}
