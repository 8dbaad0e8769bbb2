/* A seat that failed: it backs off, unless the plugin has failed too often. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "plugin/guest/guest.h"

enum { WAITS_MOST = 1000 };

static unsigned count_failure(otr_guest_plugin *g)
{
    uint64_t now = otr_now_ns();
    if (g->failures == 0 || now - g->window_ns > g->crew.policy->restart.window_ns) {
        g->failures = 0;
        g->window_ns = now;
    }
    return ++g->failures;
}

static void quarantine(otr_guest_plugin *g, unsigned failures, const char *last)
{
    const otr_restart *r = &g->crew.policy->restart;
    char reason[OTR_REASON_BYTES];
    bool one = g->crew.policy->on_failure == OTR_ON_FAILURE_DISABLE;
    (void)snprintf(reason, sizeof(reason), "%s%u failure%s within %llu s, the last: %.300s",
                   one ? "" : "quarantined: ", failures, failures == 1 ? "" : "s",
                   (unsigned long long)(r->window_ns / OTR_NS_PER_S), last);
    otr_log_error("plugin disabled", "plugin", g->p->name, "reason", reason);
    otr_guest_disable(g, reason, !one);
}

static uint64_t backoff_ms(const otr_guest_plugin *g)
{
    const otr_restart *r = &g->crew.policy->restart;
    uint64_t wait = r->backoff_ns;
    for (unsigned i = 1; i < g->failures + g->waits && wait < r->backoff_max_ns; i++) {
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

uint64_t otr_guest_next_wait_ms(otr_guest_plugin *g)
{
    g->waits += g->waits < WAITS_MOST;
    return backoff_ms(g);
}

/* No fault of the plugin, so there is no last try. */
void otr_guest_wait(otr_guest_seat *s)
{
    otr_guest_plugin *g = s->g;
    const otr_guest_job *job = s->job;
    if (!job->unreached && g->crew.policy->on_failure == OTR_ON_FAILURE_DISABLE) {
        otr_guest_seat_failed(s, &s->job->err);
        return;
    }
    otr_err why = { .code = job->err.code };
    uint64_t ms = otr_guest_next_wait_ms(g);
    (void)snprintf(why.msg, sizeof(why.msg),
                   "attempt %u failed, the next follows in %llu.%llu s: %.400s", g->waits,
                   (unsigned long long)(ms / 1000), (unsigned long long)(ms / 100 % 10),
                   job->err.msg);
    if (otr_log_budget_take(&g->p->log_budget, g->p->name)) {
        otr_log_warn(job->unreached
                         ? "source of plugin cannot be reached, trying again"
                         : "plugin cannot begin for a reason that may pass, trying again",
                     "plugin", g->p->name, "err", why.msg);
    }
    back_off(s, &why, job->unreached);
}

void otr_guest_seat_failed(otr_guest_seat *s, const otr_err *err)
{
    otr_guest_plugin *g = s->g;
    const otr_manifest *m = g->crew.policy;
    unsigned failures = count_failure(g);
    if (m->on_failure == OTR_ON_FAILURE_DISABLE || failures >= m->restart.failures) {
        otr_err last = *err; /* the job that it stands in goes */
        quarantine(g, failures, last.msg);
        return;
    }
    if (otr_log_budget_take(&g->p->log_budget, g->p->name)) {
        otr_log_warn("plugin failed, starting a fresh instance", "plugin", g->p->name, "instance",
                     OTR_U64(s->number), "failures", OTR_U64(failures), "err", err->msg);
    }
    back_off(s, err, false);
}

void otr_guest_seat_rested(otr_guest_seat *s)
{
    otr_guest_plugin *g = s->g;
    if (s->role != OTR_SEAT_AT_WORK || s->state != OTR_SEAT_BACKOFF || otr_seat_busy(s)) {
        return;
    }
    g->p->stats.restarts++;
    s->state = OTR_SEAT_EMPTY;
    otr_guest_job_use(s->job, g->manifest);
    otr_guest_load_seats(g, &g->seats);
    otr_guest_derive(g);
}
