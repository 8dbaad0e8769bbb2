#include "nginx/apply/reload.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/texts.h"
#include "nginx/apply/generation.h"
#include "nginx/apply/proof.h"

enum { FAST_MS = 4, BUSY_MS = 10, SLOW_MS = 25, FAST_FOR_MS = 400, FAILURES_MOST = 20 };

struct otr_reload {
    otr_loop *loop;
    otr_strand *strand;
    otr_timer *timer;
    otr_reload_spec spec; /* its pointers are ours */
    otr_root *root;
    char *proc_root;
    char **error_logs, **unwatched;
    otr_proof *proof;
    bool working; /* a job is on the strand: it owns `proof`, `look` and `job_err` */
    bool freed;
    bool *gone; /* set when it is freed inside `done` */
    bool sent;
    bool busy; /* the master is at something else: not begun yet */
    uint64_t began_ns;
    uint64_t signal_ns, stands_ns; /* 0: not yet */
    unsigned failures;             /* looks in a row that we could not take */
    otr_proof_look look;
    otr_err job_err;
};

static void release(otr_reload *r)
{
    otr_proof_free(r->proof);
    otr_timer_free(r->timer);
    otr_root_free(r->root);
    otr_seal_free(r->spec.seal);
    otr_texts_free(r->error_logs);
    otr_texts_free(r->unwatched);
    otr_free(r->proc_root);
    otr_free(r);
}

void otr_reload_free(otr_reload *reload)
{
    if (reload == NULL) {
        return;
    }
    if (reload->gone != NULL) {
        *reload->gone = true;
    }
    reload->freed = true;
    otr_timer_stop(reload->timer);
    if (!reload->working) {
        release(reload);
    }
}

static uint64_t waited_ms(const otr_reload *r)
{
    return (otr_now_ns() - r->signal_ns) / OTR_NS_PER_MS;
}

static void tell(otr_reload *r, otr_reload_verdict verdict, const char *reason)
{
    otr_findings none = { 0 };
    otr_reload_result result = {
        .verdict = verdict,
        .sent = r->sent,
        .findings = r->proof != NULL ? otr_proof_findings(r->proof) : &none,
        .reason = reason,
        .remarks = r->proof != NULL ? otr_proof_remarks(r->proof) : NULL,
        .n_new = r->look.n_new,
        .n_old = r->look.n_old,
        .ns = r->sent ? otr_now_ns() - r->signal_ns : 0,
    };
    bool gone = false;
    r->gone = &gone;
    r->spec.done(r->spec.arg, &result);
    if (!gone) {
        r->gone = NULL;
    }
}

/* ---- on the strand ---- */

/* A master that is still at another reload (it tries for seconds to get an address that is taken)
 * logs what belongs to that one: nothing is sent until it waits for signals. */
static otr_code begin_job(otr_strand *strand, void *arg)
{
    otr_reload *r = arg;
    (void)strand;
    r->busy = otr_master_waits(r->proc_root, r->spec.pid) == 0 &&
              otr_now_ns() - r->began_ns < r->spec.most_ms * OTR_NS_PER_MS;
    if (r->busy) {
        return OTR_OK;
    }
    otr_code rc = otr_proof_new(&r->spec, &r->proof, &r->job_err);
    if (rc == OTR_OK) {
        r->signal_ns = otr_now_ns();
        rc = otr_proof_signal(r->proof, &r->job_err);
        r->sent = rc == OTR_OK;
    }
    return rc;
}

static otr_code look_job(otr_strand *strand, void *arg)
{
    otr_reload *r = arg;
    (void)strand;
    return otr_proof_look_now(r->proof, waited_ms(r), &r->look, &r->job_err);
}

/* ---- on the loop ---- */

static void look_later(otr_reload *r)
{
    otr_timer_start(r->timer, waited_ms(r) < FAST_FOR_MS ? FAST_MS : SLOW_MS, 0);
}

/* The bound is reached, and it does not stand. */
static void give_up(otr_reload *r)
{
    char text[OTR_PROOF_REASON_BYTES + 64];
    (void)snprintf(text, sizeof(text), "after %llu ms %s", (unsigned long long)r->spec.most_ms,
                   r->look.reason);
    tell(r, OTR_RELOAD_UNKNOWN, text);
}

static bool is_settled(const otr_reload *r, uint64_t now)
{
    return r->spec.strict ? waited_ms(r) >= r->spec.most_ms
                          : now - r->stands_ns >= r->spec.settle_ms * OTR_NS_PER_MS;
}

static void on_state(otr_reload *r)
{
    uint64_t now = otr_now_ns();
    bool stands = r->look.state == OTR_PROOF_STANDS;
    if (!stands || r->look.changed || r->stands_ns == 0) {
        r->stands_ns = stands ? now : 0;
    }
    if (r->look.state == OTR_PROOF_GONE) {
        tell(r, OTR_RELOAD_GONE, r->look.reason);
    } else if (r->look.state == OTR_PROOF_REFUSED) {
        tell(r, OTR_RELOAD_REFUSED, r->look.reason);
    } else if (r->look.state == OTR_PROOF_MOVED) {
        tell(r, OTR_RELOAD_MOVED, r->look.reason);
    } else if (stands && is_settled(r, now)) {
        tell(r, OTR_RELOAD_PROVEN, "");
    } else if (!stands && waited_ms(r) >= r->spec.most_ms) {
        give_up(r);
    } else if (stands && waited_ms(r) >= r->spec.most_ms + r->spec.settle_ms) {
        (void)snprintf(r->look.reason, sizeof(r->look.reason), "the new workers still come and go");
        give_up(r);
    } else {
        look_later(r);
    }
}

static void on_looked(void *arg, otr_code rc)
{
    otr_reload *r = arg;
    r->working = false;
    if (r->freed) {
        release(r);
        return;
    }
    if (rc == OTR_OK) {
        r->failures = 0;
        on_state(r);
    } else if (++r->failures >= FAILURES_MOST || waited_ms(r) >= r->spec.most_ms) {
        tell(r, OTR_RELOAD_UNKNOWN, r->job_err.msg);
    } else {
        look_later(r);
    }
}

static void on_begun(void *arg, otr_code rc)
{
    otr_reload *r = arg;
    r->working = false;
    if (r->freed) {
        release(r);
    } else if (rc != OTR_OK) {
        tell(r, rc == OTR_ESTATE ? OTR_RELOAD_GONE : OTR_RELOAD_UNKNOWN,
             r->job_err.msg[0] != '\0' ? r->job_err.msg : "the agent is stopping");
    } else if (r->busy) {
        otr_timer_start(r->timer, BUSY_MS, 0);
    } else {
        look_later(r);
    }
}

static void on_timer(void *arg)
{
    otr_reload *r = arg;
    otr_err err = { 0 };
    if (r->working) {
        return;
    }
    otr_code rc = r->busy ? otr_worker_submit(r->strand, begin_job, on_begun, r, &err)
                          : otr_worker_submit(r->strand, look_job, on_looked, r, &err);
    if (rc != OTR_OK) {
        tell(r, OTR_RELOAD_UNKNOWN, err.msg);
        return;
    }
    r->working = true;
}

static otr_code copy_spec(otr_reload *r, const otr_reload_spec *spec, otr_err *err)
{
    r->spec = *spec;
    r->spec.seal = NULL;
    r->proc_root = otr_strdup(spec->proc_root);
    otr_code rc = r->proc_root != NULL ? OTR_OK : otr_fail_nomem(err);
    rc = rc == OTR_OK ? otr_root_copy(spec->root, &r->root, err) : rc;
    rc = rc == OTR_OK
             ? otr_texts_copy((char *const *)(uintptr_t)spec->error_logs, &r->error_logs, err)
             : rc;
    rc = rc == OTR_OK
             ? otr_texts_copy((char *const *)(uintptr_t)spec->unwatched, &r->unwatched, err)
             : rc;
    r->spec.proc_root = r->proc_root;
    r->spec.root = r->root;
    r->spec.error_logs = (const char *const *)r->error_logs;
    r->spec.unwatched = (const char *const *)r->unwatched;
    return rc;
}

otr_code otr_reload_start(otr_loop *loop, otr_strand *strand, const otr_reload_spec *spec,
                          otr_reload **ret, otr_err *err)
{
    otr_reload *r = otr_zalloc(sizeof(*r));
    if (r == NULL) {
        return otr_fail_nomem(err);
    }
    r->loop = loop;
    r->strand = strand;
    r->began_ns = otr_now_ns();
    otr_code rc = copy_spec(r, spec, err);
    rc = rc == OTR_OK ? otr_timer_new(loop, on_timer, r, &r->timer, err) : rc;
    r->spec.seal = spec->seal;
    rc = rc == OTR_OK ? otr_worker_submit(strand, begin_job, on_begun, r, err) : rc;
    if (rc != OTR_OK) {
        r->spec.seal = NULL; /* the caller's still */
        release(r);
        return rc;
    }
    r->working = true;
    *ret = r;
    return OTR_OK;
}
