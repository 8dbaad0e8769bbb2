/* Brings the running guests in line with the manifests of a configuration. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/internal.h"
#include "plugin/watch.h"

enum { REMOVE_MS = 2000 };

/* Where the engine of this name is, or will be. */
static otr_engine *const *slot_of(const otr_plugin_host *host, const char *name)
{
    size_t i = 0;
    while (i < OTR_HOST_ENGINES - 1 && host->engines[i] != NULL &&
           strcmp(host->engines[i]->ops->name, name) != 0) {
        i++;
    }
    return &host->engines[i];
}

otr_engine *otr_plugin_host_engine(const otr_plugin_host *host, const otr_manifest *m)
{
    return *slot_of(host, m->engine);
}

static otr_code open_engines(otr_plugin_host *host, const otr_manifest_set *set, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < set->n; i++) {
        const otr_manifest *m = set->items[i];
        size_t at = (size_t)(slot_of(host, m->engine) - host->engines);
        if (host->engines[at] == NULL) {
            rc = otr_engine_find(m->engine)->open(set->cache_dir, &host->engines[at], err);
            if (rc == OTR_OK && host->engines[at]->cache_problem != NULL) {
                otr_log_warn("compiled plugins are not cached", "engine", m->engine, "err",
                             host->engines[at]->cache_problem);
            }
        }
    }
    return rc;
}

static otr_plugin *find(const otr_plugin_host *host, const char *name)
{
    for (otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
    return NULL;
}

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
static void remove_gone(otr_plugin_host *host, const otr_manifest_set *set)
{
    for (otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (p->manifest == NULL || p->stopped || p->state_id == OTR_PLUGIN_STOPPING ||
            listed(set, p->name)) {
            continue;
        }
        otr_log_info("plugin removed", "plugin", p->name);
        otr_plugin_set_state(p, OTR_PLUGIN_STOPPING, "removed from the configuration");
        p->ops->stop(p, otr_now_ns() + REMOVE_MS * OTR_NS_PER_MS);
    }
}

static otr_code add(otr_plugin_host *host, otr_manifest *m, otr_err *err)
{
    otr_plugin *p;
    otr_code rc = otr_plugin_new(host, &otr_guest_plugin_ops, m->name, m, &p, err);
    if (rc != OTR_OK) {
        otr_manifest_free(m);
        return rc;
    }
    p->inited = true;
    rc = p->ops->init(p, NULL, err);
    if (rc != OTR_OK) {
        rc = otr_wrap(err, rc, "plugin %s", m->name);
        otr_plugin_free(p);
        return rc;
    }
    return p->ops->start(p, err);
}

static otr_code apply_one(otr_plugin_host *host, otr_manifest *m, otr_err *err)
{
    otr_plugin *p = find(host, m->name);
    if (p != NULL && p->stopped) {
        otr_plugin_free(p);
        p = NULL;
    }
    if (p == NULL) {
        return add(host, m, err);
    }
    if (p->manifest == NULL || p->state_id == OTR_PLUGIN_STOPPING) {
        otr_code rc = otr_fail(err, OTR_ESTATE, "%s: plugin \"%s\" %s", m->where, m->name,
                               p->manifest == NULL ? "has the name of a compiled-in module"
                                                   : "is still stopping");
        otr_manifest_free(m);
        return rc;
    }
    bool same = strcmp(p->manifest->identity, m->identity) == 0 &&
                strcmp(p->manifest->config_json, m->config_json) == 0 &&
                !otr_guest_plugin_stale(p) && p->state_id != OTR_PLUGIN_DISABLED;
    if (same) {
        otr_manifest_free(m);
    } else {
        otr_guest_plugin_reconfigure(p, m);
    }
    return OTR_OK;
}

otr_code otr_host_guests_apply(otr_plugin_host *host, otr_manifest_set *set, otr_err *err)
{
    otr_code first = open_engines(host, set, err);
    if (first != OTR_OK) {
        return first;
    }
    remove_gone(host, set);
    for (size_t i = 0; i < set->n; i++) {
        otr_err own = { 0 };
        otr_code rc = apply_one(host, otr_steal(&set->items[i]), &own);
        if (rc != OTR_OK && first == OTR_OK) {
            first = otr_fail(err, rc, "%s", own.msg);
        }
    }
    set->n = 0;
    otr_source_watch_update(host);
    return first;
}

/* ---- what an operator asks ---- */

static otr_code find_guest(const otr_plugin_host *host, const char *name, otr_plugin **ret,
                           otr_err *err)
{
    otr_plugin *p = find(host, name);
    if (p == NULL) {
        return otr_fail(err, OTR_ENOTFOUND, "there is no plugin \"%s\"", name);
    }
    if (p->manifest == NULL) {
        return otr_fail(err, OTR_EINVAL, "\"%s\" is compiled in: this is for guests", name);
    }
    if (p->stopped || p->state_id == OTR_PLUGIN_STOPPING) {
        return otr_fail(err, OTR_ESTATE, "plugin \"%s\" is stopping", name);
    }
    *ret = p;
    return OTR_OK;
}

otr_code otr_plugin_host_tell(otr_plugin_host *host, const char *name, otr_plugin_verb verb,
                              otr_err *err)
{
    otr_plugin *p;
    otr_code rc = find_guest(host, name, &p, err);
    if (rc != OTR_OK) {
        return rc;
    }
    switch (verb) {
    case OTR_PLUGIN_DISABLE:
        return otr_guest_plugin_disable(p, err);
    case OTR_PLUGIN_REPLAY:
        return otr_guest_plugin_replay(p, err);
    case OTR_PLUGIN_ENABLE:
        if (p->state_id != OTR_PLUGIN_DISABLED) {
            return otr_fail(err, OTR_ESTATE, "plugin \"%s\" is %s, not disabled", name,
                            otr_plugin_state_name(p->state_id));
        }
        break;
    case OTR_PLUGIN_RELOAD:
        break;
    }
    otr_guest_plugin_reload(p);
    return OTR_OK;
}

otr_code otr_plugin_host_dead_letters(const otr_plugin_host *host, const char *name, otr_buf *out,
                                      otr_err *err)
{
    otr_plugin *p;
    otr_code rc = find_guest(host, name, &p, err);
    return rc == OTR_OK ? otr_guest_plugin_write_dead(p, out, err) : rc;
}
