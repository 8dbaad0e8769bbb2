/* Questions to a guest: they wait for their turn among its messages. */
#include "base/limits.h"
#include "plugin/guest/guest.h"

static otr_hook_call *pop(otr_guest_plugin *g)
{
    otr_hook_call *call = g->first_call;
    if (call != NULL) {
        g->first_call = call->next;
        g->n_calls--;
        if (g->first_call == NULL) {
            g->last_call = &g->first_call;
        }
    }
    return call;
}

/* So many messages have come into the queue, or left it. */
static uint64_t come(const otr_guest_plugin *g)
{
    otr_sub_stats queue = { 0 };
    if (g->p->sub != NULL) {
        otr_sub_get_stats(g->p->sub, &queue);
    }
    return queue.received;
}

static uint64_t gone(const otr_guest_plugin *g)
{
    otr_sub_stats queue = { 0 };
    if (g->p->sub != NULL) {
        otr_sub_get_stats(g->p->sub, &queue);
    }
    return queue.received - queue.depth;
}

bool otr_guest_queue_call(otr_guest_plugin *g, otr_hook_call *call)
{
    if (g->n_calls >= OTR_LIMIT_PLUGIN_HOOK_QUEUE) {
        otr_hook_call_fail(call, OTR_HOOK_QUEUE_FULL, "too many questions wait for it");
        return false;
    }
    call->position = come(g);
    call->next = NULL;
    *g->last_call = call;
    g->last_call = &call->next;
    g->n_calls++;
    return true;
}

otr_hook_call *otr_guest_take_call(otr_guest_plugin *g)
{
    while (g->first_call != NULL && g->first_call->hook == NULL) {
        otr_hook_call_fail(pop(g), OTR_HOOK_TIMED_OUT, ""); /* nobody waits for it any more */
    }
    return g->first_call != NULL && gone(g) >= g->first_call->position ? pop(g) : NULL;
}

void otr_guest_answer_calls(otr_guest_job *job, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        otr_hook_call *call = otr_steal(&job->batch[i].call);
        bool asked = job->answer.given && i + 1 == n;
        if (call == NULL) {
            continue;
        }
        if (!asked) {
            otr_hook_call_fail(call, OTR_HOOK_TIMED_OUT, "its turn came too late");
        } else if (job->answer.usable) {
            otr_hook_call_answer(call, &job->answer.said);
        } else {
            otr_hook_call_fail(call, OTR_HOOK_FAILED, job->answer.said.message);
        }
    }
}

/* Takes the questions out of the batch. */
void otr_guest_fail_batch(otr_guest_job *job, const char *why)
{
    size_t kept = 0;
    for (size_t i = 0; i < job->n; i++) {
        otr_guest_item item = job->batch[i];
        if (item.deadline_ns == 0) {
            job->batch[kept++] = item;
            continue;
        }
        otr_msg_unref(item.msg);
        if (item.call != NULL) {
            otr_hook_call_fail(item.call, OTR_HOOK_NOT_RUNNING, why);
        }
    }
    job->n = kept;
}

void otr_guest_fail_calls(otr_guest_plugin *g, const char *why)
{
    for (otr_hook_call *call; (call = pop(g)) != NULL;) {
        otr_hook_call_fail(call, OTR_HOOK_NOT_RUNNING, why);
    }
    for (size_t i = 0; i < g->seats.n; i++) {
        otr_guest_seat *s = g->seats.items[i];
        if (otr_seat_batch_free(s)) {
            otr_guest_fail_batch(s->job, why);
        }
    }
}
