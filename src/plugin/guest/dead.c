/* Dead letters: the latest messages that a guest failed to process, to be looked at and tried
 * again. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "plugin/guest/guest.h"

static void release(otr_dead_letter *letter)
{
    otr_msg_unref(letter->msg);
    otr_free(letter->reason);
    *letter = (otr_dead_letter){ .msg = NULL };
}

/* The place of the next one; its reason is the caller's to give. */
static otr_dead_letter *keep(otr_guest_plugin *g, const otr_msg *msg)
{
    otr_dead_letter *slot = &g->dead[g->n_dead % OTR_DEAD_LETTERS];
    release(slot);
    *slot = (otr_dead_letter){
        .msg = otr_msg_ref(msg),
        .at_ns = otr_now_ns(),
        .number = ++g->n_dead,
    };
    g->p->stats.dead_letters = g->n_dead;
    return slot;
}

void otr_guest_bury(otr_guest_plugin *g, otr_guest_job *job)
{
    for (size_t i = 0; i < job->n_failed; i++) {
        otr_dead_letter *letter = keep(g, job->batch[job->failed[i].index].msg);
        letter->reason = otr_steal(&job->failed[i].reason);
    }
}

void otr_guest_bury_rest(otr_guest_plugin *g, const otr_guest_job *job, const char *reason)
{
    for (size_t i = 0; i < job->n; i++) {
        if (job->batch[i].deadline_ns == 0) {
            keep(g, job->batch[i].msg)->reason = otr_strdup(reason);
        }
    }
}

void otr_guest_forget_dead(otr_guest_plugin *g)
{
    for (size_t i = 0; i < OTR_DEAD_LETTERS; i++) {
        release(&g->dead[i]);
    }
    while (g->n_again > 0) {
        otr_msg_unref(g->again[--g->n_again]);
    }
}

/* The k-th of those kept, oldest first; NULL behind the last. */
static const otr_dead_letter *kept(const otr_guest_plugin *g, size_t k)
{
    uint64_t n = g->n_dead < OTR_DEAD_LETTERS ? g->n_dead : OTR_DEAD_LETTERS;
    if (k >= n) {
        return NULL;
    }
    const otr_dead_letter *letter = &g->dead[(g->n_dead - n + k) % OTR_DEAD_LETTERS];
    return letter->msg != NULL ? letter : NULL;
}

static otr_code write_one(otr_jw *w, const otr_dead_letter *letter, otr_err *err)
{
    otr_bytes json;
    otr_code rc = otr_msg_json(letter->msg, &json, err);
    if (rc != OTR_OK) {
        return rc;
    }
    char time[OTR_TIME_BYTES];
    otr_jw_obj(w, NULL);
    otr_jw_u64(w, "number", letter->number);
    otr_jw_str(w, "time", otr_time_text(otr_wall_of(letter->at_ns), time));
    otr_jw_str(w, "reason", letter->reason != NULL ? letter->reason : "");
    otr_jw_raw(w, "message", json);
    otr_jw_obj_end(w);
    return OTR_OK;
}

otr_code otr_guest_plugin_write_dead(const otr_plugin *p, otr_buf *out, otr_err *err)
{
    const otr_guest_plugin *g = p->state;
    otr_jw w;
    otr_code rc = OTR_OK;
    otr_jw_begin(&w, out, err);
    otr_jw_arr(&w, NULL);
    const otr_dead_letter *letter;
    for (size_t k = 0; rc == OTR_OK && (letter = kept(g, k)) != NULL; k++) {
        rc = write_one(&w, letter, err);
    }
    otr_jw_arr_end(&w);
    otr_code wrote = otr_jw_end(&w);
    return rc == OTR_OK ? wrote : rc;
}

otr_code otr_guest_plugin_replay(otr_plugin *p, otr_err *err)
{
    otr_guest_plugin *g = p->state;
    if (p->state_id != OTR_PLUGIN_RUNNING) {
        return otr_fail(err, OTR_ESTATE,
                        "plugin \"%s\" is %s; it must run to take its dead letters", p->name,
                        otr_plugin_state_name(p->state_id));
    }
    if (g->n_again > 0) {
        return otr_fail(err, OTR_ESTATE, "plugin \"%s\": a replay is under way", p->name);
    }
    const otr_dead_letter *letter;
    size_t n = 0;
    while (kept(g, n) != NULL) {
        n++;
    }
    /* Taken from the end, so the oldest goes last into the list. */
    for (size_t k = n; k > 0 && (letter = kept(g, k - 1)) != NULL; k--) {
        g->again[g->n_again++] = otr_msg_ref(letter->msg);
    }
    for (size_t i = 0; i < OTR_DEAD_LETTERS; i++) {
        release(&g->dead[i]);
    }
    otr_guest_pump(g);
    return OTR_OK;
}
