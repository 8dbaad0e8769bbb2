/*
 * How fast a registry becomes OTLP: 10,000 series with three labels, the best of several runs.
 *
 *     bench_otlp
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "telemetry/registry.h"

enum { RUNS = 50, SERIES = 10000 };

static void die(const otr_err *err)
{
    (void)fprintf(stderr, "bench_otlp: %s\n", err->msg);
    exit(2);
}

int main(void)
{
    static const char *const labels[] = { "nginx.zone.name", "nginx.upstream.name",
                                          "nginx.peer.address", NULL };
    static const otr_family family = { .name = "nginx.http.upstream.peer.requests",
                                       .unit = "requests",
                                       .help = "Requests.",
                                       .kind = OTR_METRIC_COUNTER,
                                       .labels = labels };
    otr_err err = { 0 };
    otr_registry *reg = NULL;
    if (otr_registry_new(&reg, &err) != OTR_OK) {
        die(&err);
    }
    for (int i = 0; i < SERIES; i++) {
        char address[32];
        (void)snprintf(address, sizeof(address), "10.0.%d.%d:8080", i / 250, i % 250);
        const char *const values[] = { "backend-zone", "backend", address, NULL };
        otr_series *s = NULL;
        if (otr_registry_series(reg, &family, values, &s, &err) != OTR_OK) {
            die(&err);
        }
        otr_series_set(s, i);
    }
    const otr_registry_otlp_spec spec = { .version = "1", .resource_id = "", .time_ns = 1 };
    uint64_t best = UINT64_MAX;
    otr_buf out;
    otr_buf_init(&out, OTR_LIMIT_EXPORT_BATCH_BYTES);
    for (int run = 0; run < RUNS; run++) {
        size_t points = 0;
        otr_buf_clear(&out);
        uint64_t begun = otr_now_ns();
        if (otr_registry_otlp(reg, &spec, &out, &points, &err) != OTR_OK) {
            die(&err);
        }
        uint64_t took = otr_now_ns() - begun;
        best = took < best ? took : best;
    }
    (void)printf("otlp encode: %d series, %zu bytes, %.2f ms, %.0f MB/s\n", SERIES, out.n,
                 (double)best / (double)OTR_NS_PER_MS, (double)out.n * 1000 / (double)best);
    otr_buf_deinit(&out);
    otr_registry_free(reg);
    return 0;
}
