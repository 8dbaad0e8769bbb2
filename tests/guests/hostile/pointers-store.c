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
        og_x_store_u8_(p, 0xff);
        og_x_store_u64_(p, UINT64_MAX);
    }
    return OG_OK;
}
