/* expect: EINVAL or EUNSUP unknown api
 * abi: extism, wapc
 * phase: info */
#include "hostile.h"

OG_OPERATION(info)
{
    return og_output(OG_STR("{\"name\":\"x\",\"version\":\"1\",\"api\":\"999\"}"));
}
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
