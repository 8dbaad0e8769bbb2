/* Who of a plugin's seats takes which message.
 *
 * An idle seat takes from: what a seat that fails had taken and not begun; the facts that a fresh
 * sandbox is to hear; what is replayed; the question that is due; the queue. With several idle
 * seats each takes its share, so that a few messages are spread and do not wait behind each other.
 */
#include <string.h>

#include "base/limits.h"
#include "plugin/guest/guest.h"

static void add(otr_guest_job *job, otr_guest_item item)
{
    job->batch[job->n++] = item;
}

/* The first of a batch. */
static otr_guest_item shift(otr_guest_job *job)
{
    otr_guest_item item = job->batch[0];
    memmove(job->batch, job->batch + 1, (--job->n) * sizeof(job->batch[0]));
    return item;
}

/* What a seat that does not run has left. */
static bool take_left(otr_guest_plugin *g, otr_guest_item *ret)
{
    for (size_t i = 0; i < g->seats.n; i++) {
        otr_guest_seat *s = g->seats.items[i];
        if (s->state != OTR_SEAT_RUNNING && otr_seat_batch_free(s) && s->job->n > 0) {
            *ret = shift(s->job);
            return true;
        }
    }
    return false;
}

static bool take(otr_guest_plugin *g, otr_guest_item *ret)
{
    *ret = (otr_guest_item){ .msg = NULL };
    if (take_left(g, ret)) {
        return true;
    }
    if (g->fresh_ready && g->drain == 0) {
        return false; /* what is queued is for the new version */
    }
    ret->msg = otr_guest_next_fact(g);
    if (ret->msg == NULL) {
        ret->msg = otr_dead_take(&g->dead);
    }
    if (ret->msg != NULL) {
        g->p->stats.given_again++;
        return true;
    }
    otr_hook_call *call = otr_guest_take_call(g);
    if (call != NULL) {
        *ret = (otr_guest_item){ otr_msg_ref(call->msg), call, call->deadline_ns };
        return true;
    }
    ret->msg = g->p->sub != NULL ? otr_sub_take(g->p->sub) : NULL;
    return ret->msg != NULL;
}

static bool may_work(const otr_guest_seat *s)
{
    return s->state == OTR_SEAT_RUNNING && !otr_seat_busy(s) && !s->take_settings;
}

/* How many messages one of the idle seats may take. */
static size_t share_of(const otr_guest_plugin *g)
{
    size_t idle = 0;
    otr_sub_stats queue = { 0 };
    for (size_t i = 0; i < g->seats.n; i++) {
        idle += may_work(g->seats.items[i]);
    }
    if (idle <= 1 || g->p->sub == NULL) {
        return OTR_GUEST_BATCH;
    }
    otr_sub_get_stats(g->p->sub, &queue);
    size_t share = (queue.depth + g->dead.n_again + g->n_calls + idle - 1) / idle;
    return share < 1 ? 1 : share < OTR_GUEST_BATCH ? share : OTR_GUEST_BATCH;
}

/* False: the seats are not what they were. */
static bool pump_seat(otr_guest_seat *s)
{
    otr_guest_plugin *g = s->g;
    if (s->take_settings && s->state == OTR_SEAT_RUNNING && !otr_seat_busy(s)) {
        s->take_settings = false;
        otr_guest_job_use(s->job, g->refused ? g->manifest : g->changing);
        s->job->hostcalls.gate.denial_logged = 0;
        return otr_seat_run(s, OTR_JOB_RECONFIGURE);
    }
    if (!may_work(s)) {
        return true;
    }
    otr_guest_item item;
    size_t share = s->job->n > 0 ? 0 : share_of(g), bytes = 0;
    while (s->job->n < share && bytes < OTR_LIMIT_PLUGIN_BATCH_BYTES && take(g, &item)) {
        bytes += otr_msg_weight(item.msg);
        add(s->job, item);
    }
    if (s->job->n == 0) {
        return true;
    }
    if (s->job->manifest != g->manifest && g->changing == NULL) {
        otr_guest_job_use(s->job,
                          g->manifest); /* it differs in nothing that a sandbox is made of */
    }
    return otr_seat_run(s, OTR_JOB_PROCESS);
}

void otr_guest_work(otr_guest_plugin *g)
{
    for (size_t i = 0; i < g->seats.n && pump_seat(g->seats.items[i]); i++) {
    }
}

void otr_guest_hand_over(const otr_seats *from, const otr_seats *to)
{
    size_t k = 0;
    for (size_t i = 0; i < from->n; i++) {
        otr_guest_job *job = from->items[i]->job;
        while (job->n > 0 && otr_seat_batch_free(from->items[i])) {
            while (k < to->n && (to->items[k]->job->n == OTR_GUEST_BATCH ||
                                 !otr_seat_batch_free(to->items[k]))) {
                k++;
            }
            if (k == to->n) {
                return;
            }
            add(to->items[k]->job, shift(job));
        }
    }
}
