/* expect: EINVAL info is not JSON
 * abi: extism, wapc
 * phase: info */
#include "hostile.h"

OG_OPERATION(info)
{
    return og_output(OG_STR("{\"name\":\"x\""));
}
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
