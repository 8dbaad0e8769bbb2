/* Journals of an earlier life: each becomes a transaction of its own. */
#include <stdio.h>

#include "nginx/apply/tx.h"

static otr_code list(otr_strand *strand, void *arg)
{
    otr_applier *a = arg;
    (void)strand;
    return otr_recover_list(a->folder, NULL, &a->journals, &a->job_err);
}

static otr_code begin_one(otr_applier *a, const otr_journal_entry *journal, otr_err *err)
{
    apply_lane *lane = NULL;
    otr_apply *tx = NULL;
    otr_code rc = otr_tx_lane_for(a, journal->instance, &lane, err);
    rc = rc == OTR_OK ? otr_tx_new(a, lane, &tx, err) : rc;
    rc = rc == OTR_OK ? otr_timer_new(a->spec.loop, otr_tx_on_timer, tx, &tx->timer, err) : rc;
    if (rc != OTR_OK) {
        otr_tx_free(tx);
        return rc;
    }
    tx->request.why = tx->result->why = OTR_APPLY_WHY_RECOVERY;
    tx->result->who = (otr_apply_who){ .kind = OTR_APPLY_BY_AGENT, .uid = (uid_t)-1 };
    (void)snprintf(tx->trouble, sizeof(tx->trouble), "%s",
                   journal->trouble != NULL ? journal->trouble : "");
    otr_tx_queue(tx);
    return OTR_OK;
}

static void resume(otr_applier *a, apply_lane *lane)
{
    const otr_journal_entry journal = { .instance = lane->id, .state = OTR_CHANGE_UNDONE };
    (void)!begin_one(a, &journal, NULL); /* else the next start, or the next time it is told of */
}

static void on_listed(void *arg, otr_code rc)
{
    otr_applier *a = arg;
    otr_err err = a->job_err;
    for (size_t i = 0; rc == OTR_OK && !a->freed && i < a->journals.n; i++) {
        if (a->journals.items[i].state != OTR_CHANGE_NONE || a->journals.items[i].trouble != NULL) {
            rc = begin_one(a, &a->journals.items[i], &err);
        }
    }
    if (!a->freed && a->spec.host.recovered != NULL) {
        a->spec.host.recovered(a->spec.host.arg, rc == OTR_OK ? NULL : &err);
    }
    otr_tx_listed(a);
}

otr_code otr_applier_recover(otr_applier *a, otr_err *err)
{
    otr_code rc = a->listing ? otr_fail(err, OTR_ESTATE, "journals are being looked for")
                             : otr_worker_submit(a->strand, list, on_listed, a, err);
    a->listing |= rc == OTR_OK;
    a->resume = resume;
    return rc;
}
