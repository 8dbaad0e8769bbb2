/* expect: EINVAL topics is no array
 * abi: extism, wapc
 * phase: subscriptions */
#include "hostile.h"

GOOD_INFO
OG_OPERATION(subscriptions)
{
    return og_output(OG_STR("{\"topics\":{\"pattern\":1}}"));
}
GOOD_PROCESS
