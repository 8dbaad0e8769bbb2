/* expect: EINVAL info is no object
 * abi: extism, wapc
 * phase: info */
#include "hostile.h"

OG_OPERATION(info)
{
    return og_output(OG_STR("[1,2,3]"));
}
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
