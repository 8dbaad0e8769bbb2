/* expect: ETIMEOUT limits.call, with 1,024 messages at most
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    for (;;) {
        og_begin_();
        (void)og_publish("test.flood", OG_STR("{\"n\":1}"));
    }
}
