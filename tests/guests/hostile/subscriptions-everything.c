/* expect: OK its queue drops, nobody else waits
 * abi: extism, wapc
 * phase: subscriptions */
#include "hostile.h"

GOOD_INFO
OG_OPERATION(subscriptions)
{
    return og_output(OG_STR("{\"topics\":[{\"pattern\":\"*\",\"kind\":\"event\"}]}"));
}
GOOD_PROCESS
