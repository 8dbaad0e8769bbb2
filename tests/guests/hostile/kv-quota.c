/* expect: OK refused beyond grants.kv_bytes
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

/* A megabyte at once, then a kilobyte under each of 300 keys. */
OG_OPERATION(process)
{
    size_t large = 1U << 20;
    char *text = og_new(4 + 4 + large);
    if (text == NULL) {
        __builtin_trap();
    }
    for (size_t i = 0; i < 4 + 4 + large; i++) {
        text[i] = 'k';
    }
    text[0] = 4;
    text[1] = text[2] = text[3] = 0;
    (void)og_call("kv.put", (og_str){ text, 4 + 4 + large });
    for (uint32_t n = 0; n < 300; n++) {
        text[4] = (char)('a' + n % 26);
        text[5] = (char)('a' + n / 26 % 26);
        (void)og_call("kv.put", (og_str){ text, 4 + 4 + 1024 });
    }
    return OG_OK;
}
