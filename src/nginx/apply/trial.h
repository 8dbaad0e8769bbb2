/*
 * `nginx -t` of the binary that runs: does that NGINX take what is on disk?
 *
 * The executable is opened by /proc/<pid>/exe, so that it is the one that runs, and started with
 * the options, working folder, root, namespaces, user and capabilities of the master, with an
 * environment of our own. It is bounded in time and output. What keeps us from running it is told
 * apart from what it says: a lack of ours is never a fault of the configuration.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_APPLY_TRIAL_H
#define OTR_NGINX_APPLY_TRIAL_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "nginx/apply/launch.h"
#include "nginx/apply/result.h"

typedef struct otr_trial otr_trial;

typedef enum otr_trial_verdict {
    OTR_TRIAL_VALID,
    OTR_TRIAL_INVALID,
    OTR_TRIAL_UNKNOWN, /* it could not be asked, or gave no answer: `reason` says why */
} otr_trial_verdict;

typedef struct otr_trial_result { /* borrowed until the callback returns */
    otr_trial_verdict verdict;
    otr_findings *findings; /* may be taken out */
    const char *reason;     /* "" when valid */
    int exit_status;        /* -1: there is none */
    uint64_t ns;
} otr_trial_result;

typedef void otr_trial_fn(void *arg, const otr_trial_result *result);

typedef struct otr_trial_spec {
    const otr_launch *launch; /* how the master runs; borrowed until the call returns */
    uint64_t timeout_ms;
    bool warnings_are_errors;
    otr_trial_fn *done; /* once, on the loop, never from inside otr_trial_start() */
    void *arg;
} otr_trial_spec;

/* Errors are lacks of ours. `*ret` is freed by the caller after or before `done`; before means: end
 * it. */
otr_code otr_trial_start(otr_loop *loop, const otr_trial_spec *spec, otr_trial **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_trial_free(otr_trial *trial); /* NULL is fine */

#endif
