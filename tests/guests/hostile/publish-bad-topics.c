/* expect: OK every publish refused
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    static const char *const topics[] = {
        "",       ".",    "a..b",     "*",  "test.*", "nginx.metrics.sampled", "UPPER.case",
        "sp ace", "a\nb", "\xff\xfe", "\"", "../x",   "agent.plugin.changed"
    };
    char giant[4096];
    memset(giant, 'a', sizeof giant);
    giant[sizeof giant - 1] = '\0';
    int taken = og_publish(giant, OG_STR("{}")) == OG_OK;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        taken += og_publish(topics[i], OG_STR("{}")) == OG_OK;
    }
    return taken == 0 ? OG_OK : og_fail("a bad topic was taken");
}
