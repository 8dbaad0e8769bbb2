/*
 * Looks now and then at what the agent itself may run out of, and says so as a problem: room for
 * log lines, and file descriptors.
 *
 * Thread: loop.
 */
#ifndef OTR_DAEMON_LIMITS_H
#define OTR_DAEMON_LIMITS_H

#include "base/fds.h"
#include "base/log.h"
#include "loop/loop.h"
#include "modules/services.h"

typedef struct otr_limits {
    const otr_services *services;
    const otr_fds *fds;
    otr_timer *timer;
    otr_series *lost, *refused;
    otr_log_health screen, file; /* at the last look */
    uint64_t refused_before;
} otr_limits;

otr_code otr_limits_init(otr_limits *limits, otr_loop *loop, const otr_services *services,
                         const otr_fds *fds, otr_err *err) OTR_MUST_CHECK;
void otr_limits_deinit(otr_limits *limits); /* before the registry goes */

#endif
