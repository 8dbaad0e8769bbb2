/* expect: OK the bus ends the loop at its cause depth
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
OG_SUBSCRIBE("test.ping", "test.loop")
OG_OPERATION(process)
{
    (void)og_publish("test.loop", OG_STR("{}"));
    (void)og_publish("test.loop", OG_STR("{}"));
    return OG_OK;
}
