/*
 * The question that plugins are asked about a change, and what they may ask back
 * (`nginx_config.get`).
 *
 * The payload of nginx.config.validate: who asks, what is to be done, the plan, the diff, what it
 * touches and, where all of it stays within the limit of a message, the new configuration as
 * crossplane shows it. Where it does not, "config" is null, "config_truncated" true and
 * "config_files" names the files. docs/abi/policy.md has each member.
 *
 * Thread: any; otr_impact_answer() by several at once.
 */
#ifndef OTR_NGINX_IMPACT_QUESTION_H
#define OTR_NGINX_IMPACT_QUESTION_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/impact/impact.h"

typedef struct otr_impact_question {
    const char *instance;    /* its id */
    const char *transaction; /* "" when there is none */
    const char *action;      /* "apply", "rollback", "adopt" … */
    const char *by_kind;     /* "user", "management-plane", "plugin", "agent" */
    const char *by_name;     /* of the user …; "" */
    const char *message;     /* of who asks, such as a commit message; "" */
    bool dry_run;
    otr_bytes plan; /* valid JSON, an array of items as nginx/change writes it; none: made from the
                       overlay's files */
} otr_impact_question;

/* Puts the payload into the empty `out`, whose ceiling must be OTR_LIMIT_BUS_PAYLOAD_BYTES. */
otr_code otr_impact_ask(const otr_impact *impact, const otr_impact_question *question, otr_buf *out,
                        otr_err *err) OTR_MUST_CHECK;

/* Answers `nginx_config.get` (plugin/hooks.h, otr_hook_files.get): `of` is the otr_impact.
 * {"path":…,"version":"new|old","form":"text|parsed"} → the text, or one item of crossplane's
 * "config"; a bare path is the new text. OTR_ENOTFOUND: that configuration has no such file;
 * OTR_EDENIED: a secret; OTR_EINVAL; OTR_EQUOTA. */
otr_code otr_impact_answer(void *of, otr_bytes in, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
/* For otr_hook_files.drop. */
void otr_impact_drop(void *of);

#endif
