/* Transactions of several instances that need the same files: one after the other. */
#include <stdio.h>

#include "nginx/apply/tx.h"
#include "nginx/change/plan.h"

enum { LOOK_AGAIN_MS = 50, PLANS_MOST = 4 };

/* Files of a recovery are known to itself alone until they are back; that takes moments. */
static bool is_recovering_files(const otr_apply *tx)
{
    return tx->request.why == OTR_APPLY_WHY_RECOVERY && !tx->ended && !tx->waiting_for_master &&
           (tx->step == OTR_APPLY_PLAN || tx->step == OTR_APPLY_UNDO);
}

static const otr_apply *find_other(const otr_apply *tx)
{
    const otr_applier *a = tx->a;
    for (size_t i = 0; i < a->n_lanes; i++) {
        const otr_apply *other = a->lanes[i]->running;
        if (other != NULL && other != tx &&
            (is_recovering_files(other) ||
             (other->holds && otr_claims_meet(&tx->claims, &other->claims)))) {
            return other;
        }
    }
    return NULL;
}

/* What it saw may have been of a change that was undone since. */
static void plan_again(otr_apply *tx)
{
    tx->blocked = false;
    otr_plan_free(otr_steal(&tx->plan));
    if (tx->weighed != NULL && tx->a->spec.host.drop != NULL) {
        tx->a->spec.host.drop(tx->a->spec.host.arg, otr_steal(&tx->weighed));
    }
    otr_buf_clear(&tx->impact);
    otr_buf_clear(&tx->diff);
    tx->weigh_remark[0] = tx->launch_remark[0] = '\0';
    otr_root_free(otr_steal(&tx->root));
    tx->again(tx);
}

static void look_again(otr_apply *tx)
{
    if (find_other(tx) != NULL) {
        otr_tx_deadline(tx, LOOK_AGAIN_MS, look_again);
    } else {
        plan_again(tx);
    }
}

bool otr_tx_claim(otr_apply *tx, void (*again)(otr_apply *tx))
{
    tx->again = again;
    const otr_apply *other = find_other(tx);
    if (other != NULL) {
        char text[160];
        (void)snprintf(text, sizeof(text),
                       "waiting for %s of the NGINX %.8s, which has files of this one",
                       other->result->id, other->result->instance);
        if (!tx->blocked_once) {
            otr_tx_says(tx, OTR_APPLY_SAYS, text);
        }
        tx->blocked = tx->blocked_once = true;
        otr_tx_deadline(tx, LOOK_AGAIN_MS, look_again);
        return false;
    }
    if (tx->ends_seen != tx->a->ends && ++tx->plans < PLANS_MOST) {
        otr_tx_soon(tx, plan_again);
        return false;
    }
    tx->holds = true;
    return true;
}
