#include "wasm/engine/ticker.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    TICK_NS = 1000000,
    TICKS_PER_SCAN = 16,
    QUIET_SCANS = 3, /* scans without a call before the thread parks: about 50 ms */
};

static bool barrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

otr_code otr_ticker_init(otr_ticker *t, void (*tick)(void *arg), void *arg, otr_err *err)
{
    *t = (otr_ticker){ .tick = tick, .arg = arg };
    t->head.prev = t->head.next = &t->head;
    t->barrier = barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    pthread_condattr_t attr;
    int sys = pthread_condattr_init(&attr);
    if (sys != 0) {
        return otr_fail_sys(err, sys, "cannot make the ticker");
    }
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    sys = pthread_cond_init(&t->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (sys != 0) {
        return otr_fail_sys(err, sys, "cannot make the ticker");
    }
    sys = pthread_mutex_init(&t->lock, NULL);
    if (sys != 0) {
        (void)pthread_cond_destroy(&t->wake);
        return otr_fail_sys(err, sys, "cannot make the ticker");
    }
    return OTR_OK;
}

void otr_ticker_deinit(otr_ticker *t)
{
    (void)pthread_mutex_lock(&t->lock);
    t->stop = true;
    bool started = t->started;
    (void)pthread_cond_signal(&t->wake);
    (void)pthread_mutex_unlock(&t->lock);
    if (started) {
        (void)pthread_join(t->thread, NULL);
    }
    (void)pthread_cond_destroy(&t->wake);
    (void)pthread_mutex_destroy(&t->lock);
}

void otr_ticker_add(otr_ticker *t, otr_watch *w)
{
    (void)pthread_mutex_lock(&t->lock);
    w->next = &t->head;
    w->prev = t->head.prev;
    w->prev->next = w;
    t->head.prev = w;
    (void)pthread_mutex_unlock(&t->lock);
}

void otr_ticker_remove(otr_ticker *t, otr_watch *w)
{
    (void)pthread_mutex_lock(&t->lock);
    if (w->next != NULL) { /* neighbours write it, too: it is read under the lock */
        w->prev->next = w->next;
        w->next->prev = w->prev;
    }
    (void)pthread_mutex_unlock(&t->lock);
}

/* A call is in flight, or some began and ended since the last scan. */
static bool saw_calls(otr_ticker *t)
{
    uint32_t sum = 0;
    bool busy = false;
    for (const otr_watch *w = t->head.next; w != &t->head; w = w->next) {
        uint32_t calls = atomic_load(&w->calls);
        sum += calls;
        busy = busy || (calls & 1) != 0;
    }
    bool changed = sum != t->last_sum;
    t->last_sum = sum;
    return busy || changed;
}

/* Whether the thread may sleep until the next wake. See the header for why nobody is missed. */
static bool park(otr_ticker *t)
{
    atomic_store(&t->running, false);
    if (t->barrier && !barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
        atomic_store(&t->running, true); /* cannot happen once registered: then never sleep */
        return false;
    }
    if (saw_calls(t)) {
        atomic_store(&t->running, true);
        return false;
    }
    return true;
}

static void sleep_one_tick(otr_ticker *t)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_NS;
    if (until.tv_nsec >= (long)OTR_NS_PER_S) {
        until.tv_nsec -= (long)OTR_NS_PER_S;
        until.tv_sec++;
    }
    while (!t->stop && pthread_cond_timedwait(&t->wake, &t->lock, &until) != ETIMEDOUT) {
    }
}

static void *run(void *arg)
{
    otr_ticker *t = arg;
    unsigned ticks = 0, quiet = 0;
    (void)pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        if (!atomic_load(&t->running)) {
            (void)pthread_cond_wait(&t->wake, &t->lock);
            continue;
        }
        sleep_one_tick(t);
        atomic_store_explicit(&t->now_ns, otr_now_ns(), memory_order_relaxed);
        t->tick(t->arg);
        if (++ticks % TICKS_PER_SCAN == 0) {
            quiet = saw_calls(t) ? 0 : quiet + 1;
            if (quiet >= QUIET_SCANS && park(t)) {
                quiet = 0;
            }
        }
    }
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

static int start(otr_ticker *t)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are for the program's own threads */
    int sys = pthread_create(&t->thread, NULL, run, t);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return sys;
}

otr_code otr_ticker_wake(otr_ticker *t, otr_err *err)
{
    int sys = 0;
    (void)pthread_mutex_lock(&t->lock);
    if (!t->started) {
        sys = start(t);
        t->started = sys == 0;
    }
    if (sys == 0 && !atomic_load(&t->running)) {
        atomic_store(&t->running, true);
        (void)pthread_cond_signal(&t->wake);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return sys == 0 ? OTR_OK : otr_fail_sys(err, sys, "cannot start the thread that ends calls");
}

bool otr_ticker_parked(otr_ticker *t)
{
    return !atomic_load(&t->running);
}
