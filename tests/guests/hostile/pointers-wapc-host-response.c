/* expect: EGUEST a range outside the guest's memory, or OK as the answer is empty
 * abi: wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
OG_OPERATION(process)
{
    EACH_POINTER(p)
    {
        EACH_POINTER(q)
        {
            (void)og_w_call_(OG_STR("config"), OG_STR("get"), OG_STR("none"));
            og_w_host_response_((char *)(uintptr_t)p - q);
        }
    }
    return OG_OK;
}
