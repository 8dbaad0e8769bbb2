/*
 * How long to wait before the next attempt: longer each time, with a part left to chance.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NET_RPC_BACKOFF_H
#define OTR_NET_RPC_BACKOFF_H

#include "base/base.h"

typedef struct otr_rpc_backoff {
    uint64_t initial_ms;  /* 0: 1000 */
    uint64_t max_ms;      /* 0: 20000 */
    double multiplier;    /* below 1: 3 */
    double randomization; /* 0 to 1: so much of the wait is left to chance, up and down */
    double next_ms;       /* zeroed at start */
} otr_rpc_backoff;

/* The wait before the next attempt; the one after that waits longer. Never above max_ms, chance
 * included. `chance` is 0 to 2^32 - 1. */
uint64_t otr_rpc_backoff_next(otr_rpc_backoff *backoff, uint32_t chance);
void otr_rpc_backoff_reset(otr_rpc_backoff *backoff);

#endif
