/* The state of a guest plugin, which follows from its seats, and what it shows of itself. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/texts.h"
#include "plugin/guest/guest.h"

static size_t count_seats(const otr_guest_plugin *g, otr_seat_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < g->seats.n; i++) {
        n += g->seats.items[i]->state == state;
    }
    return n;
}

/* Why seats are down, after one of them. */
static void describe_down(const otr_guest_plugin *g, size_t down, char *to, size_t size)
{
    const char *why = "";
    for (size_t i = 0; i < g->seats.n; i++) {
        if (g->seats.items[i]->state == OTR_SEAT_BACKOFF) {
            why = g->seats.items[i]->failure.msg;
        }
    }
    if (down > 0 && g->seats.n > 1) {
        (void)snprintf(to, size, "%zu of %zu instances wait to restart: %.300s", down, g->seats.n,
                       why);
    } else {
        (void)snprintf(to, size, "%s", why);
    }
}

/* Every seat is up, or has failed to come up once. */
static void settle(otr_guest_plugin *g)
{
    size_t pending = count_seats(g, OTR_SEAT_EMPTY) + count_seats(g, OTR_SEAT_LOADING);
    if (!g->p->settled && pending == 0) {
        otr_plugin_settle(g->p);
    }
}

const otr_guest_seat *otr_guest_running_seat(const otr_guest_plugin *g)
{
    for (size_t i = 0; i < g->seats.n; i++) {
        if (g->seats.items[i]->state == OTR_SEAT_RUNNING) {
            return g->seats.items[i];
        }
    }
    return NULL;
}

/* Seats of earlier versions may take their time to leave, as a compilation cannot be cut short: a
 * plugin that begins anew again and again must not gather them. */
static bool waits_for_room(const otr_guest_plugin *g, const otr_seats *seats)
{
    return seats == &g->seats && g->crew.leaving != NULL && otr_guest_running_seat(g) == NULL;
}

void otr_guest_load_seats(const otr_guest_plugin *g, const otr_seats *seats)
{
    if (waits_for_room(g, seats)) {
        return; /* when they have left */
    }
    if (!g->crew.stopping && !g->waiting && g->changing == NULL) {
        otr_seats_load(seats);
    }
}

void otr_guest_derive(otr_guest_plugin *g)
{
    otr_plugin *p = g->p;
    if (g->crew.stopping || g->seats.n == 0) {
        return;
    }
    size_t down = count_seats(g, OTR_SEAT_BACKOFF);
    otr_plugin_state_id state = count_seats(g, OTR_SEAT_RUNNING) > 0 ? OTR_PLUGIN_RUNNING
                                : down < g->seats.n                  ? OTR_PLUGIN_LOADING
                                                                     : OTR_PLUGIN_BACKOFF;
    g->running = count_seats(g, OTR_SEAT_RUNNING);
    if (state != p->state_id || down != g->down) {
        char reason[OTR_REASON_BYTES];
        describe_down(g, down, reason, sizeof(reason));
        if (state == OTR_PLUGIN_RUNNING && state != p->state_id &&
            otr_log_budget_take(&p->log_budget, p->name)) {
            otr_log_info("plugin running", "plugin", p->name, "version",
                         g->version != NULL ? g->version : "", "abi", g->abi, "engine",
                         g->manifest->engine);
        }
        g->down = down;
        otr_plugin_set_state(p, state, reason);
        if (state != OTR_PLUGIN_RUNNING) {
            otr_guest_fail_calls(g, reason[0] != '\0' ? reason : "it is being loaded");
        }
    }
    settle(g);
}

void otr_guest_forget_fresh(otr_guest_plugin *g)
{
    otr_seats_leave(&g->fresh, OTR_LEAVE_NOW);
    otr_manifest_free(otr_steal(&g->fresh_manifest));
    g->fresh_ready = false;
}

uint64_t otr_guest_keys_stamp(const otr_manifest *m)
{
    uint64_t stamp = 0;
    for (char *const *key = m->trust_keys; m->signed_needed && *key != NULL; key++) {
        stamp = stamp * 31 + ((*key)[0] == '/' ? otr_module_file_stamp(*key) : 0);
    }
    return stamp;
}

void otr_guest_settle_for_policy(otr_guest_plugin *g)
{
    otr_manifest *old = g->manifest;
    g->manifest = otr_manifest_ref(g->crew.policy);
    g->keys_stamp = otr_guest_keys_stamp(g->manifest);
    otr_manifest_free(old);
}

/* Nobody will take what waits: it is counted, and said once. */
static void drop_queue(otr_guest_plugin *g)
{
    otr_sub_stats queue = { 0 };
    if (g->p->sub != NULL) {
        otr_sub_get_stats(g->p->sub, &queue);
    }
    if (queue.depth > 0) {
        otr_log_warn("messages that waited for the plugin are dropped", "plugin", g->p->name,
                     "messages", OTR_U64(queue.depth));
    }
    otr_plugin_unsubscribe(g->p);
}

void otr_guest_disable(otr_guest_plugin *g, const char *reason, bool quarantined)
{
    otr_plugin *p = g->p;
    otr_guest_forget_fresh(g);
    otr_manifest_free(otr_steal(&g->changing));
    otr_guest_settle_for_policy(g); /* it counts when the plugin is switched on again */
    g->wanted = g->wanted_code = false;
    drop_queue(g);
    otr_bus_release(p->host->spec.bus, &p->topics);
    g->adopted = false;
    g->waiting = false;
    g->down = 0;
    g->running = 0;
    g->quarantined = quarantined;
    otr_guest_fail_calls(g, reason);
    otr_seats_leave(&g->seats, OTR_LEAVE_NOW);
    otr_seats_hurry(&g->crew, OTR_LEAVE_CLOSE);
    if (!g->crew.stopping) {
        otr_plugin_set_state(p, OTR_PLUGIN_DISABLED, reason);
        otr_plugin_settle(p);
    }
}

static otr_code copy_hooks(otr_guest_plugin *g, char *const *hooks, otr_err *err)
{
    char **copy = NULL;
    otr_code rc = otr_texts_copy(hooks, &copy, err);
    if (rc == OTR_OK) {
        otr_texts_free(g->hooks);
        g->hooks = copy;
    }
    return rc;
}

static otr_code subscribe(otr_guest_plugin *g, char *const *wanted, otr_err *err)
{
    otr_plugin *p = g->p;
    if (otr_texts_same(p->patterns, wanted)) {
        if (p->sub != NULL) {
            otr_sub_limit(p->sub, g->crew.policy->queue);
        }
        return OTR_OK;
    }
    for (otr_hook_call *call = g->first_call; call != NULL; call = call->next) {
        call->position = 0; /* the queue that it counted in goes */
    }
    return otr_plugin_subscribe(p, (const char *const *)wanted, g->crew.policy->queue, g->ready,
                                err);
}

otr_code otr_guest_listen(otr_guest_plugin *g, const otr_guest_job *job, otr_err *err)
{
    const otr_manifest *policy = g->crew.policy;
    otr_code rc = copy_hooks(g, policy->hooks != NULL ? policy->hooks : job->topics.hooks, err);
    return rc == OTR_OK
               ? subscribe(g, policy->subscribe != NULL ? policy->subscribe : job->topics.events,
                           err)
               : rc;
}

otr_code otr_guest_adopt(otr_guest_plugin *g, const otr_guest_seat *s, otr_err *err)
{
    otr_plugin *p = g->p;
    const otr_guest_job *job = s->job;
    otr_free(g->version);
    g->version = otr_strdup(job->info.version);
    g->abi = otr_abi_name(otr_guest_code_abi(job->code));
    (void)snprintf(g->sha256, sizeof(g->sha256), "%s", otr_guest_code_sha256(job->code));
    otr_code rc = otr_guest_listen(g, job, err);
    g->adopted = rc == OTR_OK;
    g->keys_stamp = otr_guest_keys_stamp(g->manifest);
    g->waits = 0;
    otr_bus_release(p->host->spec.bus, &p->topics); /* a new version may use other names */
    p->host->guests->adopted(p->host->guests);      /* a new manifest may name another file */
    return rc;
}

void otr_guest_check_stopped(otr_guest_plugin *g)
{
    if (g->crew.stopping && g->crew.leaving == NULL && !g->p->stopped) {
        otr_plugin_stopped(g->p);
    }
}

void otr_guest_begin(otr_guest_plugin *g)
{
    const char *name = otr_guest_waits_for(g);
    char reason[OTR_REASON_BYTES] = "";
    if (name != NULL) {
        (void)snprintf(reason, sizeof(reason), "waits for plugin %s", name);
    }
    g->waiting = name != NULL;
    otr_plugin_set_state(g->p, OTR_PLUGIN_LOADING, reason);
    otr_guest_load_seats(g, &g->seats);
}
