/*
 * Counters of an NGINX that several masters answer for: during an upgrade, or when some other
 * process shares its port.
 *
 * Each master counts for itself, from 0. A life is one of them; what grew in it since it answered
 * last is added to the totals, so that these never jump and nothing is counted twice. The first
 * answer of all is taken as it is. A life that is met later counts from 0 when it began after the
 * first answer, else from where it is: what it did unseen stays unknown.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_STATUS_LIVES_H
#define OTR_NGINX_STATUS_LIVES_H

#include <stdbool.h>

#include "base/base.h"
#include "nginx/status/stub_status.h"

typedef struct otr_counters {
    uint64_t accepted, handled, requests;
} otr_counters;

typedef struct otr_life {
    uint64_t started_ticks; /* of its master, with `pid` its name; 0: nobody saw who answered */
    int pid;
    otr_counters last;
    uint64_t age; /* answers of others since its own */
} otr_life;

enum { OTR_LIVES = 8 };

typedef struct otr_lives { /* zeroed at start */
    otr_life items[OTR_LIVES];
    size_t n;
    uint64_t first_ticks; /* the youngest of those that answered at the first time */
    bool begun;
    bool fresh; /* a new master is there: a life met now counts from 0 */
    otr_counters total;
} otr_lives;

/* Whoever is met next was started anew and counts from 0: said when the master's pid changed. */
void otr_lives_renew(otr_lives *lives);
/* Takes an answer in. Returns the requests since the last one; the first: 0. */
uint64_t otr_lives_count(otr_lives *lives, const otr_stub_answer *answer);

#endif
