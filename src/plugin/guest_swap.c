/* Changing a running guest: new settings in place, a new version beside the old one. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/guest_plugin.h"

static otr_guest_plugin *plugin_of(const otr_guest_job *job)
{
    return job->owner;
}

/* ---- the old version goes ---- */

static void retired(void *arg, otr_code rc)
{
    otr_guest_job *job = arg;
    otr_guest_plugin *g = plugin_of(job);
    otr_guest_job_kind ended = job->kind;
    otr_err err = { 0 };
    (void)rc;
    otr_guest_job_merge(job, &g->p->stats, g->p->host->spec.bus);
    job->drop_code = true;
    if (ended != OTR_JOB_DROP && otr_guest_job_submit(job, OTR_JOB_DROP, retired, &err) == OTR_OK) {
        return;
    }
    otr_guest_job_free(job);
    g->retiring--;
    otr_guest_check_stopped(g);
}

static void retire(otr_guest_plugin *g, otr_guest_job *job, otr_guest_job_kind kind)
{
    otr_err err = { 0 };
    g->retiring++;
    job->deadline_ns = otr_now_ns() + job->manifest->call_ns;
    job->drop_code = true;
    if (otr_guest_job_submit(job, kind, retired, &err) != OTR_OK) {
        otr_guest_job_free(job);
        g->retiring--;
    }
}

/* ---- the new version comes ---- */

void otr_guest_forget_fresh(otr_guest_plugin *g)
{
    otr_guest_job *job = otr_steal(&g->fresh);
    if (job != NULL && job->kind == OTR_JOB_NONE) {
        retire(g, job, OTR_JOB_DROP);
    }
    otr_manifest_free(g->fresh_manifest);
    g->fresh_manifest = NULL;
    g->fresh_ready = false;
}

static void fresh_loaded(void *arg, otr_code rc)
{
    otr_guest_job *job = arg;
    otr_guest_plugin *g = plugin_of(job);
    job->kind = OTR_JOB_NONE;
    job->cancellable = NULL;
    otr_guest_job_merge(job, &g->p->stats, g->p->host->spec.bus);
    if (rc != OTR_OK) {
        otr_log_error("new version of plugin cannot be loaded, keeping the old one", "plugin",
                      g->p->name, "err", job->err.msg);
        otr_plugin_set_state(g->p, g->p->state_id, job->err.msg);
    }
    if (rc != OTR_OK || g->stopping) {
        otr_guest_forget_fresh(g);
        otr_guest_check_stopped(g);
        otr_guest_pump(g);
        return;
    }
    otr_sub_stats queue = { 0 };
    if (g->p->sub != NULL) {
        otr_sub_get_stats(g->p->sub, &queue);
    }
    g->drain = queue.depth;
    g->fresh_ready = true;
    otr_guest_pump(g);
}

static bool load_beside(otr_guest_plugin *g, otr_manifest *m)
{
    otr_plugin *p = g->p;
    otr_err err = { 0 };
    otr_code rc = otr_guest_job_new(p->host->spec.loop, p->host->pool, p->name, m,
                                    otr_plugin_host_engine(p->host, m), &g->fresh, &err);
    if (rc == OTR_OK) {
        g->fresh->owner = g;
        g->fresh->bus = p->host->spec.bus;
        rc = otr_guest_job_submit(g->fresh, OTR_JOB_LOAD, fresh_loaded, &err);
    }
    if (rc != OTR_OK) {
        otr_log_error("new version of plugin not loaded, keeping the old one", "plugin", p->name,
                      "err", err.msg);
        otr_guest_job_free(g->fresh);
        g->fresh = NULL;
        otr_manifest_free(m);
        return false;
    }
    g->fresh_manifest = m;
    return true;
}

static bool same_topics(char *const *a, char *const *b)
{
    size_t i = 0;
    while (a != NULL && b != NULL && a[i] != NULL && b[i] != NULL && strcmp(a[i], b[i]) == 0) {
        i++;
    }
    return a != NULL && b != NULL && a[i] == NULL && b[i] == NULL;
}

void otr_guest_exchange(otr_guest_plugin *g)
{
    otr_plugin *p = g->p;
    otr_guest_job *old = g->job;
    otr_manifest *old_manifest = p->manifest;
    g->job = otr_steal(&g->fresh);
    p->manifest = otr_steal(&g->fresh_manifest);
    g->fresh_ready = false;
    g->failures = 0;
    /* What the old one had taken and not begun goes to the new one, first. */
    memcpy(g->job->batch, old->batch, sizeof(old->batch));
    g->job->n = old->n;
    old->n = 0;
    char *const *wanted = p->manifest->subscribe != NULL ? p->manifest->subscribe : g->job->topics;
    if (!same_topics(p->patterns, wanted) || p->manifest->queue != old_manifest->queue) {
        otr_plugin_unsubscribe(p);
    }
    retire(g, old, OTR_JOB_CLOSE);
    otr_manifest_free(old_manifest);
    otr_err err = { 0 };
    if (otr_guest_adopt(g, &err) != OTR_OK) {
        otr_guest_fail(g, &err, true);
        return;
    }
    otr_guest_pump(g);
}

/* ---- new settings ---- */

void otr_guest_reconfigured(otr_guest_plugin *g, otr_code rc)
{
    otr_manifest *old = otr_steal(&g->previous);
    if (rc == OTR_OK) {
        otr_manifest_free(old);
        otr_log_info("plugin reconfigured", "plugin", g->p->name);
        otr_plugin_set_state(g->p, OTR_PLUGIN_RUNNING, "");
        return;
    }
    otr_log_warn("plugin refused its new config, keeping the old one", "plugin", g->p->name, "err",
                 g->job->err.msg);
    otr_manifest_free(g->p->manifest);
    g->p->manifest = old;
    otr_guest_job_use(g->job, old);
    if (g->job->guest == NULL || otr_guest_dead(g->job->guest)) {
        otr_guest_fail(g, &g->job->err, false);
    } else {
        otr_plugin_set_state(g->p, OTR_PLUGIN_RUNNING, g->job->err.msg);
    }
}

static void use_manifest(otr_guest_plugin *g, otr_manifest *m)
{
    g->p->manifest = m;
    otr_guest_job_use(g->job, m);
    g->job->hostcalls.denial_logged = false;
}

/* A waPC guest cannot be asked whether it has reconfigure(): unless it says so in info it is loaded
 * anew. */
static bool can_reconfigure(const otr_guest_plugin *g)
{
    bool sure = (g->job->info.operations & OTR_HAS_LIST) != 0 || strcmp(g->p->abi, "wapc") != 0;
    return sure && g->p->state_id == OTR_PLUGIN_RUNNING &&
           otr_guest_job_has(g->job, OTR_HAS_RECONFIGURE, "reconfigure");
}

bool otr_guest_take_next(otr_guest_plugin *g)
{
    if (g->next == NULL || g->fresh != NULL) {
        return false;
    }
    otr_plugin *p = g->p;
    otr_manifest *m = otr_steal(&g->next);
    bool new_code = g->next_is_new_code;
    g->next_is_new_code = false;
    if (!new_code && can_reconfigure(g)) {
        g->previous = p->manifest;
        use_manifest(g, m);
        otr_guest_run(g, OTR_JOB_RECONFIGURE);
        return true;
    }
    if (p->state_id == OTR_PLUGIN_RUNNING) {
        (void)load_beside(g, m);
        return false; /* the old one works on */
    }
    otr_manifest_free(p->manifest);
    use_manifest(g, m);
    g->job->engine = otr_plugin_host_engine(p->host, m); /* its code is dropped before it loads */
    g->failures = 0;
    otr_timer_stop(g->timer);
    otr_plugin_unsubscribe(p);
    otr_plugin_set_state(p, OTR_PLUGIN_LOADING, "");
    otr_guest_drop_then(g, true, true);
    return true;
}

void otr_guest_plugin_reload(otr_plugin *p)
{
    otr_guest_plugin *g = otr_plugin_state(p);
    g->next_is_new_code = true;
    otr_guest_plugin_reconfigure(p, otr_manifest_ref(g->next != NULL ? g->next : p->manifest));
}

otr_code otr_guest_plugin_disable(otr_plugin *p, otr_err *err)
{
    otr_guest_plugin *g = otr_plugin_state(p);
    if (p->state_id == OTR_PLUGIN_DISABLED) {
        g->off = true;
        return OTR_OK;
    }
    if (otr_guest_busy(g) && g->job->kind != OTR_JOB_PROCESS) {
        return otr_fail(err, OTR_ESTATE, "plugin \"%s\" is %s: ask again in a moment", p->name,
                        otr_plugin_state_name(p->state_id));
    }
    otr_timer_stop(g->timer);
    otr_plugin_unsubscribe(p);
    otr_plugin_set_state(p, OTR_PLUGIN_DISABLED, "switched off by an operator");
    g->off = true;
    g->switched_off = true;
    if (otr_guest_busy(g)) {
        otr_guest_job_cancel(g->job);
    } else {
        otr_guest_drop_then(g, false, true);
    }
    return OTR_OK;
}

void otr_guest_plugin_reconfigure(otr_plugin *p, otr_manifest *manifest)
{
    otr_guest_plugin *g = otr_plugin_state(p);
    g->next_is_new_code = g->next_is_new_code ||
                          strcmp(p->manifest->identity, manifest->identity) != 0 ||
                          otr_guest_plugin_stale(p) || p->state_id == OTR_PLUGIN_DISABLED;
    otr_manifest_free(g->next);
    g->next = manifest;
    g->off = false;
    otr_guest_pump(g);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool otr_guest_plugin_stale(otr_plugin *p)
{
    const otr_guest_plugin *g = otr_plugin_state(p);
    const struct stat *then = g->fresh != NULL && g->fresh_ready ? &g->fresh->file : &g->job->file;
    struct stat now;
    if (g->job->kind == OTR_JOB_LOAD || then->st_ino == 0 || stat(p->manifest->source, &now) != 0) {
        return false;
    }
    return !same_file(&now, then);
}

otr_file_state otr_guest_plugin_compare(const otr_plugin *p, const struct stat *now)
{
    const otr_guest_plugin *g = p->state;
    if (g->off || g->stopping) {
        return OTR_FILE_SAME;
    }
    if (g->job->kind == OTR_JOB_LOAD || g->fresh != NULL || g->next != NULL) {
        return OTR_FILE_BUSY;
    }
    return same_file(now, &g->job->file) ? OTR_FILE_SAME : OTR_FILE_OTHER;
}
