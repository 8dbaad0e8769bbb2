/* expect: EINVAL any result but 1 is a failure
 * abi: wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS
OG_OPERATION(process)
{
    og_w_error_("asked", 5);
    og_w_response_("both", 4);
    return OG_FAILED;
}
