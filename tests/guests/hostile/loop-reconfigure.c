/* expect: ETIMEOUT limits.call
 * abi: extism, wapc
 * phase: reconfigure */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
OG_OPERATION(reconfigure)
{
    for (;;) {
    }
}
