/*
 * What a guest says to the agent's log: what its plugin's budget has room for, and no line longer
 * than a limit.
 *
 * Thread: that of the guest's job; the loop between jobs.
 */
#ifndef OTR_PLUGIN_SERVICES_LOG_H
#define OTR_PLUGIN_SERVICES_LOG_H

#include "plugin/services/gate.h"

/* `level` as in base/log.h; others are cut to it. Says whether there was room. */
bool otr_guest_log_line(const otr_gate *gate, int level, otr_bytes text);

#endif
