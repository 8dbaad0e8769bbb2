/* expect: EGUEST a range outside the guest's memory
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
            (void)og_w_call_(OG_STR("none"), OG_STR("none"), OG_STR(""));
            og_w_host_error_((char *)(uintptr_t)p - q);
        }
    }
    return OG_OK;
}
