/*
 * Module "nginx-drift": notices files of NGINX configurations that somebody else than the agent
 * changed.
 *
 * Instances of strangers are not followed: nobody applies anything to them.
 */
#include "modules/drift.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "modules/modules.h"

enum { TEXT_BYTES = 900 };

static const char feature[] = "file-watcher";
static const char rescan_key[] = "watchers.file_watcher.monitoring_frequency";
static const char exclude_key[] = "watchers.file_watcher.exclude_files";
static const char quiet_key[] = "outrider.drift.quiet";
static const char watches_key[] = "outrider.drift.watches";
static const char drift_problem[] = "drift";
static const char watch_problem[] = "drift_watch";

static const char *const labels[] = { "instance.id", "instance.type", NULL };
static const otr_family files_family = {
    .name = "nginx.config.drifted.files",
    .unit = "",
    .help = "Files of the configuration that somebody else than the agent changed, and that were "
            "neither adopted nor reverted.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels,
};

/* ---- instances ---- */

static otr_drift_instance *find(otr_drift_module *m, const char *id)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->items[i].id, id) == 0) {
            return &m->items[i];
        }
    }
    return NULL;
}

static const otr_nginx_instance *known(const otr_drift_module *m, const char *id)
{
    for (size_t i = 0; i < m->list.n; i++) {
        const otr_nginx_instance *nginx = otr_config_instance_of(m->list.items[i]);
        if (strcmp(nginx->id, id) == 0) {
            return nginx;
        }
    }
    return NULL;
}

static void forget(otr_drift_module *m, const char *id)
{
    otr_drift_instance *i = find(m, id);
    otr_drift_leave(m->drift, id);
    otr_problem_clear(m->services->problems, id, drift_problem);
    otr_problem_clear(m->services->problems, id, watch_problem);
    if (i != NULL) {
        otr_series_drop(i->files);
        *i = m->items[--m->n];
    }
}

static otr_code follow(otr_drift_module *m, const otr_nginx_instance *nginx, otr_err *err)
{
    otr_root own = { .path = nginx->root, .uid = nginx->uid, .gid = nginx->gid };
    otr_drift_place place = { .id = nginx->id,
                              .root = nginx->reach != NULL ? nginx->reach : &own,
                              .config = nginx->config,
                              .loads = nginx->loads,
                              .loaded_ns = nginx->loaded_ns };
    if (nginx->stranger || m->drift == NULL) {
        return OTR_OK;
    }
    otr_drift_instance *i = find(m, nginx->id);
    if (i == NULL && m->n == OTR_LIMIT_NGINX_INSTANCES) {
        return otr_fail(err, OTR_EQUOTA, "more than %d instances", OTR_LIMIT_NGINX_INSTANCES);
    }
    otr_code rc = otr_drift_follow(m->drift, &place, err);
    if (rc != OTR_OK || i != NULL) {
        return rc;
    }
    i = &m->items[m->n++];
    *i = (otr_drift_instance){ 0 };
    memcpy(i->id, nginx->id, sizeof(i->id));
    otr_drift_ask_base(m, nginx);
    return OTR_OK;
}

/* ---- reports ---- */

static void publish(const otr_drift_module *m, const otr_drift_report *report)
{
    otr_drift_event *event = otr_zalloc(sizeof(*event));
    if (event == NULL || otr_drift_report_copy(report, &event->report, NULL) != OTR_OK) {
        otr_free(event);
        otr_log_warn("no memory to tell of drift", "instance", report->id);
        return;
    }
    otr_plugin_publish(m->plugin, &otr_topic_config_drifted, event, NULL);
}

static void set_metric(otr_drift_module *m, const otr_drift_report *r)
{
    otr_drift_instance *i = find(m, r->id);
    const otr_nginx_instance *nginx = known(m, r->id);
    if (i == NULL || nginx == NULL || !r->known) {
        return;
    }
    const char *const values[] = { r->id, nginx->plus ? "nginxplus" : "nginx", NULL };
    otr_err err = { 0 };
    if (i->files == NULL && otr_registry_series(m->services->metrics, &files_family, values,
                                                &i->files, &err) != OTR_OK) {
        otr_log_warn("drift is not counted", "instance", r->id, "err", err.msg);
        return;
    }
    otr_series_set(i->files, (double)(r->n + r->more));
}

static void set_problems(const otr_drift_module *m, const otr_drift_report *r)
{
    otr_problems *problems = m->services->problems;
    if (r->n > 0) {
        char text[TEXT_BYTES];
        otr_drift_say(r, text, sizeof(text));
        otr_problem_set(problems, r->id, drift_problem, "%s", text);
    } else {
        otr_problem_clear(problems, r->id, drift_problem);
    }
    if (r->remark[0] != '\0') {
        otr_problem_set(problems, r->id, watch_problem, "its files: %s", r->remark);
    } else {
        otr_problem_clear(problems, r->id, watch_problem);
    }
}

static void on_changed(void *arg, const otr_drift_report *report)
{
    otr_drift_module *m = arg;
    set_metric(m, report);
    set_problems(m, report);
    if (report->known) {
        publish(m, report);
    }
}

static void on_seen(void *arg, const char *id, const otr_drift_files *files)
{
    otr_drift_module *m = arg;
    const otr_nginx_instance *nginx = known(m, id);
    (void)files;
    if (nginx != NULL) {
        otr_drift_keep_seen(m, nginx);
    }
}

/* ---- the module ---- */

static otr_drift_settings read_settings(const otr_config *cfg)
{
    return (otr_drift_settings){
        .quiet_ms = otr_config_duration_ns(cfg, quiet_key) / OTR_NS_PER_MS,
        .rescan_ms = otr_config_duration_ns(cfg, rescan_key) / OTR_NS_PER_MS,
        .watches = (size_t)otr_config_int(cfg, watches_key),
        .excluded = otr_config_strings(cfg, exclude_key),
    };
}

static otr_code open_drift(otr_drift_module *m, const otr_config *cfg, otr_err *err)
{
    otr_drift_spec spec = { .loop = otr_plugin_loop(m->plugin),
                            .pool = m->services->pool,
                            .proc_root = "/proc",
                            .settings = read_settings(cfg),
                            .changed = on_changed,
                            .seen = on_seen,
                            .arg = m };
    otr_code rc = otr_drift_new(&spec, &m->drift, err);
    m->services->drift = m->drift;
    return rc == OTR_OK ? rc : otr_wrap(err, rc, "%s", exclude_key);
}

static void close_drift(otr_drift_module *m)
{
    while (m->n > 0) {
        forget(m, m->items[0].id);
    }
    m->services->drift = NULL;
    otr_drift_free(otr_steal(&m->drift));
}

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    otr_drift_module *m = otr_plugin_state(p);
    m->plugin = p;
    m->services = otr_plugin_services(p);
    otr_code rc = otr_bus_keep(otr_plugin_bus(p), &otr_topic_config_drifted, OTR_FACT_IS,
                               otr_drift_event_id, err);
    rc = rc == OTR_OK ? otr_drift_box_new(m, err) : rc;
    rc = rc == OTR_OK ? otr_drift_routes(m, err) : rc;
    return rc == OTR_OK && otr_config_feature(cfg, feature) ? open_drift(m, cfg, err) : rc;
}

/* ---- applies ---- */

/* What it changes is no drift. */
static otr_code begin_apply(const otr_drift_module *m, const otr_apply_result *r, otr_err *err)
{
    otr_drift_files to = { 0 };
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < r->n_files; i++) {
        const otr_apply_file *f = &r->files[i];
        rc = otr_drift_files_add(&to, f->path, f->after.sha256, NULL, err);
    }
    bool all = rc == OTR_OK && r->more_files == 0;
    rc = rc == OTR_ENOMEM ? rc : otr_drift_begin(m->drift, r->instance, all ? &to : NULL, err);
    otr_drift_files_deinit(&to);
    return rc;
}

static otr_code hear_apply(otr_drift_module *m, const otr_msg *msg, otr_err *err)
{
    const otr_apply_result *r = ((const otr_apply_event *)msg->payload)->result;
    const otr_nginx_instance *nginx = known(m, r->instance);
    if (msg->topic == &otr_topic_apply_started) {
        return begin_apply(m, r, err);
    }
    if (nginx != NULL && find(m, nginx->id) != NULL) {
        otr_drift_ask_base(m, nginx); /* which ends it */
    } else {
        otr_drift_end(m->drift, r->instance);
    }
    return OTR_OK;
}

static otr_code message(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    otr_drift_module *m = otr_plugin_state(p);
    if (msg->topic == &otr_topic_apply_started || msg->topic == &otr_topic_apply_finished) {
        return hear_apply(m, msg, err);
    }
    otr_code rc = otr_config_instances_hear(&m->list, msg, err);
    const otr_nginx_instance *nginx = ((const otr_instance_event *)msg->payload)->instance;
    if (rc == OTR_OK && msg->topic == &otr_topic_instance_stopped) {
        forget(m, nginx->id);
    } else if (rc == OTR_OK) {
        rc = follow(m, nginx, err);
    }
    return rc;
}

static otr_code reload(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    otr_drift_module *m = otr_plugin_state(p);
    bool on = otr_config_feature(cfg, feature);
    otr_code rc = OTR_OK;
    if (on && m->drift != NULL) {
        otr_drift_settings settings = read_settings(cfg);
        rc = otr_drift_configure(m->drift, &settings, err);
        rc = rc == OTR_OK ? rc : otr_wrap(err, rc, "%s", exclude_key);
    } else if (on) {
        rc = open_drift(m, cfg, err);
    } else if (m->drift != NULL) {
        close_drift(m);
    }
    for (size_t i = 0; rc == OTR_OK && on && i < m->list.n; i++) {
        rc = follow(m, otr_config_instance_of(m->list.items[i]), err);
    }
    return rc;
}

static void fini(otr_plugin *p)
{
    otr_drift_module *m = otr_plugin_state(p);
    if (m->services == NULL) {
        return;
    }
    otr_drift_unroute(m);
    close_drift(m);
    otr_drift_box_leave(m);
    otr_config_instances_deinit(&m->list);
}

static const char *const subscribed[] = { "nginx.instance.*", "nginx.config.apply.*", NULL };
static const otr_topic *const published[] = { &otr_topic_config_drifted, NULL };

const otr_plugin_ops otr_module_drift = {
    .name = "nginx-drift",
    .summary = "Notices configuration files that somebody else changed",
    .subscribes = subscribed,
    .publishes = published,
    .state_size = sizeof(otr_drift_module),
    .init = init,
    .message = message,
    .reload = reload,
    .fini = fini,
};
