/*
 * Probation: does the site still do what it did, now that a change is served?
 *
 * Probes are requests that the operator lists; each must answer as expected, at once and then again
 * until the time is over. Traffic is what the access logs count: a share of 5xx that is clearly
 * above the one of the window before ends it, and so do request times that are clearly longer (by
 * their 90th percentile). What cannot be judged (too few requests, no access log, none that tells
 * times) is a remark, not a failure.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_APPLY_PROBATION_H
#define OTR_NGINX_APPLY_PROBATION_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "nginx/apply/apply.h"

typedef struct otr_probation otr_probation;

typedef struct otr_probation_result { /* borrowed until the callback returns */
    bool passed;
    const char *reason;   /* "" when passed */
    char *const *remarks; /* ends with NULL */
    uint64_t ns;
} otr_probation_result;

typedef void otr_probation_fn(void *arg, const otr_probation_result *result);

typedef struct otr_probation_spec {
    otr_strand *strand;              /* for probes; borrowed for the life of it */
    const otr_apply_probation *what; /* borrowed for the life of it */
    const char *instance;            /* its id; borrowed */
    void (*traffic)(void *arg, const char *instance, otr_apply_traffic *ret); /* NULL: none */
    void *traffic_arg;
    otr_probation_fn *done; /* once, on the loop, never from inside otr_probation_start() */
    void *arg;
} otr_probation_spec;

otr_code otr_probation_start(otr_loop *loop, const otr_probation_spec *spec, otr_probation **ret,
                             otr_err *err) OTR_MUST_CHECK;
void otr_probation_free(otr_probation *probation); /* NULL is fine */

#endif
