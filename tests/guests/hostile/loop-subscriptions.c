/* expect: ETIMEOUT the call's deadline
 * abi: extism, wapc
 * phase: subscriptions */
#include "hostile.h"

GOOD_INFO
OG_OPERATION(subscriptions)
{
    for (;;) {
    }
}
GOOD_PROCESS
