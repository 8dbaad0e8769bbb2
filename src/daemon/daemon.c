#include "daemon/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "bus/bus.h"
#include "daemon/limits.h"
#include "daemon/listeners.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "modules/modules.h"
#include "modules/services.h"
#include "modules/topics.h"
#include "plugin/guest/guests.h"
#include "plugin/hooks.h"
#include "plugin/host.h"
#include "plugin/manifest/manifest.h"
#include "telemetry/registry.h"

enum { NAMES_BYTES = 512, QUESTION_BYTES = 1 << 20 };

typedef struct otr_daemon {
    const otr_config_source *source;
    otr_config *cfg;
    otr_config *first; /* that the process was started with */
    otr_loop *loop;
    otr_bus *bus;
    otr_pool *pool;
    otr_plugin_host *host;
    otr_fds fds;
    otr_listeners listeners;
    otr_limits limits;
    otr_signal *signals[5];
    otr_services services;
    struct {             /* the reload under way */
        otr_config *cfg; /* NULL: none */
        otr_reload_done_fn *done;
        void *arg;
        bool again; /* another SIGHUP came meanwhile */
    } fresh;
    bool stopping;
} otr_daemon;

static const otr_plugin_ops *const modules[] = {
    /* Routes and series come first, so that nothing published is missed; sources of messages last.
     */
    &otr_module_prometheus, &otr_module_admin,   &otr_module_config_history, &otr_module_config,
    &otr_module_health,     &otr_module_metrics, &otr_module_host,           &otr_module_exporter,
    &otr_module_drift,      &otr_module_command, &otr_module_instances,
};

static const otr_topic *const own_topics[] = { &otr_topic_config_reloaded,
                                               &otr_topic_plugin_changed,
                                               &otr_topic_config_validate,
                                               &otr_topic_nginx_validate };

/* ---- what the daemon publishes ---- */

static void publish(otr_daemon *d, const otr_topic *topic, void *payload)
{
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    otr_err err = { 0 };
    otr_code rc = otr_msg_new(topic, payload, "daemon", NULL, &msg, &err);
    if (rc != OTR_OK) {
        topic->drop(payload);
    } else {
        rc = otr_bus_publish(d->bus, msg, &err);
    }
    if (rc != OTR_OK) {
        otr_log_warn("message dropped", "topic", topic->name, "err", err.msg);
    }
}

static void plugin_changed(void *arg, const otr_plugin_view *view)
{
    otr_plugin_event *event = otr_zalloc(sizeof(*event));
    if (event == NULL) {
        return;
    }
    event->name = otr_strdup(view->name);
    event->reason = otr_strdup(view->reason);
    event->state = otr_plugin_state_name(view->state);
    if (event->name == NULL || event->reason == NULL) {
        otr_topic_plugin_changed.drop(event);
        return;
    }
    publish(arg, &otr_topic_plugin_changed, event);
}

static void publish_reloaded(otr_daemon *d)
{
    otr_reload_event *event = otr_zalloc(sizeof(*event));
    if (event == NULL) {
        return;
    }
    event->generation = d->services.config_generation;
    event->file = otr_strdup(otr_config_file(d->cfg));
    if (event->file == NULL) {
        otr_topic_config_reloaded.drop(event);
        return;
    }
    publish(d, &otr_topic_config_reloaded, event);
}

static void ready(void *arg)
{
    otr_daemon *d = arg;
    uint64_t ms = (otr_now_ns() - d->services.started_ns) / OTR_NS_PER_MS;
    char url[96];
    otr_log_info("ready", "after_ms", OTR_U64(ms), "status_page",
                 otr_listeners_url(&d->listeners, url, sizeof(url)), "admin_socket",
                 otr_config_str(d->cfg, "outrider.admin.socket"));
}

/* ---- reload ---- */

static void log_warnings(const otr_config *cfg)
{
    for (const char *const *w = otr_config_warnings(cfg); *w != NULL; w++) {
        otr_log_warn("configuration", "warning", *w);
    }
}

static void open_log(const otr_config *cfg)
{
    otr_err err = { 0 };
    if (otr_log_open(otr_config_str(cfg, "log.path"), &err) != OTR_OK) {
        otr_log_warn("cannot open the log, keeping the old file", "err", err.msg);
    }
}

/* Compared with what this process was started with: a value that is set back waits no more. */
static void name_waiting(otr_daemon *d, const otr_config *fresh)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf keys;
    otr_err err = { 0 };
    otr_buf_init(&keys, sizeof(d->services.waiting) - 1);
    if (otr_config_waiting(d->first, fresh, &keys, &err) != OTR_OK) {
        otr_log_warn("cannot tell what waits for a restart", "err", err.msg);
        return;
    }
    memcpy(d->services.waiting, otr_buf_text(&keys), keys.n + 1);
    const char *more = otr_plugin_host_report(d->host)->waiting;
    if (more != NULL) {
        size_t n = strlen(d->services.waiting);
        (void)snprintf(d->services.waiting + n, sizeof(d->services.waiting) - n, "%s%s",
                       n > 0 ? ", " : "", more);
    }
    if (d->services.waiting[0] != '\0') {
        otr_problem_set(d->services.problems, "", "restart", "takes effect after a restart: %s",
                        d->services.waiting);
    } else {
        otr_problem_clear(d->services.problems, "", "restart");
    }
}

static void join(const char *const *names, char *to, size_t size)
{
    size_t n = 0;
    to[0] = '\0';
    for (; *names != NULL && n < size; names++) {
        n += (size_t)snprintf(to + n, size - n, "%s%s", n > 0 ? ", " : "", *names);
    }
}

/* What became of each entry that is not what it was, and of those that could not be done. */
static void log_plugins(otr_daemon *d)
{
    const otr_reload_report *report = otr_plugin_host_report(d->host);
    const char *failed = NULL, *why = "";
    for (size_t i = 0; i < report->n; i++) {
        const otr_reload_entry *e = &report->items[i];
        char applied[NAMES_BYTES], pending[NAMES_BYTES];
        join(e->applied, applied, sizeof(applied));
        join(e->pending, pending, sizeof(pending));
        if (e->result == OTR_RELOAD_FAILED) {
            failed = e->name;
            why = e->reason;
            otr_log_error("plugin not taken from the new config", "plugin", e->name, "err", why);
        } else if (e->result != OTR_RELOAD_UNCHANGED) {
            otr_log_info("plugin's config reloaded", "plugin", e->name, "result",
                         otr_reload_result_name(e->result), "applied", applied, "pending", pending,
                         "reason", e->reason);
        }
    }
    if (failed != NULL) {
        otr_problem_set(d->services.problems, "", "plugins",
                        "plugin %s was not taken from the new configuration: %s; reload it again",
                        failed, why);
    } else {
        otr_problem_clear(d->services.problems, "", "plugins");
    }
}

/* Puts the new configuration in force, or none of it. Owns `fresh` on success. */
static otr_code take_config(otr_daemon *d, otr_config *fresh, otr_err *err)
{
    otr_code rc = otr_listeners_prepare(&d->listeners, fresh, err);
    if (rc == OTR_OK) {
        /* Also when it is the same path: the file may have been renamed. */
        rc = otr_log_open(otr_config_str(fresh, "log.path"), err);
        rc = rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "log.path");
    }
    if (rc == OTR_OK) {
        rc = otr_plugin_host_reload(d->host, fresh, err);
        if (rc != OTR_OK) {
            open_log(d->cfg);
        }
    }
    if (rc != OTR_OK) {
        otr_listeners_drop(&d->listeners);
        return rc;
    }
    otr_log_set_level(otr_log_level_of(otr_config_str(fresh, "log.level")));
    log_warnings(fresh);
    name_waiting(d, fresh);
    log_plugins(d);
    otr_listeners_take(&d->listeners, fresh);
    otr_config_unref(d->cfg);
    d->cfg = fresh;
    d->services.config = fresh;
    d->services.config_generation++;
    otr_problem_clear(d->services.problems, "", "configuration");
    otr_log_info("config reloaded", "file", otr_config_file(fresh), "generation",
                 OTR_U64(d->services.config_generation));
    publish_reloaded(d);
    return OTR_OK;
}

/* Said until a reload works: what is on disk is not what the agent does. */
static void refuse_reload(otr_daemon *d, const otr_err *err)
{
    otr_log_error("config reload failed, keeping old config", "err", err->msg);
    otr_problem_set(d->services.problems, "", "configuration",
                    "the new configuration was refused and the one before is in force: %s",
                    err->msg);
}

static void on_hangup(void *arg);

/* The plugins have said what they think of it. */
static void on_verdict(void *arg, const otr_hook_result *result)
{
    otr_daemon *d = arg;
    otr_err err = { 0 };
    otr_config *fresh = otr_steal(&d->fresh.cfg);
    otr_code rc = OTR_OK;
    if (d->stopping) {
        rc = otr_fail(&err, OTR_ESTATE, "the agent is stopping");
    } else if (result->verdict == OTR_VERDICT_DENY) {
        rc = otr_fail(&err, OTR_EDENIED, "%s", result->reason);
    } else {
        rc = take_config(d, fresh, &err);
    }
    if (rc != OTR_OK) {
        otr_config_unref(fresh);
        refuse_reload(d, &err);
    }
    otr_reload_done_fn *done = d->fresh.done;
    d->fresh.done = NULL;
    if (done != NULL) {
        done(d->fresh.arg, rc, rc != OTR_OK ? &err : NULL);
    }
    if (d->fresh.again) {
        d->fresh.again = false;
        on_hangup(d);
    }
}

static otr_code write_question(const otr_daemon *d, const otr_config *fresh,
                               const otr_manifest_set *set, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_bytes(&w, "file", otr_bytes_of(otr_config_file(fresh)));
    otr_jw_u64(&w, "generation", d->services.config_generation + 1);
    otr_jw_arr(&w, "plugins");
    for (size_t i = 0; i < set->n; i++) {
        otr_jw_obj(&w, NULL);
        otr_jw_str(&w, "name", set->items[i]->name);
        otr_jw_bytes(&w, "source", otr_bytes_of(set->items[i]->source));
        otr_jw_u64(&w, "instances", set->items[i]->instances);
        otr_jw_obj_end(&w);
    }
    otr_jw_arr_end(&w);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

/* Only plugins whose hooks are known count: one that cannot be loaded must not keep the operator
 * from loading a better configuration. */
static otr_code ask_plugins(otr_daemon *d, const otr_config *fresh, otr_err *err)
{
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *set = NULL;
    OTR_CLEANUP(otr_buf_deinit) otr_buf question;
    otr_buf_init(&question, QUESTION_BYTES);
    otr_code rc = otr_manifest_parse(fresh, &set, err);
    rc = rc == OTR_OK ? write_question(d, fresh, set, &question, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_hook_spec spec = {
        .topic = otr_topic_config_validate.name,
        .payload = otr_buf_bytes(&question),
        .source = "daemon",
        .deadline_ns = otr_now_ns() + otr_config_duration_ns(d->cfg, "outrider.hook_timeout"),
        .known_only = true,
        .done = on_verdict,
        .arg = d,
    };
    return otr_plugin_host_ask(d->host, &spec, NULL, err);
}

static otr_code reload(void *arg, otr_reload_done_fn *done, void *done_arg, otr_err *err)
{
    otr_daemon *d = arg;
    if (d->stopping || d->fresh.cfg != NULL) {
        return otr_fail(err, OTR_ESTATE,
                        d->stopping ? "the agent is stopping"
                                    : "another reload is under way: ask again in a moment");
    }
    otr_config *fresh = NULL;
    otr_code rc = otr_config_load(d->source, &fresh, err);
    rc = rc == OTR_OK ? ask_plugins(d, fresh, err) : rc;
    if (rc != OTR_OK) {
        otr_config_unref(fresh);
        refuse_reload(d, err);
        return rc;
    }
    d->fresh.cfg = fresh;
    d->fresh.done = done;
    d->fresh.arg = done_arg;
    return OTR_OK;
}

static void on_hangup(void *arg)
{
    otr_daemon *d = arg;
    otr_err err = { 0 };
    if (d->fresh.cfg != NULL) {
        d->fresh.again = true; /* the file may be another one by now */
        return;
    }
    (void)!reload(d, NULL, NULL, &err); /* it logs its own failure */
}

static void on_reopen(void *arg)
{
    const otr_daemon *d = arg;
    open_log(d->cfg);
}

/* ---- stop ---- */

static void stopped(void *arg)
{
    otr_daemon *d = arg;
    otr_loop_stop(d->loop);
}

static void on_end(void *arg)
{
    otr_daemon *d = arg;
    if (d->stopping) {
        return;
    }
    d->stopping = true;
    otr_log_info("stopping");
    uint64_t patience = otr_config_duration_ns(d->cfg, "outrider.shutdown_timeout");
    otr_plugin_host_stop(d->host, otr_now_ns() + patience, stopped, d);
}

/* ---- start ---- */

static otr_code add_signals(otr_daemon *d, otr_err *err)
{
    static const struct {
        int signum;
        otr_loop_fn *fn;
    } wanted[] = { { SIGTERM, on_end },
                   { SIGINT, on_end },
                   { SIGQUIT, on_end },
                   { SIGHUP, on_hangup },
                   { SIGUSR1, on_reopen } };
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < OTR_COUNT(wanted) && rc == OTR_OK; i++) {
        rc = otr_signal_new(d->loop, wanted[i].signum, wanted[i].fn, d, &d->signals[i], err);
    }
    return rc;
}

static otr_code make_parts(otr_daemon *d, otr_err *err)
{
    otr_services *s = &d->services;
    unsigned workers = (unsigned)otr_config_int(d->cfg, "outrider.workers");
    unsigned most = (unsigned)otr_config_int(d->cfg, "outrider.workers_max");
    otr_code rc = otr_loop_new(&d->loop, err);
    if (rc == OTR_OK) {
        otr_loop_child_files(d->loop, d->fds.limit_before);
    }
    rc = rc == OTR_OK ? otr_bus_new(d->loop, &d->bus, err) : rc;
    rc = rc == OTR_OK ? otr_pool_new(d->loop, workers, &d->pool, err) : rc;
    rc = rc == OTR_OK ? otr_pool_grow(d->pool, most, err) : rc;
    rc = rc == OTR_OK ? otr_registry_new(&s->metrics, err) : rc;
    rc = rc == OTR_OK ? otr_problems_new(&s->problems, err) : rc;
    rc = rc == OTR_OK ? otr_http_routes_new(&s->admin_routes, err) : rc;
    rc = rc == OTR_OK ? otr_http_routes_new(&s->status_routes, err) : rc;
    for (size_t i = 0; i < OTR_COUNT(own_topics) && rc == OTR_OK; i++) {
        rc = otr_bus_declare(d->bus, own_topics[i], err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    s->pool = d->pool;
    s->config = d->cfg;
    s->reload = reload;
    s->daemon = d;
    otr_plugin_host_spec spec = {
        .loop = d->loop,
        .bus = d->bus,
        .pool = d->pool,
        .program = "/proc/self/exe",
        .guests = &otr_guests_of_wasm,
        .services = s,
        .changed = plugin_changed,
        .ready = ready,
        .arg = d,
    };
    rc = otr_plugin_host_new(&spec, &d->host, err);
    s->plugins = d->host;
    for (size_t i = 0; i < OTR_COUNT(modules) && rc == OTR_OK; i++) {
        rc = otr_plugin_host_add(d->host, modules[i], err);
    }
    return rc;
}

static otr_code start(otr_daemon *d, otr_err *err)
{
    otr_code rc = otr_config_load(d->source, &d->cfg, err);
    if (rc != OTR_OK) {
        return rc;
    }
    d->first = otr_config_ref(d->cfg);
    otr_log_set_level(otr_log_level_of(otr_config_str(d->cfg, "log.level")));
    rc = otr_log_open(otr_config_str(d->cfg, "log.path"), err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "log.path");
    }
    otr_log_start();
    otr_log_info("outrider starting", "version", OTR_VERSION, "pid", OTR_I64(getpid()), "config",
                 otr_config_file(d->cfg));
    log_warnings(d->cfg);
    rc = make_parts(d, err);
    rc = rc == OTR_OK ? add_signals(d, err) : rc;
    rc = rc == OTR_OK ? otr_limits_init(&d->limits, d->loop, &d->services, &d->fds, err) : rc;
    rc = rc == OTR_OK ? otr_listeners_init(&d->listeners, d->loop, &d->services, &d->fds, err) : rc;
    rc = rc == OTR_OK ? otr_listeners_start(&d->listeners, d->cfg, err) : rc;
    return rc == OTR_OK ? otr_plugin_host_start(d->host, d->cfg, err) : rc;
}

static void take_down(otr_daemon *d)
{
    otr_listeners_deinit(&d->listeners);
    otr_limits_deinit(&d->limits);
    for (size_t i = 0; i < OTR_COUNT(d->signals); i++) {
        otr_signal_free(d->signals[i]);
    }
    if (d->host != NULL && otr_plugin_host_stuck(d->host)) {
        /* A worker is inside the compiler and cannot be stopped; nothing it holds outlives us. */
        otr_log_warn("a worker is still busy, ending without it");
        otr_log_close();
        _exit(0);
    }
    otr_plugin_host_free(d->host);
    otr_http_routes_free(d->services.admin_routes);
    otr_http_routes_free(d->services.status_routes);
    otr_registry_free(d->services.metrics);
    otr_problems_free(d->services.problems);
    otr_pool_free(d->pool);
    otr_bus_free(d->bus);
    otr_loop_free(d->loop);
    otr_config_unref(d->fresh.cfg);
    otr_config_unref(d->cfg);
    otr_config_unref(d->first);
    otr_fds_deinit(&d->fds);
}

/* Plugins that did start may be at work on another thread: they are stopped as at any other end. */
static void end_half_started(otr_daemon *d)
{
    if (d->host != NULL) {
        on_end(d);
        otr_loop_run(d->loop);
    }
}

int otr_daemon_run(const otr_config_source *source, uint64_t started_ns)
{
    otr_daemon d = { .source = source };
    d.services.started_ns = started_ns;
    otr_err err = { 0 };
    (void)signal(SIGPIPE, SIG_IGN);
    otr_fds_init(&d.fds);
    otr_code rc = start(&d, &err);
    if (rc == OTR_OK) {
        otr_loop_run(d.loop);
    } else {
        otr_log_error("cannot start", "err", err.msg);
        end_half_started(&d);
    }
    take_down(&d);
    if (rc == OTR_OK) {
        otr_log_info("stopped");
    }
    otr_log_close();
    return rc == OTR_OK ? 0 : 1;
}
