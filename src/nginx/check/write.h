/*
 * A check's findings and the rules as JSON and as SARIF 2.1.0.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHECK_WRITE_H
#define OTR_NGINX_CHECK_WRITE_H

#include "nginx/check/check.h"

typedef struct otr_check_writer {
    /* Takes what was written so far; called many times. */
    otr_code (*put)(void *arg, otr_bytes bytes, otr_err *err);
    void *arg;
    const char *version; /* of this program */
    otr_check_level least;
} otr_check_writer;

otr_code otr_check_write_json(const otr_check *check, const otr_check_writer *to, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_check_write_sarif(const otr_check *check, const otr_check_writer *to, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_check_write_rules(const otr_rules_list *rules, const otr_check_writer *to,
                               otr_err *err) OTR_MUST_CHECK;

#endif
