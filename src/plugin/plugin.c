/* One participant, module or guest alike: what it is told, what it publishes, and its account. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/internal.h"

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

/* Of the queue that it has and of those that it had. */
static void queue_of(const otr_plugin *p, otr_sub_stats *ret)
{
    *ret = p->past;
    if (p->sub != NULL) {
        otr_sub_stats now;
        otr_sub_get_stats(p->sub, &now);
        ret->received += now.received;
        ret->taken += now.taken;
        ret->dropped += now.dropped;
        ret->coalesced += now.coalesced;
        ret->depth = now.depth;
        ret->depth_max = now.depth_max > ret->depth_max ? now.depth_max : ret->depth_max;
        ret->capacity = now.capacity;
    }
}

void otr_plugin_view_of(const otr_plugin *p, otr_plugin_view *ret)
{
    static const char *const none[] = { NULL };
    *ret = (otr_plugin_view){
        .name = p->name,
        .summary = p->ops->summary,
        .kind = p->guest ? "guest" : "module",
        .version = OTR_VERSION,
        .abi = "",
        .engine = "",
        .source = "",
        .sha256 = "",
        .encoding = "",
        .input = "",
        .publishes = "",
        .state = p->state_id,
        .reason = p->reason,
        .state_since_ns = p->state_since_ns,
        .subscribes = p->patterns != NULL ? (const char *const *)p->patterns : none,
        .hooks = none,
        .stats = p->stats,
    };
    if (p->guest) {
        p->host->spec.guests->describe(p, ret);
    }
    queue_of(p, &ret->stats.queue);
    ret->stats.logs_dropped = otr_log_budget_dropped(&p->log_budget);
}

void otr_plugin_set_state(otr_plugin *p, otr_plugin_state_id state, const char *reason)
{
    p->state_id = state;
    p->state_since_ns = otr_now_ns();
    (void)snprintf(p->reason, sizeof(p->reason), "%s", reason);
    if (p->host->spec.changed != NULL) {
        otr_plugin_view view;
        otr_plugin_view_of(p, &view);
        p->host->spec.changed(p->host->spec.arg, &view);
    }
}

/* ---- subscriptions ---- */

static void free_patterns(char **patterns)
{
    for (size_t i = 0; patterns != NULL && patterns[i] != NULL; i++) {
        otr_free(patterns[i]);
    }
    otr_free(patterns);
}

/* Keeps the account of the queue, which goes with what waits in it. */
static void close_queue(otr_plugin *p)
{
    queue_of(p, &p->past);
    p->past.dropped += p->past.depth;
    p->past.depth = 0;
    otr_sub_free(p->sub);
    p->sub = NULL;
}

void otr_plugin_unsubscribe(otr_plugin *p)
{
    close_queue(p);
    p->past.capacity = 0;
    free_patterns(otr_steal(&p->patterns));
}

static otr_code copy_patterns(const char *const *patterns, char ***ret, otr_err *err)
{
    size_t n = 0;
    while (patterns[n] != NULL) {
        n++;
    }
    char **copy = otr_calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy != NULL && i < n; i++) {
        copy[i] = otr_strdup(patterns[i]);
        if (copy[i] == NULL) {
            free_patterns(copy);
            return otr_fail_nomem(err);
        }
    }
    *ret = copy;
    return copy != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_plugin_subscribe(otr_plugin *p, const char *const *patterns, size_t queue,
                              void (*ready)(void *arg, otr_sub *sub), otr_err *err)
{
    char **copy = NULL;
    otr_sub *sub = NULL;
    otr_code rc = copy_patterns(patterns, &copy, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_sub_spec spec = {
        .name = p->name,
        .patterns = (const char *const *)copy,
        .policy = OTR_SUB_DROP_OLDEST,
        .capacity = queue > 0 ? queue : OTR_LIMIT_PLUGIN_QUEUE,
        .ready = ready,
        .arg = p,
    };
    if (copy[0] != NULL) {
        rc = otr_bus_subscribe(p->host->spec.bus, &spec, &sub, err);
    }
    if (rc != OTR_OK) {
        free_patterns(copy);
        return rc;
    }
    if (p->sub != NULL && sub != NULL) {
        otr_sub_move(p->sub, sub);
    }
    close_queue(p);
    free_patterns(p->patterns);
    p->patterns = copy;
    p->sub = sub;
    return OTR_OK;
}

/* ---- the list of all ---- */

otr_plugin *otr_plugin_find(const otr_plugin_host *host, const char *name)
{
    otr_plugin *p = host->first;
    while (p != NULL && strcmp(p->name, name) != 0) {
        p = p->next;
    }
    return p;
}

otr_code otr_plugin_new(otr_plugin_host *host, const otr_plugin_ops *ops, const char *name,
                        otr_plugin **ret, otr_err *err)
{
    if (otr_plugin_find(host, name) != NULL) {
        return otr_fail(err, OTR_EINVAL, "the plugin name \"%s\" is taken by a compiled-in module",
                        name);
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
    otr_bus_release(host->spec.bus, &p->topics);
    *(p->prev != NULL ? &p->prev->next : &host->first) = p->next;
    *(p->next != NULL ? &p->next->prev : &host->last) = p->prev;
    if (p->stats.metrics != NULL) {
        otr_guest_metrics_deinit(p->stats.metrics);
        otr_free(p->stats.metrics);
    }
    otr_free(p->state);
    otr_free(p->name);
    otr_free(p);
}
