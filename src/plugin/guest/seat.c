/* The seats of a guest plugin: one job at a time each, and what follows from its result. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "plugin/guest/guest.h"

enum { UNREACHED_MOST = 10 };

static void job_done(void *arg, otr_code rc);
static void start_again(void *arg);

void otr_seat_free(otr_guest_seat *s)
{
    if (s != NULL) {
        otr_timer_free(s->timer);
        otr_guest_job_free(s->job);
        otr_free(s);
    }
}

static otr_code seat_new(otr_guest_plugin *g, otr_manifest *m, otr_guest_seat **ret, otr_err *err)
{
    const otr_plugin_host *host = g->p->host;
    otr_guest_seat *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    s->g = g;
    otr_code rc = otr_guest_job_new(host->spec.loop, host->spec.pool, g->p->name, m,
                                    otr_guest_engine(&host->guests->engines, m), &s->job, err);
    if (rc == OTR_OK) {
        s->job->owner = s;
        s->job->bus = host->spec.bus;
        rc = otr_timer_new(host->spec.loop, start_again, s, &s->timer, err);
    }
    if (rc != OTR_OK) {
        otr_seat_free(s);
        return rc;
    }
    *ret = s;
    return OTR_OK;
}

otr_code otr_seats_new(otr_guest_plugin *g, otr_manifest *m, otr_seat_role role, otr_seats *ret,
                       otr_err *err)
{
    otr_seats seats = { .items = otr_calloc(m->instances, sizeof(otr_guest_seat *)) };
    otr_code rc = seats.items != NULL ? OTR_OK : otr_fail_nomem(err);
    for (size_t i = 0; rc == OTR_OK && i < m->instances; i++) {
        rc = seat_new(g, m, &seats.items[i], err);
        if (rc == OTR_OK) {
            seats.items[i]->role = role;
            seats.items[i]->number = i + 1;
            seats.n++;
        }
    }
    if (rc != OTR_OK) {
        for (size_t i = 0; i < seats.n; i++) {
            otr_seat_free(seats.items[i]);
        }
        otr_free(seats.items);
        return rc;
    }
    *ret = seats;
    return OTR_OK;
}

/* ---- leaving ---- */

static void unlink_leaving(otr_guest_seat *s)
{
    otr_guest_seat **at = &s->g->leaving;
    while (*at != s) {
        at = &(*at)->next_leaving;
    }
    *at = s->next_leaving;
}

/* The next thing a leaving seat has to do, or NONE: it can go. */
static otr_guest_job_kind next_of_leaving(otr_guest_seat *s)
{
    bool stopping = s->g->stopping;
    if (s->finish_batch && !stopping && s->state == OTR_SEAT_RUNNING && s->job->n > 0) {
        return OTR_JOB_PROCESS;
    }
    if (s->close_wanted) {
        s->close_wanted = false;
        s->job->deadline_ns =
            stopping ? s->g->stop_deadline_ns : otr_now_ns() + s->job->manifest->call_ns;
        return OTR_JOB_CLOSE;
    }
    if (!s->dropped) {
        s->dropped = true;
        s->job->drop_code = true;
        return OTR_JOB_DROP;
    }
    return OTR_JOB_NONE;
}

static void leave_on(otr_guest_seat *s)
{
    otr_guest_plugin *g = s->g;
    otr_err err = { 0 };
    otr_guest_job_kind kind = next_of_leaving(s);
    if (kind != OTR_JOB_NONE && otr_guest_job_submit(s->job, kind, job_done, &err) == OTR_OK) {
        return;
    }
    unlink_leaving(s);
    if (s->finish_batch) { /* it could not: the new version may */
        otr_guest_seat *one[] = { s };
        otr_guest_hand_over(&(otr_seats){ one, 1 }, &g->seats);
        otr_guest_bury_rest(g, s->job, "the instance that took it ended, and no other had room");
    }
    otr_guest_fail_batch(s->job, "the plugin ended before it was asked");
    otr_seat_free(s);
    otr_guest_check_stopped(g);
}

void otr_seats_leave(otr_seats *seats, bool close_wanted, bool finish_batch)
{
    otr_seats gone = *seats;
    *seats = (otr_seats){ NULL, 0 };
    for (size_t i = 0; i < gone.n; i++) {
        otr_guest_seat *s = gone.items[i];
        s->role = OTR_SEAT_LEAVING;
        s->close_wanted = close_wanted;
        s->finish_batch = finish_batch;
        s->next_leaving = s->g->leaving;
        s->g->leaving = s;
        otr_timer_stop(s->timer);
    }
    for (size_t i = 0; i < gone.n; i++) { /* now that the plugin knows all who leave */
        otr_guest_seat *s = gone.items[i];
        if (!otr_seat_busy(s)) {
            leave_on(s);
        } else if (!close_wanted) {
            otr_guest_job_cancel(s->job);
        }
    }
    otr_free(gone.items);
}

/* ---- jobs ---- */

bool otr_seat_run(otr_guest_seat *s, otr_guest_job_kind kind)
{
    otr_err err = { 0 };
    if (otr_guest_job_submit(s->job, kind, job_done, &err) == OTR_OK) {
        return true;
    }
    otr_log_error("plugin job not started", "plugin", s->g->p->name, "err", err.msg);
    if (s->role == OTR_SEAT_FRESH) {
        otr_guest_forget_fresh(s->g);
    } else {
        otr_guest_disable(s->g, err.msg, false);
    }
    return false;
}

/* One of `seats` whose code may be shared; or, in `*ret_compiling`, that there will be one. */
static const otr_guest_seat *code_of(const otr_seats *seats, bool *ret_compiling)
{
    *ret_compiling = false;
    for (size_t i = 0; i < seats->n; i++) {
        if (seats->items[i]->has_code) {
            return seats->items[i];
        }
        *ret_compiling = *ret_compiling || seats->items[i]->state == OTR_SEAT_LOADING;
    }
    return NULL;
}

static bool load_one(otr_guest_seat *s, const otr_seats *seats)
{
    bool compiling = false;
    const otr_guest_seat *with_code = code_of(seats, &compiling);
    if (with_code == NULL && compiling) {
        return true; /* when that is done */
    }
    if (!s->has_code && with_code != NULL) {
        otr_guest_job_share(s->job, with_code->job);
        s->has_code = true;
    }
    s->state = OTR_SEAT_LOADING;
    return otr_seat_run(s, OTR_JOB_LOAD);
}

void otr_seats_load(otr_guest_plugin *g, otr_seats *seats)
{
    if (g->stopping || g->waiting || g->changing != NULL) {
        return;
    }
    for (size_t i = 0; i < seats->n; i++) {
        otr_guest_seat *s = seats->items[i];
        if (s->state == OTR_SEAT_EMPTY && !otr_seat_busy(s) && !load_one(s, seats)) {
            return;
        }
    }
}

/* ---- failure ---- */

static unsigned count_failure(otr_guest_plugin *g)
{
    uint64_t now = otr_now_ns();
    if (g->failures == 0 || now - g->window_ns > g->manifest->restart.window_ns) {
        g->failures = 0;
        g->window_ns = now;
    }
    return ++g->failures;
}

static void quarantine(otr_guest_plugin *g, unsigned failures, const char *last)
{
    const otr_restart *r = &g->manifest->restart;
    char reason[OTR_REASON_BYTES];
    bool one = g->manifest->on_failure == OTR_ON_FAILURE_DISABLE;
    (void)snprintf(reason, sizeof(reason), "%s%u failure%s within %llu s, the last: %.300s",
                   one ? "" : "quarantined: ", failures, failures == 1 ? "" : "s",
                   (unsigned long long)(r->window_ns / OTR_NS_PER_S), last);
    otr_log_error("plugin disabled", "plugin", g->p->name, "reason", reason);
    otr_guest_disable(g, reason, !one);
}

static uint64_t backoff_ms(const otr_guest_plugin *g)
{
    const otr_restart *r = &g->manifest->restart;
    uint64_t wait = r->backoff_ns;
    for (unsigned i = 1; i < g->failures + g->unreached && wait < r->backoff_max_ns; i++) {
        wait *= 2;
    }
    wait = wait < r->backoff_max_ns ? wait : r->backoff_max_ns;
    return (wait + OTR_NS_PER_MS - 1) / OTR_NS_PER_MS;
}

static void back_off(otr_guest_seat *s, const otr_err *err, bool drop_code)
{
    s->failure = *err;
    s->state = OTR_SEAT_BACKOFF;
    s->take_settings = false;
    s->wait_ms = backoff_ms(s->g);
    s->job->drop_code = drop_code;
    if (otr_seat_run(s, OTR_JOB_DROP)) {
        otr_guest_derive(s->g);
    }
}

/* The server that has the file did not answer: no fault of the plugin, so there is no last try. */
static void wait_for_source(otr_guest_seat *s, const otr_err *err)
{
    otr_guest_plugin *g = s->g;
    otr_log_warn("source of plugin cannot be reached, trying again", "plugin", g->p->name, "err",
                 err->msg);
    g->unreached += g->unreached < UNREACHED_MOST;
    back_off(s, err, true);
}

void otr_seat_fail(otr_guest_seat *s, const otr_err *err)
{
    otr_guest_plugin *g = s->g;
    const otr_manifest *m = g->manifest;
    unsigned failures = count_failure(g);
    if (m->on_failure == OTR_ON_FAILURE_DISABLE || failures >= m->restart.failures) {
        otr_err last = *err; /* the job that it stands in goes */
        quarantine(g, failures, last.msg);
        return;
    }
    otr_log_warn("plugin failed, starting a fresh instance", "plugin", g->p->name, "instance",
                 OTR_U64(s->number), "failures", OTR_U64(failures), "err", err->msg);
    back_off(s, err, false);
}

static void start_again(void *arg)
{
    otr_guest_seat *s = arg;
    otr_guest_plugin *g = s->g;
    if (s->role != OTR_SEAT_AT_WORK || s->state != OTR_SEAT_BACKOFF || otr_seat_busy(s)) {
        return;
    }
    g->p->stats.restarts++;
    s->state = OTR_SEAT_EMPTY;
    otr_guest_job_use(s->job, g->manifest);
    otr_seats_load(g, &g->seats);
    otr_guest_derive(g);
}

/* ---- results ---- */

static void load_done(otr_guest_seat *s, otr_code rc)
{
    otr_guest_plugin *g = s->g;
    bool permanent = rc != OTR_OK ? s->job->permanent : true;
    bool fresh = !g->adopted || g->seats.n == 1;
    if (rc == OTR_OK && !g->adopted) {
        rc = otr_guest_adopt(g, s, &s->job->err);
    }
    if (rc == OTR_OK) {
        s->state = OTR_SEAT_RUNNING;
        if (fresh) {
            otr_guest_recall(g);
        }
    } else if (s->job->unreached) {
        wait_for_source(s, &s->job->err);
    } else if (permanent) {
        otr_err why = s->job->err; /* the job that it stands in goes */
        otr_log_error("plugin disabled", "plugin", g->p->name, "reason", why.msg);
        otr_guest_disable(g, why.msg, false);
        return;
    } else {
        otr_seat_fail(s, &s->job->err);
    }
    otr_seats_load(g, &g->seats); /* those that waited for the code */
    otr_guest_derive(g);
}

/* Past the mark, and past half of what it had left when it began: memory of a sandbox never
 * shrinks, so a fresh one takes its place while there is still room. */
static bool outgrown(const otr_guest_seat *s)
{
    const otr_manifest *m = s->job->manifest;
    uint64_t now = s->memory_bytes, then = s->job->loaded_bytes;
    return m->recycle_bytes > 0 && now > m->recycle_bytes && now > then &&
           now - then > (m->memory_bytes - then) / 2;
}

static void recycle(otr_guest_seat *s)
{
    otr_plugin *p = s->g->p;
    p->stats.recycled++;
    otr_log_info("plugin instance outgrew limits.recycle, a fresh one takes its place", "plugin",
                 p->name, "instance", OTR_U64(s->number), "bytes", OTR_U64(s->memory_bytes),
                 "limit", OTR_U64(s->job->manifest->memory_bytes));
    (void)otr_seat_run(s, OTR_JOB_RECYCLE);
}

static void take_result(otr_guest_seat *s, otr_guest_job_kind kind, otr_code rc)
{
    switch (kind) {
    case OTR_JOB_LOAD:
    case OTR_JOB_RECYCLE:
        load_done(s, rc);
        break;
    case OTR_JOB_PROCESS:
        if (rc != OTR_OK) {
            otr_seat_fail(s, &s->job->err);
        } else if (outgrown(s)) {
            recycle(s);
        }
        break;
    case OTR_JOB_RECONFIGURE:
        otr_guest_reconfigured(s, rc);
        break;
    case OTR_JOB_DROP:
        if (s->state == OTR_SEAT_BACKOFF) {
            otr_timer_start(s->timer, s->wait_ms, 0);
        }
        break;
    case OTR_JOB_CLOSE:
    case OTR_JOB_NONE:
        break;
    }
}

static void sum_memory(otr_guest_plugin *g)
{
    otr_plugin_stats *stats = &g->p->stats;
    stats->memory_bytes = 0;
    for (size_t i = 0; i < g->seats.n; i++) {
        stats->memory_bytes += g->seats.items[i]->memory_bytes;
    }
    if (stats->memory_bytes > stats->memory_max_bytes) {
        stats->memory_max_bytes = stats->memory_bytes;
    }
}

static void processed(otr_guest_seat *s)
{
    otr_guest_plugin *g = s->g;
    otr_guest_job *job = s->job;
    if (s->role == OTR_SEAT_AT_WORK) {
        g->drain -= job->next < g->drain ? job->next : g->drain;
    }
    otr_guest_bury(g, job);
    otr_guest_answer_calls(job, job->next);
    otr_guest_job_release(job, job->next);
}

static void job_done(void *arg, otr_code rc)
{
    otr_guest_job *job = arg;
    otr_guest_seat *s = job->owner;
    otr_guest_plugin *g = s->g;
    otr_guest_job_kind kind = job->kind;
    job->kind = OTR_JOB_NONE;
    job->cancellable = NULL;
    s->memory_bytes = job->delta.memory_bytes;
    s->has_code = kind == OTR_JOB_LOAD || kind == OTR_JOB_DROP ? job->code != NULL : s->has_code;
    if (kind == OTR_JOB_PROCESS) {
        processed(s);
    } else if (kind == OTR_JOB_LOAD) {
        g->tried = job->file;
    }
    otr_guest_job_merge(job, &g->p->stats, g->p->host->spec.bus);
    switch (s->role) {
    case OTR_SEAT_LEAVING:
        s->state = rc != OTR_OK ? OTR_SEAT_EMPTY : s->state;
        leave_on(s);
        break;
    case OTR_SEAT_FRESH:
        otr_guest_fresh_loaded(s, rc);
        break;
    case OTR_SEAT_AT_WORK:
        take_result(s, kind, rc);
        break;
    }
    sum_memory(g);
    if (!g->p->stopped) {
        otr_guest_pump(g);
    }
}
