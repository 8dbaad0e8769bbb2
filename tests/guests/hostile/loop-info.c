/* expect: ETIMEOUT the call's deadline
 * abi: extism, wapc
 * phase: info */
#include "hostile.h"

OG_OPERATION(info)
{
    for (;;) {
    }
}
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
