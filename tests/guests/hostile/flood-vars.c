/* expect: ETIMEOUT limits.call, with limits.vars held
 * abi: extism
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    static char value[1024];
    for (uint64_t n = 0;; n++) {
        og_begin_();
        char name[] = { 'v', (char)('a' + n % 26), (char)('a' + n / 26 % 26),
                        (char)('a' + n / 676 % 26), '\0' };
        og_var_set(name, (og_str){ value, sizeof value });
        (void)og_var_get("vaaa");
    }
}
