/*
 * Module "metrics": samples each NGINX instance, publishes the samples and exports the series.
 */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "modules/metrics_errors.h"
#include "modules/metrics_logs.h"
#include "modules/metrics_status.h"
#include "modules/modules.h"
#include "modules/nginx_series.h"
#include "modules/services.h"
#include "modules/topics.h"
#include "nginx/log/access.h"

static const char interval_key[] = "outrider.metrics.interval";
static const char timeout_key[] = "client.http.timeout";

enum { TARGETS_MOST = 2 * OTR_LIMIT_NGINX_INSTANCES };

typedef struct target { /* one instance; kept after its end for its totals */
    otr_plugin *plugin;
    char id[OTR_NGINX_ID_BYTES];
    otr_msg *msg; /* the instance as it was last told; NULL: it is gone */
    otr_instance_status status;
    otr_instance_logs logs;
    otr_instance_errors errors;
    otr_nginx_series series;
    bool counted; /* a sample of this life was taken */
    uint64_t sampled_ns;

    bool sampling, waits_for_status, waits_for_logs;
} target;

typedef struct state {
    otr_access_logs *logs;
    otr_timer *timer;
    uint64_t interval_ms, timeout_ms;
    otr_log_exclusions *excluded;
    bool off; /* the feature is switched off: nothing is asked, nothing read */
    target *targets[TARGETS_MOST];
    size_t n;
    bool reading, read_again;
} state;

static const otr_nginx_instance *instance_of(const target *t)
{
    return ((const otr_instance_event *)t->msg->payload)->instance;
}

/* ---- one sample ---- */

/* A lack of the agent's own says nothing about NGINX. */
static bool is_own_lack(const otr_err *err)
{
    return err->code == OTR_ENOMEM || err->sys == EMFILE || err->sys == ENFILE ||
           err->sys == ENOMEM || err->sys == ENOBUFS;
}

static void add_status(target *t, otr_metrics_event *event)
{
    otr_stub_status now;
    event->status_ok = otr_instance_status_sum(&t->status, &now);
    if (!event->status_ok) {
        event->status_unknown = is_own_lack(&t->status.err);
        (void)snprintf(event->status_error, sizeof(event->status_error), "%s", t->status.err.msg);
        return;
    }
    uint64_t delta = otr_nginx_series_count(&t->series, t->status.answers, t->status.n);
    event->active = now.active;
    event->reading = now.reading;
    event->writing = now.writing;
    event->waiting = now.waiting;
    event->accepted = t->series.accepted.now;
    event->handled = t->series.handled.now;
    event->requests = t->series.requests.now;
    event->requests_delta = t->counted ? delta : 0;
    if (event->interval_ns > 0) {
        event->requests_per_second =
            (double)event->requests_delta * (double)OTR_NS_PER_S / (double)event->interval_ns;
    }
    t->counted = true;
}

static void export_series(target *t, const otr_metrics_event *event)
{
    const otr_services *services = otr_plugin_services(t->plugin);
    const char *type = instance_of(t)->plus ? "nginxplus" : "nginx";
    otr_err err;
    otr_code rc = OTR_OK;
    if (event->status_ok) {
        rc = otr_nginx_series_set_status(&t->series, services->metrics, event, type, &err);
    } else {
        otr_nginx_series_drop_status(&t->series);
    }
    if (rc == OTR_OK && event->logs_ok) {
        rc = otr_nginx_series_set_times(&t->series, services->metrics, event->id, type, &err);
    }
    if (rc == OTR_OK && event->logs_ok) {
        rc = otr_nginx_series_set_responses(&t->series, services->metrics, event, type, &err);
    } else if (!event->logs_ok) {
        otr_nginx_series_drop_responses(&t->series);
    }
    if (rc == OTR_OK) {
        rc = otr_instance_errors_export(&t->errors, services->metrics, event, type, &err);
    }
    if (rc != OTR_OK) {
        otr_log_warn("NGINX metrics not exported", "instance", t->id, "err", err.msg);
    }
}

/* Into the totals, and what they were of this sample into `event`. */
static void take_times(target *t, otr_metrics_event *event)
{
    otr_log_times *times = otr_zalloc(sizeof(*times));
    event->times = otr_zalloc(sizeof(*event->times));
    if (times == NULL || event->times == NULL) { /* they are in the next sample */
        otr_free(times);
        otr_free(otr_steal(&event->times));
        return;
    }
    otr_instance_logs_take_times(&t->logs, times);
    for (size_t i = 0; i < OTR_LOG_CLASSES; i++) {
        otr_histogram_merge(event->times, &times->requests[i]);
    }
    otr_nginx_series_count_times(&t->series, times);
    otr_free(times);
    if (event->times->count == 0) {
        otr_free(otr_steal(&event->times));
    }
}

/* Publishes once status and logs are both there. */
static void finish_sample(target *t)
{
    if (!t->sampling || t->waits_for_status || t->waits_for_logs || t->msg == NULL) {
        return;
    }
    t->sampling = false;
    otr_metrics_event *event = otr_zalloc(sizeof(*event));
    if (event == NULL) {
        return; /* what was counted is in the next sample */
    }
    uint64_t now = otr_now_ns();
    memcpy(event->id, t->id, sizeof(event->id));
    event->interval_ns = t->sampled_ns > 0 ? now - t->sampled_ns : 0;
    t->sampled_ns = now;
    event->logs_ok = otr_instance_logs_count(&t->logs);
    otr_instance_logs_take(&t->logs, instance_of(t), event);
    if (otr_instance_logs_times(&t->logs) != 0) {
        take_times(t, event);
    }
    otr_instance_errors_take(&t->errors, event);
    add_status(t, event);
    otr_nginx_series_count_responses(&t->series, event);
    export_series(t, event);
    otr_plugin_publish(t->plugin, &otr_topic_metrics_sampled, event, NULL);
}

static void on_status(void *arg)
{
    target *t = arg;
    t->waits_for_status = false;
    finish_sample(t);
}

static void read_logs(otr_plugin *p);

static void on_logs(void *arg)
{
    otr_plugin *p = arg;
    state *s = otr_plugin_state(p);
    s->reading = false;
    bool again = s->read_again;
    s->read_again = false;
    if (again) {
        read_logs(p);
        return;
    }
    const otr_services *services = otr_plugin_services(p);
    otr_log_descriptors_tell(s->logs, services->problems);
    for (size_t i = 0; i < s->n; i++) {
        s->targets[i]->waits_for_logs = false;
        finish_sample(s->targets[i]);
    }
}

static void read_logs(otr_plugin *p)
{
    state *s = otr_plugin_state(p);
    if (s->reading) {
        s->read_again = true; /* the read under way does not know the newest logs */
        return;
    }
    s->reading = true;
    otr_access_logs_read(s->logs, on_logs, p);
}

static bool has_logs(const target *t)
{
    return otr_instance_logs_any(&t->logs) || t->errors.log != NULL;
}

/* read_logs() follows, once for all that are sampled now. */
static void begin_sample(state *s, target *t)
{
    if (s->off || t->msg == NULL || t->sampling) {
        return;
    }
    t->sampling = true;
    t->waits_for_logs = has_logs(t);
    t->waits_for_status =
        otr_instance_status_ask(&t->status, s->timeout_ms, s->interval_ms, on_status, t);
    if (!t->waits_for_logs) {
        finish_sample(t);
    }
}

static void on_timer(void *arg)
{
    otr_plugin *p = arg;
    state *s = otr_plugin_state(p);
    bool logs = false;
    for (size_t i = 0; i < s->n; i++) {
        begin_sample(s, s->targets[i]);
        logs |= s->targets[i]->waits_for_logs;
    }
    if (logs) {
        read_logs(p);
    }
}

/* ---- targets ---- */

static otr_code set_logs(const state *s, target *t, const otr_nginx_instance *now, otr_err *err)
{
    const otr_services *services = otr_plugin_services(t->plugin);
    const otr_instance_logs_spec spec = { .all = s->logs,
                                          .excluded = s->off ? NULL : s->excluded,
                                          .problems = services->problems };
    const otr_nginx_instance *was = t->msg != NULL ? instance_of(t) : NULL;
    otr_code rc = otr_instance_logs_set(&t->logs, &spec, was, now, err);
    if (rc == OTR_OK && !otr_instance_logs_any(&t->logs)) {
        otr_nginx_series_drop_responses(&t->series);
    }
    return rc == OTR_OK ? otr_instance_errors_set(&t->errors, &spec, was, now, err) : rc;
}

/* A question that is given up leaves its sample without an answer. */
static otr_code set_status(target *t, const otr_nginx_instance *now, otr_err *err)
{
    otr_code rc = otr_instance_status_set(&t->status, otr_plugin_loop(t->plugin),
                                          otr_plugin_services(t->plugin), now, err);
    if (rc == OTR_OK && t->waits_for_status && !otr_instance_status_asking(&t->status)) {
        t->waits_for_status = t->sampling = false;
    }
    return rc;
}

static void end_target(target *t)
{
    otr_instance_status_end(&t->status);
    otr_instance_logs_close(&t->logs);
    otr_instance_errors_close(&t->errors);
    otr_nginx_series_drop_status(&t->series);
    otr_nginx_series_drop_responses(&t->series);
    otr_nginx_series_restart(&t->series);
    t->msg = otr_msg_unref(t->msg);
    t->sampling = t->waits_for_status = t->waits_for_logs = t->counted = false;
    t->sampled_ns = 0;
}

static target *find(const state *s, const char *id)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->targets[i]->id, id) == 0) {
            return s->targets[i];
        }
    }
    return NULL;
}

/* Room for one more: the oldest instance that is gone is forgotten. */
static otr_code make_room(state *s, otr_err *err)
{
    if (s->n < TARGETS_MOST) {
        return OTR_OK;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (s->targets[i]->msg == NULL) {
            otr_nginx_series_deinit(&s->targets[i]->series);
            otr_free(s->targets[i]);
            s->n--;
            memmove(&s->targets[i], &s->targets[i + 1], (s->n - i) * sizeof(*s->targets));
            return OTR_OK;
        }
    }
    return otr_fail(err, OTR_EQUOTA, "more than %d instances", TARGETS_MOST);
}

static otr_code get_target(otr_plugin *p, const char *id, target **ret, otr_err *err)
{
    state *s = otr_plugin_state(p);
    target *t = find(s, id);
    if (t == NULL) {
        otr_code rc = make_room(s, err);
        if (rc != OTR_OK) {
            return rc;
        }
        t = otr_zalloc(sizeof(*t));
        if (t == NULL) {
            return otr_fail_nomem(err);
        }
        t->plugin = p;
        memcpy(t->id, id, sizeof(t->id));
        s->targets[s->n++] = t;
    }
    *ret = t;
    return OTR_OK;
}

static otr_code message(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    const otr_nginx_instance *now = ((const otr_instance_event *)msg->payload)->instance;
    if (msg->topic == &otr_topic_instance_stopped) {
        target *gone = find(s, now->id);
        if (gone != NULL) {
            end_target(gone);
        }
        return OTR_OK;
    }
    target *t = NULL;
    otr_code rc = get_target(p, now->id, &t, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (t->msg != NULL && instance_of(t)->pid != now->pid) {
        otr_lives_renew(&t->series.lives); /* upgraded in place */
    }
    rc = set_status(t, now, err);
    if (rc == OTR_OK) {
        rc = set_logs(s, t, now, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    bool first = t->msg == NULL;
    otr_msg_unref(t->msg);
    t->msg = otr_msg_ref(msg);
    if (first) {
        begin_sample(s, t);
    }
    if (has_logs(t)) {
        read_logs(p); /* new logs are opened at their end now, not at the next sample */
    }
    return OTR_OK;
}

/* ---- life ---- */

static otr_code read_settings(state *s, const otr_config *cfg, otr_err *err)
{
    otr_log_exclusions *e = NULL;
    otr_code rc = otr_log_exclusions_new(cfg, &e, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_log_exclusions_free(s->excluded);
    s->excluded = e;
    s->off = !otr_config_feature(cfg, "metrics");
    uint64_t interval = otr_config_duration_ns(cfg, interval_key) / OTR_NS_PER_MS;
    uint64_t timeout = otr_config_duration_ns(cfg, timeout_key) / OTR_NS_PER_MS;
    s->interval_ms = interval > 0 ? interval : 1;
    s->timeout_ms = timeout > 0 && timeout < s->interval_ms ? timeout : s->interval_ms;
    return OTR_OK;
}

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    const otr_services *services = otr_plugin_services(p);
    otr_code rc = read_settings(s, cfg, err);
    if (rc == OTR_OK) {
        rc = otr_access_logs_new(otr_plugin_loop(p), services->pool, &s->logs, err);
    }
    return rc == OTR_OK ? otr_timer_new(otr_plugin_loop(p), on_timer, p, &s->timer, err) : rc;
}

static otr_code start(otr_plugin *p, otr_err *err)
{
    (void)err;
    const state *s = otr_plugin_state(p);
    otr_timer_start(s->timer, s->interval_ms, s->interval_ms);
    return OTR_OK;
}

static otr_code reload(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    uint64_t before = s->interval_ms;
    otr_code rc = read_settings(s, cfg, err);
    if (rc != OTR_OK) {
        return rc;
    }
    for (size_t i = 0; i < s->n; i++) { /* patterns may leave out other logs now */
        target *t = s->targets[i];
        if (t->msg != NULL && set_logs(s, t, instance_of(t), NULL) != OTR_OK) {
            otr_log_warn("access logs stay as they were", "instance", t->id);
        }
        if (s->off) {
            otr_nginx_series_drop_status(&t->series);
        }
    }
    read_logs(p);
    if (s->interval_ms != before) {
        otr_timer_start(s->timer, s->interval_ms, s->interval_ms);
    }
    return OTR_OK;
}

static void fini(otr_plugin *p)
{
    state *s = otr_plugin_state(p);
    for (size_t i = 0; i < s->n; i++) {
        end_target(s->targets[i]);
        otr_nginx_series_deinit(&s->targets[i]->series);
        otr_free(s->targets[i]);
    }
    otr_access_logs_free(s->logs);
    otr_timer_free(s->timer);
    otr_log_exclusions_free(s->excluded);
}

static const char *const subscribed[] = { "nginx.instance.*", NULL };
static const otr_topic *const published[] = { &otr_topic_metrics_sampled, NULL };

const otr_plugin_ops otr_module_metrics = {
    .name = "metrics",
    .summary = "Samples connections, requests and responses of each NGINX instance",
    .subscribes = subscribed,
    .publishes = published,
    .state_size = sizeof(state),
    .init = init,
    .start = start,
    .message = message,
    .reload = reload,
    .fini = fini,
};
