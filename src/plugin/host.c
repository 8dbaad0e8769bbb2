#include "plugin/host.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/contract.h"
#include "plugin/hook_call.h"
#include "plugin/internal.h"
#include "plugin/watch.h"

enum { TURN_MESSAGES = 64 };

const double otr_plugin_bucket_bounds[OTR_PLUGIN_BUCKETS + 1] = { 1e-6, 5e-6, 25e-6, 1e-4, 25e-5,
                                                                  1e-3, 5e-3, 25e-3, 0.1,  0.25,
                                                                  1,    5,    0 };

static const char *const state_names[] = { "loading",  "running",  "backoff",
                                           "disabled", "stopping", "stopped" };

const char *otr_plugin_state_name(otr_plugin_state_id state)
{
    return (size_t)state < OTR_COUNT(state_names) ? state_names[state] : "unknown";
}

void *otr_plugin_state(otr_plugin *p)
{
    return p->state;
}

const char *otr_plugin_name(const otr_plugin *p)
{
    return p->name;
}

otr_loop *otr_plugin_loop(const otr_plugin *p)
{
    return p->host->spec.loop;
}

otr_bus *otr_plugin_bus(const otr_plugin *p)
{
    return p->host->spec.bus;
}

void *otr_plugin_services(const otr_plugin *p)
{
    return p->host->spec.services;
}

void otr_plugin_publish(otr_plugin *p, const otr_topic *topic, void *payload, const otr_msg *cause)
{
    otr_err err = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    otr_code rc = otr_msg_new(topic, payload, p->name, cause, &msg, &err);
    if (rc != OTR_OK && topic->drop != NULL) {
        topic->drop(payload);
    }
    rc = rc == OTR_OK ? otr_bus_publish(p->host->spec.bus, msg, &err) : rc;
    if (rc == OTR_OK) {
        p->stats.published++;
        return;
    }
    p->stats.publish_dropped++;
    otr_log_warn("message dropped", "plugin", p->name, "topic", topic->name, "err", err.msg);
}

void otr_plugin_count_call(otr_plugin_stats *stats, uint64_t ns)
{
    double seconds = (double)ns / (double)OTR_NS_PER_S;
    size_t i = 0;
    while (i < OTR_PLUGIN_BUCKETS && seconds > otr_plugin_bucket_bounds[i]) {
        i++;
    }
    stats->time_counts[i]++;
    stats->calls++;
    stats->call_ns += ns;
}

/* ---- views ---- */

static void fill_view(const otr_plugin *p, otr_plugin_view *view)
{
    static const char *const none[] = { NULL };
    bool guest = p->manifest != NULL;
    *view = (otr_plugin_view){
        .name = p->name,
        .summary = guest ? "" : p->ops->summary,
        .kind = guest ? "guest" : "module",
        .version = p->version != NULL ? p->version
                   : guest            ? ""
                                      : OTR_VERSION,
        .abi = p->abi != NULL ? p->abi : "",
        .engine = guest ? p->manifest->engine : "",
        .source = guest ? p->manifest->label : "",
        .sha256 = p->sha256,
        .encoding = guest ? otr_encoding_names[p->manifest->encoding] : "",
        .state = p->state_id,
        .reason = p->reason,
        .state_since_ns = p->state_since_ns,
        .subscribes = p->patterns != NULL ? (const char *const *)p->patterns : none,
        .hooks = p->hooks != NULL ? (const char *const *)p->hooks : none,
        .instances = guest ? p->manifest->instances : 0,
        .running = p->running,
        .quarantined = p->quarantined,
        .stats = p->stats,
    };
    if (p->sub != NULL) {
        otr_sub_get_stats(p->sub, &view->stats.queue);
    }
}

void otr_plugin_host_each(const otr_plugin_host *host,
                          bool (*fn)(void *arg, const otr_plugin_view *view), void *arg)
{
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        otr_plugin_view view;
        fill_view(p, &view);
        if (!fn(arg, &view)) {
            return;
        }
    }
}

void otr_plugin_set_state(otr_plugin *p, otr_plugin_state_id state, const char *reason)
{
    p->state_id = state;
    p->state_since_ns = otr_now_ns();
    (void)snprintf(p->reason, sizeof(p->reason), "%s", reason);
    if (p->host->spec.changed != NULL) {
        otr_plugin_view view;
        fill_view(p, &view);
        p->host->spec.changed(p->host->spec.arg, &view);
    }
}

/* ---- subscriptions ---- */

static void free_patterns(otr_plugin *p)
{
    for (size_t i = 0; p->patterns != NULL && p->patterns[i] != NULL; i++) {
        otr_free(p->patterns[i]);
    }
    otr_freep(&p->patterns);
}

void otr_plugin_unsubscribe(otr_plugin *p)
{
    otr_sub_free(p->sub);
    p->sub = NULL;
    free_patterns(p);
}

static otr_code copy_patterns(otr_plugin *p, const char *const *patterns, otr_err *err)
{
    size_t n = 0;
    while (patterns[n] != NULL) {
        n++;
    }
    p->patterns = otr_calloc(n + 1, sizeof(*p->patterns));
    for (size_t i = 0; p->patterns != NULL && i < n; i++) {
        p->patterns[i] = otr_strdup(patterns[i]);
        if (p->patterns[i] == NULL) {
            return otr_fail_nomem(err);
        }
    }
    return p->patterns != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_plugin_subscribe(otr_plugin *p, const char *const *patterns,
                              void (*ready)(void *arg, otr_sub *sub), otr_err *err)
{
    otr_plugin_unsubscribe(p);
    otr_code rc = copy_patterns(p, patterns, err);
    if (rc != OTR_OK) {
        free_patterns(p);
        return rc;
    }
    if (p->patterns[0] == NULL) {
        return OTR_OK;
    }
    size_t queue = p->manifest != NULL ? p->manifest->queue : p->ops->queue;
    otr_sub_spec spec = {
        .name = p->name,
        .patterns = (const char *const *)p->patterns,
        .policy = OTR_SUB_DROP_OLDEST,
        .capacity = queue > 0 ? queue : OTR_LIMIT_PLUGIN_QUEUE,
        .ready = ready,
        .arg = p,
    };
    rc = otr_bus_subscribe(p->host->spec.bus, &spec, &p->sub, err);
    if (rc != OTR_OK) {
        free_patterns(p);
    }
    return rc;
}

static void deliver(void *arg, otr_sub *sub)
{
    otr_plugin *p = arg;
    for (int i = 0; i < TURN_MESSAGES; i++) {
        OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = otr_sub_take(sub);
        if (msg == NULL) {
            return;
        }
        otr_err err = { 0 };
        uint64_t begin = otr_now_ns();
        otr_code rc = p->ops->message(p, msg, &err);
        otr_plugin_count_call(&p->stats, otr_now_ns() - begin);
        if (rc != OTR_OK) {
            p->stats.errors++;
            otr_log_warn("message not handled", "plugin", p->name, "topic", msg->topic->name, "err",
                         err.msg);
        }
        if (p->sub != sub) {
            return;
        }
    }
    otr_sub_wake(sub);
}

/* ---- life of one plugin ---- */

otr_code otr_plugin_new(otr_plugin_host *host, const otr_plugin_ops *ops, const char *name,
                        otr_manifest *manifest, otr_plugin **ret, otr_err *err)
{
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (strcmp(p->name, name) == 0) {
            return otr_fail(err, OTR_EINVAL,
                            "the plugin name \"%s\" is taken by a compiled-in module", name);
        }
    }
    otr_plugin *p = otr_zalloc(sizeof(*p));
    if (p == NULL) {
        return otr_fail_nomem(err);
    }
    p->name = otr_strdup(name);
    p->state = otr_zalloc(ops->state_size);
    if (p->name == NULL || p->state == NULL) {
        otr_free(p->name);
        otr_free(p->state);
        otr_free(p);
        return otr_fail_nomem(err);
    }
    p->host = host;
    p->ops = ops;
    p->manifest = manifest;
    p->state_since_ns = otr_now_ns();
    p->prev = host->last;
    *(host->last != NULL ? &host->last->next : &host->first) = p;
    host->last = p;
    *ret = p;
    return OTR_OK;
}

void otr_plugin_free(otr_plugin *p)
{
    otr_plugin_host *host = p->host;
    otr_plugin_unsubscribe(p);
    if (p->inited) {
        p->ops->fini(p);
    }
    *(p->prev != NULL ? &p->prev->next : &host->first) = p->next;
    *(p->next != NULL ? &p->next->prev : &host->last) = p->prev;
    if (p->stats.metrics != NULL) {
        otr_guest_metrics_deinit(p->stats.metrics);
        otr_free(p->stats.metrics);
    }
    otr_manifest_free(p->manifest);
    otr_contract_free_list(p->hooks);
    otr_free(p->version);
    otr_free(p->state);
    otr_free(p->name);
    otr_free(p);
}

static otr_code init_module(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; p->ops->publishes != NULL && p->ops->publishes[i] != NULL && rc == OTR_OK;
         i++) {
        rc = otr_bus_declare(p->host->spec.bus, p->ops->publishes[i], err);
    }
    if (rc == OTR_OK) {
        p->inited = true;
        rc = p->ops->init(p, cfg, err);
    }
    if (rc == OTR_OK && p->ops->subscribes != NULL) {
        rc = otr_plugin_subscribe(p, p->ops->subscribes, deliver, err);
    }
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "module %s", p->name);
}

static otr_code start_module(otr_plugin *p, otr_err *err)
{
    otr_code rc = p->ops->start != NULL ? p->ops->start(p, err) : OTR_OK;
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "module %s", p->name);
    }
    otr_plugin_set_state(p, OTR_PLUGIN_RUNNING, "");
    return OTR_OK;
}

static void tell_ready(otr_plugin_host *host)
{
    if (!host->started || host->ready_told || host->spec.ready == NULL) {
        return;
    }
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (p->manifest != NULL && !p->settled) {
            return;
        }
    }
    host->ready_told = true;
    host->spec.ready(host->spec.arg);
}

void otr_plugin_settle(otr_plugin *p)
{
    if (p->settled) {
        return;
    }
    p->settled = true;
    for (otr_plugin *other = p->host->first; other != NULL; other = other->next) {
        if (other->manifest != NULL && other->started && !other->stopped) {
            otr_guest_plugin_others_settled(other);
        }
    }
    tell_ready(p->host);
}

/* ---- host ---- */

otr_code otr_plugin_host_new(const otr_plugin_host_spec *spec, otr_plugin_host **ret, otr_err *err)
{
    otr_plugin_host *host = otr_zalloc(sizeof(*host));
    if (host == NULL) {
        return otr_fail_nomem(err);
    }
    host->spec = *spec;
    host->pool = spec->pool;
    *ret = host;
    return OTR_OK;
}

void otr_plugin_host_free(otr_plugin_host *host)
{
    if (host == NULL) {
        return;
    }
    assert(!otr_plugin_host_stuck(host));
    while (host->hooks != NULL) {
        otr_hook_cancel(host->hooks);
    }
    while (host->last != NULL) {
        otr_plugin_free(host->last);
    }
    otr_source_watch_free(host->watches);
    otr_loop_defer_cancel(&host->stop_check);
    otr_loop_defer_cancel(&host->sweep);
    otr_timer_free(host->deadline);
    for (size_t i = 0; i < OTR_HOST_ENGINES; i++) {
        if (host->engines[i] != NULL) {
            host->engines[i]->ops->close(host->engines[i]);
        }
    }
    otr_plugin_compiler_free(host->compiler);
    otr_free(host);
}

otr_code otr_plugin_host_add(otr_plugin_host *host, const otr_plugin_ops *ops, otr_err *err)
{
    otr_plugin *p;
    return otr_plugin_new(host, ops, ops->name, NULL, &p, err);
}

static otr_code apply_guests(otr_plugin_host *host, const otr_config *cfg, otr_err *err)
{
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *set = NULL;
    otr_code rc = otr_manifest_parse(cfg, &set, err);
    return rc == OTR_OK ? otr_host_guests_apply(host, set, err) : rc;
}

otr_code otr_plugin_host_start(otr_plugin_host *host, const otr_config *cfg, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (otr_plugin *p = host->first; p != NULL && rc == OTR_OK; p = p->next) {
        rc = init_module(p, cfg, err);
    }
    for (otr_plugin *p = host->first; p != NULL && rc == OTR_OK; p = p->next) {
        rc = start_module(p, err);
    }
    rc = rc == OTR_OK ? apply_guests(host, cfg, err) : rc;
    if (rc == OTR_OK) {
        host->started = true;
        tell_ready(host);
    }
    return rc;
}

/* A module without reload() is taken down and built again in its place. */
static otr_code reload_module(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    if (p->ops->reload != NULL) {
        return p->ops->reload(p, cfg, err);
    }
    otr_plugin_unsubscribe(p);
    p->ops->fini(p);
    memset(p->state, 0, p->ops->state_size);
    otr_code rc = init_module(p, cfg, err);
    return rc == OTR_OK ? start_module(p, err) : rc;
}

otr_code otr_plugin_host_reload(otr_plugin_host *host, const otr_config *cfg, otr_err *err)
{
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *set = NULL;
    otr_code first = otr_manifest_parse(cfg, &set, err);
    if (first != OTR_OK) {
        return first;
    }
    for (otr_plugin *p = host->first; p != NULL; p = p->next) {
        otr_err own = { 0 };
        otr_code rc = p->manifest == NULL ? reload_module(p, cfg, &own) : OTR_OK;
        if (rc != OTR_OK && first == OTR_OK) {
            first = otr_fail(err, rc, "module %s: %s", p->name, own.msg);
        }
    }
    otr_err own = { 0 };
    otr_code rc = otr_host_guests_apply(host, set, &own);
    if (rc != OTR_OK && first == OTR_OK) {
        first = otr_fail(err, rc, "%s", own.msg);
    }
    return first;
}

/* ---- stop ---- */

static void finish_stop(otr_plugin_host *host)
{
    if (host->stop_done != NULL) {
        otr_loop_fn *done = host->stop_done;
        host->stop_done = NULL;
        otr_timer_stop(host->deadline);
        done(host->stop_arg);
    }
}

static void check_stopped(void *arg)
{
    otr_plugin_host *host = arg;
    otr_host_stop_more(host);
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (!p->stopped) {
            return;
        }
    }
    finish_stop(host);
}

static void sweep(void *arg)
{
    otr_plugin_host *host = arg;
    otr_host_stop_more(host);
    for (otr_plugin *p = host->first, *next; p != NULL && !host->stopping; p = next) {
        next = p->next;
        if (p->manifest != NULL && p->stopped) {
            otr_plugin_free(p);
        }
    }
}

void otr_plugin_stopped(otr_plugin *p)
{
    p->stopped = true;
    otr_plugin_set_state(p, OTR_PLUGIN_STOPPED, "");
    if (p->host->stopping) {
        otr_loop_defer(p->host->spec.loop, &p->host->stop_check, check_stopped, p->host);
    } else {
        otr_loop_defer(p->host->spec.loop, &p->host->sweep, sweep, p->host);
    }
}

static void past_deadline(void *arg)
{
    otr_plugin_host *host = arg;
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (!p->stopped) {
            otr_log_warn("plugin did not stop in time", "plugin", p->name);
        }
    }
    finish_stop(host);
}

void otr_plugin_host_stop(otr_plugin_host *host, uint64_t deadline_ns, otr_loop_fn *done, void *arg)
{
    host->stopping = true;
    if (host->compiler != NULL) {
        otr_plugin_compiler_stop(host->compiler);
    }
    otr_source_watch_free(otr_steal(&host->watches));
    host->stop_done = done;
    host->stop_arg = arg;
    uint64_t now = otr_now_ns();
    uint64_t wait_ms = deadline_ns > now ? (deadline_ns - now) / OTR_NS_PER_MS : 0;
    otr_err err = { 0 };
    if (otr_timer_new(host->spec.loop, past_deadline, host, &host->deadline, &err) == OTR_OK) {
        otr_timer_start(host->deadline, wait_ms, 0);
    }
    otr_hooks_end(host);
    for (otr_plugin *p = host->last; p != NULL; p = p->prev) {
        if (!p->stopped) {
            otr_plugin_set_state(p, OTR_PLUGIN_STOPPING, "");
        }
        if (!p->stopped && p->manifest != NULL) {
            otr_host_stop_one(p, deadline_ns);
        }
    }
    otr_host_stop_more(host);
    for (otr_plugin *p = host->last; p != NULL; p = p->prev) {
        if (p->stopped || p->manifest != NULL) {
            continue;
        }
        if (p->inited && p->ops->stop != NULL) {
            p->ops->stop(p, deadline_ns);
        } else {
            otr_plugin_stopped(p);
        }
    }
    otr_loop_defer(host->spec.loop, &host->stop_check, check_stopped, host);
}

bool otr_plugin_host_stuck(const otr_plugin_host *host)
{
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (p->manifest != NULL && host->stopping && !p->stopped) {
            return true;
        }
    }
    return false;
}
