/* expect: EINVAL subscriptions is not JSON
 * abi: extism, wapc
 * phase: subscriptions */
#include "hostile.h"

GOOD_INFO
OG_OPERATION(subscriptions)
{
    return og_output(OG_STR("{\"topics\":["));
}
GOOD_PROCESS
