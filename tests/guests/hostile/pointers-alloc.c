/* expect: OK or EGUEST: nothing outside Extism memory is touched
 * abi: extism
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
OG_OPERATION(process)
{
    EACH_POINTER(p)
    {
        (void)og_x_alloc_(p);
    }
    return OG_OK;
}
