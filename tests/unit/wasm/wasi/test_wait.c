#include "base/clock.h"
#include "base/little_endian.h"
#include "support/test.h"
#include "wasm/wasi/errno.h"
#include "wasm/wasi/wait.h"

enum { SUBS = 3, FILE_READABLE = 1, ABSOLUTE_TIME = 1 };

typedef struct rig {
    uint8_t subs[SUBS * OTR_WASI_SUBSCRIPTION_BYTES];
    uint8_t events[SUBS * OTR_WASI_EVENT_BYTES];
    uint8_t n[4];
    unsigned asked,
        asks; /* how often ended() was asked; from which time on it says yes; 0: never */
    otr_wasi_poll poll;
} rig;

static bool ended(void *arg)
{
    rig *r = arg;
    return ++r->asked >= r->asks && r->asks > 0;
}

static void init(rig *r, uint32_t n)
{
    *r = (rig){ .asked = 0 };
    r->poll = (otr_wasi_poll){ .subscriptions = r->subs,
                               .events = r->events,
                               .ret_n = r->n,
                               .n = n,
                               .born_ns = otr_now_ns(),
                               .deadline_ns = UINT64_MAX,
                               .ended = ended,
                               .arg = r };
    memset(r->n, 0xff, sizeof(r->n));
}

static void clock_at(rig *r, unsigned i, int clock, uint64_t timeout_ns, unsigned flags)
{
    uint8_t *sub = r->subs + (size_t)i * OTR_WASI_SUBSCRIPTION_BYTES;
    otr_le_store(sub, 8, 100 + i);
    otr_le_store(sub + 16, 4, (uint64_t)clock);
    otr_le_store(sub + 24, 8, timeout_ns);
    otr_le_store(sub + 40, 2, flags);
}

static uint64_t fired(const rig *r, unsigned i)
{
    return otr_le_load(r->events + (size_t)i * OTR_WASI_EVENT_BYTES, 8);
}

T(only_the_first_clocks_fire)
{
    rig r;
    init(&r, 3);
    clock_at(&r, 0, OTR_WASI_MONOTONIC, 3600 * OTR_NS_PER_S, 0);
    clock_at(&r, 1, OTR_WASI_REALTIME, 0, 0);
    clock_at(&r, 2, OTR_WASI_MONOTONIC, 0, 0);
    int32_t error = otr_wasi_poll_oneoff(&r.poll);
    if (error == WASI_NOMEM) {
        CHECK_INT(otr_le_load(r.n, 4), 0xffffffff);
        return; /* under failing allocation */
    }
    CHECK_INT(error, WASI_OK);
    REQUIRE(otr_le_load(r.n, 4) == 2);
    CHECK_INT(fired(&r, 0), 101);
    CHECK_INT(fired(&r, 1), 102);
}

T_NO_OOM(files_are_ready_at_once)
{
    rig r;
    init(&r, 2);
    clock_at(&r, 0, OTR_WASI_MONOTONIC, 3600 * OTR_NS_PER_S, 0);
    clock_at(&r, 1, OTR_WASI_MONOTONIC, 3600 * OTR_NS_PER_S, 0);
    r.subs[OTR_WASI_SUBSCRIPTION_BYTES + 8] = FILE_READABLE;
    CHECK_INT(otr_wasi_poll_oneoff(&r.poll), WASI_OK);
    REQUIRE(otr_le_load(r.n, 4) == 1);
    CHECK_INT(fired(&r, 0), 101);
    CHECK_INT(r.events[10], FILE_READABLE);
}

T_NO_OOM(an_absolute_time_is_one_of_its_clock)
{
    rig r;
    init(&r, 2);
    r.poll.born_ns = otr_now_ns() - 10 * OTR_NS_PER_S;
    clock_at(&r, 0, OTR_WASI_MONOTONIC, 9 * OTR_NS_PER_S, ABSOLUTE_TIME);
    clock_at(&r, 1, OTR_WASI_REALTIME, otr_wall_ns() + 3600 * OTR_NS_PER_S, ABSOLUTE_TIME);
    CHECK_INT(otr_wasi_poll_oneoff(&r.poll), WASI_OK);
    REQUIRE(otr_le_load(r.n, 4) == 1);
    CHECK_INT(fired(&r, 0), 100);
}

T_NO_OOM(a_call_that_is_to_end_wakes_the_sleeper_and_writes_nothing)
{
    rig r;
    init(&r, 1);
    r.asks = 3;
    clock_at(&r, 0, OTR_WASI_MONOTONIC, UINT64_MAX, 0);
    (void)otr_wasi_poll_oneoff(&r.poll);
    CHECK_INT(r.asked, 3);
    CHECK_INT(otr_le_load(r.n, 4), 0xffffffff);
    CHECK_INT(fired(&r, 0), 0);
}

T_NO_OOM(events_may_lie_over_the_subscriptions)
{
    rig r;
    init(&r, 3);
    r.poll.events = r.subs;
    for (unsigned i = 0; i < SUBS; i++) {
        clock_at(&r, i, OTR_WASI_MONOTONIC, 0, 0);
    }
    CHECK_INT(otr_wasi_poll_oneoff(&r.poll), WASI_OK);
    REQUIRE(otr_le_load(r.n, 4) == 3);
    for (unsigned i = 0; i < SUBS; i++) {
        CHECK_INT(otr_le_load(r.subs + (size_t)i * OTR_WASI_EVENT_BYTES, 8), 100 + i);
    }
}

T(the_monotonic_clock_starts_with_the_sandbox)
{
    uint64_t born = otr_now_ns() - 5 * OTR_NS_PER_S;
    uint64_t ns = otr_wasi_clock_ns(OTR_WASI_MONOTONIC, born);
    CHECK(ns >= 5 * OTR_NS_PER_S && ns < 65 * OTR_NS_PER_S);
    CHECK(otr_wasi_clock_ns(OTR_WASI_REALTIME, born) > 1000000000 * OTR_NS_PER_S);
}
