/* expect: EQUOTA limits.memory, or OK when growth is refused and the guest goes on
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    while (og_new(65536) != NULL) {
    }
    return OG_OK;
}
