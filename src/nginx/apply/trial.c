#include "nginx/apply/trial.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "nginx/apply/launch.h"
#include "nginx/apply/verdict.h"

struct otr_trial {
    otr_child *child;
    otr_verdict_spec verdict;
    otr_findings findings;
    otr_trial_fn *done;
    void *arg;
    uint64_t began_ns;
    bool *freed; /* set when it is freed inside `done` */
};

static void tell(otr_trial *t, const otr_trial_result *result)
{
    bool freed = false;
    t->freed = &freed;
    t->done(t->arg, result);
    if (!freed) {
        t->freed = NULL;
    }
}

static void on_done(void *arg, const otr_child_result *child)
{
    otr_trial *t = arg;
    otr_err err = { 0 };
    char reason[OTR_VERDICT_REASON_BYTES] = "";
    otr_trial_result result = { .verdict = OTR_TRIAL_UNKNOWN,
                                .findings = &t->findings,
                                .reason = reason,
                                .exit_status = child->exit_status,
                                .ns = otr_now_ns() - t->began_ns };
    if (otr_verdict_of(child, &t->verdict, &t->findings, &result.verdict, reason, &err) != OTR_OK) {
        result.verdict = OTR_TRIAL_UNKNOWN;
        result.reason = err.msg;
    }
    tell(t, &result);
}

otr_code otr_trial_start(otr_loop *loop, const otr_trial_spec *spec, otr_trial **ret, otr_err *err)
{
    /* NGINX needs nothing of ours, and must not get what a library or NGINX itself would obey
     * (LD_PRELOAD, NGINX=<inherited sockets>). */
    static const char *const env[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL
    };
    const otr_launch *launch = spec->launch;
    const char *argv[OTR_LAUNCH_ARGS];
    otr_trial *t = otr_zalloc(sizeof(*t));
    if (t == NULL) {
        return otr_fail_nomem(err);
    }
    t->verdict = (otr_verdict_spec){ .warnings_are_errors = spec->warnings_are_errors,
                                     .lacking = launch->lacking != 0,
                                     .timeout_ms = spec->timeout_ms };
    t->done = spec->done;
    t->arg = spec->arg;
    t->began_ns = otr_now_ns();
    otr_launch_argv(launch, "-t", argv);
    otr_child_spec child = { .file = launch->binary,
                             .argv = argv,
                             .env = env,
                             .place = &launch->place,
                             .timeout_ms = spec->timeout_ms,
                             .max_output_bytes = OTR_LIMIT_APPLY_TEST_BYTES,
                             .keep_end = true, /* what NGINX ends for comes last */
                             .done = on_done,
                             .arg = t };
    otr_code rc = otr_child_start(loop, &child, &t->child, err);
    if (rc != OTR_OK) {
        otr_trial_free(t);
        return rc;
    }
    *ret = t;
    return OTR_OK;
}

void otr_trial_free(otr_trial *trial)
{
    if (trial == NULL) {
        return;
    }
    if (trial->freed != NULL) {
        *trial->freed = true;
    }
    otr_child_free(trial->child);
    otr_findings_deinit(&trial->findings);
    otr_free(trial);
}
