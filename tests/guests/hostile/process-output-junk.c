/* expect: OK the answer of process means nothing
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
OG_OPERATION(process)
{
    return og_output(OG_STR("{\"verdict\":"));
}
