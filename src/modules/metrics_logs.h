/*
 * The access logs of one NGINX instance, as the metrics module follows them.
 *
 * Private to metrics.c. What keeps a log from being read is a problem of its instance, named
 * "access_log PATH", for as long as it lasts.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_METRICS_LOGS_H
#define OTR_MODULES_METRICS_LOGS_H

#include <stdbool.h>

#include "config/config.h"
#include "modules/problems.h"
#include "modules/topics.h"
#include "nginx/log/access.h"

typedef struct otr_log_exclusions otr_log_exclusions; /* logs that are not read */

/* Compiles the patterns of data_plane_config.nginx.exclude_logs. */
otr_code otr_log_exclusions_new(const otr_config *cfg, otr_log_exclusions **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_log_exclusions_free(otr_log_exclusions *exclusions); /* NULL is fine */

typedef struct otr_instance_logs { /* zeroed at start */
    otr_access_log **items; /* as many as the instance has; NULL: excluded or not to be had */
    size_t n;
} otr_instance_logs;

typedef struct otr_instance_logs_spec { /* where they belong; borrowed */
    otr_access_logs *all;
    const otr_log_exclusions *excluded;
    otr_problems *problems;
} otr_instance_logs_spec;

/* Follows what `now` names; a log that `was` (NULL: nothing before) named alike keeps its place in
 * the file. On error all is as it was. */
otr_code otr_instance_logs_set(otr_instance_logs *logs, const otr_instance_logs_spec *spec,
                               const otr_nginx_instance *was, const otr_nginx_instance *now,
                               otr_err *err) OTR_MUST_CHECK;
void otr_instance_logs_close(otr_instance_logs *logs);

/* Is one of them followed? */
bool otr_instance_logs_any(const otr_instance_logs *logs);
/* Moves what was counted since the last call into `event`. */
void otr_instance_logs_take(otr_instance_logs *logs, otr_metrics_event *event);

#endif
