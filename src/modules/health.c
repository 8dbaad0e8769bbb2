/*
 * Module "health": tells whether the processes of each NGINX instance are in order.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "modules/modules.h"
#include "modules/topics.h"
#include "nginx/instance/proc.h"

enum { DESCRIPTION_BYTES = 160 };

static const char interval_key[] = "watchers.instance_health_watcher.monitoring_frequency";

typedef struct patient { /* one instance */
    char id[OTR_NGINX_ID_BYTES];
    pid_t pid;
    uint64_t started_ticks;
    size_t n_workers;
    bool told; /* the two below were published */
    otr_health status;
    char description[DESCRIPTION_BYTES];
} patient;

typedef struct state {
    otr_timer *timer;
    uint64_t interval_ms;
    patient *patients;
    size_t n, cap;
} state;

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
    memcpy(event->id, who->id, sizeof(event->id));
    event->status = status;
    event->description = text;
    who->told = true;
    who->status = status;
    (void)snprintf(who->description, sizeof(who->description), "%s", description);
    otr_log(status == OTR_HEALTH_HEALTHY ? OTR_LOG_INFO : OTR_LOG_WARN, "NGINX health changed",
            "instance", who->id, "status", otr_health_name(status), "description", description,
            (char *)NULL);
    otr_plugin_publish(p, &otr_topic_health_changed, event, cause);
}

static const char *state_name(char c)
{
    switch (c) {
    case 'Z':
        return "zombie";
    case 'X':
        return "dead";
    case 'T':
    case 't':
        return "stop";
    default:
        return "";
    }
}

/* Workers as /proc has them now: an instance whose workers were counted a while ago may have lost
 * them since. Unknown to this kernel: as last counted. */
static size_t count_children(const patient *who)
{
    pid_t children[256];
    size_t n;
    return otr_proc_children("/proc", who->pid, children, OTR_COUNT(children), &n) ? n
                                                                                   : who->n_workers;
}

static void check(otr_plugin *p, patient *who, const otr_msg *cause)
{
    char text[DESCRIPTION_BYTES] = "";
    otr_proc_stat st;
    otr_health status = OTR_HEALTH_HEALTHY;
    if (!otr_proc_stat_read("/proc", who->pid, &st) || st.started_ticks != who->started_ticks) {
        status = OTR_HEALTH_UNHEALTHY;
        (void)snprintf(text, sizeof(text), "PID: %d is not running", (int)who->pid);
    } else if (state_name(st.state)[0] != '\0') {
        status = OTR_HEALTH_UNHEALTHY;
        (void)snprintf(text, sizeof(text), "PID: %d is unhealthy, status: %s", (int)who->pid,
                       state_name(st.state));
    } else if (count_children(who) == 0) {
        status = OTR_HEALTH_DEGRADED;
        (void)snprintf(text, sizeof(text), "PID: %d, instance does not have enough children",
                       (int)who->pid);
    }
    tell(p, who, status, text, cause);
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
        if (strcmp(s->patients[i].id, id) == 0) {
            return &s->patients[i];
        }
    }
    return NULL;
}

static otr_code add(state *s, const char *id, patient **ret, otr_err *err)
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
    **ret = (patient){ 0 };
    memcpy((*ret)->id, id, sizeof((*ret)->id));
    return OTR_OK;
}

static void remove_patient(state *s, patient *who)
{
    *who = s->patients[--s->n];
}

static otr_code message(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    const otr_nginx_instance *i = ((const otr_instance_event *)msg->payload)->instance;
    patient *who = find(s, i->id);
    if (msg->topic == &otr_topic_instance_stopped) {
        if (who != NULL) {
            char text[DESCRIPTION_BYTES];
            (void)snprintf(text, sizeof(text), "instance %s not found", i->id);
            tell(p, who, OTR_HEALTH_UNHEALTHY, text, msg);
            remove_patient(s, who);
        }
        return OTR_OK;
    }
    if (who == NULL) {
        otr_code rc = add(s, i->id, &who, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    who->pid = i->pid;
    who->started_ticks = i->started_ticks;
    who->n_workers = i->n_workers;
    check(p, who, msg);
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
    otr_free(s->patients);
}

static const char *const subscribed[] = { "nginx.instance.*", NULL };
static const otr_topic *const published[] = { &otr_topic_health_changed, NULL };

const otr_plugin_ops otr_module_health = {
    .name = "health",
    .summary = "Watches the processes of each NGINX instance",
    .subscribes = subscribed,
    .publishes = published,
    .state_size = sizeof(state),
    .init = init,
    .start = start,
    .message = message,
    .reload = reload,
    .fini = fini,
};
