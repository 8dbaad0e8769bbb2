/*
 * What `nginx -t` said: exit, signal and output into a verdict.
 *
 * Valid is an exit of 0 without emerg, alert or crit. A lack of this machine (no descriptors, no
 * memory, no space), a time-out, a right that we could not give: unknown, never invalid.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_APPLY_VERDICT_H
#define OTR_NGINX_APPLY_VERDICT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "nginx/apply/trial.h"

enum { OTR_VERDICT_REASON_BYTES = 1024 };

typedef struct otr_verdict_spec {
    bool warnings_are_errors;
    bool lacking; /* the program had fewer rights than the master has */
    uint64_t timeout_ms;
} otr_verdict_spec;

/* Adds the lines to `findings` and writes the reason ("" when valid). Fails when memory is out. */
otr_code otr_verdict_of(const otr_child_result *result, const otr_verdict_spec *spec,
                        otr_findings *findings, otr_trial_verdict *ret,
                        char reason[OTR_VERDICT_REASON_BYTES], otr_err *err) OTR_MUST_CHECK;

#endif
