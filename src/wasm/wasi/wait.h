/*
 * WASI's clocks and its poll_oneoff, for every engine.
 *
 * A guest's monotonic clock starts when its sandbox does. poll_oneoff sleeps until the first of its
 * clocks; files are always ready. It looks every few milliseconds whether the call is to end, which
 * an engine's own would not.
 *
 * Thread: that of the instance.
 */
#ifndef OTR_WASM_WASI_WAIT_H
#define OTR_WASM_WASI_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "wasm/wasi/wasi.h"

enum { OTR_WASI_REALTIME = 0, OTR_WASI_MONOTONIC = 1 };

/* Nanoseconds of OTR_WASI_REALTIME or, for any other, since `born_ns` (otr_now_ns()). */
uint64_t otr_wasi_clock_ns(int32_t clock, uint64_t born_ns);

enum {
    OTR_WASI_SUBSCRIPTION_BYTES = 48,          /* of preview 1 */
    OTR_WASI_UNSTABLE_SUBSCRIPTION_BYTES = 56, /* a clock has a number of its own before its id */
    OTR_WASI_EVENT_BYTES = 32,
    OTR_WASI_MOST_SUBSCRIPTIONS = 1024,
};

static inline uint32_t otr_wasi_subscription_bytes(otr_wasi_preview preview)
{
    return preview == OTR_WASI_UNSTABLE ? OTR_WASI_UNSTABLE_SUBSCRIPTION_BYTES
                                        : OTR_WASI_SUBSCRIPTION_BYTES;
}

typedef struct otr_wasi_poll {
    otr_wasi_preview preview; /* whose layout the subscriptions have; events are the same in both */
    /* In the guest's memory, and inside it: `n` subscriptions, room for as many events and for
     * their number; the first two may overlap. `n` is 1 to OTR_WASI_MOST_SUBSCRIPTIONS. */
    const uint8_t *subscriptions;
    uint8_t *events, *ret_n;
    uint32_t n;
    uint64_t born_ns;
    uint64_t deadline_ns;     /* of the call, UINT64_MAX: none; it ends the sleep */
    bool (*ended)(void *arg); /* the call is to end, by its deadline or otherwise */
    void *arg;
} otr_wasi_poll;

/* An errno of wasi/errno.h. After ended() said true nothing was written, and the errno is void. */
int32_t otr_wasi_poll_oneoff(const otr_wasi_poll *poll);

#endif
