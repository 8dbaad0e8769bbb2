/* A guest plugin as a whole: what its seats tell, what the host asks of it, and its life. */
#include "plugin/guest/guest.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/texts.h"

static void pump(otr_guest_plugin *g)
{
    if (g->crew.stopping) {
        return;
    }
    otr_guest_check_changed(g);
    otr_guest_take_next(g);
    otr_guest_load_seats(g, &g->seats); /* that waited for others to leave */
    otr_guest_try_exchange(g);
    otr_guest_work(g);
    otr_guest_try_exchange(g);
}

static void ready(void *arg, otr_sub *sub)
{
    (void)sub;
    pump(otr_guest_of(arg));
}

/* ---- what its seats tell ---- */

static void done(otr_guest_seat *s, otr_guest_job_kind kind, otr_code rc)
{
    otr_guest_plugin *g = s->g;
    otr_guest_take_result(s, kind, rc);
    if (!g->p->stopped) {
        pump(g);
    }
}

static void not_started(otr_guest_seat *s, const otr_err *why)
{
    if (s->role == OTR_SEAT_FRESH) {
        otr_guest_forget_fresh(s->g);
    } else {
        otr_guest_disable(s->g, why->msg, false);
    }
}

static void left(otr_guest_seat *s)
{
    otr_guest_plugin *g = s->g;
    if (s->job->n > 0) { /* what it did not begin */
        otr_guest_seat *one[] = { s };
        otr_guest_hand_over(&(otr_seats){ one, 1 }, &g->seats);
        otr_dead_bury_rest(&g->dead, s->job,
                           g->seats.n > 0 ? "the instance that took it ended, and no other had room"
                                          : "the plugin ended before its turn came");
        g->p->stats.dead_letters = g->dead.n;
    }
    otr_guest_fail_batch(s->job, "the plugin ended before it was asked");
    otr_seat_free(s);
    if (g->p->state_id == OTR_PLUGIN_DISABLED && g->crew.leaving == NULL) {
        otr_bus_release(g->p->host->spec.bus, &g->p->topics); /* the last words made some anew */
    }
    otr_guest_check_stopped(g);
}

static const otr_seat_events seat_events = {
    .done = done,
    .not_started = not_started,
    .rested = otr_guest_seat_rested,
    .left = left,
};

/* ---- what the host asks ---- */

void otr_guest_plugin_ask(otr_plugin *p, otr_hook_call *call)
{
    otr_guest_plugin *g = otr_guest_of(p);
    if (otr_guest_queue_call(g, call)) {
        pump(g);
    }
}

otr_code otr_guest_plugin_write_dead(const otr_plugin *p, otr_buf *out, otr_err *err)
{
    const otr_guest_plugin *g = p->state;
    return otr_dead_write(&g->dead, out, err);
}

otr_code otr_guest_plugin_replay(otr_plugin *p, otr_err *err)
{
    otr_guest_plugin *g = otr_guest_of(p);
    if (p->state_id != OTR_PLUGIN_RUNNING) {
        return otr_fail(err, OTR_ESTATE,
                        "plugin \"%s\" is %s; it must run to take its dead letters", p->name,
                        otr_plugin_state_name(p->state_id));
    }
    if (g->dead.n_again > 0) {
        return otr_fail(err, OTR_ESTATE, "plugin \"%s\": a replay is under way", p->name);
    }
    otr_dead_replay(&g->dead);
    pump(g);
    return OTR_OK;
}

void otr_guest_plugin_reload(otr_plugin *p)
{
    otr_guest_plugin *g = otr_guest_of(p);
    g->wanted = g->wanted_code = true;
    g->off = false;
    pump(g);
}

otr_code otr_guest_plugin_disable(otr_plugin *p, otr_err *err)
{
    otr_guest_plugin *g = otr_guest_of(p);
    (void)err;
    g->off = true;
    if (p->state_id != OTR_PLUGIN_DISABLED) {
        otr_guest_disable(g, OTR_GUEST_SWITCHED_OFF, false);
    } else {
        otr_plugin_set_state(p, OTR_PLUGIN_DISABLED, OTR_GUEST_SWITCHED_OFF);
    }
    return OTR_OK;
}

void otr_guest_plugin_reconfigure(otr_plugin *p, otr_manifest *manifest, otr_reload_entry *ret)
{
    otr_guest_plugin *g = otr_guest_of(p);
    otr_guest_take_policy(g, manifest, ret);
    pump(g);
}

otr_file_state otr_guest_plugin_compare(const otr_plugin *p, const struct stat *now)
{
    const otr_guest_plugin *g = p->state;
    if (g->off || g->crew.policy->off || g->crew.stopping) {
        return OTR_FILE_OFF;
    }
    if (g->fresh.n > 0 || g->wanted) {
        return OTR_FILE_BUSY;
    }
    for (size_t i = 0; i < g->seats.n; i++) {
        if (g->seats.items[i]->job->kind == OTR_JOB_LOAD) {
            return OTR_FILE_BUSY;
        }
    }
    return otr_same_file(now, &g->tried) ? OTR_FILE_SAME : OTR_FILE_OTHER;
}

void otr_guest_plugin_others_settled(otr_plugin *p)
{
    otr_guest_plugin *g = otr_guest_of(p);
    if (g->waiting && !g->crew.stopping && otr_guest_waits_for(g) == NULL) {
        otr_guest_begin(g);
    }
}

/* ---- otr_plugin_ops ---- */

static void end_patience(void *arg)
{
    const otr_guest_plugin *g = arg;
    for (const otr_guest_seat *s = g->crew.leaving; s != NULL; s = s->next_leaving) {
        otr_guest_job_cancel(s->job);
    }
}

static void guest_stop(otr_plugin *p, uint64_t deadline_ns)
{
    otr_guest_plugin *g = otr_guest_of(p);
    if (g->crew.stopping) {
        return; /* removed, and now the whole host stops */
    }
    g->crew.stopping = true;
    uint64_t now = otr_now_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    g->crew.stop_deadline_ns = now + left / 4 * 3;
    otr_plugin_unsubscribe(p);
    otr_guest_fail_calls(g, "it is stopping");
    otr_guest_forget_fresh(g);
    otr_seats_leave(&g->seats, OTR_LEAVE_CLOSE);
    otr_seats_hurry(&g->crew, OTR_LEAVE_CLOSE);
    otr_err err = { 0 };
    if (g->crew.leaving != NULL &&
        otr_timer_new(p->host->spec.loop, end_patience, g, &g->timer, &err) == OTR_OK) {
        /* Again and again: the running job may be a load that has no sandbox to cancel yet. */
        otr_timer_start(g->timer, left / 2 / OTR_NS_PER_MS, 10);
    }
    otr_guest_check_stopped(g);
}

static otr_code guest_init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)cfg;
    otr_guest_plugin *g = otr_guest_of(p);
    g->p = p;
    g->ready = ready;
    g->last_call = &g->first_call;
    otr_dead_enter(&g->dead, &p->host->guests->dead);
    g->crew = (otr_seat_crew){
        .g = g,
        .name = p->name,
        .events = &seat_events,
        .loop = p->host->spec.loop,
        .pool = p->host->spec.pool,
        .bus = p->host->spec.bus,
        .budget = &p->log_budget,
        .topics = &p->topics,
        .paid_ns = &p->paid_ns,
        .engines = &p->host->guests->engines,
        .policy = otr_manifest_ref(g->manifest),
    };
    return otr_seats_new(&g->crew, g->manifest, OTR_SEAT_AT_WORK, &g->seats, err);
}

static otr_code guest_start(otr_plugin *p, otr_err *err)
{
    (void)err;
    otr_guest_plugin *g = otr_guest_of(p);
    if (g->crew.policy->off) {
        otr_guest_switch_off(g);
    } else {
        otr_guest_begin(g);
    }
    return OTR_OK;
}

static void guest_fini(otr_plugin *p)
{
    otr_guest_plugin *g = otr_guest_of(p);
    otr_timer_free(g->timer);
    otr_timer_free(g->again);
    if (g->p != NULL) {
        otr_guest_fail_calls(g, "it is gone");
    }
    otr_seats_free(&g->fresh);
    otr_seats_free(&g->seats);
    otr_manifest_free(g->manifest);
    otr_manifest_free(g->fresh_manifest);
    otr_manifest_free(g->changing);
    otr_manifest_free(g->back);
    otr_manifest_free(g->crew.policy);
    otr_dead_deinit(&g->dead);
    (void)otr_facts_unref(g->facts);
    otr_texts_free(g->hooks);
    otr_free(g->version);
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
