/* expect: EGUEST unreachable
 * abi: extism, wapc
 * phase: info */
#include "hostile.h"

OG_OPERATION(info)
{
    __builtin_trap();
}
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
