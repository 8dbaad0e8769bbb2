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
        EACH_POINTER(q)
        {
            (void)og_x_call_(p, q);
        }
    }
    return OG_OK;
}
