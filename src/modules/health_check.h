/*
 * The processes of one NGINX, looked at: a verdict and a sentence that says why.
 *
 * "Not running" is said of a process that the kernel says does not exist. A process that cannot be
 * looked at (no descriptor left, /proc mounted with hidepid) is unknown. Workers that are stopped,
 * dead or stuck in the kernel answer nobody, though the master is well. Private to health.c.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_HEALTH_CHECK_H
#define OTR_MODULES_HEALTH_CHECK_H

#include <stdbool.h>
#include <sys/types.h>

#include "modules/topics.h"

enum { OTR_HEALTH_TEXT_BYTES = 768 };

typedef struct otr_health_stuck { /* a worker that was in uninterruptible sleep when last seen */
    pid_t pid;
    uint64_t since_ns; /* monotonic: all looks from then on found it so */
} otr_health_stuck;

typedef struct otr_health_check { /* zeroed at start */
    otr_health_stuck *stuck;      /* owned */
    size_t n_stuck;
} otr_health_check;

typedef struct otr_health_verdict {
    otr_health status;
    bool runs;                        /* the master exists and is neither dead nor stopped */
    char text[OTR_HEALTH_TEXT_BYTES]; /* "" when healthy */
} otr_health_verdict;

void otr_health_check_deinit(otr_health_check *check);

/* Looks at the processes of `instance`, which has none but the master when it has no workers and
 * /proc cannot list its children. `now_ns`: monotonic. */
void otr_health_look(otr_health_check *check, const otr_nginx_instance *instance, uint64_t now_ns,
                     otr_health_verdict *ret);

#endif
