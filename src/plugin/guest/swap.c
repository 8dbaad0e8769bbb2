/* Changing a guest: new settings in place, a new version beside the old one. */
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "plugin/guest/guest.h"
#include "plugin/manifest/changes.h"

/* ---- a new version ---- */

/* It is refused since a key's file changed: then what runs may be by that key, too. */
static bool trust_withdrawn(const otr_guest_plugin *g, otr_code rc)
{
    return rc == OTR_EDENIED && otr_guest_keys_stamp(g->manifest) != g->keys_stamp;
}

static void try_again(void *arg)
{
    otr_guest_plugin *g = arg;
    if (!g->crew.stopping && g->p->state_id != OTR_PLUGIN_DISABLED && g->fresh.n == 0) {
        g->wanted = g->wanted_code = true;
        g->ready(g->p, NULL);
    }
}

/* In a while; what runs goes on. False: not by itself. */
static bool later(otr_guest_plugin *g, const otr_guest_job *job)
{
    otr_err err = { 0 };
    if (!job->passing && !job->unreached) {
        return false;
    }
    if (g->again == NULL &&
        otr_timer_new(g->p->host->spec.loop, try_again, g, &g->again, &err) != OTR_OK) {
        return false;
    }
    otr_timer_start(g->again, otr_guest_next_wait_ms(g), 0);
    return true;
}

static void fresh_failed(otr_guest_seat *s, otr_code rc)
{
    otr_guest_plugin *g = s->g;
    otr_err why = s->job->err; /* the job that it stands in goes */
    if (trust_withdrawn(g, rc)) {
        otr_log_error("plugin disabled", "plugin", g->p->name, "reason", why.msg);
        otr_guest_disable(g, why.msg, false);
        return;
    }
    otr_log_error(later(g, s->job)
                      ? "new version of plugin cannot be loaded now, keeping the old one and "
                        "trying again"
                      : "new version of plugin cannot be loaded, keeping the old one",
                  "plugin", g->p->name, "err", why.msg);
    otr_plugin_set_state(g->p, g->p->state_id, why.msg);
    otr_guest_forget_fresh(g);
}

void otr_guest_fresh_loaded(otr_guest_seat *s, otr_code rc)
{
    otr_guest_plugin *g = s->g;
    if (rc != OTR_OK) {
        fresh_failed(s, rc);
        return;
    }
    s->state = OTR_SEAT_RUNNING;
    otr_guest_load_seats(g, &g->fresh);
    for (size_t i = 0; i < g->fresh.n; i++) {
        if (g->fresh.items[i]->state != OTR_SEAT_RUNNING) {
            return;
        }
    }
    otr_sub_stats queue = { 0 };
    if (g->p->sub != NULL) {
        otr_sub_get_stats(g->p->sub, &queue);
    }
    g->drain = queue.depth;
    g->fresh_ready = g->fresh.n > 0;
}

static void load_beside(otr_guest_plugin *g)
{
    otr_err err = { 0 };
    otr_manifest *m = g->crew.policy;
    otr_timer_stop(g->again);
    if (otr_seats_new(&g->crew, m, OTR_SEAT_FRESH, &g->fresh, &err) != OTR_OK) {
        otr_log_error("new version of plugin not loaded, keeping the old one", "plugin", g->p->name,
                      "err", err.msg);
        return;
    }
    g->fresh_manifest = otr_manifest_ref(m);
    otr_guest_load_seats(g, &g->fresh);
}

/* One instance alone keeps the order of messages: the next begins where it ended. Several do not
 * promise that, so each ends the messages it took while the new ones are at work. */
static bool may_exchange(const otr_guest_plugin *g)
{
    if (!g->fresh_ready || (g->drain > 0 && otr_guest_running_seat(g) != NULL)) {
        return false;
    }
    return g->seats.n != 1 || g->seats.items[0]->job->kind != OTR_JOB_PROCESS;
}

void otr_guest_try_exchange(otr_guest_plugin *g)
{
    if (!may_exchange(g)) {
        return;
    }
    otr_plugin *p = g->p;
    otr_seats old = g->seats;
    otr_manifest *old_manifest = g->manifest;
    otr_err err = { 0 };
    g->seats = g->fresh;
    g->fresh = (otr_seats){ NULL, 0 };
    g->manifest = otr_steal(&g->fresh_manifest);
    g->fresh_ready = false;
    g->failures = 0;
    g->down = 0;
    for (size_t i = 0; i < g->seats.n; i++) {
        g->seats.items[i]->role = OTR_SEAT_AT_WORK;
    }
    otr_guest_hand_over(&old, &g->seats);
    otr_seats_leave(&old, OTR_LEAVE_BATCH);
    otr_manifest_free(old_manifest);
    if (otr_guest_adopt(g, g->seats.items[0], &err) != OTR_OK) {
        otr_log_error("plugin disabled", "plugin", p->name, "reason", err.msg);
        otr_guest_disable(g, err.msg, false);
        return;
    }
    otr_guest_recall(g);
    g->running = g->seats.n;
    otr_log_info("plugin running", "plugin", p->name, "version",
                 g->version != NULL ? g->version : "", "abi", g->abi, "engine",
                 g->manifest->engine);
    otr_plugin_set_state(p, OTR_PLUGIN_RUNNING, "");
    otr_plugin_settle(p);
}

/* One that has compiled it shares it with all of the new seats. */
static void share_code(const otr_seats *seats, const otr_guest_seat *from)
{
    otr_guest_seat *first = seats->items[0];
    if (from != NULL && from->has_code) {
        otr_guest_job_share(first->job, from->job);
        first->has_code = true;
    }
}

void otr_guest_begin_anew(otr_guest_plugin *g, otr_leave how, const otr_guest_seat *code)
{
    otr_seats seats;
    otr_err err = { 0 };
    otr_guest_forget_fresh(g);
    otr_manifest_free(otr_steal(&g->changing));
    g->wanted = g->wanted_code = false;
    if (otr_seats_new(&g->crew, g->crew.policy, OTR_SEAT_AT_WORK, &seats, &err) != OTR_OK) {
        otr_log_error("plugin disabled", "plugin", g->p->name, "reason", err.msg);
        otr_guest_disable(g, err.msg, false);
        return;
    }
    share_code(&seats, code);
    otr_guest_hand_over(&g->seats, &seats);
    otr_seats_leave(&g->seats, how);
    otr_seats_hurry(&g->crew, how);
    g->seats = seats;
    otr_guest_settle_for_policy(g);
    g->quarantined = false;
    g->adopted = false;
    g->failures = 0;
    g->waits = 0;
    g->down = 0;
    g->running = 0;
    otr_guest_begin(g);
}

/* ---- new settings ---- */

/* They go to every seat that runs or is about to; all take them, or all go back. */
static void change(otr_guest_plugin *g, otr_manifest *m)
{
    g->changing = m;
    g->refused = false;
    for (size_t i = 0; i < g->seats.n; i++) {
        otr_guest_seat *s = g->seats.items[i];
        s->take_settings = s->state == OTR_SEAT_RUNNING || s->state == OTR_SEAT_LOADING;
    }
}

static void refuse(otr_guest_plugin *g, const otr_err *why)
{
    otr_log_warn("plugin refused its new config, keeping the old one", "plugin", g->p->name, "err",
                 why->msg);
    g->refused = true;
    g->refusal = *why;
    for (size_t i = 0; i < g->seats.n; i++) {
        otr_guest_seat *s = g->seats.items[i];
        s->take_settings = s->job->manifest == g->changing;
    }
}

void otr_guest_reconfigured(otr_guest_seat *s, otr_code rc)
{
    otr_guest_plugin *g = s->g;
    if (rc == OTR_OK) {
        return;
    }
    bool went_back = s->job->manifest == g->manifest;
    if (!g->refused) {
        refuse(g, &s->job->err);
    }
    s->take_settings = false;
    otr_guest_job_use(s->job, g->manifest);
    /* One that cannot go back either is replaced: what settings it has nobody knows. */
    if (went_back || s->job->guest == NULL || otr_guest_dead(s->job->guest)) {
        otr_guest_seat_failed(s, &s->job->err);
    }
}

void otr_guest_check_changed(otr_guest_plugin *g)
{
    for (size_t i = 0; i < g->seats.n; i++) {
        const otr_guest_seat *s = g->seats.items[i];
        if (s->take_settings || s->job->kind == OTR_JOB_RECONFIGURE) {
            return;
        }
    }
    otr_manifest *m = otr_steal(&g->changing);
    if (m == NULL) {
        return;
    }
    if (!g->refused) {
        otr_manifest_free(g->manifest);
        g->manifest = m;
        otr_log_info("plugin reconfigured", "plugin", g->p->name);
    } else {
        otr_manifest_free(m);
    }
    for (size_t i = 0; i < g->seats.n; i++) {
        otr_guest_seat *s = g->seats.items[i];
        if (s->state == OTR_SEAT_EMPTY && !otr_seat_busy(s)) {
            otr_guest_job_use(s->job, g->manifest);
        }
    }
    if (g->p->state_id == OTR_PLUGIN_RUNNING) {
        otr_plugin_set_state(g->p, OTR_PLUGIN_RUNNING, g->refused ? g->refusal.msg : "");
    }
    otr_guest_load_seats(g, &g->seats);
}

/* A waPC guest cannot be asked whether it has reconfigure(): unless it says so in info it is loaded
 * anew. */
static bool can_reconfigure(const otr_guest_plugin *g)
{
    const otr_guest_seat *s = otr_guest_running_seat(g);
    if (s == NULL) {
        return false;
    }
    bool sure = (s->job->info.operations & OTR_HAS_LIST) != 0 || strcmp(g->abi, "wapc") != 0;
    return sure && otr_guest_job_has(s->job, OTR_HAS_RECONFIGURE, "reconfigure");
}

/* See waits_for_room() in state.c: they do not gather beside one at work either. */
static bool has_room(const otr_guest_plugin *g)
{
    size_t leaving = 0;
    for (const otr_guest_seat *s = g->crew.leaving; s != NULL; s = s->next_leaving) {
        leaving++;
    }
    return leaving < OTR_LIMIT_PLUGIN_INSTANCES;
}

void otr_guest_take_next(otr_guest_plugin *g)
{
    if (!g->wanted || g->fresh.n > 0 || g->changing != NULL) {
        return;
    }
    if (otr_guest_running_seat(g) == NULL) {
        otr_guest_begin_anew(g, OTR_LEAVE_NOW, NULL);
        return;
    }
    if (!has_room(g)) {
        return;
    }
    otr_changes c;
    otr_manifest_compare(g->manifest, g->crew.policy, &c);
    bool other = g->wanted_code || otr_changes_sandbox(&c);
    g->wanted = g->wanted_code = false;
    if (!other && !otr_changes_have(&c, OTR_SETTING_CONFIG, OTR_NARROWER | OTR_WIDER)) {
        otr_guest_settle_for_policy(g);
    } else if (!other && can_reconfigure(g)) {
        change(g, otr_manifest_ref(g->crew.policy));
    } else {
        load_beside(g);
    }
}
