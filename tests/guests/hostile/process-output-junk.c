/* expect: EINVAL the output of process is not JSON
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
OG_OPERATION(process)
{
    return og_output(OG_STR("{\"verdict\":"));
}
