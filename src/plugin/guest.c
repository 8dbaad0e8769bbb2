/*
 * The loop's half of a guest plugin: a small state machine that hands one job at a time to the
 * guest's strand and decides what follows from its result.
 *
 *     LOADING ─► RUNNING ─► (trap, deadline, memory) ─► BACKOFF ─► LOADING …
 *        └─► DISABLED (cannot be loaded, or failed too often)
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/guest_job.h"
#include "plugin/internal.h"

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MOST_MS = 30000,
    FAILURES_MOST = 5, /* within FAILURE_WINDOW_NS: then it is disabled */
};
#define FAILURE_WINDOW_NS (UINT64_C(60) * OTR_NS_PER_S)

typedef struct guest {
    otr_plugin *p;
    otr_strand *strand;
    otr_timer *timer; /* back-off, or the end of patience when stopping */
    otr_guest_job job;
    unsigned failures; /* in the window */
    uint64_t window_ns;
    otr_manifest *next;     /* a changed manifest waits for the running job */
    bool next_is_new_code;  /* it needs the file to be loaded anew */
    otr_manifest *previous; /* while RECONFIGURE runs: to go back to */
    bool stopping, closed;
    uint64_t stop_deadline_ns;
    bool load_after_drop, disable_after_drop;
} guest;

static void job_done(void *arg, otr_code rc);
static void pump(guest *g);

static guest *guest_of(otr_plugin *p)
{
    return otr_plugin_state(p);
}

static void disable(guest *g, const char *reason)
{
    otr_log_error("plugin disabled", "plugin", g->p->name, "reason", reason);
    otr_plugin_set_state(g->p, OTR_PLUGIN_DISABLED, reason);
    otr_plugin_settle(g->p);
}

static void run(guest *g, otr_guest_job_kind kind)
{
    otr_err err = { 0 };
    g->job.kind = kind;
    g->job.cancellable = kind == OTR_JOB_LOAD || kind == OTR_JOB_DROP ? NULL : g->job.guest;
    otr_code rc = otr_worker_submit(g->strand, otr_guest_job_run, job_done, &g->job, &err);
    if (rc != OTR_OK) {
        g->job.kind = OTR_JOB_NONE;
        disable(g, err.msg);
        if (g->stopping) {
            otr_plugin_stopped(g->p);
        }
    }
}

static bool busy(const guest *g)
{
    return g->job.kind != OTR_JOB_NONE;
}

/* ---- failure ---- */

static void drop_then(guest *g, bool load_again, bool drop_code)
{
    g->load_after_drop = load_again;
    g->disable_after_drop = !load_again;
    g->job.drop_code = drop_code;
    run(g, OTR_JOB_DROP);
}

static unsigned count_failure(guest *g)
{
    uint64_t now = otr_now_ns();
    if (g->failures == 0 || now - g->window_ns > FAILURE_WINDOW_NS) {
        g->failures = 0;
        g->window_ns = now;
    }
    return ++g->failures;
}

static void fail(guest *g, const otr_err *err, bool permanent)
{
    otr_plugin *p = g->p;
    char reason[OTR_REASON_BYTES];
    if (permanent) {
        disable(g, err->msg);
        drop_then(g, false, true);
        return;
    }
    unsigned failures = count_failure(g);
    if (p->manifest->on_failure == OTR_ON_FAILURE_DISABLE || failures >= FAILURES_MOST) {
        (void)snprintf(reason, sizeof(reason), "%u failure%s within 60 s, the last: %.300s",
                       failures, failures == 1 ? "" : "s", err->msg);
        disable(g, reason);
        drop_then(g, false, true);
        return;
    }
    otr_log_warn("plugin failed, starting a fresh instance", "plugin", p->name, "failures",
                 OTR_U64(failures), "err", err->msg);
    otr_plugin_set_state(p, OTR_PLUGIN_BACKOFF, err->msg);
    otr_plugin_settle(p);
    drop_then(g, true, false);
}

static void load(guest *g)
{
    if (g->p->state_id != OTR_PLUGIN_LOADING) {
        otr_plugin_set_state(g->p, OTR_PLUGIN_LOADING, "");
    }
    run(g, OTR_JOB_LOAD);
}

static void start_again(void *arg)
{
    guest *g = arg;
    if (!busy(g) && !g->stopping && g->p->state_id == OTR_PLUGIN_BACKOFF) {
        g->p->stats.restarts++;
        load(g);
    }
}

static void begin_backoff(guest *g)
{
    uint64_t wait = (uint64_t)BACKOFF_FIRST_MS << (g->failures > 0 ? g->failures - 1 : 0);
    otr_timer_start(g->timer, wait < BACKOFF_MOST_MS ? wait : BACKOFF_MOST_MS, 0);
}

/* ---- results ---- */

static void merge_stats(guest *g)
{
    otr_plugin_stats *to = &g->p->stats;
    const otr_plugin_stats *d = &g->job.delta;
    const otr_hostcalls *hc = &g->job.hostcalls;
    to->calls += d->calls;
    to->errors += d->errors;
    to->traps += d->traps;
    to->timeouts += d->timeouts;
    to->call_ns += d->call_ns;
    for (size_t i = 0; i < OTR_COUNT(to->time_counts); i++) {
        to->time_counts[i] += d->time_counts[i];
    }
    to->memory_bytes = d->memory_bytes;
    to->memory_max_bytes =
        d->memory_bytes > to->memory_max_bytes ? d->memory_bytes : to->memory_max_bytes;
    to->published += otr_hostcalls_flush(&g->job.hostcalls, g->p->host->spec.bus);
    to->publish_dropped = hc->publish_dropped;
    to->denials = hc->denials;
    to->logs = hc->logs;
    to->logs_dropped = hc->logs_dropped;
    g->job.delta = (otr_plugin_stats){ .memory_bytes = d->memory_bytes };
}

static void ready(void *arg, otr_sub *sub)
{
    (void)sub;
    pump(guest_of(arg));
}

static void loaded(guest *g)
{
    otr_plugin *p = g->p;
    otr_err err = { 0 };
    otr_free(p->version);
    p->version = otr_strdup(g->job.info.version);
    p->abi = otr_abi_name(otr_guest_code_abi(g->job.code));
    (void)snprintf(p->sha256, sizeof(p->sha256), "%s", otr_guest_code_sha256(g->job.code));
    const char *const *wanted =
        (const char *const *)(p->manifest->subscribe != NULL ? p->manifest->subscribe
                                                             : g->job.topics);
    if (p->sub == NULL || p->patterns == NULL) {
        if (otr_plugin_subscribe(p, wanted, ready, &err) != OTR_OK) {
            fail(g, &err, true);
            return;
        }
    }
    otr_log_info("plugin running", "plugin", p->name, "version",
                 p->version != NULL ? p->version : "", "abi", p->abi, "engine",
                 p->manifest->engine);
    otr_plugin_set_state(p, OTR_PLUGIN_RUNNING, "");
    otr_plugin_settle(p);
}

static void load_done(guest *g, otr_code rc)
{
    if (rc == OTR_OK) {
        loaded(g);
    } else {
        fail(g, &g->job.err, g->job.permanent);
    }
}

static void release_batch(guest *g, size_t upto)
{
    for (size_t i = 0; i < upto; i++) {
        otr_msg_unref(g->job.batch[i]);
    }
    memmove(g->job.batch, g->job.batch + upto, (g->job.n - upto) * sizeof(g->job.batch[0]));
    g->job.n -= upto;
    g->job.next = 0;
}

static void reconfigure_done(guest *g, otr_code rc)
{
    otr_manifest *old = otr_steal(&g->previous);
    if (rc == OTR_OK) {
        otr_manifest_free(old);
        otr_log_info("plugin reconfigured", "plugin", g->p->name);
        return;
    }
    bool alive = g->job.guest != NULL && !otr_guest_dead(g->job.guest);
    otr_log_warn("plugin refused its new config, keeping the old one", "plugin", g->p->name, "err",
                 g->job.err.msg);
    otr_manifest_free(g->p->manifest);
    g->p->manifest = old;
    g->job.manifest = old;
    g->job.hostcalls.manifest = old;
    if (!alive) {
        fail(g, &g->job.err, false);
    }
}

static void drop_done(guest *g)
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

static void close_done(guest *g)
{
    g->closed = true;
    g->job.drop_code = true;
    run(g, OTR_JOB_DROP);
}

static void take_result(guest *g, otr_guest_job_kind kind, otr_code rc)
{
    switch (kind) {
    case OTR_JOB_LOAD:
        load_done(g, rc);
        break;
    case OTR_JOB_PROCESS:
        if (rc != OTR_OK) {
            fail(g, &g->job.err, false);
        }
        break;
    case OTR_JOB_RECONFIGURE:
        reconfigure_done(g, rc);
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
static void continue_stop(guest *g, otr_guest_job_kind ended)
{
    if (g->closed && ended == OTR_JOB_DROP) {
        otr_plugin_stopped(g->p);
    } else if (ended == OTR_JOB_CLOSE) {
        close_done(g);
    } else {
        g->job.deadline_ns = g->stop_deadline_ns;
        run(g, OTR_JOB_CLOSE);
    }
}

static void job_done(void *arg, otr_code rc)
{
    otr_guest_job *job = arg;
    guest *g = (guest *)(void *)((char *)job - offsetof(guest, job));
    otr_guest_job_kind kind = job->kind;
    job->kind = OTR_JOB_NONE;
    job->cancellable = NULL;
    if (kind == OTR_JOB_PROCESS) {
        release_batch(g, job->next);
    }
    merge_stats(g);
    if (g->stopping) {
        continue_stop(g, kind);
        return;
    }
    take_result(g, kind, rc);
    pump(g);
}

/* ---- work ---- */

static void swap_manifest(guest *g)
{
    otr_plugin *p = g->p;
    otr_manifest *m = otr_steal(&g->next);
    bool in_place = !g->next_is_new_code && p->state_id == OTR_PLUGIN_RUNNING &&
                    otr_guest_job_has(&g->job, OTR_HAS_RECONFIGURE, "reconfigure") &&
                    ((g->job.info.operations & OTR_HAS_LIST) != 0 || strcmp(p->abi, "wapc") != 0);
    otr_manifest *old = p->manifest;
    p->manifest = m;
    g->job.manifest = m;
    g->job.hostcalls.manifest = m;
    g->job.hostcalls.denial_logged = false;
    if (in_place) {
        g->previous = old;
        run(g, OTR_JOB_RECONFIGURE);
        return;
    }
    otr_manifest_free(old);
    g->failures = 0;
    otr_timer_stop(g->timer);
    otr_plugin_unsubscribe(p);
    otr_plugin_set_state(p, OTR_PLUGIN_LOADING, "");
    drop_then(g, true, g->next_is_new_code || g->job.guest == NULL);
}

static void pump(guest *g)
{
    if (busy(g) || g->stopping) {
        return;
    }
    if (g->next != NULL) {
        swap_manifest(g);
        return;
    }
    if (g->p->state_id != OTR_PLUGIN_RUNNING) {
        return;
    }
    while (g->p->sub != NULL && g->job.n < OTR_GUEST_BATCH) {
        otr_msg *msg = otr_sub_take(g->p->sub);
        if (msg == NULL) {
            break;
        }
        g->job.batch[g->job.n++] = msg;
    }
    if (g->job.n > 0) {
        run(g, OTR_JOB_PROCESS);
    }
}

void otr_guest_plugin_reconfigure(otr_plugin *p, otr_manifest *manifest)
{
    guest *g = guest_of(p);
    otr_manifest_free(g->next);
    g->next_is_new_code = g->next_is_new_code ||
                          strcmp(p->manifest->identity, manifest->identity) != 0 ||
                          otr_guest_plugin_stale(p) || p->state_id == OTR_PLUGIN_DISABLED;
    g->next = manifest;
    pump(g);
    if (g->next == NULL) {
        g->next_is_new_code = false;
    }
}

bool otr_guest_plugin_stale(otr_plugin *p)
{
    const guest *g = guest_of(p);
    struct stat now;
    if (busy(g) || g->job.code == NULL || stat(p->manifest->source, &now) != 0) {
        return false;
    }
    const struct stat *then = &g->job.file;
    return now.st_dev != then->st_dev || now.st_ino != then->st_ino ||
           now.st_size != then->st_size || now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != then->st_mtim.tv_nsec;
}

/* ---- otr_plugin_ops ---- */

static otr_code guest_init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)cfg;
    guest *g = guest_of(p);
    g->p = p;
    g->job.name = p->name;
    g->job.manifest = p->manifest;
    g->job.engine = p->host->engine;
    g->job.loop = p->host->spec.loop;
    otr_buf_init(&g->job.output, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_hostcalls_init(&g->job.hostcalls, p->name, p->manifest);
    otr_code rc = otr_strand_new(p->host->pool, 1, &g->strand, err);
    return rc == OTR_OK ? otr_timer_new(p->host->spec.loop, start_again, g, &g->timer, err) : rc;
}

static otr_code guest_start(otr_plugin *p, otr_err *err)
{
    (void)err;
    load(guest_of(p));
    return OTR_OK;
}

static void end_patience(void *arg)
{
    guest *g = arg;
    if (busy(g) && g->job.cancellable != NULL) {
        otr_guest_cancel(g->job.cancellable);
    }
}

static void guest_stop(otr_plugin *p, uint64_t deadline_ns)
{
    guest *g = guest_of(p);
    g->stopping = true;
    uint64_t now = otr_now_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    g->stop_deadline_ns = now + left / 4 * 3;
    otr_plugin_unsubscribe(p);
    otr_timer_free(g->timer);
    g->timer = NULL;
    otr_err err = { 0 };
    if (!busy(g)) {
        continue_stop(g, OTR_JOB_NONE);
    } else if (otr_timer_new(p->host->spec.loop, end_patience, g, &g->timer, &err) == OTR_OK) {
        /* Again and again: the running job may be a load that has no sandbox to cancel yet. */
        otr_timer_start(g->timer, left / 2 / OTR_NS_PER_MS, 10);
    }
}

static void guest_fini(otr_plugin *p)
{
    guest *g = guest_of(p);
    otr_timer_free(g->timer);
    otr_strand_free(g->strand);
    otr_guest_free(g->job.guest);
    otr_guest_code_free(g->job.code);
    release_batch(g, g->job.n);
    otr_hostcalls_deinit(&g->job.hostcalls);
    otr_contract_info_deinit(&g->job.info);
    otr_contract_free_list(g->job.topics);
    otr_buf_deinit(&g->job.output);
    otr_manifest_free(g->next);
    otr_manifest_free(g->previous);
}

const otr_plugin_ops otr_guest_plugin_ops = {
    .name = "guest",
    .summary = "a WebAssembly plugin",
    .state_size = sizeof(guest),
    .init = guest_init,
    .start = guest_start,
    .stop = guest_stop,
    .fini = guest_fini,
};
