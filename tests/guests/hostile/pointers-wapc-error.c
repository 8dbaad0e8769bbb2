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
            og_w_error_((char *)(uintptr_t)p, (size_t)q);
        }
    }
    return OG_OK;
}
