/* expect: ETIMEOUT limits.call, host calls included
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
OG_OPERATION(process)
{
    for (;;) {
        (void)og_config("none");
    }
}
