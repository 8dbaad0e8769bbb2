/* expect: EINVAL info answered nothing
 * abi: extism, wapc
 * phase: info */
#include "hostile.h"

OG_OPERATION(info)
{
    return og_output(OG_STR(""));
}
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
