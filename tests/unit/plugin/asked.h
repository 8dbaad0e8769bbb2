/* A question to plugins and what came of it. Who includes it has a fixture with `loop` and `host`.
 */
#ifndef OTR_TESTS_UNIT_PLUGIN_ASKED_H
#define OTR_TESTS_UNIT_PLUGIN_ASKED_H

#include <stdio.h>

#include "base/clock.h"
#include "plugin/hooks.h"
#include "support/test.h"

enum { ROUND_MS = 5, PATIENCE_S = 30 };

/* Steps the loop until `cond` holds, or too long. */
#define WAIT(cond)                                                     \
    do {                                                               \
        for (uint64_t end_ = otr_now_ns() + PATIENCE_S * OTR_NS_PER_S; \
             !(cond) && otr_now_ns() < end_;) {                        \
            otr_loop_step(f.loop, ROUND_MS);                           \
        }                                                              \
        REQUIRE(cond);                                                 \
    } while (0)

typedef struct outcome { /* what came of a question */
    unsigned times;
    otr_verdict verdict;
    char reason[sizeof(((otr_hook_result *)NULL)->reason)];
    size_t n;
    otr_hook_answer answers[4];
    uint64_t ns;
} outcome;

static inline void take_verdict(void *arg, const otr_hook_result *result)
{
    outcome *a = arg;
    a->times++;
    a->verdict = result->verdict;
    a->n = result->n;
    a->ns = result->ns;
    (void)snprintf(a->reason, sizeof(a->reason), "%s", result->reason);
    for (size_t i = 0; i < result->n && i < OTR_COUNT(a->answers); i++) {
        a->answers[i] = result->answers[i];
    }
}

/* Longer than any short event. */
#define LONG_TEXT "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""
#define LONG_JSON "[" LONG_TEXT "," LONG_TEXT "," LONG_TEXT "," LONG_TEXT "," LONG_TEXT "]"

static inline otr_code ask(otr_plugin_host *host, uint64_t ms, outcome *a, otr_hook **ret,
                           otr_err *err)
{
    otr_hook_spec spec = { .topic = "x.validate",
                           .payload = otr_bytes_of(LONG_JSON),
                           .source = "test",
                           .deadline_ns = otr_now_ns() + ms * OTR_NS_PER_MS,
                           .done = take_verdict,
                           .arg = a };
    return otr_plugin_host_ask(host, &spec, ret, err);
}

/* Asks and waits for the verdict. */
#define ASK(a, ms)                                      \
    outcome a = { 0 };                                  \
    REQUIRE_OK(ask(f.host, ms, &(a), NULL, &err), err); \
    CHECK_INT((a).times, 0);                            \
    WAIT((a).times > 0);                                \
    CHECK_INT((a).times, 1)

enum { LONG_MS = 20000 };

#endif
