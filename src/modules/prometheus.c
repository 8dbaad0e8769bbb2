/*
 * The module "prometheus": GET /metrics, and the series about the agent itself. They are read from
 * the bus, the plugin host and the kernel when somebody asks, never in between.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "modules/modules.h"
#include "modules/self.h"
#include "modules/services.h"

typedef enum own_metric {
    OWN_UPTIME,
    OWN_MEMORY,
    OWN_BUS_PUBLISHED,
    OWN_BUS_DELIVERED,
    OWN_BUS_UNHEARD,
    OWN_BUS_DROPPED,
    OWN_BUS_TOPICS,
    OWN_BUS_SUBSCRIBERS,
    OWN_COUNT,
} own_metric;

static const otr_family own_families[OWN_COUNT] = {
    [OWN_UPTIME] = { .name = "outrider.uptime",
                     .unit = "s",
                     .help = "Time since the agent's process began.",
                     .kind = OTR_METRIC_GAUGE },
    [OWN_MEMORY] = { .name = "outrider.process.memory.usage",
                     .unit = "By",
                     .help = "Resident memory of the agent's process.",
                     .kind = OTR_METRIC_GAUGE },
    [OWN_BUS_PUBLISHED] = { .name = "outrider.bus.published",
                            .unit = "messages",
                            .help = "Messages published on the bus.",
                            .kind = OTR_METRIC_COUNTER },
    [OWN_BUS_DELIVERED] = { .name = "outrider.bus.delivered",
                            .unit = "messages",
                            .help = "Messages put into subscribers' queues.",
                            .kind = OTR_METRIC_COUNTER },
    [OWN_BUS_UNHEARD] = { .name = "outrider.bus.unheard",
                          .unit = "messages",
                          .help = "Messages published without any subscriber.",
                          .kind = OTR_METRIC_COUNTER },
    [OWN_BUS_DROPPED] = { .name = "outrider.bus.dropped",
                          .unit = "messages",
                          .help = "Messages lost to full queues of subscribers.",
                          .kind = OTR_METRIC_COUNTER },
    [OWN_BUS_TOPICS] = { .name = "outrider.bus.topics",
                         .unit = "topics",
                         .help = "Topics that the bus knows.",
                         .kind = OTR_METRIC_GAUGE },
    [OWN_BUS_SUBSCRIBERS] = { .name = "outrider.bus.subscribers",
                              .unit = "subscribers",
                              .help = "Subscribers of the bus.",
                              .kind = OTR_METRIC_GAUGE },
};

static const char *const version_label[] = { "version", NULL };
static const otr_family build_info = { .name = "outrider.build.info",
                                       .unit = "",
                                       .help = "Always 1; the labels say what runs.",
                                       .kind = OTR_METRIC_GAUGE,
                                       .labels = version_label };

static const char *const state_label[] = { "state", NULL };
static const otr_family cpu_time = { .name = "outrider.process.cpu.time",
                                     .unit = "s",
                                     .help = "CPU time of the agent's process.",
                                     .kind = OTR_METRIC_COUNTER,
                                     .labels = state_label };

/* ---- plugins ---- */

static const char *const plugin_label[] = { "plugin", NULL };

#define STAT(fn, expr)                          \
    static double fn(const otr_plugin_stats *s) \
    {                                           \
        return (double)(expr);                  \
    }
STAT(get_calls, s->calls)
STAT(get_errors, s->errors)
STAT(get_skipped, s->skipped)
STAT(get_traps, s->traps)
STAT(get_timeouts, s->timeouts)
STAT(get_restarts, s->restarts)
STAT(get_recycled, s->recycled)
STAT(get_published, s->published)
STAT(get_publish_dropped, s->publish_dropped)
STAT(get_denials, s->denials)
STAT(get_hooks_asked, s->hooks_asked)
STAT(get_hooks_denied, s->hooks_denied)
STAT(get_hooks_unanswered, s->hooks_unanswered)
STAT(get_logs, s->logs)
STAT(get_logs_dropped, s->logs_dropped)
STAT(get_memory, s->memory_bytes)
STAT(get_memory_max, s->memory_max_bytes)
STAT(get_depth, s->queue.depth)
STAT(get_capacity, s->queue.capacity)
STAT(get_received, s->queue.received)
STAT(get_dropped, s->queue.dropped)
STAT(get_coalesced, s->queue.coalesced)

#define COUNTER(metric, what, text) \
    { .name = (metric),             \
      .unit = (what),               \
      .help = (text),               \
      .kind = OTR_METRIC_COUNTER,   \
      .labels = plugin_label }
#define GAUGE(metric, what, text) \
    { .name = (metric),           \
      .unit = (what),             \
      .help = (text),             \
      .kind = OTR_METRIC_GAUGE,   \
      .labels = plugin_label }

static const struct plugin_metric {
    otr_family family;
    double (*get)(const otr_plugin_stats *stats);
} plugin_metrics[] = {
    { COUNTER("outrider.plugin.calls", "calls", "Operations of the plugin."), get_calls },
    { COUNTER("outrider.plugin.errors", "errors", "Operations that answered with an error."),
      get_errors },
    { COUNTER("outrider.plugin.skipped", "messages",
              "Messages without the field that the plugin is given."),
      get_skipped },
    { COUNTER("outrider.plugin.traps", "traps", "Guest calls that ended in a trap."), get_traps },
    { COUNTER("outrider.plugin.timeouts", "timeouts", "Guest calls past their deadline."),
      get_timeouts },
    { COUNTER("outrider.plugin.restarts", "restarts", "Fresh instances after a failure."),
      get_restarts },
    { COUNTER("outrider.plugin.recycled", "instances",
              "Instances replaced because their memory had grown."),
      get_recycled },
    { COUNTER("outrider.plugin.published", "messages", "Messages that the plugin published."),
      get_published },
    { COUNTER("outrider.plugin.publish.dropped", "messages",
              "Messages of the plugin that were refused."),
      get_publish_dropped },
    { COUNTER("outrider.plugin.denials", "denials", "Host operations that no grant covered."),
      get_denials },
    { COUNTER("outrider.plugin.hooks.asked", "questions", "Hooks that the plugin was asked."),
      get_hooks_asked },
    { COUNTER("outrider.plugin.hooks.denied", "questions",
              "Hooks that the plugin denied, or that count so for want of an answer."),
      get_hooks_denied },
    { COUNTER("outrider.plugin.hooks.unanswered", "questions",
              "Hooks without a usable answer in time."),
      get_hooks_unanswered },
    { COUNTER("outrider.plugin.logs", "lines", "Log lines of the plugin."), get_logs },
    { COUNTER("outrider.plugin.logs.dropped", "lines", "Log lines above the plugin's rate limit."),
      get_logs_dropped },
    { COUNTER("outrider.plugin.queue.received", "messages", "Messages put into the queue."),
      get_received },
    { COUNTER("outrider.plugin.queue.dropped", "messages", "Messages lost to a full queue."),
      get_dropped },
    { COUNTER("outrider.plugin.queue.coalesced", "messages",
              "Waiting messages replaced by a newer one."),
      get_coalesced },
    { GAUGE("outrider.plugin.queue.depth", "messages", "Messages that wait now."), get_depth },
    { GAUGE("outrider.plugin.queue.capacity", "messages", "Messages that may wait."),
      get_capacity },
    { GAUGE("outrider.plugin.memory.usage", "By", "Guest memory now."), get_memory },
    { GAUGE("outrider.plugin.memory.peak", "By", "The most guest memory so far."), get_memory_max },
};

static const otr_family plugin_running =
    GAUGE("outrider.plugin.running", "", "1 while the plugin runs, else 0.");
static const otr_family call_duration = { .name = "outrider.plugin.call.duration",
                                          .unit = "s",
                                          .help = "Time that operations of the plugin took.",
                                          .kind = OTR_METRIC_HISTOGRAM,
                                          .labels = plugin_label,
                                          .buckets = otr_plugin_bucket_bounds };

static const char *const grant_labels[] = { "plugin", "grant", NULL };
static const otr_family grant_denials = { .name = "outrider.plugin.grant.denials",
                                          .unit = "denials",
                                          .help = "Host operations denied, by the missing grant.",
                                          .kind = OTR_METRIC_COUNTER,
                                          .labels = grant_labels };

/* One of the metrics that a plugin made itself. The series of one name share the first's family. */
typedef struct made {
    otr_family family;
    char *name;
    char *keys[OTR_GUEST_METRIC_LABELS + 1];
    otr_series *series;
} made;

typedef struct tracked { /* the series of one plugin */
    char *name;
    otr_series *stats[OTR_COUNT(plugin_metrics)];
    otr_series *running, *duration;
    otr_series *denials[OTR_DENIAL_KINDS]; /* each from its first denial on */
    made **made;                           /* in the order of the plugin's table */
    size_t n_made;
    const otr_guest_metrics *made_of;
    uint64_t made_born_ns; /* of that table: another may come to lie where it was */
    uint64_t dropped;      /* when last seen */
    uint64_t round;        /* of the collection that last saw it */
} tracked;

typedef struct prometheus {
    otr_services *services;
    otr_bus *bus;
    tracked **plugins;
    size_t n_plugins, cap_plugins;
    uint64_t round;
    uint64_t dropped_gone; /* by the queues of plugins that are gone */
    bool complained;       /* a failure to make series was logged */
} prometheus;

static void made_free(made *one)
{
    for (size_t k = 0; k < OTR_GUEST_METRIC_LABELS; k++) {
        otr_free(one->keys[k]);
    }
    otr_free(one->name);
    otr_free(one);
}

static void unmake(tracked *t)
{
    for (size_t i = 0; i < t->n_made; i++) {
        otr_series_drop(t->made[i]->series);
    }
    for (size_t i = 0; i < t->n_made; i++) { /* no family has a series any more */
        made_free(t->made[i]);
    }
    otr_free(t->made);
    t->made = NULL;
    t->n_made = 0;
}

static void untrack(tracked *t)
{
    unmake(t);
    for (size_t i = 0; i < OTR_COUNT(t->stats); i++) {
        otr_series_drop(t->stats[i]);
    }
    for (size_t i = 0; i < OTR_DENIAL_KINDS; i++) {
        otr_series_drop(t->denials[i]);
    }
    otr_series_drop(t->running);
    otr_series_drop(t->duration);
    otr_free(t->name);
    otr_free(t);
}

static otr_code make_series(otr_registry *reg, tracked *t, otr_err *err)
{
    const char *const values[] = { t->name, NULL };
    otr_code rc = otr_registry_series(reg, &plugin_running, values, &t->running, err);
    if (rc == OTR_OK) {
        rc = otr_registry_series(reg, &call_duration, values, &t->duration, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(t->stats); i++) {
        rc = otr_registry_series(reg, &plugin_metrics[i].family, values, &t->stats[i], err);
    }
    return rc;
}

static otr_code make_room(prometheus *m, otr_err *err)
{
    otr_code grew = otr_grow(&m->plugins, m->n_plugins, &m->cap_plugins, sizeof(tracked *), err);
    if (grew != OTR_OK) {
        return grew;
    }
    return OTR_OK;
}

static otr_code track(prometheus *m, const char *name, tracked **ret, otr_err *err)
{
    for (size_t i = 0; i < m->n_plugins; i++) {
        if (strcmp(m->plugins[i]->name, name) == 0) {
            *ret = m->plugins[i];
            return OTR_OK;
        }
    }
    otr_code rc = make_room(m, err);
    tracked *t = rc == OTR_OK ? otr_zalloc(sizeof(*t)) : NULL;
    if (t == NULL) {
        return otr_fail_nomem(err);
    }
    t->name = otr_strdup(name);
    rc = t->name != NULL ? make_series(m->services->metrics, t, err) : otr_fail_nomem(err);
    if (rc != OTR_OK) {
        untrack(t);
        return rc;
    }
    m->plugins[m->n_plugins++] = t;
    *ret = t;
    return OTR_OK;
}

static const otr_family *family_of(const tracked *t, const otr_guest_metric *from, made *own)
{
    for (size_t i = 0; i < t->n_made; i++) {
        if (strcmp(t->made_of->items[i]->name, from->name) == 0) {
            return &t->made[i]->family;
        }
    }
    size_t cap = strlen("plugin..") + strlen(t->name) + strlen(from->name) + 1;
    bool ok = (own->name = otr_alloc(cap)) != NULL;
    for (size_t k = 0; ok && from->keys[k] != NULL; k++) {
        ok = (own->keys[k] = otr_strdup(from->keys[k])) != NULL;
    }
    if (!ok) {
        return NULL;
    }
    (void)snprintf(own->name, cap, "plugin.%s.%s", t->name, from->name);
    own->family = (otr_family){
        .name = own->name,
        .unit = "",
        .help = "Made by the plugin.",
        .kind = from->kind == OTR_GUEST_COUNTER ? OTR_METRIC_COUNTER
                : from->kind == OTR_GUEST_GAUGE ? OTR_METRIC_GAUGE
                                                : OTR_METRIC_HISTOGRAM,
        .labels = (const char *const *)own->keys,
        .buckets = from->kind == OTR_GUEST_HISTOGRAM ? otr_guest_metric_bounds : NULL,
    };
    return &own->family;
}

/* Adds the next item of the plugin's table. False: no memory. */
static bool make_next(prometheus *m, tracked *t)
{
    const otr_guest_metric *from = t->made_of->items[t->n_made];
    made **grown = otr_realloc(t->made, (t->n_made + 1) * sizeof(made *));
    if (grown == NULL) {
        return false;
    }
    t->made = grown;
    made *one = otr_zalloc(sizeof(*one));
    if (one == NULL) {
        return false;
    }
    const otr_family *family = family_of(t, from, one);
    otr_err err = { 0 };
    if (family == NULL) {
        made_free(one);
        return false;
    }
    if (otr_registry_series(m->services->metrics, family, (const char *const *)from->values,
                            &one->series, &err) != OTR_OK &&
        !m->complained) {
        otr_log_warn("no metrics for a plugin", "plugin", t->name, "err", err.msg);
        m->complained = true;
    }
    t->made[t->n_made++] = one;
    return true;
}

static void collect_made(prometheus *m, tracked *t, const otr_guest_metrics *from)
{
    uint64_t born_ns = from != NULL ? from->born_ns : 0;
    if (t->made_of != from || t->made_born_ns != born_ns) { /* another plugin of this name */
        unmake(t);
        t->made_of = from;
        t->made_born_ns = born_ns;
    }
    if (from == NULL) {
        return;
    }
    bool room = true;
    while (room && t->n_made < from->n) {
        room = make_next(m, t);
    }
    for (size_t i = 0; i < t->n_made; i++) {
        const otr_guest_metric *one = from->items[i];
        if (t->made[i]->series == NULL) {
            continue;
        }
        if (one->kind == OTR_GUEST_HISTOGRAM) {
            otr_series_set_histogram(t->made[i]->series, one->counts, one->value);
        } else {
            otr_series_set(t->made[i]->series, one->value);
        }
    }
}

static void collect_denials(prometheus *m, tracked *t, const uint64_t *counts)
{
    for (size_t i = 0; i < OTR_DENIAL_KINDS; i++) {
        const char *const values[] = { t->name, otr_denial_kind(i), NULL };
        otr_err err = { 0 };
        if (counts[i] > 0 && (t->denials[i] != NULL ||
                              otr_registry_series(m->services->metrics, &grant_denials, values,
                                                  &t->denials[i], &err) == OTR_OK)) {
            otr_series_set(t->denials[i], (double)counts[i]);
        }
    }
}

static bool collect_plugin(void *arg, const otr_plugin_view *view)
{
    prometheus *m = arg;
    otr_err err = { 0 };
    tracked *t = NULL;
    if (track(m, view->name, &t, &err) != OTR_OK) {
        if (!m->complained) {
            otr_log_warn("no metrics for a plugin", "plugin", view->name, "err", err.msg);
            m->complained = true;
        }
        return true;
    }
    for (size_t i = 0; i < OTR_COUNT(t->stats); i++) {
        otr_series_set(t->stats[i], plugin_metrics[i].get(&view->stats));
    }
    otr_series_set(t->running, view->state == OTR_PLUGIN_RUNNING ? 1 : 0);
    otr_series_set_histogram(t->duration, view->stats.time_counts,
                             (double)view->stats.call_ns / (double)OTR_NS_PER_S);
    collect_denials(m, t, view->stats.denials_by);
    collect_made(m, t, view->stats.metrics);
    t->dropped = view->stats.queue.dropped;
    t->round = m->round;
    return true;
}

/* Forgets plugins that the host no longer has. Returns what all queues ever dropped. */
static uint64_t sweep(prometheus *m)
{
    uint64_t dropped = 0;
    size_t kept = 0;
    for (size_t i = 0; i < m->n_plugins; i++) {
        tracked *t = m->plugins[i];
        if (t->round == m->round) {
            dropped += t->dropped;
            m->plugins[kept++] = t;
        } else {
            m->dropped_gone += t->dropped;
            untrack(t);
        }
    }
    m->n_plugins = kept;
    return dropped + m->dropped_gone;
}

/* ---- the agent ---- */

static otr_code set_series(prometheus *m, const otr_family *family, const char *label, double value,
                           otr_err *err)
{
    const char *const values[] = { label, NULL };
    otr_series *s = NULL;
    otr_code rc =
        otr_registry_series(m->services->metrics, family, label != NULL ? values : NULL, &s, err);
    if (rc == OTR_OK) {
        otr_series_set(s, value);
    }
    return rc;
}

static void collect(void *arg)
{
    prometheus *m = arg;
    m->round++;
    otr_plugin_host_each(m->services->plugins, collect_plugin, m);
    otr_bus_stats bus;
    otr_self_usage self;
    otr_bus_get_stats(m->bus, &bus);
    otr_self_usage_read(&self);
    const double values[OWN_COUNT] = {
        [OWN_UPTIME] = (double)(otr_now_ns() - m->services->started_ns) / (double)OTR_NS_PER_S,
        [OWN_MEMORY] = (double)self.memory_bytes,
        [OWN_BUS_PUBLISHED] = (double)bus.published,
        [OWN_BUS_DELIVERED] = (double)bus.delivered,
        [OWN_BUS_UNHEARD] = (double)bus.unheard,
        [OWN_BUS_DROPPED] = (double)sweep(m),
        [OWN_BUS_TOPICS] = (double)bus.topics,
        [OWN_BUS_SUBSCRIBERS] = (double)bus.subscribers,
    };
    /* Made in init(): from then on these only look up. */
    for (size_t i = 0; i < OWN_COUNT; i++) {
        (void)set_series(m, &own_families[i], NULL, values[i], NULL);
    }
    (void)set_series(m, &cpu_time, "user", self.cpu_user_s, NULL);
    (void)set_series(m, &cpu_time, "system", self.cpu_system_s, NULL);
}

static otr_code get_metrics(void *arg, const otr_http_request *req, otr_http_reply *reply,
                            otr_err *err)
{
    const prometheus *m = arg;
    (void)req;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return otr_registry_prometheus(m->services->metrics, &reply->body, err);
}

static otr_code make_own_series(prometheus *m, otr_err *err)
{
    otr_code rc = set_series(m, &build_info, OTR_VERSION, 1, err);
    for (size_t i = 0; rc == OTR_OK && i < OWN_COUNT; i++) {
        rc = set_series(m, &own_families[i], NULL, 0, err);
    }
    rc = rc == OTR_OK ? set_series(m, &cpu_time, "user", 0, err) : rc;
    return rc == OTR_OK ? set_series(m, &cpu_time, "system", 0, err) : rc;
}

/* ---- the plugin ---- */

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)cfg;
    prometheus *m = otr_plugin_state(p);
    m->services = otr_plugin_services(p);
    m->bus = otr_plugin_bus(p);
    otr_code rc = make_own_series(m, err);
    if (rc == OTR_OK) {
        rc = otr_registry_on_collect(m->services->metrics, collect, m, err);
    }
    if (rc == OTR_OK) {
        rc = otr_http_route(m->services->admin_routes, "GET", "/metrics", get_metrics, m, err);
    }
    if (rc == OTR_OK) {
        rc = otr_http_route(m->services->status_routes, "GET", "/metrics", get_metrics, m, err);
    }
    return rc;
}

static otr_code reload(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)p;
    (void)cfg;
    (void)err;
    return OTR_OK; /* nothing of it is configurable */
}

static void fini(otr_plugin *p)
{
    prometheus *m = otr_plugin_state(p);
    if (m->services == NULL) {
        return;
    }
    otr_http_unroute(m->services->admin_routes, m);
    otr_http_unroute(m->services->status_routes, m);
    otr_registry_off_collect(m->services->metrics, m);
    for (size_t i = 0; i < m->n_plugins; i++) {
        untrack(m->plugins[i]);
    }
    otr_free(m->plugins);
}

const otr_plugin_ops otr_module_prometheus = {
    .name = "prometheus",
    .summary = "serves every metric at /metrics",
    .state_size = sizeof(prometheus),
    .init = init,
    .reload = reload,
    .fini = fini,
};
