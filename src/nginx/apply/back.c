/* The way back: the renames backwards, and where NGINX may have read the new files a reload of its
 * own, proven alike. */
#include <stdio.h>

#include "base/clock.h"
#include "nginx/apply/tx.h"

enum { UNDO_TRIES = 4, UNDO_WAIT_MS = 250, PROOF_TRIES = 2, RETURN_MS = 3000, TEXT_BYTES = 1600 };

static const char *reason_of(const otr_apply *tx)
{
    return tx->result->reason != NULL ? tx->result->reason : "";
}

static void broken(otr_apply *tx, const char *what, const char *why)
{
    char text[TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "%.700s; %s: %.700s", reason_of(tx), what, why);
    (void)!otr_apply_result_say(&tx->result->reason, NULL, text);
    otr_tx_end(tx, OTR_APPLY_ROLLBACK_FAILED, text);
}

/* ---- reload ---- */

/* Another process may stand for the instance by now: started anew, it has read the old files. */
static bool take_new_master(otr_apply *tx)
{
    const otr_nginx_instance *now = tx->lane->instance;
    otr_nginx_instance *copy = NULL;
    if (now == NULL || (tx->instance != NULL && now->pid == tx->instance->pid &&
                        now->started_ticks == tx->instance->started_ticks)) {
        return false;
    }
    if (otr_nginx_instance_copy(now, &copy, NULL) != OTR_OK) {
        return false;
    }
    otr_nginx_instance_free(tx->instance);
    tx->instance = copy;
    tx->request.instance = copy;
    return true;
}

static void never_returned(otr_apply *tx)
{
    tx->waiting_for_master = false;
    broken(tx, "the old files are back, but NGINX is not running", "start it");
}

static void on_back_proof(void *arg, const otr_reload_result *result);

static void on_back_sealed(otr_apply *tx, otr_code rc)
{
    if (rc != OTR_OK) {
        otr_tx_remark(tx, tx->job_err.msg);
    }
    otr_tx_reload(tx, on_back_proof);
}

static void back_reload(otr_apply *tx)
{
    otr_tx_step(tx, OTR_APPLY_UNDO_PROOF);
    otr_tx_job(tx, otr_tx_job_seal, on_back_sealed);
}

static void on_back_proof(void *arg, const otr_reload_result *result)
{
    otr_apply *tx = arg;
    otr_tx_take_reload(tx, result);
    bool moved = result->verdict == OTR_RELOAD_MOVED;
    bool again = tx->retries + 1 < PROOF_TRIES;
    if (result->verdict == OTR_RELOAD_PROVEN || (moved && !again)) {
        otr_tx_remark(tx, result->reason); /* it runs with what is there, as far as can be told */
        otr_tx_step_done(tx);
        otr_tx_end(tx, tx->then, reason_of(tx));
    } else if (++tx->retries < PROOF_TRIES && take_new_master(tx)) {
        otr_tx_job(tx, otr_tx_job_launch, otr_tx_back_launched);
    } else if (result->verdict == OTR_RELOAD_GONE) {
        otr_tx_says(tx, OTR_APPLY_SAYS, "NGINX ended: waiting for it to come back");
        tx->waiting_for_master = true;
        tx->on_time = never_returned;
        otr_timer_start(tx->timer, RETURN_MS, 0);
    } else if ((moved || result->verdict == OTR_RELOAD_UNKNOWN) && tx->retries < PROOF_TRIES) {
        back_reload(tx);
    } else {
        broken(tx, "the old files are back, but NGINX did not take them", result->reason);
    }
}

void otr_tx_back_launched(otr_apply *tx, otr_code rc)
{
    (void)rc; /* how it logs its own pid may be unknown: then by the pid that we see */
    back_reload(tx);
}

void otr_tx_back_instance(otr_apply *tx)
{
    if (tx->waiting_for_master && take_new_master(tx)) {
        tx->waiting_for_master = false;
        tx->on_time = NULL;
        otr_timer_stop(tx->timer);
        otr_tx_job(tx, otr_tx_job_launch, otr_tx_back_launched);
    }
}

/* ---- files ---- */

static void try_undo(otr_apply *tx);

static void on_undone(otr_apply *tx, otr_code rc)
{
    if (rc != OTR_OK) {
        if (++tx->retries < UNDO_TRIES) {
            otr_tx_says(tx, OTR_APPLY_SAYS, tx->job_err.msg);
            tx->on_time = try_undo;
            otr_timer_start(tx->timer, (uint64_t)UNDO_WAIT_MS * tx->retries, 0);
        } else {
            broken(tx, "the old files could not be put back, the next start tries again",
                   tx->job_err.msg);
        }
        return;
    }
    for (const char *const *kept = otr_change_kept(tx->change); kept != NULL && *kept != NULL;
         kept++) {
        char text[OTR_ERR_MSG_BYTES];
        (void)snprintf(text, sizeof(text),
                       "somebody changed a file meanwhile; it was put at %.300s", *kept);
        otr_tx_remark(tx, text);
    }
    tx->retries = 0;
    otr_tx_step_done(tx);
    if (tx->undone != NULL) {
        tx->undone(tx);
    } else if (tx->reload_back) {
        back_reload(tx);
    } else {
        otr_tx_end(tx, tx->then, reason_of(tx));
    }
}

static void try_undo(otr_apply *tx)
{
    tx->on_time = NULL;
    otr_tx_job(tx, otr_tx_job_undo, on_undone);
}

void otr_tx_back(otr_apply *tx, otr_apply_outcome then, const char *reason)
{
    if (tx->way == APPLY_FORWARD) {
        tx->result->step_ns[tx->step] += otr_now_ns() - tx->step_ns + 1;
        tx->result->step = tx->step;
        otr_tx_says(tx, OTR_APPLY_BROKEN, reason);
    }
    tx->way = APPLY_BACK;
    tx->then = tx->reload_back ? OTR_APPLY_ROLLED_BACK : then;
    (void)!otr_apply_result_say(&tx->result->reason, NULL, reason);
    tx->retries = 0;
    otr_tx_step(tx, OTR_APPLY_UNDO);
    try_undo(tx);
}
