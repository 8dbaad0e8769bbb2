/* The steps of a transaction, in their order, to the commit. */
#include "nginx/apply/tx.h"

#include <stdio.h>

enum { POLICY_GRACE_MS = 2000, OWNER_MS = OTR_TX_OWNER_MS };

/* ---- commit ---- */

static void on_committed(otr_apply *tx, otr_code rc)
{
    if (rc != OTR_OK) {
        /* Without that record the next start would undo it: so do it now, and say so. */
        otr_tx_back(tx, OTR_APPLY_ROLLED_BACK, tx->job_err.msg);
        return;
    }
    otr_tx_remark(tx, tx->touched);
    otr_tx_end(tx, OTR_APPLY_APPLIED, "");
}

static void commit(otr_apply *tx)
{
    otr_tx_step(tx, OTR_APPLY_COMMIT);
    otr_tx_job(tx, otr_tx_job_commit, on_committed);
}

/* ---- probation ---- */

static void on_probation(void *arg, const otr_probation_result *result)
{
    otr_apply *tx = arg;
    for (char *const *r = result->remarks; r != NULL && *r != NULL; r++) {
        otr_tx_remark(tx, *r);
    }
    if (!result->passed) {
        otr_tx_back(tx, OTR_APPLY_ROLLED_BACK, result->reason);
        return;
    }
    otr_tx_step_done(tx);
    commit(tx);
}

static void begin_probation(otr_apply *tx)
{
    otr_err err = { 0 };
    const otr_apply_probation *what = &tx->request.probation;
    if (what->n_probes == 0 && what->watch_ms == 0) {
        commit(tx);
        return;
    }
    otr_tx_step(tx, OTR_APPLY_PROBATION);
    otr_probation_spec spec = { .strand = tx->strand,
                                .what = what,
                                .instance = tx->result->instance,
                                .traffic = tx->a->spec.host.traffic,
                                .traffic_arg = tx->a->spec.host.arg,
                                .done = on_probation,
                                .arg = tx };
    if (otr_probation_start(tx->a->spec.loop, &spec, &tx->probation, &err) != OTR_OK) {
        otr_tx_back(tx, OTR_APPLY_ROLLED_BACK, err.msg);
    }
}

/* ---- reload and proof ---- */

static void test_again(otr_apply *tx, const char *why);

static void on_proof(void *arg, const otr_reload_result *result)
{
    otr_apply *tx = arg;
    otr_tx_take_reload(tx, result);
    /* One that ended before it got the signal may have been started anew, with the new files. */
    tx->reload_back = result->sent || result->verdict == OTR_RELOAD_GONE;
    if (result->verdict == OTR_RELOAD_MOVED && tx->moved++ == 0 && !tx->stop) {
        test_again(tx, result->reason);
        return;
    }
    if (result->verdict != OTR_RELOAD_PROVEN) {
        char text[1200];
        (void)snprintf(text, sizeof(text), "the reload was not proven: %s", result->reason);
        otr_tx_back(tx, OTR_APPLY_ROLLED_BACK, text);
        return;
    }
    otr_tx_step_done(tx);
    if (tx->stop && tx->request.probation.watch_ms > 0) {
        otr_tx_back(tx, OTR_APPLY_ROLLED_BACK, "the agent is stopping: nobody would watch");
        return;
    }
    begin_probation(tx);
}

static void on_marked(otr_apply *tx, otr_code rc)
{
    if (rc != OTR_OK || tx->stop) {
        otr_tx_back(tx, OTR_APPLY_FAILED, rc != OTR_OK ? tx->job_err.msg : "the agent is stopping");
        return;
    }
    otr_tx_step_done(tx);
    otr_tx_step(tx, OTR_APPLY_PROOF);
    tx->reload_back = true; /* from here on it may have been sent */
    otr_tx_reload(tx, on_proof);
}

/* ---- test ---- */

static void on_trial(void *arg, const otr_trial_result *result)
{
    otr_apply *tx = arg;
    (void)!otr_findings_copy(result->findings, &tx->result->findings, NULL);
    if (result->verdict != OTR_TRIAL_VALID) {
        otr_tx_back(tx, result->verdict == OTR_TRIAL_INVALID ? OTR_APPLY_INVALID : OTR_APPLY_FAILED,
                    result->reason);
        return;
    }
    otr_tx_step_done(tx);
    otr_tx_step(tx, OTR_APPLY_RELOAD);
    otr_tx_job(tx, otr_tx_job_mark, on_marked);
}

/* What it will read is sealed: from here on nothing of it may change until it is read. */
static void on_sealed(otr_apply *tx, otr_code rc)
{
    otr_err err = { 0 };
    if (rc != OTR_OK || tx->stop) {
        otr_tx_back(tx, OTR_APPLY_FAILED, rc != OTR_OK ? tx->job_err.msg : "the agent is stopping");
        return;
    }
    otr_trial_spec spec = { .launch = tx->launch,
                            .timeout_ms = tx->a->settings.s.test_ms,
                            .warnings_are_errors = tx->a->settings.s.warnings_are_errors,
                            .done = on_trial,
                            .arg = tx };
    otr_trial_free(otr_steal(&tx->trial));
    if (otr_trial_start(tx->a->spec.loop, &spec, &tx->trial, &err) != OTR_OK) {
        otr_tx_back(tx, OTR_APPLY_FAILED, err.msg);
    }
}

static void on_swapped(otr_apply *tx, otr_code rc)
{
    tx->result->touched = true;
    if (rc == OTR_OK && !tx->stop) {
        otr_tx_step_done(tx);
        otr_tx_step(tx, OTR_APPLY_TEST);
    }
    on_sealed(tx, rc);
}

/* Somebody else wrote to a file between the test and the reload: once more with that. */
static void test_again(otr_apply *tx, const char *why)
{
    otr_tx_says(tx, OTR_APPLY_SAYS, why);
    otr_tx_step_done(tx);
    otr_tx_step(tx, OTR_APPLY_TEST);
    otr_tx_job(tx, otr_tx_job_seal, on_sealed);
}

/* ---- stage and swap ---- */

static void on_staged(otr_apply *tx, otr_code rc)
{
    if (rc != OTR_OK || tx->stop) {
        const char *why = rc != OTR_OK ? tx->job_err.msg : "the agent is stopping";
        if (tx->change != NULL) {
            otr_tx_back(tx, OTR_APPLY_FAILED, why);
        } else {
            otr_tx_end(tx, OTR_APPLY_FAILED, why);
        }
        return;
    }
    otr_tx_step_done(tx);
    otr_tx_step(tx, OTR_APPLY_SWAP);
    otr_tx_job(tx, otr_tx_job_swap, on_swapped);
}

static void stage(otr_apply *tx)
{
    otr_tx_no_deadline(tx);
    if (tx->stop) {
        otr_tx_end(tx, OTR_APPLY_FAILED, "the agent is stopping");
        return;
    }
    otr_tx_step(tx, OTR_APPLY_STAGE);
    otr_tx_job(tx, otr_tx_job_stage, on_staged);
}

void otr_apply_proceed(otr_apply *tx, const char *remark)
{
    if (tx->holding) {
        tx->holding = false;
        otr_tx_remark(tx, remark);
        otr_tx_soon(tx, stage);
    }
}

static void proceed_late(otr_apply *tx)
{
    otr_tx_let_owner(tx);
    otr_apply_proceed(tx, "the history did not keep the files from before in time");
}

/* ---- policy ---- */

static void view_of(otr_apply *tx, otr_apply_view *ret)
{
    *ret = (otr_apply_view){ .id = tx->result->id,
                             .instance = tx->instance,
                             .root = tx->root,
                             .set = tx->set,
                             .plan = tx->plan,
                             .result = tx->result,
                             .request = &tx->request };
}

static void allowed(otr_apply *tx)
{
    otr_apply_view view;
    const otr_apply_host *host = &tx->a->spec.host;
    otr_tx_no_deadline(tx);
    otr_tx_step_done(tx);
    if (tx->request.dry_run) {
        otr_tx_end(tx, OTR_APPLY_PLANNED, "");
        return;
    }
    if (host->before == NULL) {
        stage(tx);
        return;
    }
    view_of(tx, &view);
    tx->holding = true;
    otr_tx_deadline(tx, OWNER_MS, proceed_late);
    host->before(host->arg, tx, &view);
}

void otr_apply_answer(otr_apply *tx, otr_apply_verdict verdict, const char *reason,
                      const char *verdicts)
{
    if (!tx->asking) {
        return;
    }
    tx->asking = false;
    otr_tx_no_deadline(tx);
    if (verdicts != NULL) {
        (void)!otr_apply_result_say(&tx->result->verdicts, NULL, verdicts);
    }
    if (verdict == OTR_APPLY_ALLOW && !tx->stop) {
        otr_tx_soon(tx, allowed);
    } else if (verdict == OTR_APPLY_DENY) {
        otr_tx_end(tx, OTR_APPLY_DENIED, reason);
    } else {
        otr_tx_end(tx, OTR_APPLY_FAILED, tx->stop ? "the agent is stopping" : reason);
    }
}

static void policy_late(otr_apply *tx)
{
    otr_tx_let_owner(tx);
    otr_apply_answer(tx, OTR_APPLY_NO_ANSWER, "the plugins gave no answer in time", NULL);
}

static void ask(otr_apply *tx)
{
    otr_apply_view view;
    const otr_apply_host *host = &tx->a->spec.host;
    otr_tx_step(tx, OTR_APPLY_POLICY);
    tx->asking = true;
    if (host->ask == NULL) {
        otr_apply_answer(tx, OTR_APPLY_ALLOW, "", NULL);
        return;
    }
    view_of(tx, &view);
    otr_tx_deadline(tx, tx->a->settings.s.policy_ms + POLICY_GRACE_MS, policy_late);
    host->ask(host->arg, tx, &view, otr_steal(&tx->weighed));
}

/* ---- plan ---- */

static void take_texts(otr_apply *tx)
{
    if (tx->impact.n > 0) {
        (void)!otr_apply_result_say(&tx->result->impact, NULL, otr_buf_text(&tx->impact));
    }
    if (tx->diff.n > 0) {
        (void)!otr_apply_result_say(&tx->result->diff, NULL, otr_buf_text(&tx->diff));
    }
    otr_buf_deinit(&tx->impact);
    otr_buf_deinit(&tx->diff);
    otr_tx_remark(tx, tx->weigh_remark);
}

static void plan_late(otr_apply *tx)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "the files could not be looked at within %llu ms",
                   (unsigned long long)tx->a->settings.s.files_ms);
    otr_tx_end(tx, OTR_APPLY_FAILED, text);
}

static void plan(otr_apply *tx);

static void on_planned(otr_apply *tx, otr_code rc)
{
    otr_apply_view view;
    const otr_apply_host *host = &tx->a->spec.host;
    otr_err *err = &tx->job_err;
    if (tx->ended) {
        return; /* its deadline was earlier, and its end waits in the loop */
    }
    otr_tx_no_deadline(tx);
    if (rc == OTR_OK && !tx->stop && !tx->request.dry_run && !otr_tx_claim(tx, plan)) {
        return;
    }
    rc = rc == OTR_OK ? otr_tx_take_files(tx, err) : rc;
    if (rc != OTR_OK || tx->stop) {
        otr_tx_end(tx, rc == OTR_EDENIED && !tx->stop ? OTR_APPLY_DENIED : OTR_APPLY_FAILED,
                   rc != OTR_OK ? err->msg : "the agent is stopping");
        return;
    }
    take_texts(tx);
    view_of(tx, &view);
    if (host->begun != NULL) {
        host->begun(host->arg, &view);
    }
    otr_tx_step_done(tx);
    if (otr_plan_is_empty(tx->plan)) {
        otr_tx_end(tx, OTR_APPLY_UNCHANGED, "");
        return;
    }
    ask(tx);
}

static void plan(otr_apply *tx)
{
    tx->ends_seen = tx->a->ends;
    otr_tx_deadline(tx, tx->a->settings.s.files_ms, plan_late);
    otr_tx_job(tx, otr_tx_job_plan, on_planned);
}

void otr_tx_begin(otr_apply *tx)
{
    if (tx->request.why == OTR_APPLY_WHY_RECOVERY) {
        otr_tx_recover_begin(tx);
        return;
    }
    if (tx->step == OTR_APPLY_WAITING && tx->step_ns != 0) {
        otr_tx_step_done(tx);
    }
    otr_tx_step(tx, OTR_APPLY_PLAN);
    plan(tx);
}

void otr_tx_stop(otr_apply *tx)
{
    tx->stop = true;
    if (tx->blocked) {
        tx->blocked = false;
        otr_tx_end(tx, OTR_APPLY_FAILED, "the agent is stopping");
    } else if (tx->asking) {
        policy_late(tx);
    } else if (tx->holding) {
        proceed_late(tx);
    } else if (tx->trial != NULL && tx->step == OTR_APPLY_TEST) {
        otr_trial_free(otr_steal(&tx->trial));
        otr_tx_back(tx, OTR_APPLY_FAILED, "the agent is stopping");
    } else if (tx->probation != NULL && tx->step == OTR_APPLY_PROBATION) {
        otr_probation_free(otr_steal(&tx->probation));
        otr_tx_back(tx, OTR_APPLY_ROLLED_BACK, "the agent is stopping: nobody would watch");
    }
}

void otr_tx_master_gone(otr_apply *tx)
{
    if (tx->probation != NULL && tx->step == OTR_APPLY_PROBATION && !tx->ended) {
        otr_probation_free(otr_steal(&tx->probation));
        otr_tx_back(tx, OTR_APPLY_ROLLED_BACK, "NGINX ended while it was on probation");
    }
}
