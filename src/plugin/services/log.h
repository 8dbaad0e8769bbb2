/*
 * What a guest says to the agent's log: so many lines a second, and none longer than a limit.
 *
 * Thread: that of the guest's job; the loop between jobs.
 */
#ifndef OTR_PLUGIN_SERVICES_LOG_H
#define OTR_PLUGIN_SERVICES_LOG_H

#include "base/base.h"

typedef struct otr_guest_log {
    uint64_t lines, dropped;
    uint64_t second; /* monotonic; of `count` */
    unsigned count;
} otr_guest_log;

/* `level` as in base/log.h; others are cut to it. `name` is the plugin's. */
void otr_guest_log_line(otr_guest_log *log, const char *name, int level, otr_bytes text);

#endif
