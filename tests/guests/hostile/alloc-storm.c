/* expect: EQUOTA limits.memory, or OK when alloc answers 0
 * abi: extism
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    for (uint64_t size = 1; size < (1U << 26); size += size / 3 + 1) {
        for (int i = 0; i < 64; i++) {
            (void)og_x_alloc_(size);
        }
    }
    return OG_OK;
}
