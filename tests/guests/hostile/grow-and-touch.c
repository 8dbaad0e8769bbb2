/* expect: EQUOTA limits.memory
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    for (;;) {
        char *page = og_new(65536);
        if (page == NULL) {
            __builtin_trap();
        }
        page[4096] = 1;
    }
}
