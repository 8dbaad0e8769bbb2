/*
 * Metric registry: names, labels, values; written as Prometheus text.
 *
 * A family has a name, kind, unit and help; a series is a family with label values. Series handles
 * are cached by their owner, so an update is a store. Names are OpenTelemetry names with dots
 * ("nginx.http.requests"); the exporter turns them into Prometheus names (dots to '_', unit suffix,
 * "_total" for counters), as NGINX Agent's collector does.
 *
 * Thread: loop.
 */
#ifndef OTR_TELEMETRY_REGISTRY_H
#define OTR_TELEMETRY_REGISTRY_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_registry otr_registry;
typedef struct otr_series otr_series;

typedef enum otr_metric_kind {
    OTR_METRIC_COUNTER,
    OTR_METRIC_GAUGE,
    OTR_METRIC_HISTOGRAM
} otr_metric_kind;

/* What OTLP has and Prometheus has not. A value is whole, but of units "s", "1" and "" or when it
 * is said to be a fraction. */
enum {
    OTR_FAMILY_UP_DOWN = 1 /* a gauge that is a sum over its series */,
    OTR_FAMILY_FRACTION = 2
};

typedef struct otr_family { /* static and const; identity is the address */
    const char *name;       /* "nginx.http.connection.count" */
    const char *unit;       /* "connections", "s", "By", "" */
    const char *help;
    otr_metric_kind kind;
    const char *const *labels; /* label names, NULL-terminated; NULL: none */
    const double *buckets;     /* histogram upper bounds, ascending, ended by 0 */
    unsigned flags;            /* OTR_FAMILY_* */
} otr_family;

otr_code otr_registry_new(otr_registry **ret, otr_err *err) OTR_MUST_CHECK;
void otr_registry_free(otr_registry *reg);

/* The series with these label values (NULL-terminated, as many as the family has names); made on
 * first use. Values need not be UTF-8: the exporters replace what is not. A family is known from
 * its first series to the drop of its last; two that would be exported under one name are
 * OTR_ESTATE. OTR_EQUOTA past the ceiling of series. The handle lives until otr_series_drop(). */
otr_code otr_registry_series(otr_registry *reg, const otr_family *family, const char *const *values,
                             otr_series **ret, otr_err *err) OTR_MUST_CHECK;
void otr_series_drop(otr_series *s); /* gone from the output; NULL is fine */

void otr_series_set(otr_series *s, double value);     /* gauge, or a counter read elsewhere */
void otr_series_add(otr_series *s, double value);     /* counter or gauge */
void otr_series_observe(otr_series *s, double value); /* histogram */
/* Replaces a histogram's content: counts per bucket (one more than the bounds), sum. */
void otr_series_set_histogram(otr_series *s, const uint64_t *counts, double sum);
double otr_series_value(const otr_series *s);

/* Called before each export, to refresh series from other state. */
otr_code otr_registry_on_collect(otr_registry *reg, void (*fn)(void *arg), void *arg, otr_err *err)
    OTR_MUST_CHECK;
void otr_registry_off_collect(otr_registry *reg, const void *arg);

/* Prometheus text exposition format 0.0.4, families sorted by name. Series that find no room in
 * `out` are left out, from the first such on; a comment at the end says how many. */
otr_code otr_registry_prometheus(otr_registry *reg, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
/* [{"name","kind","unit","labels":{…},"value"}…] for the status page and the command line; the
 * value of a histogram is {"buckets":[{"le","count"}…],"count","sum"}, the last "le" null. When
 * some found no room the last item is {"more":how many}. */
otr_code otr_registry_json(otr_registry *reg, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

typedef struct otr_registry_otlp_spec { /* borrowed until return */
    const char *version;                /* of the agent: the scopes' */
    const char *resource_id;            /* attribute "resource.id" of all; "": none */
    uint64_t start_ns;                  /* wall: since when the agent counts */
    uint64_t boot_ns;                   /* wall: since when the host counts */
    uint64_t time_ns;                   /* wall: of the points */
    /* Whether a family goes out, by its name. NULL: all do. */
    bool (*wanted)(void *arg, const char *name);
    void *arg;
} otr_registry_otlp_spec;

/* Appends an ExportMetricsServiceRequest. The labels instance.id and instance.type are attributes
 * of the resource, one resource for each instance. `ret_points`: how many there are; 0 leaves
 * nothing in `out`. */
otr_code otr_registry_otlp(otr_registry *reg, const otr_registry_otlp_spec *spec, otr_buf *out,
                           size_t *ret_points, otr_err *err) OTR_MUST_CHECK;

#endif
