/* How one plugin lives: its instances, what follows a failure, what comes up before it. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/texts.h"
#include "plugin/manifest/read.h"

enum {
    MAX_FAILURES = 1000,
    FAILURES = 5,
    BACKOFF_MS = 100,
    BACKOFF_MAX_MS = 30000,
    WINDOW_S = 60,
    MAX_AFTER = 16
};

void otr_manifest_free_life(otr_manifest *m)
{
    otr_texts_free(m->hooks);
    otr_texts_free(m->after);
}

static otr_code read_restart(const otr_node *entry, otr_restart *r, otr_err *err)
{
    static const char *const known[] = { "backoff", "backoff_max", "failures", "window", NULL };
    const otr_node *node = otr_node_get(entry, "restart");
    if (node == NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_manifest_kind(node, OTR_NODE_MAP, "restart", err);
    rc = rc == OTR_OK ? otr_node_only(node, known, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_duration(node, "backoff", &r->backoff_ns, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_duration(node, "backoff_max", &r->backoff_max_ns, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_duration(node, "window", &r->window_ns, err) : rc;
    const otr_node *failures = otr_node_get(node, "failures");
    if (rc == OTR_OK && failures != NULL) {
        int64_t n = 0;
        rc = otr_node_as_int(failures, 1, MAX_FAILURES, &n, err);
        r->failures = rc == OTR_OK ? (unsigned)n : r->failures;
    }
    if (rc == OTR_OK && r->backoff_max_ns < r->backoff_ns) {
        return otr_manifest_bad(node, OTR_EINVAL, "restart: backoff_max is shorter than backoff",
                                err);
    }
    return rc;
}

static otr_code read_instances(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    const otr_node *node = otr_node_get(entry, "instances");
    int64_t n = 1;
    otr_code rc =
        node != NULL ? otr_node_as_int(node, 1, OTR_LIMIT_PLUGIN_INSTANCES, &n, err) : OTR_OK;
    m->instances = rc == OTR_OK ? (size_t)n : 1;
    return rc;
}

otr_code otr_manifest_life(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    static const char *const outcomes[] = { "restart", "disable", "fail-closed", NULL };
    m->restart = (otr_restart){ .backoff_ns = BACKOFF_MS * OTR_NS_PER_MS,
                                .backoff_max_ns = BACKOFF_MAX_MS * OTR_NS_PER_MS,
                                .failures = FAILURES,
                                .window_ns = WINDOW_S * OTR_NS_PER_S };
    size_t outcome = OTR_ON_FAILURE_RESTART;
    otr_code rc = otr_manifest_choice(entry, "on_failure", outcomes, &outcome, err);
    m->on_failure = (otr_on_failure)outcome;
    rc = rc == OTR_OK ? read_restart(entry, &m->restart, err) : rc;
    rc = rc == OTR_OK ? read_instances(entry, m, err) : rc;
    const otr_node *off = otr_node_get(entry, "off");
    rc = rc == OTR_OK && off != NULL ? otr_node_as_bool(off, &m->off, err) : rc;
    const otr_node *hooks = otr_node_get(entry, "hooks");
    if (rc == OTR_OK && hooks != NULL) {
        rc = otr_manifest_patterns(hooks, "hooks", &m->hooks, err);
    }
    const otr_node *after = otr_node_get(entry, "after");
    if (rc == OTR_OK && after != NULL && otr_node_size(after) > MAX_AFTER) {
        return otr_manifest_bad(after, OTR_EQUOTA, "after: more than 16 names", err);
    }
    if (rc == OTR_OK && after != NULL) {
        rc = otr_manifest_texts(after, "after", &m->after, err);
    }
    return rc;
}

/* ---- order ---- */

static const otr_manifest *named(const otr_manifest_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->items[i]->name, name) == 0) {
            return set->items[i];
        }
    }
    return NULL;
}

static otr_code check_names(const otr_manifest_set *set, const otr_manifest *m, otr_err *err)
{
    for (char *const *name = m->after; name != NULL && *name != NULL; name++) {
        if (strcmp(*name, m->name) == 0) {
            return otr_fail(err, OTR_EINVAL, "%s: after: plugin \"%s\" cannot come after itself",
                            m->where, m->name);
        }
        if (named(set, *name) == NULL) {
            return otr_fail(err, OTR_EINVAL, "%s: after: there is no plugin \"%s\" in plugins.load",
                            m->where, *name);
        }
    }
    return OTR_OK;
}

/* The first name in `after` that is not among those marked as `up`. */
static const char *waits_for(const otr_manifest_set *set, const otr_manifest *m, const bool *up)
{
    for (char *const *name = m->after; name != NULL && *name != NULL; name++) {
        for (size_t i = 0; i < set->n; i++) {
            if (!up[i] && strcmp(set->items[i]->name, *name) == 0) {
                return *name;
            }
        }
    }
    return NULL;
}

/* Marks who can come up, again and again; whoever is left waits for a ring. */
static otr_code check_rings(const otr_manifest_set *set, bool *up, otr_err *err)
{
    bool more = true;
    while (more) {
        more = false;
        for (size_t i = 0; i < set->n; i++) {
            if (!up[i] && waits_for(set, set->items[i], up) == NULL) {
                up[i] = more = true;
            }
        }
    }
    for (size_t i = 0; i < set->n; i++) {
        if (!up[i]) {
            const otr_manifest *m = set->items[i];
            return otr_fail(err, OTR_EINVAL,
                            "%s: after: plugin \"%s\" can never come up: it waits for \"%s\", "
                            "which waits in a ring",
                            m->where, m->name, waits_for(set, m, up));
        }
    }
    return OTR_OK;
}

otr_code otr_manifest_check_order(const otr_manifest_set *set, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < set->n; i++) {
        rc = check_names(set, set->items[i], err);
    }
    if (rc != OTR_OK || set->n == 0) {
        return rc;
    }
    bool *up = otr_calloc(set->n, sizeof(*up));
    if (up == NULL) {
        return otr_fail_nomem(err);
    }
    rc = check_rings(set, up, err);
    otr_free(up);
    return rc;
}
