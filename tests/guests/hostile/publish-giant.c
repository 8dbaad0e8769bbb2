/* expect: OK refused: payload too large, or EQUOTA limits.memory, or ETIMEOUT limits.call
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    size_t len = 20U << 20;
    char *text = og_new(len);
    if (text == NULL) {
        __builtin_trap();
    }
    memset(text, '1', len);
    (void)og_publish("test.giant", (og_str){ text, len });
    return OG_OK;
}
