/* expect: EGUEST unreachable
 * abi: extism, wapc
 * phase: close */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
OG_OPERATION(close)
{
    __builtin_trap();
}
