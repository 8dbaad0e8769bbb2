/* expect: OK, EINVAL or EGUEST: nothing outside Extism memory is touched
 * abi: extism
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
OG_OPERATION(process)
{
    EACH_POINTER(p)
    {
        og_x_error_set_(p);
    }
    return OG_OK;
}
