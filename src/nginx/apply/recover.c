/* What was interrupted: journals of an earlier life, each a transaction of its own. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "nginx/apply/tx.h"
#include "nginx/proc.h"

/* So long after its files are back an NGINX that has not shown up is waited for: the answer does
 * not wait any longer, the journal does. */
enum { MASTER_MS = 10000 };

static const char interrupted[] =
    "the agent ended before the change was proven: the old files are back";

static void wait_for_master(otr_apply *tx, uint64_t ms, void (*late)(otr_apply *tx))
{
    tx->waiting_for_master = true;
    tx->on_time = late;
    if (ms > 0) {
        otr_timer_start(tx->timer, ms, 0);
    }
}

static bool take_instance(otr_apply *tx)
{
    if (tx->lane->instance == NULL) {
        return false;
    }
    otr_nginx_instance_free(tx->instance);
    tx->instance = NULL;
    if (otr_nginx_instance_copy(tx->lane->instance, &tx->instance, NULL) != OTR_OK) {
        return false;
    }
    tx->request.instance = tx->instance;
    return true;
}

/* ---- after the files are back ---- */

/* Was one of its processes started after the files had begun to be exchanged? */
static bool has_younger(const otr_apply *tx)
{
    struct timespec up;
    long hz = sysconf(_SC_CLK_TCK);
    if (tx->moved_wall_s == 0) {
        return false;
    }
    if (hz <= 0 || clock_gettime(CLOCK_BOOTTIME, &up) != 0) {
        return true;
    }
    uint64_t boot_s = otr_wall_ns() / OTR_NS_PER_S - (uint64_t)up.tv_sec;
    for (size_t i = 0; i < tx->instance->n_workers; i++) {
        otr_proc_stat st;
        if (otr_proc_stat_read(tx->a->proc_root, tx->instance->workers[i], &st) &&
            boot_s + st.started_ticks / (uint64_t)hz + 1 >= tx->moved_wall_s) {
            return true;
        }
    }
    return false;
}

/* Started after the files were back: it has read these. */
static bool is_after(const otr_apply *tx)
{
    return tx->lane->back_ticks != 0 && tx->instance->started_ticks > tx->lane->back_ticks;
}

static void back_with_master(otr_apply *tx)
{
    bool after = is_after(tx);
    tx->lane->back_ticks = 0;
    if (after) {
        otr_tx_end(tx, OTR_APPLY_ROLLED_BACK, interrupted);
    } else if (tx->reload_back || has_younger(tx)) {
        tx->then = OTR_APPLY_ROLLED_BACK;
        otr_tx_job(tx, otr_tx_job_launch, otr_tx_back_launched);
    } else {
        otr_tx_end(tx, OTR_APPLY_ROLLED_BACK, interrupted);
    }
}

static void no_master(otr_apply *tx)
{
    uint64_t ticks = otr_tx_ticks();
    tx->waiting_for_master = false;
    tx->keep_journal = true;
    tx->lane->back_ticks = ticks != 0 ? ticks : 1;
    otr_tx_remark(tx,
                  "no such NGINX was found to run: one that starts reads the old files, and one "
                  "that runs with the new ones is reloaded once it is found");
    otr_tx_end(tx, OTR_APPLY_ROLLED_BACK, interrupted);
}

static void undone(otr_apply *tx)
{
    if (!tx->reload_back && tx->moved_wall_s == 0) {
        otr_tx_end(tx, OTR_APPLY_ROLLED_BACK, interrupted);
    } else if (take_instance(tx)) {
        back_with_master(tx);
    } else {
        otr_tx_says(tx, OTR_APPLY_SAYS, "waiting for NGINX to be found");
        wait_for_master(tx, MASTER_MS, no_master);
    }
}

/* ---- from the journal ---- */

static void proven(otr_apply *tx)
{
    tx->waiting_for_master = false;
    otr_tx_remark(tx, "the agent ended after the change was proven: finished at its next start");
    otr_tx_step(tx, OTR_APPLY_COMMIT);
    otr_tx_end(tx, OTR_APPLY_APPLIED, "");
}

static void go_on(otr_apply *tx)
{
    otr_change_state state = otr_change_get_state(tx->change);
    tx->result->touched = state >= OTR_CHANGE_SWAPPING;
    if (state == OTR_CHANGE_PROVEN && tx->instance == NULL) {
        /* Which files it reads is told by the instance: the history keeps them as a version. */
        otr_tx_says(tx, OTR_APPLY_SAYS, "waiting for NGINX to be found");
        wait_for_master(tx, MASTER_MS, proven);
    } else if (state == OTR_CHANGE_PROVEN) {
        proven(tx);
    } else {
        otr_tx_back(tx, OTR_APPLY_ROLLED_BACK, interrupted);
    }
}

static void on_resumed(otr_apply *tx, otr_code rc)
{
    tx->lane->back_ticks = rc == OTR_OK ? tx->lane->back_ticks : 0;
    if (rc == OTR_ENOTFOUND) {
        otr_tx_end(tx, OTR_APPLY_FAILED, "nothing was left to do");
    } else if (rc != OTR_OK) {
        otr_tx_end(tx, OTR_APPLY_ROLLBACK_FAILED, tx->job_err.msg);
    } else if (tx->root_path[0] != '\0' && tx->instance == NULL) {
        /* Its files are in another root, and which process leads there now is not known. */
        otr_change_free(otr_steal(&tx->change));
        otr_tx_says(tx, OTR_APPLY_SAYS, "waiting for NGINX to be found, whose root has the files");
        wait_for_master(tx, 0, NULL);
    } else {
        go_on(tx);
    }
}

void otr_tx_recover_begin(otr_apply *tx)
{
    otr_tx_step(tx, OTR_APPLY_PLAN);
    tx->undone = undone;
    if (tx->trouble[0] != '\0') {
        otr_tx_end(tx, OTR_APPLY_ROLLBACK_FAILED, tx->trouble);
        return;
    }
    (void)take_instance(tx);
    otr_tx_job(tx, otr_tx_job_resume, on_resumed);
}

void otr_tx_recover_instance(otr_apply *tx)
{
    if (!tx->waiting_for_master) {
        return;
    }
    if (tx->request.why != OTR_APPLY_WHY_RECOVERY || tx->step == OTR_APPLY_UNDO_PROOF) {
        otr_tx_back_instance(tx);
    } else if (take_instance(tx)) {
        tx->waiting_for_master = false;
        tx->on_time = NULL;
        otr_timer_stop(tx->timer);
        if (tx->change == NULL) {
            otr_tx_job(tx, otr_tx_job_resume, on_resumed);
        } else if (otr_change_get_state(tx->change) == OTR_CHANGE_PROVEN) {
            proven(tx);
        } else {
            back_with_master(tx);
        }
    }
}
