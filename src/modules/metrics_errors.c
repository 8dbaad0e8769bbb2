#include "modules/metrics_errors.h"

#include <unistd.h>

#include "base/alloc.h"

static const char *const level_labels[] = { "level", "instance.id", "instance.type", NULL };
static const char *const cause_labels[] = { "cause", "instance.id", "instance.type", NULL };

static const otr_family messages = {
    .name = "nginx.error_log.messages",
    .unit = "messages",
    .help = "The total number of messages in the error log, by level.",
    .kind = OTR_METRIC_COUNTER,
    .labels = level_labels,
};
static const otr_family known = {
    .name = "nginx.error_log.causes",
    .unit = "messages",
    .help = "The total number of messages in the error log whose cause is known, by cause.",
    .kind = OTR_METRIC_COUNTER,
    .labels = cause_labels,
};

static void drop_series(otr_instance_errors *errors)
{
    for (size_t i = 0; i < OTR_ERROR_SERIES; i++) {
        otr_series_drop(errors->series[i]);
        errors->series[i] = NULL;
    }
}

void otr_instance_errors_close(otr_instance_errors *errors)
{
    drop_series(errors);
    otr_access_log_close(otr_steal(&errors->log));
    otr_free(otr_steal(&errors->path));
}

otr_code otr_instance_errors_set(otr_instance_errors *errors, const otr_instance_logs_spec *spec,
                                 const otr_nginx_instance *was, const otr_nginx_instance *now,
                                 otr_err *err)
{
    bool wanted = now->error_log != NULL && now->error_log[0] == '/' && spec->excluded != NULL &&
                  !otr_log_is_excluded(spec->excluded, now->error_log);
    if (wanted && errors->log != NULL && was != NULL && otr_instance_same_reach(was, now) &&
        strcmp(errors->path, now->error_log) == 0) {
        return OTR_OK;
    }
    otr_instance_errors_close(errors);
    if (!wanted) {
        return OTR_OK;
    }
    errors->path = otr_strdup(now->error_log);
    if (errors->path == NULL) {
        return otr_fail_nomem(err);
    }
    const otr_root ours = { .path = now->root != NULL ? now->root : "", .uid = geteuid() };
    otr_code rc = otr_error_log_open(spec->all, now->reach != NULL ? now->reach : &ours,
                                     errors->path, &errors->log, err);
    if (rc != OTR_OK) {
        otr_free(otr_steal(&errors->path));
    }
    return rc;
}

void otr_instance_errors_take(otr_instance_errors *errors, otr_metrics_event *event)
{
    if (errors->log == NULL) {
        return;
    }
    otr_log_errors *told = otr_zalloc(sizeof(*told));
    if (told == NULL) {
        return; /* it is in the next sample */
    }
    bool read = otr_error_log_take(errors->log, told);
    otr_log_errors_add(&errors->totals, told);
    if (read) {
        event->errors = told;
    } else {
        otr_free(told);
    }
}

/* Levels that NGINX writes by default are known to be 0; others, and causes, once there was one. */
static bool shows(const otr_instance_errors *errors, size_t i)
{
    if (i >= OTR_LEVELS) {
        return errors->totals.causes[i - OTR_LEVELS] > 0;
    }
    return (i >= OTR_LEVEL_EMERG && i <= OTR_LEVEL_ERROR) || errors->totals.levels[i] > 0;
}

otr_code otr_instance_errors_export(otr_instance_errors *errors, otr_registry *reg,
                                    const otr_metrics_event *event, const char *type, otr_err *err)
{
    if (event->errors == NULL) {
        drop_series(errors);
        return OTR_OK;
    }
    for (size_t i = 0; i < OTR_ERROR_SERIES; i++) {
        bool level = i < OTR_LEVELS;
        size_t cause = level ? 0 : i - OTR_LEVELS;
        const char *const labels[] = { level ? otr_level_name((otr_level)i)
                                             : otr_error_cause_name(cause),
                                       event->id, type, NULL };
        if (!shows(errors, i)) {
            continue;
        }
        if (errors->series[i] == NULL) {
            otr_code rc = otr_registry_series(reg, level ? &messages : &known, labels,
                                              &errors->series[i], err);
            if (rc != OTR_OK) {
                return rc;
            }
        }
        otr_series_set(errors->series[i],
                       (double)(level ? errors->totals.levels[i] : errors->totals.causes[cause]));
    }
    return OTR_OK;
}
