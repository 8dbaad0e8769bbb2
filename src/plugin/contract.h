/*
 * The plugin contract: what a guest answers to `info` and `subscriptions`, checked.
 *
 *     info          →
 * {"name":"rate-watch","version":"1.0.0","api":"1","operations":["init","process",…]} subscriptions
 * → {"topics":[{"pattern":"nginx.metrics.sampled","kind":"event"}]}   or  ["nginx.*"]
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

/* Every guest must have these; NULL-terminated. */
extern const char *const otr_contract_required[];

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

/* A NULL-terminated list of checked topic patterns; free with otr_contract_free_list(). */
otr_code otr_contract_read_topics(otr_bytes answer, char ***ret, otr_err *err) OTR_MUST_CHECK;
void otr_contract_free_list(char **list); /* NULL is fine */

#endif
