/*
 * What a guest answers to info, subscriptions and a hook: any bytes give an error or a checked
 * result.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "bus/bus.h"
#include "plugin/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_patterns(char *const *list)
{
    for (; *list != NULL; list++) {
        if (otr_topic_check(*list, true, NULL) != OTR_OK) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_bytes in = { data, size };
    otr_err err = { 0 };
    otr_contract_info info = { 0 };
    otr_contract_topics topics = { 0 };
    otr_contract_verdict verdict = { 0 };
    if (otr_contract_read_info(in, &info, &err) == OTR_OK && info.version == NULL) {
        abort();
    }
    if (otr_contract_read_topics(in, &topics, &err) == OTR_OK) {
        check_patterns(topics.events);
        check_patterns(topics.hooks);
    }
    if (otr_contract_read_verdict(in, &verdict, &err) == OTR_OK &&
        (memchr(verdict.message, 0, sizeof(verdict.message)) == NULL ||
         !otr_utf8_ok(otr_bytes_of(verdict.message)))) {
        abort();
    }
    otr_contract_info_deinit(&info);
    otr_contract_topics_deinit(&topics);
    return 0;
}
