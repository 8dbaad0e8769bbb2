/* expect: EINVAL info is not UTF-8
 * abi: extism, wapc
 * phase: info */
#include "hostile.h"

OG_OPERATION(info)
{
    return og_output(OG_STR("{\"name\":\"\xff\xfe\",\"version\":\"1\",\"api\":\"1\"}"));
}
GOOD_SUBSCRIPTIONS
GOOD_PROCESS
