/* expect: OK a guest may call its own exports
 * abi: extism
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

static int rounds;

OG_OPERATION(count)
{
    return og_output(OG_STR("{}"));
}

OG_OPERATION(process)
{
    for (rounds = 0; rounds < 1000; rounds++) {
        (void)og_publish("test.again", OG_STR("{}"));
        (void)og_export_count_();
    }
    return OG_OK;
}
