/* expect: OK lines beyond the rate are counted and dropped, or ETIMEOUT limits.call
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    for (int i = 0; i < 100000; i++) {
        og_log(OG_LOG_ERROR, "storm");
    }
    return OG_OK;
}
