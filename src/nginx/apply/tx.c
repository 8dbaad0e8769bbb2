/* The steps of a transaction, in their order, to the commit. */
#include "nginx/apply/tx.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"

enum { POLICY_GRACE_MS = 2000, OWNER_MS = 30000 };

/* ---- what the steps share ---- */

static void run_next(void *arg)
{
    otr_apply *tx = arg;
    void (*fn)(otr_apply *) = tx->next_fn;
    tx->next_fn = NULL;
    fn(tx);
}

static void soon(otr_apply *tx, void (*fn)(otr_apply *tx))
{
    tx->next_fn = fn;
    otr_loop_defer(tx->a->spec.loop, &tx->next, run_next, tx);
}

void otr_tx_on_timer(void *tx)
{
    otr_apply *t = tx;
    if (t->on_time != NULL) {
        t->on_time(t);
    }
}

static void set_deadline(otr_apply *tx, uint64_t ms, void (*fn)(otr_apply *tx))
{
    tx->on_time = fn;
    otr_timer_start(tx->timer, ms, 0);
}

static void no_deadline(otr_apply *tx)
{
    tx->on_time = NULL;
    otr_timer_stop(tx->timer);
}

void otr_tx_says(otr_apply *tx, otr_apply_state state, const char *text)
{
    otr_apply_progress progress = { .id = tx->result->id,
                                    .instance = tx->result->instance,
                                    .who = &tx->result->who,
                                    .step = tx->step,
                                    .state = state,
                                    .ms = (otr_now_ns() - tx->step_ns) / OTR_NS_PER_MS,
                                    .text = text };
    if (tx->request.progress != NULL) {
        tx->request.progress(tx->request.arg, &progress);
    }
    if (tx->a->spec.host.progress != NULL) {
        tx->a->spec.host.progress(tx->a->spec.host.arg, &progress);
    }
}

void otr_tx_step(otr_apply *tx, otr_apply_step step)
{
    tx->step = step;
    tx->step_ns = otr_now_ns();
    otr_tx_says(tx, OTR_APPLY_BEGINS, "");
}

static void time_step(otr_apply *tx)
{
    uint64_t ns = otr_now_ns() - tx->step_ns;
    tx->result->step_ns[tx->step] += ns > 0 ? ns : 1;
}

void otr_tx_step_done(otr_apply *tx)
{
    time_step(tx);
    otr_tx_says(tx, OTR_APPLY_DONE, "");
}

void otr_tx_remark(otr_apply *tx, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        (void)!otr_apply_result_remark(tx->result, text, NULL);
    }
}

static otr_code run_job(otr_strand *strand, void *arg)
{
    otr_apply *tx = arg;
    (void)strand;
    tx->job_err = (otr_err){ 0 };
    return tx->job(tx, &tx->job_err);
}

static void job_over(void *arg, otr_code rc)
{
    otr_apply *tx = arg;
    tx->working = false;
    if (tx->abandoned) {
        otr_tx_free(tx);
        return;
    }
    if (rc != OTR_OK && tx->job_err.msg[0] == '\0') {
        (void)otr_fail(&tx->job_err, rc, "the agent is stopping");
    }
    tx->job_done(tx, rc);
}

void otr_tx_job(otr_apply *tx, otr_code (*job)(otr_apply *tx, otr_err *err),
                void (*done)(otr_apply *tx, otr_code rc))
{
    tx->job = job;
    tx->job_done = done;
    tx->working = true;
    otr_code rc = otr_worker_submit(tx->strand, run_job, job_over, tx, &tx->job_err);
    if (rc != OTR_OK) {
        tx->working = false;
        done(tx, rc);
    }
}

/* ---- the end ---- */

static void tell(otr_apply *tx)
{
    const otr_apply_host *host = &tx->a->spec.host;
    no_deadline(tx);
    tx->telling = false;
    tx->result->ns = otr_now_ns() - tx->began_ns;
    if (tx->request.done != NULL) {
        tx->request.done(tx->request.arg, tx->result);
    }
    if (host->finished != NULL) {
        host->finished(host->arg, tx->result);
    }
    otr_tx_over(tx);
}

void otr_apply_told(otr_apply *tx)
{
    if (tx->telling) {
        tx->telling = false;
        soon(tx, tell);
    }
}

static void let_owner(otr_apply *tx)
{
    const otr_apply_host *host = &tx->a->spec.host;
    if (host->unask != NULL) {
        host->unask(host->arg, tx);
    }
}

/* History does not answer: the asker must not wait for it. */
static void told_late(otr_apply *tx)
{
    if (tx->telling) {
        let_owner(tx);
        (void)!otr_apply_result_say(&tx->result->history, NULL,
                                    "the history was not written in time");
        otr_apply_told(tx);
    }
}

static void finish(otr_apply *tx)
{
    const otr_apply_host *host = &tx->a->spec.host;
    tx->result->ns = otr_now_ns() - tx->began_ns;
    tx->telling = true;
    if (host->after != NULL) {
        set_deadline(tx, OWNER_MS, told_late);
        host->after(host->arg, tx, tx->result);
    } else {
        otr_apply_told(tx);
    }
}

void otr_tx_end(otr_apply *tx, otr_apply_outcome outcome, const char *reason)
{
    if (tx->ended) {
        return;
    }
    tx->ended = true;
    no_deadline(tx);
    time_step(tx);
    tx->result->outcome = outcome;
    if (tx->way == APPLY_FORWARD || outcome == OTR_APPLY_ROLLBACK_FAILED) {
        tx->result->step = tx->step;
    }
    if (tx->result->reason == NULL || tx->result->reason[0] == '\0') {
        (void)!otr_apply_result_say(&tx->result->reason, NULL, reason);
    }
    bool fine = outcome == OTR_APPLY_APPLIED || outcome == OTR_APPLY_UNCHANGED ||
                outcome == OTR_APPLY_PLANNED;
    otr_tx_says(tx, fine ? OTR_APPLY_DONE : OTR_APPLY_BROKEN, reason);
    soon(tx, finish);
}

/* ---- commit ---- */

static void on_committed(otr_apply *tx, otr_code rc)
{
    if (rc != OTR_OK && otr_change_get_state(tx->change) < OTR_CHANGE_PROVEN) {
        /* Without that record the next start would undo it: so do it now, and say so. */
        otr_tx_back(tx, OTR_APPLY_ROLLED_BACK, tx->job_err.msg);
        return;
    }
    if (rc != OTR_OK) {
        char text[OTR_ERR_MSG_BYTES + 64];
        (void)snprintf(text, sizeof(text), "the old files are still there under hidden names: %s",
                       tx->job_err.msg);
        otr_tx_remark(tx, text);
    }
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

void otr_tx_take_reload(otr_apply *tx, const otr_reload_result *result)
{
    if (result->verdict != OTR_RELOAD_PROVEN) {
        (void)!otr_findings_copy(result->findings, &tx->result->findings, NULL);
    }
    for (char *const *r = result->remarks; r != NULL && *r != NULL; r++) {
        otr_tx_remark(tx, *r);
    }
}

void otr_tx_reload(otr_apply *tx, otr_reload_fn *done)
{
    otr_err err = { 0 };
    const otr_applier_settings *s = &tx->a->settings.s;
    otr_reload_spec spec = { .proc_root = tx->a->proc_root,
                             .pid = tx->instance->pid,
                             .started_ticks = tx->instance->started_ticks,
                             .log_pid =
                                 tx->launch != NULL ? tx->launch->log_pid : tx->instance->pid,
                             .root = tx->root,
                             .error_logs = (const char *const *)tx->logs.files,
                             .unwatched = (const char *const *)tx->logs.others,
                             .settle_ms = s->settle_ms,
                             .most_ms = s->reload_ms,
                             .strict = s->strict,
                             .warnings_are_errors = s->warnings_are_errors,
                             .done = done,
                             .arg = tx };
    otr_reload_free(otr_steal(&tx->reload));
    if (otr_reload_start(tx->a->spec.loop, tx->strand, &spec, &tx->reload, &err) != OTR_OK) {
        otr_findings none = { 0 };
        otr_reload_result result = { .verdict = OTR_RELOAD_UNKNOWN,
                                     .findings = &none,
                                     .reason = err.msg };
        done(tx, &result);
    }
}

static void on_proof(void *arg, const otr_reload_result *result)
{
    otr_apply *tx = arg;
    otr_tx_take_reload(tx, result);
    tx->reload_back = result->sent;
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

static void on_swapped(otr_apply *tx, otr_code rc)
{
    otr_err err = { 0 };
    tx->result->touched = true;
    if (rc != OTR_OK || tx->stop) {
        otr_tx_back(tx, OTR_APPLY_FAILED, rc != OTR_OK ? tx->job_err.msg : "the agent is stopping");
        return;
    }
    otr_tx_step_done(tx);
    otr_tx_step(tx, OTR_APPLY_TEST);
    otr_trial_spec spec = { .launch = tx->launch,
                            .timeout_ms = tx->a->settings.s.test_ms,
                            .warnings_are_errors = tx->a->settings.s.warnings_are_errors,
                            .done = on_trial,
                            .arg = tx };
    if (otr_trial_start(tx->a->spec.loop, &spec, &tx->trial, &err) != OTR_OK) {
        otr_tx_back(tx, OTR_APPLY_FAILED, err.msg);
    }
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
    no_deadline(tx);
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
        soon(tx, stage);
    }
}

static void proceed_late(otr_apply *tx)
{
    let_owner(tx);
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
    no_deadline(tx);
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
    set_deadline(tx, OWNER_MS, proceed_late);
    host->before(host->arg, tx, &view);
}

void otr_apply_answer(otr_apply *tx, otr_apply_verdict verdict, const char *reason,
                      const char *verdicts)
{
    if (!tx->asking) {
        return;
    }
    tx->asking = false;
    no_deadline(tx);
    if (verdicts != NULL) {
        (void)!otr_apply_result_say(&tx->result->verdicts, NULL, verdicts);
    }
    if (verdict == OTR_APPLY_ALLOW && !tx->stop) {
        soon(tx, allowed);
    } else if (verdict == OTR_APPLY_DENY) {
        otr_tx_end(tx, OTR_APPLY_DENIED, reason);
    } else {
        otr_tx_end(tx, OTR_APPLY_FAILED, tx->stop ? "the agent is stopping" : reason);
    }
}

static void policy_late(otr_apply *tx)
{
    let_owner(tx);
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
    set_deadline(tx, tx->a->settings.s.policy_ms + POLICY_GRACE_MS, policy_late);
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

static void on_planned(otr_apply *tx, otr_code rc)
{
    otr_apply_view view;
    const otr_apply_host *host = &tx->a->spec.host;
    otr_err *err = &tx->job_err;
    if (tx->ended) {
        return; /* its deadline was earlier, and its end waits in the loop */
    }
    no_deadline(tx);
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
    set_deadline(tx, tx->a->settings.s.files_ms, plan_late);
    otr_tx_job(tx, otr_tx_job_plan, on_planned);
}

void otr_tx_stop(otr_apply *tx)
{
    tx->stop = true;
    if (tx->asking) {
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
