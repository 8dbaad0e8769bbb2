/* expect: EINVAL bad pattern
 * abi: extism, wapc
 * phase: subscriptions */
#include "hostile.h"

GOOD_INFO
OG_OPERATION(subscriptions)
{
    return og_output(OG_STR("{\"topics\":[{\"pattern\":\"..\\u0000x\",\"kind\":\"event\"}]}"));
}
GOOD_PROCESS
