/* expect: OK every publish refused
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    static const char *const data[] = { "{",     "}",        "{\"a\":}", "nul",
                                        "{} {}", "\"\xff\"", "[1,]",     "{\"topic\":\"x\"}}" };
    char deep[2000];
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 1000);
    int taken = og_publish("test.bad", (og_str){ deep, sizeof deep }) == OG_OK;
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
        taken += og_publish("test.bad", og_text(data[i])) == OG_OK;
    }
    return taken == 0 ? OG_OK : og_fail("bad data was taken");
}
