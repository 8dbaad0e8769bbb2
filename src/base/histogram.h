/*
 * Exponential histogram of durations: OpenTelemetry's data model for one fixed scale.
 *
 * Bucket `i` counts durations in (2^(i/8), 2^((i+1)/8)] seconds (scale 3: a bucket is 9 % wide);
 * 0 has a count of its own. Durations come as milliseconds, as NGINX writes them. The range is
 * fixed, so that adding, merging and subtracting lose nothing: from 1 ms to three days; what is
 * above counts in the last bucket. Source: OpenTelemetry metrics data model,
 * "ExponentialHistogram".
 *
 * Thread: any; one owner.
 */
#ifndef OTR_BASE_HISTOGRAM_H
#define OTR_BASE_HISTOGRAM_H

#include "base/base.h"

enum {
    OTR_HISTOGRAM_SCALE = 3,   /* 2^3 buckets from a value to its double */
    OTR_HISTOGRAM_LEAST = -80, /* index of the first bucket: 1 ms is in it */
    OTR_HISTOGRAM_BUCKETS = 224
};

typedef struct otr_histogram { /* zeroed at start */
    uint64_t count;            /* of all, those of 0 too */
    uint64_t zero;
    uint64_t sum_ms;
    uint64_t most_ms; /* the largest so far; of a difference: of the larger one */
    uint64_t buckets[OTR_HISTOGRAM_BUCKETS]; /* index OTR_HISTOGRAM_LEAST on */
} otr_histogram;

void otr_histogram_add(otr_histogram *h, uint64_t ms);
void otr_histogram_merge(otr_histogram *h, const otr_histogram *other);
/* Takes an earlier state of `h` away: what remains came since. */
void otr_histogram_subtract(otr_histogram *h, const otr_histogram *earlier);
/* Every count halved, rounded down: what is long ago weighs less. */
void otr_histogram_halve(otr_histogram *h);

/* Index of the bucket of `ms` > 0, as OpenTelemetry counts them. */
int otr_histogram_index(uint64_t ms);
/* Upper end of a bucket, inclusive, in seconds. */
double otr_histogram_bound(int index);
/* The duration, in seconds, that a share `q` (0 … 1) does not exceed: of the bucket in which it
 * is a value in proportion to its rank. 0 of an empty one. */
double otr_histogram_quantile(const otr_histogram *h, double q);
/* How many were at most 2^`power` seconds: that is the end of a bucket, so the count is exact. */
uint64_t otr_histogram_until(const otr_histogram *h, int power);

#endif
