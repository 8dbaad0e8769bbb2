#include "plugin/services/log.h"

#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

void otr_guest_log_line(otr_guest_log *log, const char *name, int level, otr_bytes text)
{
    uint64_t second = otr_now_ns() / OTR_NS_PER_S;
    if (second != log->second) {
        log->second = second;
        log->count = 0;
    }
    if (log->count >= OTR_LIMIT_PLUGIN_LOGS_PER_S) {
        log->dropped++;
        return;
    }
    log->count++;
    log->lines++;
    otr_log_level at = level < OTR_LOG_DEBUG   ? OTR_LOG_DEBUG
                       : level > OTR_LOG_ERROR ? OTR_LOG_ERROR
                                               : (otr_log_level)level;
    if (at < otr_log_get_level()) {
        return;
    }
    size_t n = text.n < OTR_LIMIT_PLUGIN_LOG_BYTES ? text.n : OTR_LIMIT_PLUGIN_LOG_BYTES;
    char line[OTR_LIMIT_PLUGIN_LOG_BYTES + 1];
    if (n > 0) {
        memcpy(line, text.p, n);
    }
    line[n] = '\0';
    otr_log(at, "plugin says", "plugin", name, "text", line, (char *)NULL);
}
