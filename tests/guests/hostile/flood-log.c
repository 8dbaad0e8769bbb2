/* expect: ETIMEOUT limits.call, with 100 lines a second in the log
 * abi: extism, wapc
 * phase: process */
#include "hostile.h"

GOOD_INFO
GOOD_SUBSCRIPTIONS

OG_OPERATION(process)
{
    for (;;) {
        og_begin_();
        og_log(OG_LOG_ERROR, "a line that nobody wants to read");
    }
}
