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

static otr_code open_compiler(otr_plugin_host *host, const otr_manifest_set *set, otr_err *err)
{
    if (host->spec.program == NULL || set->cache_dir == NULL || set->n == 0) {
        return OTR_OK;
    }
    if (host->compiler != NULL) {
        otr_plugin_compiler_limit(host->compiler, set->compile_ns);
        return OTR_OK;
    }
    otr_plugin_compiler_spec spec = { host->spec.program, set->cache_dir, set->compile_ns };
    return otr_plugin_compiler_new(&spec, &host->compiler, err);
}

static otr_code open_engines(otr_plugin_host *host, const otr_manifest_set *set, otr_err *err)
{
    otr_code rc = open_compiler(host, set, err);
    for (size_t i = 0; rc == OTR_OK && i < set->n; i++) {
        const otr_manifest *m = set->items[i];
        size_t at = (size_t)(slot_of(host, m->engine) - host->engines);
        if (host->engines[at] == NULL) {
            rc = otr_engine_find(m->engine)->open(set->cache_dir, &host->engines[at], err);
            if (rc == OTR_OK && host->compiler != NULL) {
                host->engines[at]->compiler = otr_plugin_compiler_base(host->compiler);
            }
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
        otr_host_stop_one(p, otr_now_ns() + REMOVE_MS * OTR_NS_PER_MS);
    }
    otr_host_stop_more(host);
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
    }
    return rc;
}

static otr_code change(otr_plugin *p, otr_manifest *m, otr_err *err)
{
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

/* The plugin of this name, unless it has stopped: then it goes. */
static otr_plugin *find_living(const otr_plugin_host *host, const char *name)
{
    otr_plugin *p = find(host, name);
    if (p != NULL && p->stopped) {
        otr_plugin_free(p);
        p = NULL;
    }
    return p;
}

/* New ones first, so that whoever changes can wait for them; then the changes; then they begin. */
otr_code otr_host_guests_apply(otr_plugin_host *host, otr_manifest_set *set, otr_err *err)
{
    otr_code first = open_engines(host, set, err);
    if (first != OTR_OK) {
        return first;
    }
    remove_gone(host, set);
    for (size_t i = 0; i < 2 * set->n; i++) {
        otr_manifest **m = &set->items[i % set->n];
        otr_plugin *p = *m != NULL ? find_living(host, (*m)->name) : NULL;
        otr_err own = { 0 };
        otr_code rc = OTR_OK;
        if (*m != NULL && p == NULL) {
            rc = add(host, otr_steal(m), &own);
        } else if (*m != NULL && i >= set->n) {
            rc = change(p, otr_steal(m), &own);
        }
        if (rc != OTR_OK && first == OTR_OK) {
            first = otr_fail(err, rc, "%s", own.msg);
        }
    }
    set->n = 0;
    for (otr_plugin *p = host->first; p != NULL; p = p->next) {
        if (p->manifest != NULL && !p->started) {
            otr_err own = { 0 };
            p->started = true;
            (void)!p->ops->start(p, &own); /* a guest's failures come later */
        }
    }
    otr_source_watch_update(host);
    return first;
}

/* ---- order ---- */

static bool comes_after(const otr_plugin *p, const char *name)
{
    for (char *const *at = p->manifest->after; at != NULL && *at != NULL; at++) {
        if (strcmp(*at, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *otr_host_guests_waits_for(const otr_plugin *p)
{
    for (const otr_plugin *other = p->host->first; other != NULL; other = other->next) {
        if (other->manifest != NULL && !other->settled && !other->stopped && other != p &&
            comes_after(p, other->name)) {
            return other->name;
        }
    }
    return NULL;
}

void otr_host_stop_one(otr_plugin *p, uint64_t deadline_ns)
{
    p->stop_deadline_ns =
        p->stop_wanted && p->stop_deadline_ns < deadline_ns ? p->stop_deadline_ns : deadline_ns;
    p->stop_wanted = true;
}

/* Somebody who came up after it is still at work. */
static bool is_needed(const otr_plugin *p)
{
    for (const otr_plugin *other = p->host->first; other != NULL; other = other->next) {
        if (other->stop_wanted && !other->stopped && comes_after(other, p->name)) {
            return true;
        }
    }
    return false;
}

void otr_host_stop_more(otr_plugin_host *host)
{
    for (otr_plugin *p = host->last; p != NULL; p = p->prev) {
        if (p->stop_wanted && !p->stop_begun && !is_needed(p)) {
            p->stop_begun = true;
            p->ops->stop(p, p->stop_deadline_ns);
        }
    }
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
