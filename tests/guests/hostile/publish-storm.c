/* expect: OK refused beyond the ceiling of one call, or ETIMEOUT limits.call
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    for (int i = 0; i < 100000; i++) {
        (void)og_publish("test.storm", OG_STR("{}"));
    }
    return OG_OK;
}
