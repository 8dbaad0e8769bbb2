/* What all steps share: how one begins and ends, jobs, deadlines, the end of all, and a reload. */
#include <stdio.h>

#include "base/clock.h"
#include "nginx/apply/tx.h"

enum { OWNER_MS = OTR_TX_OWNER_MS };

/* ---- what the steps share ---- */

static void run_next(void *arg)
{
    otr_apply *tx = arg;
    void (*fn)(otr_apply *) = tx->next_fn;
    tx->next_fn = NULL;
    fn(tx);
}

void otr_tx_soon(otr_apply *tx, void (*fn)(otr_apply *tx))
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

void otr_tx_deadline(otr_apply *tx, uint64_t ms, void (*fn)(otr_apply *tx))
{
    tx->on_time = fn;
    otr_timer_start(tx->timer, ms, 0);
}

void otr_tx_no_deadline(otr_apply *tx)
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
        tx->a->drop(tx);
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
    otr_tx_no_deadline(tx);
    tx->telling = false;
    tx->result->ns = otr_now_ns() - tx->began_ns;
    if (tx->request.done != NULL) {
        tx->request.done(tx->request.arg, tx->result);
    }
    if (host->finished != NULL) {
        host->finished(host->arg, tx->result);
    }
    tx->a->over(tx);
}

static bool is_proven(const otr_apply *tx)
{
    return otr_change_get_state(tx->change) == OTR_CHANGE_PROVEN;
}

static otr_code job_close(otr_apply *tx, otr_err *err)
{
    return is_proven(tx) ? otr_change_finish(tx->change, err) : otr_change_undo(tx->change, err);
}

static void on_closed(otr_apply *tx, otr_code rc)
{
    if (rc != OTR_OK) {
        char text[OTR_ERR_MSG_BYTES + 96];
        (void)snprintf(text, sizeof(text), "%s%s",
                       is_proven(tx) ? "the old files are still there under hidden names, the next "
                                       "start tries again: "
                                     : "",
                       tx->job_err.msg);
        otr_tx_remark(tx, text);
    }
    tell(tx);
}

/* The journal is kept until the history knows how it ended, and that of an undo until NGINX runs
 * with the old files: an agent that ends in between has its next start do what is left of it. */
static void close_journal(otr_apply *tx)
{
    otr_change_state state =
        tx->change != NULL ? otr_change_get_state(tx->change) : OTR_CHANGE_NONE;
    if (!tx->keep_journal && (state == OTR_CHANGE_UNDONE || state == OTR_CHANGE_PROVEN)) {
        otr_tx_job(tx, job_close, on_closed);
    } else {
        tell(tx);
    }
}

void otr_apply_told(otr_apply *tx)
{
    if (tx->telling) {
        tx->telling = false;
        otr_tx_soon(tx, close_journal);
    }
}

void otr_tx_let_owner(otr_apply *tx)
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
        otr_tx_let_owner(tx);
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
        otr_tx_deadline(tx, OWNER_MS, told_late);
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
    otr_tx_no_deadline(tx);
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
    otr_tx_soon(tx, finish);
}

/* ---- reload ---- */

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
                             .seal = tx->logs.seal,
                             .unwatched = (const char *const *)tx->logs.others,
                             .settle_ms = s->settle_ms,
                             .most_ms = s->reload_ms,
                             .strict = s->strict,
                             .warnings_are_errors = s->warnings_are_errors,
                             .done = done,
                             .arg = tx };
    otr_reload_free(otr_steal(&tx->reload));
    if (otr_reload_start(tx->a->spec.loop, tx->strand, &spec, &tx->reload, &err) == OTR_OK) {
        tx->logs.seal = NULL;
    } else {
        otr_findings none = { 0 };
        otr_reload_result result = { .verdict = OTR_RELOAD_UNKNOWN,
                                     .findings = &none,
                                     .reason = err.msg };
        done(tx, &result);
    }
}
