/* expect: EGUEST or EQUOTA limits.memory: growth is refused
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    size_t len = 100U << 20;
    char *text = og_new(len);
    if (text == NULL) {
        __builtin_trap();
    }
    return og_output((og_str){ text, len });
}
