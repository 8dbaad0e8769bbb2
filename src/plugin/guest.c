/* The state machine of a guest plugin: one job at a time, and what follows from its result. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "plugin/guest_plugin.h"
#include "plugin/watch.h"

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MOST_MS = 30000,
    UNREACHED_MOST = 10,
    FAILURES_MOST = 5, /* within FAILURE_WINDOW_NS: then it is disabled */
};
#define FAILURE_WINDOW_NS (UINT64_C(60) * OTR_NS_PER_S)

static void job_done(void *arg, otr_code rc);

static otr_guest_plugin *guest_of(otr_plugin *p)
{
    return otr_plugin_state(p);
}

static void disable(otr_guest_plugin *g, const char *reason)
{
    otr_log_error("plugin disabled", "plugin", g->p->name, "reason", reason);
    otr_plugin_set_state(g->p, OTR_PLUGIN_DISABLED, reason);
    otr_plugin_settle(g->p);
}

void otr_guest_run(otr_guest_plugin *g, otr_guest_job_kind kind)
{
    otr_err err = { 0 };
    if (otr_guest_job_submit(g->job, kind, job_done, &err) != OTR_OK) {
        disable(g, err.msg);
        g->closed = g->stopping;
        otr_guest_check_stopped(g);
    }
}

/* ---- failure ---- */

void otr_guest_drop_then(otr_guest_plugin *g, bool load_again, bool drop_code)
{
    g->load_after_drop = load_again;
    g->disable_after_drop = !load_again;
    g->job->drop_code = drop_code;
    otr_guest_run(g, OTR_JOB_DROP);
}

static unsigned count_failure(otr_guest_plugin *g)
{
    uint64_t now = otr_now_ns();
    if (g->failures == 0 || now - g->window_ns > FAILURE_WINDOW_NS) {
        g->failures = 0;
        g->window_ns = now;
    }
    return ++g->failures;
}

void otr_guest_fail(otr_guest_plugin *g, const otr_err *err, bool permanent)
{
    otr_plugin *p = g->p;
    char reason[OTR_REASON_BYTES];
    if (permanent) {
        disable(g, err->msg);
        otr_guest_drop_then(g, false, true);
        return;
    }
    unsigned failures = count_failure(g);
    if (p->manifest->on_failure == OTR_ON_FAILURE_DISABLE || failures >= FAILURES_MOST) {
        (void)snprintf(reason, sizeof(reason), "%u failure%s within 60 s, the last: %.300s",
                       failures, failures == 1 ? "" : "s", err->msg);
        disable(g, reason);
        otr_guest_drop_then(g, false, true);
        return;
    }
    otr_log_warn("plugin failed, starting a fresh instance", "plugin", p->name, "failures",
                 OTR_U64(failures), "err", err->msg);
    otr_plugin_set_state(p, OTR_PLUGIN_BACKOFF, err->msg);
    otr_plugin_settle(p);
    otr_guest_drop_then(g, true, false);
}

/* The server that has the file did not answer: no fault of the plugin, so there is no last try. */
static void wait_for_source(otr_guest_plugin *g, const otr_err *err)
{
    otr_log_warn("source of plugin cannot be reached, trying again", "plugin", g->p->name, "err",
                 err->msg);
    g->unreached += g->unreached < UNREACHED_MOST;
    otr_plugin_set_state(g->p, OTR_PLUGIN_BACKOFF, err->msg);
    otr_plugin_settle(g->p);
    otr_guest_drop_then(g, true, true);
}

static void load(otr_guest_plugin *g)
{
    if (g->p->state_id != OTR_PLUGIN_LOADING) {
        otr_plugin_set_state(g->p, OTR_PLUGIN_LOADING, "");
    }
    otr_guest_run(g, OTR_JOB_LOAD);
}

static void start_again(void *arg)
{
    otr_guest_plugin *g = arg;
    if (!otr_guest_busy(g) && !g->stopping && g->p->state_id == OTR_PLUGIN_BACKOFF) {
        g->p->stats.restarts++;
        load(g);
    }
}

static void begin_backoff(otr_guest_plugin *g)
{
    unsigned times = g->failures + g->unreached;
    uint64_t wait = (uint64_t)BACKOFF_FIRST_MS << (times > 0 ? times - 1 : 0);
    otr_timer_start(g->timer, wait < BACKOFF_MOST_MS ? wait : BACKOFF_MOST_MS, 0);
}

/* ---- results ---- */

static void ready(void *arg, otr_sub *sub)
{
    (void)sub;
    otr_guest_pump(guest_of(arg));
}

otr_code otr_guest_adopt(otr_guest_plugin *g, otr_err *err)
{
    otr_plugin *p = g->p;
    otr_free(p->version);
    p->version = otr_strdup(g->job->info.version);
    p->abi = otr_abi_name(otr_guest_code_abi(g->job->code));
    (void)snprintf(p->sha256, sizeof(p->sha256), "%s", otr_guest_code_sha256(g->job->code));
    g->unreached = 0;
    if (p->patterns == NULL) {
        char *const *wanted =
            p->manifest->subscribe != NULL ? p->manifest->subscribe : g->job->topics;
        otr_code rc = otr_plugin_subscribe(p, (const char *const *)wanted, ready, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    otr_guest_recall(g);
    otr_log_info("plugin running", "plugin", p->name, "version",
                 p->version != NULL ? p->version : "", "abi", p->abi, "engine",
                 p->manifest->engine);
    otr_plugin_set_state(p, OTR_PLUGIN_RUNNING, "");
    otr_source_watch_update(p->host); /* a new manifest may name another file */
    otr_plugin_settle(p);
    return OTR_OK;
}

static void load_done(otr_guest_plugin *g, otr_code rc)
{
    bool permanent = rc != OTR_OK ? g->job->permanent : true;
    if (rc == OTR_OK) {
        rc = otr_guest_adopt(g, &g->job->err);
    }
    if (rc != OTR_OK && g->job->unreached) {
        wait_for_source(g, &g->job->err);
    } else if (rc != OTR_OK) {
        otr_guest_fail(g, &g->job->err, permanent);
    }
}

static void drop_done(otr_guest_plugin *g)
{
    if (g->disable_after_drop) {
        otr_plugin_unsubscribe(g->p);
        g->disable_after_drop = false;
        return;
    }
    if (g->load_after_drop) {
        g->load_after_drop = false;
        if (g->p->state_id == OTR_PLUGIN_BACKOFF) {
            begin_backoff(g);
        } else {
            load(g);
        }
    }
}

static void close_done(otr_guest_plugin *g)
{
    g->closed = true;
    g->job->drop_code = true;
    otr_guest_run(g, OTR_JOB_DROP);
}

static void take_result(otr_guest_plugin *g, otr_guest_job_kind kind, otr_code rc)
{
    switch (kind) {
    case OTR_JOB_LOAD:
        load_done(g, rc);
        break;
    case OTR_JOB_PROCESS:
        if (rc != OTR_OK) {
            otr_guest_fail(g, &g->job->err, false);
        }
        break;
    case OTR_JOB_RECONFIGURE:
        otr_guest_reconfigured(g, rc);
        break;
    case OTR_JOB_DROP:
        drop_done(g);
        break;
    case OTR_JOB_CLOSE:
    case OTR_JOB_NONE:
        break;
    }
}

/* Stopping: let the running job end, then close(), then drop. */
static void continue_stop(otr_guest_plugin *g, otr_guest_job_kind ended)
{
    if (ended == OTR_JOB_DROP && g->closed) {
        otr_guest_check_stopped(g);
    } else if (ended == OTR_JOB_CLOSE) {
        close_done(g);
    } else {
        g->job->deadline_ns = g->stop_deadline_ns;
        otr_guest_run(g, OTR_JOB_CLOSE);
    }
}

void otr_guest_check_stopped(otr_guest_plugin *g)
{
    bool fresh_runs = g->fresh != NULL && g->fresh->kind != OTR_JOB_NONE;
    if (g->stopping && g->closed && !otr_guest_busy(g) && g->retiring == 0 && !fresh_runs &&
        !g->p->stopped) {
        otr_plugin_stopped(g->p);
    }
}

static void job_done(void *arg, otr_code rc)
{
    otr_guest_job *job = arg;
    otr_guest_plugin *g = job->owner;
    otr_guest_job_kind kind = job->kind;
    job->kind = OTR_JOB_NONE;
    job->cancellable = NULL;
    if (kind == OTR_JOB_PROCESS) {
        g->drain -= job->next < g->drain ? job->next : g->drain;
        otr_guest_bury(g);
        otr_guest_job_release(job, job->next);
    }
    otr_guest_job_merge(job, &g->p->stats, g->p->host->spec.bus);
    if (g->stopping) {
        continue_stop(g, kind);
        return;
    }
    if (g->switched_off) {
        g->switched_off = false;
        if (kind != OTR_JOB_DROP) {
            otr_guest_drop_then(g, false, true);
            return;
        }
    }
    take_result(g, kind, rc);
    otr_guest_pump(g);
}

/* ---- work ---- */

static otr_msg *next_message(otr_guest_plugin *g)
{
    otr_msg *fact = otr_guest_next_fact(g);
    if (fact != NULL) {
        return fact;
    }
    return g->n_again > 0 ? g->again[--g->n_again] : otr_sub_take(g->p->sub);
}

void otr_guest_pump(otr_guest_plugin *g)
{
    if (otr_guest_busy(g) || g->stopping || otr_guest_take_next(g)) {
        return;
    }
    if (g->fresh_ready && (g->drain == 0 || g->p->state_id != OTR_PLUGIN_RUNNING)) {
        otr_guest_exchange(g);
        return;
    }
    if (g->p->state_id != OTR_PLUGIN_RUNNING) {
        return;
    }
    while (g->p->sub != NULL && g->job->n < OTR_GUEST_BATCH) {
        otr_msg *msg = next_message(g);
        if (msg == NULL) {
            break;
        }
        g->job->batch[g->job->n++] = msg;
    }
    if (g->job->n > 0) {
        otr_guest_run(g, OTR_JOB_PROCESS);
    }
}

/* ---- otr_plugin_ops ---- */

static otr_code guest_init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)cfg;
    otr_guest_plugin *g = guest_of(p);
    otr_plugin_host *host = p->host;
    g->p = p;
    otr_code rc = otr_guest_job_new(host->spec.loop, host->pool, p->name, p->manifest,
                                    otr_plugin_host_engine(host, p->manifest), &g->job, err);
    if (rc != OTR_OK) {
        return rc;
    }
    g->job->owner = g;
    g->job->bus = host->spec.bus;
    return otr_timer_new(host->spec.loop, start_again, g, &g->timer, err);
}

static otr_code guest_start(otr_plugin *p, otr_err *err)
{
    (void)err;
    load(guest_of(p));
    return OTR_OK;
}

static void end_patience(void *arg)
{
    const otr_guest_plugin *g = arg;
    otr_guest_job_cancel(g->job);
    otr_guest_job_cancel(g->fresh);
}

static void guest_stop(otr_plugin *p, uint64_t deadline_ns)
{
    otr_guest_plugin *g = guest_of(p);
    if (g->stopping) {
        return; /* removed, and now the whole host stops */
    }
    g->stopping = true;
    uint64_t now = otr_now_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    g->stop_deadline_ns = now + left / 4 * 3;
    otr_plugin_unsubscribe(p);
    otr_timer_free(g->timer);
    g->timer = NULL;
    if (g->fresh != NULL && g->fresh->kind == OTR_JOB_NONE) {
        otr_guest_forget_fresh(g);
    }
    if (!otr_guest_busy(g)) {
        continue_stop(g, OTR_JOB_NONE);
    }
    otr_err err = { 0 };
    bool waits = otr_guest_busy(g) || g->fresh != NULL;
    if (waits && otr_timer_new(p->host->spec.loop, end_patience, g, &g->timer, &err) == OTR_OK) {
        /* Again and again: the running job may be a load that has no sandbox to cancel yet. */
        otr_timer_start(g->timer, left / 2 / OTR_NS_PER_MS, 10);
    }
}

static void guest_fini(otr_plugin *p)
{
    otr_guest_plugin *g = guest_of(p);
    otr_timer_free(g->timer);
    otr_guest_job_free(g->fresh);
    otr_guest_job_free(g->job);
    otr_manifest_free(g->fresh_manifest);
    otr_manifest_free(g->next);
    otr_manifest_free(g->previous);
    otr_guest_forget_dead(g);
    (void)otr_facts_unref(g->facts);
}

const otr_plugin_ops otr_guest_plugin_ops = {
    .name = "guest",
    .summary = "a WebAssembly plugin",
    .state_size = sizeof(otr_guest_plugin),
    .init = guest_init,
    .start = guest_start,
    .stop = guest_stop,
    .fini = guest_fini,
};
