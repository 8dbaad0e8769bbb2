/* expect: ETIMEOUT limits.call
 * abi: extism
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    for (uint64_t n = 0;; n++) {
        uint64_t at = og_x_alloc_(1 + n % 4096);
        og_x_output_set_(at, n % 4096);
        og_x_error_set_(at);
        og_x_free_(at);
        og_x_error_set_(0);
    }
}
