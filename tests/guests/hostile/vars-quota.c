/* expect: EINVAL the quota of variables
 * abi: extism
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    size_t len = 3U << 20;
    char *text = og_new(len);
    if (text == NULL) {
        __builtin_trap();
    }
    memset(text, 'v', len);
    og_var_set("big", (og_str){ text, len });
    og_str back = og_var_get("big");
    return back.at == NULL || back.len == 0 ? OG_OK : og_fail("three MiB of variables were taken");
}
