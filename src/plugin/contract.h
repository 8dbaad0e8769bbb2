/*
 * The plugin contract: what a guest answers to `info`, `subscriptions` and to a hook, checked.
 *
 *     info          → {"name":"rate-watch","version":"1.0.0","api":"1","operations":["init",…]}
 *     subscriptions → {"topics":[{"pattern":"nginx.metrics.sampled","kind":"event"},
 *                                {"pattern":"nginx.config.validate","kind":"hook"}]}
 *                     or  ["nginx.*"], which are events
 *     process of a hook → {"verdict":"allow|deny","message":"…",
 *                          "findings":[{"file":"…","line":3,"message":"…","severity":"error"}]}
 *                         "findings" is optional; so are "file" and "line" beside "message", which
 *                         make one finding of it
 *
 * "operations" is optional: which operations the guest has, for ABIs whose exports do not tell
 * (waPC).
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_CONTRACT_H
#define OTR_PLUGIN_CONTRACT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

#define OTR_CONTRACT_API "1"

enum {
    OTR_HAS_INIT = 1,
    OTR_HAS_RECONFIGURE = 2,
    OTR_HAS_CLOSE = 4,
    OTR_HAS_LIST = 8, /* the guest said which: the absence of a bit means absence */
};

typedef struct otr_contract_info {
    char *version;       /* owned */
    unsigned operations; /* OTR_HAS_… */
} otr_contract_info;

otr_code otr_contract_read_info(otr_bytes answer, otr_contract_info *ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_contract_info_deinit(otr_contract_info *info);

/* What a guest wants to hear: checked topic patterns, NULL-terminated. */
typedef struct otr_contract_topics {
    char **events;
    char **hooks; /* questions that it answers */
} otr_contract_topics;

otr_code otr_contract_read_topics(otr_bytes answer, otr_contract_topics *ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_contract_topics_deinit(otr_contract_topics *topics);

enum { OTR_VERDICT_MESSAGE_BYTES = 512 };

typedef enum otr_verdict { OTR_VERDICT_ALLOW, OTR_VERDICT_DENY } otr_verdict;

enum { OTR_VERDICT_FINDINGS = 16, OTR_FINDING_FILE_BYTES = 512, OTR_FINDING_MESSAGE_BYTES = 256 };

typedef enum otr_finding_severity {
    OTR_FINDING_ERROR,
    OTR_FINDING_WARNING,
    OTR_FINDING_INFO
} otr_finding_severity;
const char *otr_finding_severity_name(otr_finding_severity severity); /* "error" … */

typedef struct otr_hook_finding {      /* texts escaped, cut to these sizes */
    char file[OTR_FINDING_FILE_BYTES]; /* "": of none */
    uint32_t line;                     /* 0: of none */
    otr_finding_severity severity;     /* one that we do not know is an error */
    char message[OTR_FINDING_MESSAGE_BYTES];
} otr_hook_finding;

typedef struct otr_contract_verdict {
    otr_verdict verdict;
    char message[OTR_VERDICT_MESSAGE_BYTES]; /* escaped, cut to this size; "" when there is none */
    otr_hook_finding findings[OTR_VERDICT_FINDINGS]; /* what is no finding is passed over */
    size_t n_findings, more_findings;
} otr_contract_verdict;

/* What a guest answered to a hook. OTR_EINVAL says what is wrong with it. */
otr_code otr_contract_read_verdict(otr_bytes answer, otr_contract_verdict *ret, otr_err *err)
    OTR_MUST_CHECK;

#endif
