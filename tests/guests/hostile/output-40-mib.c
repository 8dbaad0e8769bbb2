/* expect: EINVAL or EQUOTA the output's ceiling
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    size_t len = 40U << 20;
#ifdef GUEST_WAPC
    char *text = og_new(len);
    if (text == NULL) {
        __builtin_trap();
    }
    og_w_response_(text, len);
#else
    uint64_t at = og_x_alloc_(len);
    if (at == 0) {
        __builtin_trap();
    }
    og_x_output_set_(at, len);
#endif
    return OG_OK;
}
