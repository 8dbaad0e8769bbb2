/* expect: OK escaped in the log
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
OG_OPERATION(process)
{
    static const char text[] = "a\0b\x1b[2J\r\nlevel=error forged=1\xff\xc0\x80";
    og_log_str(OG_LOG_ERROR, (og_str){ text, sizeof text - 1 });
    return OG_OK;
}
