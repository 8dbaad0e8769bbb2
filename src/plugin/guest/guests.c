/* All guests of a host: brings them in line with the manifests of a configuration. */
#include "plugin/guest/guests.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "plugin/guest/guest.h"
#include "plugin/guest/watch.h"

enum { REMOVE_MS = 2000 };

/* ---- life ---- */

static otr_code open_all(otr_plugin_host *host, otr_guests **ret, otr_err *err)
{
    otr_guests *all = otr_zalloc(sizeof(*all));
    if (all == NULL) {
        return otr_fail_nomem(err);
    }
    all->host = host;
    all->adopted = otr_source_watch_update;
    *ret = all;
    return OTR_OK;
}

static void close_all(otr_guests *all)
{
    if (all != NULL) {
        otr_source_watch_free(all->watches);
        otr_guest_engines_close(&all->engines);
        otr_free(all);
    }
}

static void end(otr_guests *all)
{
    otr_guest_engines_end(&all->engines);
    otr_source_watch_free(otr_steal(&all->watches));
}

/* ---- stop ---- */

static void stop(otr_plugin *p, uint64_t deadline_ns)
{
    otr_guest_want_stop(otr_guest_of(p), deadline_ns);
}

static void stop_more(otr_guests *all)
{
    for (otr_plugin *p = all->host->last; p != NULL; p = p->prev) {
        if (p->guest && otr_guest_may_stop(otr_guest_of(p))) {
            otr_guest_plugin *g = otr_guest_of(p);
            g->stop_begun = true;
            p->ops->stop(p, g->stop_by_ns);
        }
    }
}

/* ---- the configuration ---- */

static bool listed(const otr_manifest_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->items[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Removed from the configuration: it stops by itself; the host frees it then. */
static void remove_gone(otr_guests *all, const otr_manifest_set *set, otr_reload_report *report)
{
    for (otr_plugin *p = all->host->first; p != NULL; p = p->next) {
        if (!p->guest || listed(set, p->name)) {
            continue;
        }
        otr_manifest_free(otr_steal(&otr_guest_of(p)->back));
        if (p->stopped || p->state_id == OTR_PLUGIN_STOPPING) {
            continue;
        }
        otr_reload_entry *entry = &report->items[report->n++];
        (void)snprintf(entry->name, sizeof(entry->name), "%s", p->name);
        entry->result = OTR_RELOAD_REMOVED;
        otr_log_info("plugin removed", "plugin", p->name);
        otr_plugin_set_state(p, OTR_PLUGIN_STOPPING, "removed from the configuration");
        stop(p, otr_now_ns() + REMOVE_MS * OTR_NS_PER_MS);
    }
    stop_more(all);
}

/* Owns `m`. */
static otr_code add(otr_plugin_host *host, otr_manifest *m, otr_err *err)
{
    otr_plugin *p;
    otr_code rc = otr_plugin_new(host, &otr_guest_plugin_ops, m->name, &p, err);
    if (rc != OTR_OK) {
        otr_manifest_free(m);
        return rc;
    }
    otr_guest_of(p)->manifest = m;
    p->guest = p->inited = true;
    rc = p->ops->init(p, NULL, err);
    if (rc != OTR_OK) {
        rc = otr_wrap(err, rc, "plugin %s", m->name);
        otr_plugin_free(p);
    }
    return rc;
}

/* The plugin of this name, unless it has stopped: then it goes. */
static otr_plugin *find_living(const otr_plugin_host *host, const char *name)
{
    otr_plugin *p = otr_plugin_find(host, name);
    if (p != NULL && p->stopped) {
        otr_plugin_free(p);
        p = NULL;
    }
    return p;
}

static void add_one(otr_guests *all, otr_manifest *m, otr_reload_entry *ret)
{
    otr_err err = { 0 };
    ret->result = OTR_RELOAD_ADDED;
    if (add(all->host, m, &err) != OTR_OK) {
        ret->result = OTR_RELOAD_FAILED;
        (void)snprintf(ret->reason, sizeof(ret->reason), "%s", err.msg);
    }
}

/* It was removed and stops: its place is kept for who comes back. */
static void queue_one(otr_plugin *p, otr_manifest *m, otr_reload_entry *ret)
{
    otr_guest_plugin *g = otr_guest_of(p);
    otr_manifest_free(g->back);
    g->back = m;
    ret->result = OTR_RELOAD_QUEUED;
    (void)snprintf(ret->reason, sizeof(ret->reason),
                   "the plugin before of this name still stops; it begins after that");
    otr_plugin_set_state(p, OTR_PLUGIN_STOPPING, "begins anew when it has stopped");
}

static void start_new(otr_guests *all)
{
    for (otr_plugin *p = all->host->first; p != NULL; p = p->next) {
        if (p->guest && !otr_guest_of(p)->started) {
            otr_err own = { 0 };
            otr_guest_of(p)->started = true;
            (void)!p->ops->start(p, &own); /* a guest's failures come later */
        }
    }
    otr_source_watch_update(all);
}

/* New ones first, so that whoever changes can wait for them; then the changes; then they begin. */
static void apply(otr_guests *all, otr_manifest_set *set, otr_reload_report *report)
{
    remove_gone(all, set, report);
    for (size_t i = 0; i < 2 * set->n; i++) {
        otr_manifest **m = &set->items[i % set->n];
        otr_reload_entry *entry = &report->items[i % set->n];
        otr_plugin *p = *m != NULL ? find_living(all->host, (*m)->name) : NULL;
        if (*m == NULL) {
            continue;
        }
        (void)snprintf(entry->name, sizeof(entry->name), "%s", (*m)->name);
        if (p == NULL) {
            add_one(all, otr_steal(m), entry);
        } else if (p->state_id == OTR_PLUGIN_STOPPING) {
            queue_one(p, otr_steal(m), entry);
        } else if (i >= set->n) {
            otr_guest_plugin_reconfigure(p, otr_steal(m), entry);
        }
    }
    set->n = 0;
    otr_manifest_set_free(set);
    start_new(all);
}

/* ---- before it ---- */

static otr_code check_names(const otr_guests *all, const otr_manifest_set *set, otr_err *err)
{
    for (size_t i = 0; i < set->n; i++) {
        const otr_plugin *p = otr_plugin_find(all->host, set->items[i]->name);
        if (p != NULL && !p->guest) {
            return otr_fail(err, OTR_EINVAL,
                            "%s: name: \"%s\" is the name of a compiled-in module; take another",
                            set->items[i]->where, p->name);
        }
    }
    return OTR_OK;
}

static void note_cache(otr_guests *all, const otr_manifest_set *set, otr_reload_report *report)
{
    report->waiting =
        otr_guest_engines_cached_in(&all->engines, set->cache_dir) ? NULL : "plugins.cache";
}

static otr_code prepare(otr_guests *all, const otr_manifest_set *set, otr_reload_report *report,
                        otr_err *err)
{
    size_t most = set->n;
    otr_code rc = check_names(all, set, err);
    for (const otr_plugin *p = all->host->first; p != NULL; p = p->next) {
        most += p->guest;
    }
    rc = rc == OTR_OK ? otr_guest_engines_open(&all->engines, all->host->spec.program, set, err)
                      : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    report->items = otr_calloc(most + 1, sizeof(*report->items));
    if (report->items == NULL) {
        return otr_fail_nomem(err);
    }
    report->n = set->n;
    note_cache(all, set, report);
    return OTR_OK;
}

/* ---- afterwards ---- */

static void settled(otr_guests *all)
{
    for (otr_plugin *p = all->host->first; p != NULL; p = p->next) {
        if (p->guest && otr_guest_of(p)->started && !p->stopped) {
            otr_guest_plugin_others_settled(p);
        }
    }
}

static bool come_back(otr_guests *all, otr_plugin *p)
{
    otr_err err = { 0 };
    otr_manifest *m = otr_steal(&otr_guest_of(p)->back);
    otr_plugin_free(p);
    if (m != NULL && add(all->host, m, &err) != OTR_OK) {
        otr_log_error("plugin that was put back cannot begin: reload the configuration", "err",
                      err.msg);
    }
    return m != NULL;
}

static void sweep(otr_guests *all)
{
    bool came = false;
    for (otr_plugin *p = all->host->first, *next; p != NULL; p = next) {
        next = p->next;
        if (p->guest && p->stopped) {
            came = come_back(all, p) || came;
        }
    }
    if (came) {
        start_new(all);
    }
    settled(all); /* who waited for one that is gone */
}

/* ---- one guest ---- */

static size_t events_of(const otr_guest_job *job)
{
    size_t n = 0;
    for (size_t i = 0; i < job->n; i++) {
        n += job->batch[i].deadline_ns == 0;
    }
    return n;
}

static size_t in_hand(const otr_guest_plugin *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->seats.n; i++) {
        n += events_of(g->seats.items[i]->job);
    }
    for (const otr_guest_seat *s = g->crew.leaving; s != NULL; s = s->next_leaving) {
        n += events_of(s->job);
    }
    return n;
}

static void describe(const otr_plugin *p, otr_plugin_view *view)
{
    const otr_guest_plugin *g = p->state;
    view->summary = "";
    view->version = g->version != NULL ? g->version : "";
    view->abi = g->abi != NULL ? g->abi : "";
    view->engine = g->manifest->engine;
    view->source = g->manifest->label;
    view->sha256 = g->sha256;
    view->encoding = otr_encoding_names[g->manifest->encoding];
    view->hooks = g->hooks != NULL ? (const char *const *)g->hooks : view->hooks;
    view->operations = (const char *const *)g->manifest->mapping.names;
    const otr_plugin_mapping *map = &g->manifest->mapping;
    view->input = map->input_text != NULL ? map->input_text : "";
    view->publishes = map->publish != NULL ? map->publish : "";
    view->instances = g->manifest->instances;
    view->running = g->running;
    view->quarantined = g->quarantined;
    view->stats.in_hand = in_hand(g);
}

static char *const *hooks(const otr_plugin *p)
{
    const otr_guest_plugin *g = p->state;
    return g->crew.policy->hooks != NULL ? g->crew.policy->hooks : g->hooks;
}

static bool fail_closed(const otr_plugin *p)
{
    const otr_guest_plugin *g = p->state;
    return g->crew.policy->on_failure == OTR_ON_FAILURE_CLOSED;
}

static otr_code tell(otr_plugin *p, otr_plugin_verb verb, otr_err *err)
{
    const otr_guest_plugin *g = p->state;
    bool on = verb == OTR_PLUGIN_ENABLE || verb == OTR_PLUGIN_RELOAD;
    if (on && g->crew.policy->off) {
        return otr_fail(err, OTR_ESTATE,
                        "plugin \"%s\" has `off: true` at %s: take it out and reload the "
                        "configuration",
                        p->name, g->crew.policy->where);
    }
    switch (verb) {
    case OTR_PLUGIN_DISABLE:
        return otr_guest_plugin_disable(p, err);
    case OTR_PLUGIN_REPLAY:
        return otr_guest_plugin_replay(p, err);
    case OTR_PLUGIN_ENABLE:
        if (p->state_id != OTR_PLUGIN_DISABLED) {
            return otr_fail(err, OTR_ESTATE, "plugin \"%s\" is %s, not disabled", p->name,
                            otr_plugin_state_name(p->state_id));
        }
        break;
    case OTR_PLUGIN_RELOAD:
        break;
    }
    otr_guest_plugin_reload(p);
    return OTR_OK;
}

const otr_guests_ops otr_guests_of_wasm = {
    .open = open_all,
    .close = close_all,
    .read = otr_manifest_parse,
    .prepare = prepare,
    .apply = apply,
    .forget = otr_manifest_set_free,
    .sweep = sweep,
    .settled = settled,
    .end = end,
    .stop_more = stop_more,
    .stop = stop,
    .describe = describe,
    .hooks = hooks,
    .fail_closed = fail_closed,
    .ask = otr_guest_plugin_ask,
    .tell = tell,
    .write_dead = otr_guest_plugin_write_dead,
};
