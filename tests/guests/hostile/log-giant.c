/* expect: OK the line is cut
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    size_t len = 8U << 20;
    char *text = og_new(len);
    if (text == NULL) {
        __builtin_trap();
    }
    memset(text, 'x', len);
    og_log_str(OG_LOG_ERROR, (og_str){ text, len });
    return OG_OK;
}
