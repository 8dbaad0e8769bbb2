/* expect: OK every operation refused
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    static const char *const operations[] = { "",     ".",   "a.b", "kv.drop_all", "plugin.call",
                                              "bus.", ".get" };
    int taken = 0;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        taken += og_call(operations[i], OG_STR("{}")).at != NULL;
    }
    return taken == 0 ? OG_OK : og_fail("an unknown operation was taken");
}
