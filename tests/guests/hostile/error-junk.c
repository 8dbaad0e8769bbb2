/* expect: EINVAL the text is escaped and cut
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    size_t len = 1U << 20;
    char *text = og_new(len);
    if (text == NULL) {
        __builtin_trap();
    }
    memset(text, 0xff, len);
    memset(text, 0, 16);
    memset(text + 16, '\n', 16);
    return og_fail_str((og_str){ text, len });
}
