/* Says in the agent's log when each of its messages was made and when it came: 64 pairs a line,
 * `pace <time of the envelope> <nanoseconds since 1970>,…`. For measuring what others do to its
 * pace. */
#include "outrider_extism.h"

OG_INFO("pace", "1.0.0")
OG_SUBSCRIBE("nginx.metrics.sampled")

enum { PAIRS = 64 };

OG_OPERATION(process)
{
    static char line[4096];
    static size_t used, pairs;
    char time[40];
    og_str now = og_call("clock.now", OG_STR(""));
    og_str made = og_json_string(og_json_get(og_input(), "time"), time, sizeof time);
    og_str ns = og_json_get(now, "unix_ns");
    if (made.at == NULL || ns.at == NULL || made.len + ns.len + 2 > sizeof line - used) {
        return og_fail("no time");
    }
    og_copy(line + used, made.at, made.len);
    line[used + made.len] = ' ';
    og_copy(line + used + made.len + 1, ns.at, ns.len);
    used += made.len + ns.len + 2;
    line[used - 1] = ',';
    if (++pairs == PAIRS) {
        og_log_str(OG_LOG_INFO, og_concat(OG_STR("pace "), (og_str){ line, used - 1 }));
        used = pairs = 0;
    }
    return OG_OK;
}
