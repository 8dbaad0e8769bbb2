/*
 * Comments that keep findings quiet: "# outrider: ignore RULE[,RULE…] reason" behind a directive,
 * in its line, or in a line of its own above one. It holds for that directive with its block.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHECK_SUPPRESS_H
#define OTR_NGINX_CHECK_SUPPRESS_H

#include "nginx/check/rule.h"

/* Marks what comments of `conf` cover and adds a finding of rule `own` for each comment that is
 * wrong or covers nothing. */
typedef struct otr_suppress {
    const otr_conf *conf;
    const otr_rules_list *rules;
    const bool *off;
    uint32_t own;
    otr_report *report;
} otr_suppress;
otr_code otr_suppress_all(const otr_suppress *spec, otr_err *err) OTR_MUST_CHECK;

#endif
