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
            og_x_output_set_(p, q);
        }
    }
    return OG_OK;
}
