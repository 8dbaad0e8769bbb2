/* expect: OK refused beyond the ceiling of one call or of topics, or ETIMEOUT limits.call
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    char topic[] = "test.t00000";
    for (unsigned i = 0; i < 100000; i++) {
        unsigned n = i;
        for (size_t at = sizeof topic - 2; topic[at] != 't'; at--, n /= 10) {
            topic[at] = (char)('0' + n % 10);
        }
        (void)og_publish(topic, OG_STR("{}"));
    }
    return OG_OK;
}
