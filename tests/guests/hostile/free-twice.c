/* expect: OK a second free does nothing
 * abi: extism
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    uint64_t a = og_x_alloc_(64);
    uint64_t b = og_x_alloc_(64);
    for (int i = 0; i < 1000; i++) {
        og_x_free_(a);
        og_x_free_(a + 8);
        og_x_free_(b - 8);
        og_x_free_(b);
        a = og_x_alloc_(64);
        b = og_x_alloc_(64);
        if (a == b && a != 0) {
            return og_fail("two living blocks at one place");
        }
    }
    return OG_OK;
}
