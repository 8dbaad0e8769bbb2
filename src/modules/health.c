/*
 * Module "health": tells whether each NGINX instance is in order, by its processes and by the
 * silence of its stub_status, and exports what it finds.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "modules/health_check.h"
#include "modules/modules.h"
#include "modules/nginx_state.h"
#include "modules/services.h"
#include "modules/topics.h"

/* Samples without an answer, after one with, that make an instance degraded. */
enum { SILENT_SAMPLES = 3 };

static const char interval_key[] = "watchers.instance_health_watcher.monitoring_frequency";

typedef struct patient { /* one instance */
    otr_msg *msg;        /* the instance as it was last told */
    otr_health_check processes;
    bool told; /* the two below were published */
    otr_health status;
    char description[OTR_HEALTH_TEXT_BYTES];

    bool answered;   /* stub_status did, in the life of this master */
    unsigned silent; /* samples since then without an answer */
    otr_nginx_up up; /* as far as stub_status tells */
    char silence[OTR_STATUS_ERROR_BYTES];

    otr_nginx_state series;
} patient;

typedef struct state {
    otr_timer *timer;
    uint64_t interval_ms;
    patient *patients;
    size_t n, cap;
} state;

static const otr_nginx_instance *instance_of(const patient *who)
{
    return ((const otr_instance_event *)who->msg->payload)->instance;
}

/* ---- telling ---- */

static void tell(otr_plugin *p, patient *who, otr_health status, const char *description,
                 const otr_msg *cause)
{
    if (who->told && who->status == status && strcmp(who->description, description) == 0) {
        return;
    }
    otr_health_event *event = otr_zalloc(sizeof(*event));
    char *text = otr_strdup(description);
    if (event == NULL || text == NULL) {
        otr_free(event);
        otr_free(text);
        return; /* not told: the next check tries again */
    }
    const char *id = instance_of(who)->id;
    memcpy(event->id, id, sizeof(event->id));
    event->status = status;
    event->description = text;
    who->told = true;
    who->status = status;
    (void)snprintf(who->description, sizeof(who->description), "%s", description);
    otr_log(status == OTR_HEALTH_HEALTHY ? OTR_LOG_INFO : OTR_LOG_WARN, "NGINX health changed",
            "instance", id, "status", otr_health_name(status), "description", description,
            (char *)NULL);
    otr_plugin_publish(p, &otr_topic_health_changed, event, cause);
}

/* An NGINX that answered before and does not any more is not well, whatever its processes show. */
static void hear_silence(const patient *who, otr_health_verdict *v)
{
    if (v->status == OTR_HEALTH_HEALTHY && who->silent >= SILENT_SAMPLES) {
        v->status = OTR_HEALTH_DEGRADED;
        (void)snprintf(v->text, sizeof(v->text),
                       "PID: %d, stub_status answered before and does not any more: %s",
                       (int)instance_of(who)->pid, who->silence);
    }
}

static otr_nginx_up up_of(const patient *who, const otr_health_verdict *v)
{
    if (instance_of(who)->n_status_urls > 0) {
        return v->runs || v->status == OTR_HEALTH_UNKNOWN ? who->up : OTR_NGINX_DOWN;
    }
    return v->runs                           ? OTR_NGINX_UP
           : v->status == OTR_HEALTH_UNKNOWN ? OTR_NGINX_UP_UNKNOWN
                                             : OTR_NGINX_DOWN;
}

static void export_series(otr_plugin *p, patient *who, const otr_health_verdict *v)
{
    const otr_services *services = otr_plugin_services(p);
    const otr_nginx_instance *i = instance_of(who);
    otr_err err;
    otr_code rc = otr_nginx_state_set_up(&who->series, services->metrics, i, up_of(who, v), &err);
    if (rc == OTR_OK) {
        rc = otr_nginx_state_set_health(&who->series, services->metrics, i, v->status, &err);
    }
    if (rc == OTR_OK) {
        rc = otr_nginx_state_set_info(&who->series, services->metrics, i, &err);
    }
    if (rc != OTR_OK) {
        otr_log_warn("health not exported", "instance", i->id, "err", err.msg);
    }
}

static void check(otr_plugin *p, patient *who, const otr_msg *cause)
{
    otr_health_verdict verdict;
    otr_health_look(&who->processes, instance_of(who), otr_now_ns(), &verdict);
    hear_silence(who, &verdict);
    export_series(p, who, &verdict);
    tell(p, who, verdict.status, verdict.text, cause);
}

static void on_timer(void *arg)
{
    otr_plugin *p = arg;
    state *s = otr_plugin_state(p);
    for (size_t i = 0; i < s->n; i++) {
        check(p, &s->patients[i], NULL);
    }
}

/* ---- instances ---- */

static patient *find(state *s, const char *id)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(instance_of(&s->patients[i])->id, id) == 0) {
            return &s->patients[i];
        }
    }
    return NULL;
}

static otr_code add(state *s, const otr_msg *msg, patient **ret, otr_err *err)
{
    if (s->n == s->cap) {
        size_t cap = s->cap > 0 ? 2 * s->cap : 4;
        patient *patients = otr_realloc(s->patients, cap * sizeof(*patients));
        if (patients == NULL) {
            return otr_fail_nomem(err);
        }
        s->patients = patients;
        s->cap = cap;
    }
    *ret = &s->patients[s->n++];
    **ret = (patient){ .msg = otr_msg_ref(msg), .up = OTR_NGINX_UP_UNKNOWN };
    return OTR_OK;
}

static void deinit_patient(patient *who)
{
    otr_health_check_deinit(&who->processes);
    otr_nginx_state_drop(&who->series);
    otr_msg_unref(who->msg);
}

static void remove_patient(state *s, patient *who)
{
    deinit_patient(who);
    *who = s->patients[--s->n];
}

static void hear_stopped(otr_plugin *p, const otr_msg *msg)
{
    state *s = otr_plugin_state(p);
    const char *id = ((const otr_instance_event *)msg->payload)->instance->id;
    patient *who = find(s, id);
    if (who != NULL) {
        char text[OTR_HEALTH_TEXT_BYTES];
        (void)snprintf(text, sizeof(text), "instance %s not found", id);
        tell(p, who, OTR_HEALTH_UNHEALTHY, text, msg);
        remove_patient(s, who);
    }
}

/* An instance is as `msg` says. */
static otr_code hear_instance(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    const otr_nginx_instance *i = ((const otr_instance_event *)msg->payload)->instance;
    patient *who = find(s, i->id);
    if (who == NULL) {
        otr_code rc = add(s, msg, &who, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    const otr_nginx_instance *was = instance_of(who);
    if (was->pid != i->pid || was->started_ticks != i->started_ticks || i->n_status_urls == 0) {
        who->answered = false;
        who->silent = 0;
        who->up = OTR_NGINX_UP_UNKNOWN;
    }
    if (was->plus != i->plus) {
        otr_nginx_state_drop(&who->series); /* it is in their labels */
    }
    otr_msg *old = who->msg;
    who->msg = otr_msg_ref(msg);
    otr_msg_unref(old);
    check(p, who, msg);
    return OTR_OK;
}

static void hear_sample(otr_plugin *p, const otr_msg *msg)
{
    const otr_metrics_event *sample = msg->payload;
    patient *who = find(otr_plugin_state(p), sample->id);
    if (who == NULL || instance_of(who)->n_status_urls == 0) {
        return;
    }
    unsigned silent = who->silent;
    otr_nginx_up up = who->up;
    who->answered |= sample->status_ok;
    if (sample->status_ok) {
        who->up = OTR_NGINX_UP;
        who->silent = 0;
    } else if (sample->status_unknown) {
        who->up = OTR_NGINX_UP_UNKNOWN; /* not NGINX's silence */
    } else {
        who->up = OTR_NGINX_DOWN;
        if (who->answered && who->silent < SILENT_SAMPLES) { /* told once, with the text of then */
            who->silent++;
            (void)snprintf(who->silence, sizeof(who->silence), "%s", sample->status_error);
        }
    }
    if (silent != who->silent || up != who->up) {
        check(p, who, msg);
    }
}

static otr_code message(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    if (msg->topic == &otr_topic_metrics_sampled) {
        hear_sample(p, msg);
    } else if (msg->topic == &otr_topic_instance_stopped) {
        hear_stopped(p, msg);
    } else {
        return hear_instance(p, msg, err);
    }
    return OTR_OK;
}

/* ---- life ---- */

static void read_settings(state *s, const otr_config *cfg)
{
    s->interval_ms = otr_config_duration_ns(cfg, interval_key) / OTR_NS_PER_MS;
    s->interval_ms = s->interval_ms > 0 ? s->interval_ms : 1;
}

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    read_settings(s, cfg);
    otr_code rc = otr_bus_keep(otr_plugin_bus(p), &otr_topic_health_changed, OTR_FACT_IS,
                               otr_health_event_id, err);
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
    (void)err;
    state *s = otr_plugin_state(p);
    uint64_t before = s->interval_ms;
    read_settings(s, cfg);
    if (s->interval_ms != before) {
        otr_timer_start(s->timer, s->interval_ms, s->interval_ms);
    }
    return OTR_OK;
}

static void fini(otr_plugin *p)
{
    state *s = otr_plugin_state(p);
    otr_timer_free(s->timer);
    for (size_t i = 0; i < s->n; i++) {
        deinit_patient(&s->patients[i]);
    }
    otr_free(s->patients);
}

static const char *const subscribed[] = { "nginx.instance.*", "nginx.metrics.sampled", NULL };
static const otr_topic *const published[] = { &otr_topic_health_changed, NULL };

const otr_plugin_ops otr_module_health = {
    .name = "health",
    .summary = "Tells whether each NGINX instance is in order",
    .subscribes = subscribed,
    .publishes = published,
    .state_size = sizeof(state),
    .init = init,
    .start = start,
    .message = message,
    .reload = reload,
    .fini = fini,
};
