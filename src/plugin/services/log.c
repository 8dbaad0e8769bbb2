#include "plugin/services/log.h"

#include <string.h>

#include "base/limits.h"
#include "base/log.h"

bool otr_guest_log_line(const otr_gate *gate, int level, otr_bytes text)
{
    if (!otr_log_budget_take(gate->budget, gate->name)) {
        return false;
    }
    otr_log_level at = level < OTR_LOG_DEBUG   ? OTR_LOG_DEBUG
                       : level > OTR_LOG_ERROR ? OTR_LOG_ERROR
                                               : (otr_log_level)level;
    if (at < otr_log_get_level()) {
        return true;
    }
    size_t n = text.n < OTR_LIMIT_PLUGIN_LOG_BYTES ? text.n : OTR_LIMIT_PLUGIN_LOG_BYTES;
    char line[OTR_LIMIT_PLUGIN_LOG_BYTES + 1];
    if (n > 0) {
        memcpy(line, text.p, n);
    }
    line[n] = '\0';
    otr_log(at, "plugin says", "plugin", gate->name, "text", line, (char *)NULL);
    return true;
}
