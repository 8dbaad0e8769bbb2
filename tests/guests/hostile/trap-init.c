/* expect: EGUEST unreachable
 * abi: extism, wapc
 * phase: init */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
OG_OPERATION(init)
{
    __builtin_trap();
}
