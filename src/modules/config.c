/*
 * Module "nginx-config": changes of NGINX configurations, see config_apply.h. Settings, messages,
 * and what `outrider status` is told.
 */
#include "modules/config.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "modules/modules.h"

enum { USUAL_MOST = 100000, PROBLEM_BYTES = 64 };

static const char enable_key[] = "outrider.config.apply";
static const char test_key[] = "outrider.config.test_timeout";
static const char files_key[] = "outrider.config.files_timeout";
static const char settle_key[] = "outrider.config.settle";
static const char strict_key[] = "outrider.config.watch_whole_period";
static const char policy_key[] = "outrider.config.policy.timeout";
static const char policy_failure_key[] = "outrider.config.policy.on_failure";
static const char watch_key[] = "outrider.config.probation.time";
static const char probes_key[] = "outrider.config.probation.probes";
static const char errors_key[] = "outrider.config.probation.max_5xx_percent";
static const char slower_key[] = "outrider.config.probation.max_slower_percent";
static const char least_key[] = "outrider.config.probation.min_requests";
static const char max_files_key[] = "outrider.config.max_files";
static const char max_bytes_key[] = "outrider.config.max_bytes";
static const char period_key[] = "data_plane_config.nginx.reload_monitoring_period";
static const char warnings_key[] = "data_plane_config.nginx.treat_warnings_as_errors";
static const char allowed_key[] = "allowed_directories";

static const char apply_problem[] = OTR_CONFIG_APPLY_PROBLEM;
static const char journal_problem[] = "config apply journals";

/* ---- results ---- */

static void keep_last(otr_config_apply *c, const otr_apply_result *result)
{
    otr_apply_result *copy = NULL;
    if (otr_apply_result_copy(result, &copy, NULL) != OTR_OK) {
        return;
    }
    for (size_t i = 0; i < c->n_last; i++) {
        if (strcmp(c->last[i]->instance, result->instance) == 0) {
            otr_apply_result_free(c->last[i]);
            c->last[i] = copy;
            return;
        }
    }
    if (c->n_last >= OTR_LIMIT_NGINX_INSTANCES ||
        otr_grow(&c->last, c->n_last, &c->cap_last, sizeof(otr_apply_result *), NULL) != OTR_OK) {
        otr_apply_result_free(copy);
        return;
    }
    c->last[c->n_last++] = copy;
}

static void publish(const otr_config_apply *c, const otr_topic *topic,
                    const otr_apply_result *result)
{
    otr_apply_event *event = otr_zalloc(sizeof(*event));
    if (event == NULL || otr_apply_result_copy(result, &event->result, NULL) != OTR_OK) {
        otr_free(event);
        otr_log_warn("no memory to tell of a change", "transaction", result->id);
        return;
    }
    otr_plugin_publish(c->plugin, topic, event, NULL);
}

static void on_begun(void *config, const otr_apply_view *view)
{
    const otr_config_apply *c = config;
    if (!view->request->dry_run) {
        publish(c, &otr_topic_apply_started, view->result);
    }
}

static void on_progress(void *config, const otr_apply_progress *p)
{
    (void)config;
    otr_log_debug("apply", "transaction", p->id, "instance", p->instance, "step",
                  otr_apply_step_name(p->step), "state", OTR_I64(p->state), "text", p->text);
}

/* What is left to do for a person, until the next change of that NGINX succeeds. */
static void set_problem(const otr_config_apply *c, const otr_apply_result *r)
{
    if (r->outcome == OTR_APPLY_ROLLBACK_FAILED) {
        otr_problem_set(c->services->problems, r->instance, apply_problem,
                        "the change %s failed and could not be rolled back: %s", r->id, r->reason);
    } else if (r->outcome == OTR_APPLY_APPLIED || r->outcome == OTR_APPLY_ROLLED_BACK) {
        otr_problem_clear(c->services->problems, r->instance, apply_problem);
    }
}

void otr_config_remember(const otr_config_apply *c, const char *instance, const char *id,
                         const char *text)
{
    for (size_t i = 0; i < c->n_last; i++) {
        otr_apply_outcome o = c->last[i]->outcome;
        if (strcmp(c->last[i]->instance, instance) == 0 &&
            (o == OTR_APPLY_APPLIED || o == OTR_APPLY_ROLLED_BACK)) {
            return; /* this life knows better */
        }
    }
    otr_problem_set(c->services->problems, instance, apply_problem,
                    "the change %s failed and could not be rolled back: %s", id, text);
}

typedef struct running {
    const char *instance;
    bool any;
} running;

static bool is_of(void *arg, const otr_apply_now *now)
{
    running *r = arg;
    r->any |= strcmp(r->instance, now->instance) == 0;
    return !r->any;
}

/* Once for each instance. What runs at the start has an end of its own: after that. */
static void sweep_instance(otr_config_apply *c, const otr_nginx_instance *instance)
{
    for (size_t i = 0; i < c->n_swept; i++) {
        if (strcmp(c->swept[i], instance->id) == 0) {
            return;
        }
    }
    if (!c->recovered || c->stopping || c->n_swept >= OTR_LIMIT_NGINX_INSTANCES ||
        otr_grow(&c->swept, c->n_swept, &c->cap_swept, sizeof(*c->swept), NULL) != OTR_OK) {
        return;
    }
    memcpy(c->swept[c->n_swept++], instance->id, OTR_NGINX_ID_BYTES);
    otr_config_sweep(c, instance);
}

static void sweep_if_quiet(otr_config_apply *c, const otr_nginx_instance *instance)
{
    running r = { .instance = instance->id };
    otr_applier_each(c->applier, is_of, &r);
    if (!r.any) {
        sweep_instance(c, instance);
    }
}

static void sweep_of(otr_config_apply *c, const char *id)
{
    otr_msg *msg = NULL;
    if (otr_config_instances_find(&c->instances, id, &msg, NULL) == OTR_OK) {
        sweep_instance(c, otr_config_instance_of(msg));
    }
}

static void sweep_again(otr_config_apply *c, const char *id)
{
    for (size_t i = 0; i < c->n_swept; i++) {
        if (strcmp(c->swept[i], id) == 0) {
            memcpy(c->swept[i], c->swept[--c->n_swept], OTR_NGINX_ID_BYTES);
            return;
        }
    }
}

static void on_finished(void *config, const otr_apply_result *r)
{
    otr_config_apply *c = config;
    if (r->outcome == OTR_APPLY_PLANNED) {
        return;
    }
    const char *name = otr_apply_outcome_name(r->outcome);
    const char *why = r->reason != NULL ? r->reason : "";
    if (r->outcome == OTR_APPLY_ROLLBACK_FAILED) {
        otr_log_error("change of a configuration could not be rolled back", "transaction", r->id,
                      "instance", r->instance, "why", why);
    } else if (r->outcome == OTR_APPLY_APPLIED || r->outcome == OTR_APPLY_UNCHANGED) {
        otr_log_info("change of a configuration", "transaction", r->id, "instance", r->instance,
                     "result", name, "by", r->who.name);
    } else {
        otr_log_warn("change of a configuration", "transaction", r->id, "instance", r->instance,
                     "result", name, "by", r->who.name, "why", why);
    }
    set_problem(c, r);
    keep_last(c, r);
    publish(c, &otr_topic_apply_finished, r);
    sweep_of(c, r->instance);
}

static void on_recovered(void *config, const otr_err *err)
{
    otr_config_apply *c = config;
    c->recovered = true;
    if (!c->stopping) {
        otr_config_sweep(c, NULL);
    }
    for (size_t i = 0; i < c->instances.n; i++) {
        sweep_if_quiet(c, otr_config_instance_of(c->instances.items[i]));
    }
    if (err != NULL) {
        otr_problem_set(c->services->problems, "", journal_problem,
                        "whether changes of configurations were interrupted is not known: %s",
                        err->msg);
    } else {
        otr_problem_clear(c->services->problems, "", journal_problem);
    }
}

/* ---- traffic ---- */

static config_traffic *find_traffic(const otr_config_apply *c, const char *id)
{
    for (size_t i = 0; i < c->n_traffic; i++) {
        if (strcmp(c->traffic[i].id, id) == 0) {
            return &c->traffic[i];
        }
    }
    return NULL;
}

static void on_traffic(void *config, const char *instance, otr_apply_traffic *ret)
{
    const config_traffic *t = find_traffic(config, instance);
    *ret = (otr_apply_traffic){ 0 };
    if (t != NULL) {
        *ret = (otr_apply_traffic){ .known = t->known,
                                    .requests = t->requests,
                                    .errors_5xx = t->errors,
                                    .window_requests = t->usual_requests,
                                    .window_5xx = t->usual_errors,
                                    .times = t->times.count > 0 ? &t->times : NULL,
                                    .window_times = &t->usual_times };
    }
}

static otr_code hear_sample(otr_config_apply *c, const otr_metrics_event *m, otr_err *err)
{
    config_traffic *t = find_traffic(c, m->id);
    if (t == NULL) {
        if (c->n_traffic >= OTR_LIMIT_NGINX_INSTANCES) {
            return OTR_OK;
        }
        otr_code rc = otr_grow(&c->traffic, c->n_traffic, &c->cap_traffic, sizeof(*t), err);
        if (rc != OTR_OK) {
            return rc;
        }
        t = &c->traffic[c->n_traffic++];
        *t = (config_traffic){ 0 };
        memcpy(t->id, m->id, sizeof(t->id));
    }
    uint64_t all = 0;
    for (size_t i = 0; i < OTR_COUNT(m->responses); i++) {
        all += m->responses[i];
    }
    t->known = m->logs_ok;
    t->requests += all;
    t->errors += m->responses[4];
    t->usual_requests += all;
    t->usual_errors += m->responses[4];
    if (m->times != NULL) {
        otr_histogram_merge(&t->times, m->times);
        otr_histogram_merge(&t->usual_times, m->times);
    }
    if (t->usual_requests > USUAL_MOST) { /* what is long ago counts less */
        t->usual_requests /= 2;
        t->usual_errors /= 2;
        otr_histogram_halve(&t->usual_times);
    }
    return OTR_OK;
}

/* ---- messages ---- */

static void forget(otr_config_apply *c, const char *id)
{
    config_traffic *t = find_traffic(c, id);
    if (t != NULL) {
        *t = c->traffic[--c->n_traffic];
    }
    otr_applier_instance_gone(c->applier, id);
    sweep_again(c, id);
    if (c->recovered && !c->stopping) {
        otr_config_sweep(c,
                         NULL); /* its problems went with it: not what is left to do for a person */
    }
}

static otr_code message(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    otr_config_apply *c = otr_plugin_state(p);
    if (msg->topic == &otr_topic_metrics_sampled) {
        return hear_sample(c, msg->payload, err);
    }
    otr_code rc = otr_config_instances_hear(&c->instances, msg, err);
    const otr_nginx_instance *instance = otr_config_instance_of(msg);
    if (msg->topic == &otr_topic_instance_stopped) {
        forget(c, instance->id);
    } else {
        otr_applier_instance(c->applier, instance);
        sweep_if_quiet(c, instance);
    }
    return rc;
}

/* ---- settings ---- */

static uint64_t ms_of(const otr_config *cfg, const char *key)
{
    return otr_config_duration_ns(cfg, key) / OTR_NS_PER_MS;
}

static void read_settings(const otr_config *cfg, otr_applier_settings *ret)
{
    uint64_t period = ms_of(cfg, period_key), settle = ms_of(cfg, settle_key);
    *ret = (otr_applier_settings){
        .enabled = otr_config_bool(cfg, enable_key),
        .policy_ms = ms_of(cfg, policy_key),
        .test_ms = ms_of(cfg, test_key),
        .reload_ms = period > settle ? period : settle + 1000,
        .settle_ms = settle,
        .files_ms = ms_of(cfg, files_key),
        .strict = otr_config_bool(cfg, strict_key),
        .warnings_are_errors = otr_config_bool(cfg, warnings_key),
        .allowed = otr_config_strings(cfg, allowed_key),
        .most_files = (size_t)otr_config_int(cfg, max_files_key),
        .most_bytes = (uint64_t)otr_config_int(cfg, max_bytes_key),
    };
}

static otr_code read_probes(otr_config_apply *c, const otr_config *cfg, otr_err *err)
{
    const char *const *texts = otr_config_strings(cfg, probes_key);
    size_t n = 0;
    while (texts[n] != NULL) {
        n++;
    }
    if (n > OTR_LIMIT_APPLY_PROBES) {
        return otr_fail(err, OTR_EQUOTA, "%s: more than %d", probes_key, OTR_LIMIT_APPLY_PROBES);
    }
    otr_apply_probe *probes = otr_calloc(n + 1, sizeof(*probes));
    if (probes == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        rc = otr_config_probe(texts[i], &probes[i], err);
        rc = rc == OTR_OK ? rc : otr_wrap(err, rc, "%s", probes_key);
    }
    if (rc != OTR_OK) {
        otr_config_probes_free(probes, n);
        return rc;
    }
    otr_config_probes_free(c->probes, c->probation.n_probes);
    c->probes = probes;
    c->probation =
        (otr_apply_probation){ .probes = probes,
                               .n_probes = n,
                               .watch_ms = ms_of(cfg, watch_key),
                               .most_5xx_percent = (unsigned)otr_config_int(cfg, errors_key),
                               .most_slower_percent = (unsigned)otr_config_int(cfg, slower_key),
                               .least_requests = (unsigned)otr_config_int(cfg, least_key) };
    return OTR_OK;
}

static void read_policy(otr_config_apply *c, const otr_config *cfg)
{
    c->policy_ns = otr_config_duration_ns(cfg, policy_key);
    c->fail_open = strcmp(otr_config_str(cfg, policy_failure_key), "open") == 0;
    c->most_files = (uint64_t)otr_config_int(cfg, max_files_key);
    c->most_bytes = (uint64_t)otr_config_int(cfg, max_bytes_key);
}

/* ---- the module ---- */

static otr_code make_applier(otr_plugin *p, otr_config_apply *c, const otr_config *cfg,
                             otr_err *err)
{
    otr_applier_settings settings;
    otr_applier_spec spec = { .loop = otr_plugin_loop(p),
                              .pool = c->services->pool,
                              .proc_root = "/proc",
                              .state_dir = c->lib_dir,
                              .host = { .weigh = otr_config_weigh,
                                        .drop = otr_config_drop,
                                        .ask = otr_config_ask,
                                        .unask = otr_config_unask,
                                        .before = otr_config_before,
                                        .after = otr_config_after,
                                        .traffic = on_traffic,
                                        .begun = on_begun,
                                        .progress = on_progress,
                                        .finished = on_finished,
                                        .recovered = on_recovered,
                                        .arg = c } };
    read_settings(cfg, &settings);
    return otr_applier_new(&spec, &settings, &c->applier, err);
}

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    otr_config_apply *c = otr_plugin_state(p);
    c->plugin = p;
    c->services = otr_plugin_services(p);
    c->lib_dir = otr_strdup(otr_config_str(cfg, "lib_dir"));
    otr_code rc = c->lib_dir != NULL ? OTR_OK : otr_fail_nomem(err);
    rc = rc == OTR_OK ? read_probes(c, cfg, err) : rc;
    read_policy(c, cfg);
    rc = rc == OTR_OK ? otr_strand_new(c->services->pool, 64, &c->strand, err) : rc;
    rc = rc == OTR_OK ? make_applier(p, c, cfg, err) : rc;
    rc = rc == OTR_OK ? otr_config_api_init(c, err) : rc;
    if (rc == OTR_OK) {
        c->services->apply = c;
    }
    return rc;
}

static otr_code start(otr_plugin *p, otr_err *err)
{
    const otr_config_apply *c = otr_plugin_state(p);
    (void)mkdir(c->lib_dir, 0700); /* who needs it and cannot have it says so */
    return otr_applier_recover(c->applier, err);
}

static otr_code reload(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    otr_config_apply *c = otr_plugin_state(p);
    otr_applier_settings settings;
    read_settings(cfg, &settings);
    otr_code rc = read_probes(c, cfg, err);
    rc = rc == OTR_OK ? otr_applier_configure(c->applier, &settings, err) : rc;
    if (rc == OTR_OK) {
        read_policy(c, cfg);
    }
    return rc;
}

static void on_stopped(void *arg)
{
    otr_plugin_stopped(arg);
}

static void stop(otr_plugin *p, uint64_t deadline_ns)
{
    otr_config_apply *c = otr_plugin_state(p);
    (void)deadline_ns; /* what does not end until then is left to the journal */
    c->stopping = true;
    otr_applier_stop(c->applier, on_stopped, p);
}

static void fini(otr_plugin *p)
{
    otr_config_apply *c = otr_plugin_state(p);
    if (c->services == NULL) {
        return;
    }
    c->services->apply = NULL;
    while (c->asked != NULL) {
        otr_config_unask(c, c->asked->tx);
    }
    otr_applier_free(c->applier);
    otr_config_api_fini(c);
    otr_config_records_end(c);
    otr_config_sweeps_end(c);
    otr_strand_free(c->strand);
    otr_config_instances_deinit(&c->instances);
    for (size_t i = 0; i < c->n_last; i++) {
        otr_apply_result_free(c->last[i]);
    }
    otr_free(c->last);
    otr_free(c->swept);
    otr_free(c->traffic);
    otr_config_probes_free(c->probes, c->probation.n_probes);
    otr_free(c->lib_dir);
}

static const char *const subscribed[] = { "nginx.instance.*", "nginx.metrics.sampled", NULL };
static const otr_topic *const published[] = { &otr_topic_apply_started, &otr_topic_apply_finished,
                                              NULL };

const otr_plugin_ops otr_module_config = {
    .name = "nginx-config",
    .summary = "Changes configurations of NGINX: tests, reloads, proves, rolls back",
    .subscribes = subscribed,
    .publishes = published,
    .state_size = sizeof(otr_config_apply),
    .init = init,
    .start = start,
    .message = message,
    .reload = reload,
    .stop = stop,
    .fini = fini,
};
