/*
 * The clock that ends overdue guest calls: one thread an engine, one tick a millisecond, and no
 * thread at work while no call is in flight.
 *
 * Each instance owns an otr_watch, whose counter is odd while a call is in flight. Entering a call
 * is two plain memory operations: publish the odd counter, look whether the ticker runs. The ticker
 * parks in the mirrored order: it takes back `running`, then looks at every counter. One of the two
 * must see the other, which needs a full barrier on both sides; the ticker pays for both with
 * membarrier(2), which makes every running thread of the process execute one, so that the call path
 * has no atomic read-modify-write and no fence. Where membarrier is missing (old kernel, seccomp)
 * the call path uses sequentially consistent accesses instead.
 *
 * Thread: init and deinit, the owner; add and remove, any; enter and leave, that of the watch.
 */
#ifndef OTR_WASM_ENGINE_TICKER_H
#define OTR_WASM_ENGINE_TICKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_watch {
    _Atomic uint32_t calls; /* odd while a call is in flight; only its owner's thread writes */
    struct otr_watch *prev, *next;
} otr_watch;

typedef struct otr_ticker {
    _Atomic uint64_t now_ns; /* monotonic time of the last tick: a clock that costs one load */
    _Atomic bool running;
    bool barrier; /* membarrier(2) works */
    bool started, stop;
    pthread_mutex_t lock; /* the list, `started`, `stop` and every write of `running` */
    pthread_cond_t wake;
    pthread_t thread;
    otr_watch head; /* ring */
    uint32_t last_sum;
    void (*tick)(void *arg);
    void *arg;
} otr_ticker;

/* `tick(arg)` runs on the ticker's thread, which starts with the first call. */
otr_code otr_ticker_init(otr_ticker *t, void (*tick)(void *arg), void *arg, otr_err *err)
    OTR_MUST_CHECK;
void otr_ticker_deinit(otr_ticker *t); /* after the last watch was removed */
void otr_ticker_add(otr_ticker *t, otr_watch *w);
void otr_ticker_remove(otr_ticker *t, otr_watch *w); /* fine when it was never added */
/* OTR_EIO when the thread cannot be started; the watch must then be left again. */
otr_code otr_ticker_wake(otr_ticker *t, otr_err *err) OTR_MUST_CHECK;
bool otr_ticker_parked(otr_ticker *t); /* for tests */

/* A call begins. On failure there is nothing to leave. */
static inline otr_code otr_ticker_enter(otr_ticker *t, otr_watch *w, otr_err *err)
{
    uint32_t odd = atomic_load_explicit(&w->calls, memory_order_relaxed) + 1;
    bool running;
    if (OTR_LIKELY(t->barrier)) {
        atomic_store_explicit(&w->calls, odd, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst); /* keeps the compiler from swapping the two */
        running = atomic_load_explicit(&t->running, memory_order_relaxed);
    } else {
        atomic_store(&w->calls, odd);
        running = atomic_load(&t->running);
    }
    if (OTR_LIKELY(running)) {
        return OTR_OK;
    }
    otr_code rc = otr_ticker_wake(t, err);
    if (rc != OTR_OK) {
        atomic_store_explicit(&w->calls, odd + 1, memory_order_relaxed);
    }
    return rc;
}

static inline void otr_ticker_leave(otr_watch *w)
{
    uint32_t even = atomic_load_explicit(&w->calls, memory_order_relaxed) + 1;
    atomic_store_explicit(&w->calls, even, memory_order_relaxed);
}

#endif
