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
bool otr_log_is_excluded(const otr_log_exclusions *exclusions, const char *path);
void otr_log_exclusions_free(otr_log_exclusions *exclusions); /* NULL is fine */

typedef struct otr_instance_log {
    otr_access_log *log;                 /* NULL: excluded or not to be had */
    char *told;                          /* name of the problem that was set; NULL: none */
    uint64_t said;                       /* hash of its text */
    uint64_t lines, unparsed, ambiguous; /* of late: halved from time to time */
} otr_instance_log;

typedef struct otr_instance_logs { /* zeroed at start */
    otr_instance_log *items;       /* as many as the instance has */
    size_t n;
    otr_problems *problems;
    otr_access_times *times; /* that they tell; NULL before the first, or without memory */
    char id[OTR_NGINX_ID_BYTES];
} otr_instance_logs;

typedef struct otr_instance_logs_spec { /* where they belong; borrowed */
    otr_access_logs *all;
    const otr_log_exclusions *excluded; /* NULL: all are */
    otr_problems *problems;
} otr_instance_logs_spec;

/* Are files of both looked for in one place, with the same rights? */
bool otr_instance_same_reach(const otr_nginx_instance *a, const otr_nginx_instance *b);

/* Follows what `now` names; a log that `was` (NULL: nothing before) named alike keeps its place in
 * the file. On error all is as it was. */
otr_code otr_instance_logs_set(otr_instance_logs *logs, const otr_instance_logs_spec *spec,
                               const otr_nginx_instance *was, const otr_nginx_instance *now,
                               otr_err *err) OTR_MUST_CHECK;
void otr_instance_logs_close(otr_instance_logs *logs);

/* Is one of them followed? */
bool otr_instance_logs_any(const otr_instance_logs *logs);
/* Does one of them give status counts? Else there is nothing to show, not even zeros. */
bool otr_instance_logs_count(const otr_instance_logs *logs);
/* Which times do their lines tell, as bits by otr_log_time? */
unsigned otr_instance_logs_times(const otr_instance_logs *logs);
/* Adds the times told since the last call to `ret`. */
void otr_instance_logs_take_times(otr_instance_logs *logs, otr_log_times *ret);
/* Moves what was counted since the last call into `event`, and says what is wrong with each.
 * `instance` is the one they were set for. */
void otr_instance_logs_take(otr_instance_logs *logs, const otr_nginx_instance *instance,
                            otr_metrics_event *event);

/* Says, or no longer, that descriptors ran out when logs were read. */
void otr_log_descriptors_tell(const otr_access_logs *all, otr_problems *problems);

#endif
