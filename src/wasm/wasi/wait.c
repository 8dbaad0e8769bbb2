#include "wasm/wasi/wait.h"

#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/little_endian.h"
#include "wasm/wasi/errno.h"

enum {
    EVENT_CLOCK = 0,
    NAP_NS = 5000000, /* how late an interrupt may find a sleeping guest */
};

uint64_t otr_wasi_clock_ns(int32_t clock, uint64_t born_ns)
{
    return clock == OTR_WASI_REALTIME ? otr_wall_ns() : otr_now_ns() - born_ns;
}

/* How long from now until the subscription fires; 0 for files. */
static uint64_t wait_of(const otr_wasi_poll *p, const uint8_t *sub)
{
    if (sub[8] != EVENT_CLOCK) {
        return 0;
    }
    uint64_t timeout = otr_le_load(sub + 24, 8);
    if ((otr_le_load(sub + 40, 2) & 1) == 0) {
        return timeout;
    }
    uint64_t clock = otr_wasi_clock_ns((int32_t)otr_le_load(sub + 16, 4), p->born_ns);
    return timeout > clock ? timeout - clock : 0;
}

/* Sleeps until `until_ns`; false: the call ends first. */
static bool nap(const otr_wasi_poll *p, uint64_t until_ns)
{
    while (!p->ended(p->arg)) {
        uint64_t now = otr_now_ns();
        if (now >= until_ns) {
            return true;
        }
        uint64_t left = until_ns - now;
        uint64_t call = p->deadline_ns > now ? p->deadline_ns - now : 0;
        left = call < left ? call : left;
        struct timespec t = { .tv_nsec = (long)(left < NAP_NS ? left : NAP_NS) };
        (void)nanosleep(&t, NULL);
    }
    return false;
}

static uint32_t fire(const otr_wasi_poll *p, const uint8_t *subs, uint64_t least)
{
    uint32_t fired = 0;
    for (uint32_t s = 0; s < p->n; s++) {
        const uint8_t *sub = subs + (size_t)s * OTR_WASI_SUBSCRIPTION_BYTES;
        if (wait_of(p, sub) <= least) {
            uint8_t event[OTR_WASI_EVENT_BYTES] = { 0 };
            memcpy(event, sub, 8); /* userdata */
            event[10] = sub[8];
            memcpy(p->events + (size_t)fired * OTR_WASI_EVENT_BYTES, event, sizeof(event));
            fired++;
        }
    }
    return fired;
}

/* The subscriptions as preview 1 lays them out. */
static void copy_subscriptions(const otr_wasi_poll *p, uint8_t *to)
{
    if (p->preview == OTR_WASI_PREVIEW_1) {
        memcpy(to, p->subscriptions, (size_t)p->n * OTR_WASI_SUBSCRIPTION_BYTES);
        return;
    }
    const uint8_t *from = p->subscriptions;
    for (uint32_t s = 0; s < p->n; s++) {
        memcpy(to, from, OTR_WASI_SUBSCRIPTION_BYTES);
        if (from[8] == EVENT_CLOCK) { /* past the number of its own */
            memcpy(to + 16, from + 24, OTR_WASI_SUBSCRIPTION_BYTES - 16);
        }
        to += OTR_WASI_SUBSCRIPTION_BYTES;
        from += OTR_WASI_UNSTABLE_SUBSCRIPTION_BYTES;
    }
}

int32_t otr_wasi_poll_oneoff(const otr_wasi_poll *p)
{
    size_t bytes = (size_t)p->n * OTR_WASI_SUBSCRIPTION_BYTES;
    uint8_t *subs = otr_alloc(bytes); /* a copy: the events may overlap them */
    if (subs == NULL) {
        return WASI_NOMEM;
    }
    copy_subscriptions(p, subs);
    uint64_t now = otr_now_ns(), least = UINT64_MAX;
    for (uint32_t s = 0; s < p->n; s++) {
        uint64_t wait = wait_of(p, subs + (size_t)s * OTR_WASI_SUBSCRIPTION_BYTES);
        least = wait < least ? wait : least;
    }
    if (nap(p, least > UINT64_MAX - now ? UINT64_MAX : now + least)) {
        otr_le_store(p->ret_n, 4, fire(p, subs, least));
    }
    otr_free(subs);
    return WASI_OK;
}
