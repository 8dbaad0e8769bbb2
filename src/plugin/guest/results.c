/* What follows from the end of a seat's job. */
#include "base/log.h"
#include "plugin/guest/guest.h"

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
    } else if (s->job->unreached || s->job->passing) {
        otr_guest_wait(s);
    } else if (permanent) {
        otr_err why = s->job->err; /* the job that it stands in goes */
        otr_log_error("plugin disabled", "plugin", g->p->name, "reason", why.msg);
        otr_guest_disable(g, why.msg, false);
        return;
    } else {
        otr_guest_seat_failed(s, &s->job->err);
    }
    otr_guest_load_seats(g, &g->seats); /* those that waited for the code */
    otr_guest_derive(g);
}

/* Past the mark, and past half of what it had left when it began: memory of a sandbox never
 * shrinks, so a fresh one takes its place while there is still room. */
static bool outgrown(const otr_guest_seat *s)
{
    const otr_manifest *m = s->job->manifest;
    uint64_t now = s->memory_bytes, then = s->job->loaded_bytes;
    uint64_t mark = s->crew->policy->recycle_bytes;
    return mark > 0 && now > mark && now > then && now - then > (m->memory_bytes - then) / 2;
}

static void recycle(otr_guest_seat *s)
{
    otr_plugin *p = s->g->p;
    p->stats.recycled++;
    if (otr_log_budget_take(&p->log_budget, p->name)) {
        otr_log_info("plugin instance outgrew limits.recycle, a fresh one takes its place",
                     "plugin", p->name, "instance", OTR_U64(s->number), "bytes",
                     OTR_U64(s->memory_bytes), "limit", OTR_U64(s->job->manifest->memory_bytes));
    }
    (void)otr_seat_run(s, OTR_JOB_RECYCLE);
}

static void at_work(otr_guest_seat *s, otr_guest_job_kind kind, otr_code rc)
{
    switch (kind) {
    case OTR_JOB_LOAD:
    case OTR_JOB_RECYCLE:
        load_done(s, rc);
        break;
    case OTR_JOB_PROCESS:
        if (rc != OTR_OK) {
            otr_guest_seat_failed(s, &s->job->err);
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
    otr_dead_bury(&g->dead, job);
    g->p->stats.dead_letters = g->dead.n;
    otr_guest_answer_calls(job, job->next);
    otr_guest_job_release(job, job->next);
}

void otr_guest_take_result(otr_guest_seat *s, otr_guest_job_kind kind, otr_code rc)
{
    otr_guest_plugin *g = s->g;
    if (kind == OTR_JOB_PROCESS) {
        processed(s);
    } else if (kind == OTR_JOB_LOAD) {
        g->tried = s->job->file;
    }
    otr_guest_job_merge(s->job, &g->p->stats, g->p->host->spec.bus);
    switch (s->role) {
    case OTR_SEAT_LEAVING:
        s->state = rc != OTR_OK ? OTR_SEAT_EMPTY : s->state;
        otr_seat_leave_on(s);
        break;
    case OTR_SEAT_FRESH:
        otr_guest_fresh_loaded(s, rc);
        break;
    case OTR_SEAT_AT_WORK:
        at_work(s, kind, rc);
        break;
    }
    sum_memory(g);
}
