/*
 * The exported series of one NGINX instance, under the names that NGINX Agent's collector uses.
 *
 * Private to metrics.c. Counters go on when NGINX restarts: what it had counted before is added.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_NGINX_SERIES_H
#define OTR_MODULES_NGINX_SERIES_H

#include <stdbool.h>

#include "modules/topics.h"
#include "nginx/log/times.h"
#include "nginx/status/lives.h"
#include "nginx/status/stub_status.h"
#include "telemetry/registry.h"

typedef struct otr_nginx_total { /* a counter that outlives resets */
    uint64_t before;             /* counted by earlier lives */
    uint64_t now;                /* by the present one, as last read */
} otr_nginx_total;

enum {
    OTR_NGINX_STATUS_SERIES = 8,
    OTR_NGINX_LOG_SERIES = 5,
    OTR_NGINX_TIME_SERIES = OTR_NGINX_LOG_SERIES + OTR_LOG_TIMES
};

typedef struct otr_nginx_series { /* zeroed at start */
    otr_lives lives;              /* since NGINX was started */
    otr_nginx_total accepted, handled, requests;
    otr_series *status[OTR_NGINX_STATUS_SERIES];
    uint64_t
        total_responses[OTR_NGINX_LOG_SERIES]; /* by class of status, as far as logs were read */
    otr_series *responses[2 * OTR_NGINX_LOG_SERIES]; /* the last sample, then the totals */
    otr_log_times *total_times;                      /* NULL: none was told so far. Owned */
    otr_series *times[OTR_NGINX_TIME_SERIES];        /* requests by class, then upstreams */
} otr_nginx_series;

void otr_nginx_series_deinit(otr_nginx_series *s); /* the series are dropped before */

/* A new life: NGINX was started anew and counts from 0. */
void otr_nginx_series_restart(otr_nginx_series *s);

/* Takes in the answers of all masters. Requests since the last call, 0 for the first: see lives.h.
 */
uint64_t otr_nginx_series_count(otr_nginx_series *s, const otr_stub_answer *answers, size_t n);

/* Adds the responses of one sample to the totals, which never go back: whoever looks less often
 * than samples are taken misses none. */
void otr_nginx_series_count_responses(otr_nginx_series *s, const otr_metrics_event *event);

/* The same for times. */
void otr_nginx_series_count_times(otr_nginx_series *s, const otr_log_times *times);

/* Publishes the status of `event`'s instance; `type` is "nginx" or "nginxplus". */
otr_code otr_nginx_series_set_status(otr_nginx_series *s, otr_registry *reg,
                                     const otr_metrics_event *event, const char *type, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_nginx_series_set_responses(otr_nginx_series *s, otr_registry *reg,
                                        const otr_metrics_event *event, const char *type,
                                        otr_err *err) OTR_MUST_CHECK;
/* Histograms of those times that were told at least once. */
otr_code otr_nginx_series_set_times(otr_nginx_series *s, otr_registry *reg, const char *id,
                                    const char *type, otr_err *err) OTR_MUST_CHECK;

/* Take series out of the export: what is not known is not shown. The totals stay. */
void otr_nginx_series_drop_status(otr_nginx_series *s);
void otr_nginx_series_drop_responses(otr_nginx_series *s);

#endif
