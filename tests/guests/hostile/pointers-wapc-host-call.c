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
            (void)og_w_host_call_((char *)(uintptr_t)p, (size_t)q, (char *)(uintptr_t)q, (size_t)p,
                                  (char *)(uintptr_t)p, (size_t)q, (char *)(uintptr_t)q, (size_t)p);
        }
    }
    return OG_OK;
}
