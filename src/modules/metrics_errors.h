/*
 * The error log of one NGINX instance, as the metrics module follows it: the first one that its
 * configuration names and that is a file.
 *
 * Private to metrics.c. A log that cannot be read has no series; the totals go on when it can.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_METRICS_ERRORS_H
#define OTR_MODULES_METRICS_ERRORS_H

#include <stdbool.h>

#include "modules/metrics_logs.h"
#include "modules/topics.h"
#include "nginx/log/access.h"
#include "nginx/log/errors.h"
#include "telemetry/registry.h"

enum { OTR_ERROR_SERIES = OTR_LEVELS + OTR_ERROR_CAUSES };

typedef struct otr_instance_errors { /* zeroed at start */
    otr_access_log *log;             /* NULL: none is followed */
    char *path;                      /* owned; NULL with it */
    otr_log_errors totals;
    otr_series *series[OTR_ERROR_SERIES];
} otr_instance_errors;

/* Follows what `now` names; the log that `was` (NULL: nothing before) named alike keeps its place.
 * On error none is followed. */
otr_code otr_instance_errors_set(otr_instance_errors *errors, const otr_instance_logs_spec *spec,
                                 const otr_nginx_instance *was, const otr_nginx_instance *now,
                                 otr_err *err) OTR_MUST_CHECK;
void otr_instance_errors_close(otr_instance_errors *errors); /* the totals stay */

/* Moves what was told since the last call into the totals and, when the log is read, into
 * `event`. */
void otr_instance_errors_take(otr_instance_errors *errors, otr_metrics_event *event);
/* Publishes the totals, or takes them out where `event` says that nothing is known. */
otr_code otr_instance_errors_export(otr_instance_errors *errors, otr_registry *reg,
                                    const otr_metrics_event *event, const char *type, otr_err *err)
    OTR_MUST_CHECK;

#endif
