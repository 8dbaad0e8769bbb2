#include <pthread.h>
#include <unistd.h>

#include "support/test.h"
#include "wasm/engine/ticker.h"

static atomic_uint ticks;

static void on_tick(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ticks, 1);
}

/* Waits up to five seconds for what another thread will do. */
#define EVENTUALLY(cond)                                        \
    do {                                                        \
        for (int tries = 0; tries < 5000 && !(cond); tries++) { \
            (void)usleep(1000);                                 \
        }                                                       \
        CHECK(cond);                                            \
    } while (0)

T(an_unused_ticker_has_no_thread)
{
    otr_ticker t;
    otr_err err = { 0 };
    REQUIRE_OK(otr_ticker_init(&t, on_tick, NULL, &err), err);
    CHECK(otr_ticker_parked(&t));
    CHECK(!t.started);
    otr_ticker_deinit(&t);
}

static void ticks_while_in_flight(bool barrier)
{
    otr_ticker t;
    otr_watch w = { 0 };
    otr_err err = { 0 };
    REQUIRE_OK(otr_ticker_init(&t, on_tick, NULL, &err), err);
    t.barrier = t.barrier && barrier;
    otr_ticker_add(&t, &w);
    atomic_store(&ticks, 0);
    CHECK_INT(otr_ticker_enter(&t, &w, &err), OTR_OK);
    EVENTUALLY(atomic_load(&ticks) > 200); /* far longer than it stays up without a call */
    CHECK(!otr_ticker_parked(&t));
    otr_ticker_leave(&w);
    EVENTUALLY(otr_ticker_parked(&t));
    unsigned seen = atomic_load(&ticks);
    (void)usleep(20000);
    CHECK_INT(atomic_load(&ticks), seen); /* parked means: nothing runs */
    CHECK_INT(otr_ticker_enter(&t, &w, &err), OTR_OK);
    EVENTUALLY(atomic_load(&ticks) > seen);
    otr_ticker_leave(&w);
    otr_ticker_remove(&t, &w);
    otr_ticker_deinit(&t);
}

T(it_ticks_while_a_call_is_in_flight_and_parks_afterwards)
{
    ticks_while_in_flight(true);
}

T(it_does_the_same_without_membarrier)
{
    ticks_while_in_flight(false);
}

enum { CALLERS = 3, ROUNDS = 40 };

typedef struct caller {
    otr_ticker *t;
    otr_watch watch;
    unsigned missed;
} caller;

/* Calls that begin just as the ticker parks: each must see a tick before it ends. */
static void *call_at_the_edge(void *arg)
{
    caller *c = arg;
    otr_err err = { 0 };
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (int n = 0; n < 200 && !otr_ticker_parked(c->t); n++) {
            (void)usleep(1000);
        }
        if (otr_ticker_enter(c->t, &c->watch, &err) != OTR_OK) {
            c->missed++;
            continue;
        }
        unsigned begin = atomic_load(&ticks), waited = 0;
        while (atomic_load(&ticks) == begin && waited++ < 2000) {
            (void)usleep(1000);
        }
        c->missed += atomic_load(&ticks) == begin;
        otr_ticker_leave(&c->watch);
    }
    return NULL;
}

T_NO_OOM(no_call_is_missed_when_the_ticker_parks) /* allocates nothing */
{
    otr_ticker t;
    otr_err err = { 0 };
    caller callers[CALLERS] = { 0 };
    pthread_t threads[CALLERS];
    REQUIRE_OK(otr_ticker_init(&t, on_tick, NULL, &err), err);
    int n = 0;
    for (; n < CALLERS; n++) {
        callers[n].t = &t;
        otr_ticker_add(&t, &callers[n].watch);
        if (pthread_create(&threads[n], NULL, call_at_the_edge, &callers[n]) != 0) {
            otr_ticker_remove(&t, &callers[n].watch);
            break;
        }
    }
    CHECK_INT(n, CALLERS);
    while (n > 0) {
        n--;
        (void)pthread_join(threads[n], NULL);
        CHECK_INT(callers[n].missed, 0);
        otr_ticker_remove(&t, &callers[n].watch);
    }
    otr_ticker_deinit(&t);
}
