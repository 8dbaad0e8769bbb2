/* All guests of a host: brings them in line with the manifests of a configuration. */
#include "plugin/guest/guests.h"

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
static void remove_gone(otr_guests *all, const otr_manifest_set *set)
{
    for (otr_plugin *p = all->host->first; p != NULL; p = p->next) {
        if (!p->guest || p->stopped || p->state_id == OTR_PLUGIN_STOPPING || listed(set, p->name)) {
            continue;
        }
        otr_log_info("plugin removed", "plugin", p->name);
        otr_plugin_set_state(p, OTR_PLUGIN_STOPPING, "removed from the configuration");
        stop(p, otr_now_ns() + REMOVE_MS * OTR_NS_PER_MS);
    }
    stop_more(all);
}

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

static otr_code change(otr_plugin *p, otr_manifest *m, otr_err *err)
{
    if (!p->guest || p->state_id == OTR_PLUGIN_STOPPING) {
        otr_code rc =
            otr_fail(err, OTR_ESTATE, "%s: plugin \"%s\" %s", m->where, m->name,
                     p->guest ? "is still stopping" : "has the name of a compiled-in module");
        otr_manifest_free(m);
        return rc;
    }
    const otr_manifest *now = otr_guest_of(p)->manifest;
    bool same = strcmp(now->identity, m->identity) == 0 &&
                strcmp(now->config_json, m->config_json) == 0 && !otr_guest_plugin_stale(p) &&
                p->state_id != OTR_PLUGIN_DISABLED;
    if (same) {
        otr_manifest_free(m);
    } else {
        otr_guest_plugin_reconfigure(p, m);
    }
    return OTR_OK;
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

/* New ones first, so that whoever changes can wait for them; then the changes; then they begin. */
static otr_code apply_set(otr_guests *all, otr_manifest_set *set, otr_err *err)
{
    otr_plugin_host *host = all->host;
    otr_code first = otr_guest_engines_open(&all->engines, host->spec.program, set, err);
    if (first != OTR_OK) {
        return first;
    }
    remove_gone(all, set);
    for (size_t i = 0; i < 2 * set->n; i++) {
        otr_manifest **m = &set->items[i % set->n];
        if (*m == NULL) {
            continue;
        }
        otr_plugin *p = find_living(host, (*m)->name);
        otr_err own = { 0 };
        otr_code rc = OTR_OK;
        if (p == NULL) {
            rc = add(host, otr_steal(m), &own);
        } else if (i >= set->n) {
            rc = change(p, otr_steal(m), &own);
        }
        if (rc != OTR_OK && first == OTR_OK) {
            first = otr_fail(err, rc, "%s", own.msg);
        }
    }
    set->n = 0;
    for (otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (p->guest && !otr_guest_of(p)->started) {
            otr_err own = { 0 };
            otr_guest_of(p)->started = true;
            (void)!p->ops->start(p, &own); /* a guest's failures come later */
        }
    }
    otr_source_watch_update(all);
    return first;
}

static otr_code apply(otr_guests *all, otr_manifest_set *set, otr_err *err)
{
    otr_code rc = apply_set(all, set, err);
    otr_manifest_set_free(set);
    return rc;
}

static void settled(otr_guests *all)
{
    for (otr_plugin *p = all->host->first; p != NULL; p = p->next) {
        if (p->guest && otr_guest_of(p)->started && !p->stopped) {
            otr_guest_plugin_others_settled(p);
        }
    }
}

/* ---- one guest ---- */

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
}

static char *const *hooks(const otr_plugin *p)
{
    const otr_guest_plugin *g = p->state;
    return g->manifest->hooks != NULL ? g->manifest->hooks : g->hooks;
}

static bool fail_closed(const otr_plugin *p)
{
    const otr_guest_plugin *g = p->state;
    return g->manifest->on_failure == OTR_ON_FAILURE_CLOSED;
}

static otr_code tell(otr_plugin *p, otr_plugin_verb verb, otr_err *err)
{
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
    .apply = apply,
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
