/*
 * Metrics of one plugin: what its guest counts by metric.counter, metric.gauge, metric.histogram.
 *
 * The worker gathers in one table; the loop merges what changed into another, which lives as long
 * as the plugin. The first use of a name decides its kind and its labels. Series are only added.
 *
 * Thread: that of the table's owner.
 */
#ifndef OTR_PLUGIN_GUEST_METRICS_H
#define OTR_PLUGIN_GUEST_METRICS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

enum { OTR_GUEST_METRIC_LABELS = 8, OTR_GUEST_METRIC_BUCKETS = 14 };
extern const double otr_guest_metric_bounds[OTR_GUEST_METRIC_BUCKETS + 1]; /* ended by 0 */

typedef enum otr_guest_metric_kind {
    OTR_GUEST_COUNTER,
    OTR_GUEST_GAUGE,
    OTR_GUEST_HISTOGRAM,
} otr_guest_metric_kind;

typedef struct otr_guest_metric {
    otr_guest_metric_kind kind;
    char *name;
    char *keys[OTR_GUEST_METRIC_LABELS + 1]; /* sorted, NULL-terminated */
    char *values[OTR_GUEST_METRIC_LABELS + 1];
    double value; /* of a histogram: the sum */
    uint64_t counts[OTR_GUEST_METRIC_BUCKETS + 1];
    bool changed;
} otr_guest_metric;

typedef struct otr_guest_metrics {
    otr_guest_metric **items; /* each stays where it is */
    size_t n;
    uint64_t born_ns; /* set by who made the table, to tell it from others */
    bool changed;
} otr_guest_metrics;

/* Takes {"name","value","labels"?}: adds to a counter, sets a gauge, observes in a histogram.
 * OTR_EQUOTA at `max` series. */
otr_code otr_guest_metrics_take(otr_guest_metrics *m, otr_guest_metric_kind kind, otr_bytes json,
                                size_t max, otr_err *err) OTR_MUST_CHECK;
/* Moves what changed in `from` into `to`. What finds no room or another kind there is lost. */
void otr_guest_metrics_merge(otr_guest_metrics *to, otr_guest_metrics *from, size_t max);
void otr_guest_metrics_deinit(otr_guest_metrics *m);

#endif
