/*
 * Metrics in OpenTelemetry's protocol: an ExportMetricsServiceRequest, written front to back.
 *
 * There is no tree of messages: each call appends to the buffer. A message whose size is not known
 * before has a length of fixed width, padded as protobuf allows, which is filled in when the next
 * one of its level begins. The order of calls is that of the message: otr_otlp_resource(), its
 * attributes, otr_otlp_scope(), otr_otlp_metric(), its points, and so on again. The writer is
 * sticky: after the first failure it writes nothing more, and otr_otlp_end() reports it. Texts
 * need not be UTF-8: what is not becomes U+FFFD.
 *
 * Source: opentelemetry-proto, metrics/v1/metrics.proto and resource/v1/resource.proto.
 *
 * Thread: one at a time.
 */
#ifndef OTR_TELEMETRY_OTLP_H
#define OTR_TELEMETRY_OTLP_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/histogram.h"

typedef enum otr_otlp_kind {
    OTR_OTLP_GAUGE,
    OTR_OTLP_SUM, /* monotonic */
    OTR_OTLP_UP_DOWN_SUM,
    OTR_OTLP_HISTOGRAM,
    OTR_OTLP_EXPONENTIAL,
} otr_otlp_kind;

typedef enum otr_otlp_temporality {
    OTR_OTLP_DELTA = 1,
    OTR_OTLP_CUMULATIVE = 2
} otr_otlp_temporality;

typedef struct otr_otlp_metric {
    const char *name, *unit, *help;
    otr_otlp_kind kind;
    otr_otlp_temporality temporality; /* of a gauge: not used */
} otr_otlp_metric;

typedef struct otr_otlp_attribute {
    const char *key, *value;
} otr_otlp_attribute;

typedef struct otr_otlp_point { /* borrowed until return */
    const otr_otlp_attribute *attributes;
    size_t n_attributes;
    uint64_t start_ns, time_ns; /* wall; `start_ns` 0: unknown */
} otr_otlp_point;

enum { OTR_OTLP_DEPTH = 6 };

typedef struct otr_otlp {
    otr_buf *out;
    otr_err *err;
    otr_code rc;
    size_t open[OTR_OTLP_DEPTH]; /* where the content of each open message begins */
    size_t depth;
    size_t begun;       /* length of `out` before */
    otr_otlp_kind kind; /* of the open metric */
} otr_otlp;

/* Appends to `out`, which is left as it was when anything fails. */
void otr_otlp_begin(otr_otlp *w, otr_buf *out, otr_err *err);
void otr_otlp_resource(otr_otlp *w, const otr_otlp_attribute *attributes, size_t n);
void otr_otlp_scope(otr_otlp *w, const char *name, const char *version);
void otr_otlp_metric_begin(otr_otlp *w, const otr_otlp_metric *metric);

/* Points of the open metric: the first two of a gauge or a sum. */
void otr_otlp_int(otr_otlp *w, const otr_otlp_point *point, int64_t value);
void otr_otlp_double(otr_otlp *w, const otr_otlp_point *point, double value);
/* `counts` has one more than the `n` bounds; of a histogram. */
void otr_otlp_buckets(otr_otlp *w, const otr_otlp_point *point, const double *bounds, size_t n,
                      const uint64_t *counts, double sum);
/* In seconds; of an exponential histogram. */
void otr_otlp_exponential(otr_otlp *w, const otr_otlp_point *point, const otr_histogram *h);

otr_code otr_otlp_end(otr_otlp *w) OTR_MUST_CHECK;

#endif
