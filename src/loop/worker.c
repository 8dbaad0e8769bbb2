#include "loop/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "loop/jobs.h"
#include "loop/private.h"

enum {
    STUCK_MS = 3, /* a job that runs for longer holds its thread for itself */
    LOOK_MS = 2,
    LINGER_S = 10,   /* a thread above the base number ends after so long without work */
    STUCK_NICE = 10, /* added to the priority number of a thread while its job runs long */
    PASSED_MOST = 4, /* short jobs that may pass a long one that waits */
};

typedef enum thread_state { THREAD_NONE, THREAD_RUNS, THREAD_ENDED } thread_state;

typedef struct worker {
    pthread_t thread;
    otr_pool *pool;
    thread_state state; /* lock; ENDED: still to be joined */
    uint64_t began_ns;  /* lock: when its job began; 0: it has none */
    pid_t tid;          /* lock; 0: not running yet */
    bool slowed;        /* lock: it has a lower priority for its long job */
} worker;

/* Fields are the loop thread's, or guarded by the pool's lock where it says so. */
struct otr_strand {
    otr_pool *pool;
    unsigned max_jobs;
    unsigned undone; /* jobs whose done() has not been called */
    bool freed;
    bool delivering;       /* inside one of its done() calls */
    otr_strand *next_live; /* lock: a ring of strands with a job to run and none running */
    otr_strand *prev_live;
    job_list waiting;   /* lock */
    unsigned n_waiting; /* lock */
    bool running;       /* lock */
    bool slow;          /* lock: its last job ran long, so the next one begins with less priority */
    atomic_bool stop;   /* for the running job; written under the lock */
};

struct otr_pool {
    otr_loop *loop;
    unsigned base_threads; /* as many as are not stuck in a long job */
    unsigned max_threads;  /* with those that are */
    unsigned n_strands;
    bool freed;
    bool delivering;
    bool looking;    /* `look` runs: a job does */
    int nice;        /* priority number of the process */
    otr_timer *look; /* NULL: the pool does not grow */
    otr_post post;
    pthread_mutex_t lock;
    pthread_cond_t work;
    otr_strand live;    /* lock: head of the ring of those whose last job was short */
    otr_strand late;    /* lock: and of the others */
    unsigned n_live;    /* lock: in both */
    unsigned n_passed;  /* lock: short ones that were taken while a long one waited */
    unsigned n_idle;    /* lock: threads that wait for work */
    job_list done;      /* lock: wait for their done() on the loop */
    bool posted;        /* lock: `post` is on its way */
    bool stopping;      /* lock */
    unsigned n_threads; /* lock: those that run */
    worker *workers;    /* max_threads of them */
};

static void live_append(otr_pool *pool, otr_strand *strand)
{
    otr_strand *head = strand->slow ? &pool->late : &pool->live;
    strand->next_live = head;
    strand->prev_live = head->prev_live;
    head->prev_live->next_live = strand;
    head->prev_live = strand;
    pool->n_live++;
}

/* With the lock; there is one. Whoever ran long before waits for those who did not, but not for
 * ever: else a few that spin would hold up the rest by STUCK_MS each. */
static otr_strand *next_strand(otr_pool *pool)
{
    bool has_late = pool->late.next_live != &pool->late;
    bool has_live = pool->live.next_live != &pool->live;
    if (has_live && (!has_late || pool->n_passed < PASSED_MOST)) {
        pool->n_passed += has_late ? 1 : 0;
        return pool->live.next_live;
    }
    pool->n_passed = 0;
    return pool->late.next_live;
}

static void live_remove(otr_pool *pool, otr_strand *strand)
{
    if (strand->next_live != NULL) {
        strand->prev_live->next_live = strand->next_live;
        strand->next_live->prev_live = strand->prev_live;
        strand->next_live = strand->prev_live = NULL;
        pool->n_live--;
    }
}

static void deliver(void *arg);

/* With the lock. */
static void finish_job(otr_pool *pool, job *j, otr_code rc)
{
    j->rc = rc;
    list_append(&pool->done, j);
    if (!pool->posted) {
        pool->posted = true;
        otr_loop_post(pool->loop, &pool->post, deliver, pool);
    }
}

/* With the lock. A job that runs long gives way to the others and to the loop: a guest that spins
 * must not take half of their time. Linux has a priority for each thread (setpriority(2)). */
static void slow_down(worker *w)
{
    w->slowed = setpriority(PRIO_PROCESS, (id_t)w->tid, w->pool->nice + STUCK_NICE) == 0;
}

/* With the lock, on the thread itself. False: only root may raise a priority again. */
static bool restore_priority(worker *w)
{
    w->slowed = setpriority(PRIO_PROCESS, (id_t)w->tid, w->pool->nice) != 0;
    return !w->slowed;
}

/* With the lock, which it gives up while the job runs. False: the thread is not as fast any more
 * as it was. */
static bool run_job(worker *w, otr_strand *strand)
{
    otr_pool *pool = w->pool;
    bool spent;
    live_remove(pool, strand);
    job *j = list_pop(&strand->waiting);
    strand->n_waiting--;
    strand->running = true;
    uint64_t began = otr_now_ns();
    w->began_ns = began;
    if (strand->slow) {
        slow_down(w);
    }
    pthread_mutex_unlock(&pool->lock);
    otr_code rc = j->fn(strand, j->arg);
    pthread_mutex_lock(&pool->lock);
    w->began_ns = 0;
    strand->slow = pool->look != NULL && otr_now_ns() - began >= STUCK_MS * OTR_NS_PER_MS;
    spent = w->slowed && !restore_priority(w);
    strand->running = false;
    atomic_store_explicit(&strand->stop, false, memory_order_relaxed);
    if (strand->n_waiting > 0) {
        live_append(pool, strand);
    }
    finish_job(pool, j, rc); /* from here on the strand may go as soon as the lock is free */
    return !spent;
}

/* With the lock. False: this thread is one too many. */
static bool wait_for_work(otr_pool *pool)
{
    bool extra = pool->n_threads > pool->base_threads;
    int rc = 0;
    pool->n_idle++;
    if (extra) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LINGER_S;
        rc = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
    } else {
        rc = pthread_cond_wait(&pool->work, &pool->lock);
    }
    pool->n_idle--;
    return rc != ETIMEDOUT || pool->n_live > 0 || pool->n_threads <= pool->base_threads;
}

static void *work(void *arg)
{
    worker *w = arg;
    otr_pool *pool = w->pool;
    pthread_mutex_lock(&pool->lock);
    w->tid = gettid();
    for (;;) {
        bool fit = true;
        if (pool->n_live > 0) {
            fit = run_job(w, next_strand(pool));
        } else if (pool->stopping || !wait_for_work(pool)) {
            break;
        }
        if (!fit && !pool->stopping) { /* another one takes its place, made by the loop's thread */
            break;
        }
    }
    pool->n_threads--;
    w->state = THREAD_ENDED;
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* With the lock, of which an ended thread needs no more. */
static worker *free_worker(otr_pool *pool)
{
    for (unsigned i = 0; i < pool->max_threads; i++) {
        worker *w = &pool->workers[i];
        if (w->state == THREAD_ENDED) {
            pthread_join(w->thread, NULL);
            w->state = THREAD_NONE;
        }
        if (w->state == THREAD_NONE) {
            return w;
        }
    }
    return NULL;
}

/* With the lock. Signals are the loop's: a worker blocks all but those that its own instructions
 * raise. */
static int start_thread(otr_pool *pool)
{
    sigset_t all, before;
    worker *w = free_worker(pool);
    assert(w != NULL);
    sigfillset(&all);
    /* A trap of a Wasm guest is one of these: blocked, it would end the process. */
    static const int own[] = { SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP };
    for (size_t i = 0; i < OTR_COUNT(own); i++) {
        sigdelset(&all, own[i]);
    }
    w->pool = pool;
    w->began_ns = 0;
    w->tid = 0;
    w->slowed = false;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = otr_thread_start(&w->thread, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        pool->n_threads++;
        w->state = THREAD_RUNS;
        (void)pthread_setname_np(w->thread, "worker");
    }
    return rc;
}

/* ---- growth ---- */

/* With the lock. Counts those whose job runs long, or is expected to, and slows them down. */
static unsigned count_stuck(otr_pool *pool, unsigned *ret_busy)
{
    uint64_t now = otr_now_ns();
    unsigned n = 0, busy = 0;
    for (unsigned i = 0; i < pool->max_threads; i++) {
        worker *w = &pool->workers[i];
        if (w->state != THREAD_RUNS || w->began_ns == 0) {
            continue;
        }
        busy++;
        if (w->slowed || now - w->began_ns >= STUCK_MS * OTR_NS_PER_MS) {
            n++;
            if (!w->slowed) {
                slow_down(w);
            }
        }
    }
    *ret_busy = busy;
    return n;
}

/* With the lock. Is there room for one more beside those that are held by long jobs? */
static bool may_grow(const otr_pool *pool, unsigned stuck)
{
    return pool->n_threads < pool->max_threads && pool->n_threads - stuck < pool->base_threads;
}

/* Every few milliseconds while there are jobs: long ones must not hold up short ones. A thread that
 * cannot be made is tried again the next time. */
static void look(void *arg)
{
    otr_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    unsigned busy, stuck = count_stuck(pool, &busy);
    bool wanting = pool->n_live > 0 && pool->n_idle == 0;
    if (wanting && may_grow(pool, stuck)) {
        (void)start_thread(pool);
    }
    bool over = busy == 0 && pool->n_live == 0;
    pthread_mutex_unlock(&pool->lock);
    if (over) {
        pool->looking = false;
        otr_timer_stop(pool->look);
    }
}

static void begin_to_look(otr_pool *pool)
{
    if (pool->look != NULL && !pool->looking) {
        pool->looking = true;
        otr_timer_start(pool->look, LOOK_MS, LOOK_MS);
    }
}

otr_code otr_pool_grow(otr_pool *pool, unsigned most, otr_err *err)
{
    OTR_ASSERT_LOOP(pool->loop);
    assert(pool->n_threads == 0);
    if (most <= pool->base_threads) {
        return OTR_OK;
    }
    worker *more = otr_calloc(most, sizeof(*more));
    if (more == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_timer_new(pool->loop, look, pool, &pool->look, err);
    if (rc != OTR_OK) {
        otr_free(more);
        return rc;
    }
    otr_free(pool->workers);
    pool->workers = more;
    pool->max_threads = most;
    return OTR_OK;
}

/* ---- pool ---- */

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}

otr_code otr_pool_new(otr_loop *loop, unsigned threads, otr_pool **ret, otr_err *err)
{
    OTR_ASSERT_LOOP(loop);
    if (threads == 0) {
        return otr_fail(err, OTR_EINVAL, "a worker pool needs at least one thread");
    }
    otr_pool *pool = otr_zalloc(sizeof(*pool));
    worker *workers = otr_calloc(threads, sizeof(*workers));
    if (pool == NULL || workers == NULL) {
        otr_free(pool);
        otr_free(workers);
        return otr_fail_nomem(err);
    }
    pool->loop = loop;
    pool->base_threads = pool->max_threads = threads;
    pool->workers = workers;
    pool->nice = getpriority(PRIO_PROCESS, 0);
    pool->live.next_live = pool->live.prev_live = &pool->live;
    pool->late.next_live = pool->late.prev_live = &pool->late;
    list_init(&pool->done);
    (void)pthread_mutex_init(&pool->lock, NULL);
    init_cond(&pool->work);
    *ret = pool;
    return OTR_OK;
}

static void release_pool(otr_pool *pool)
{
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    otr_free(pool->workers);
    otr_free(pool);
}

static void release_strand(otr_strand *strand)
{
    if (strand->freed && strand->undone == 0 && !strand->delivering) {
        strand->pool->n_strands--;
        otr_free(strand);
    }
}

static void deliver_job(job *j)
{
    otr_strand *strand = j->strand;
    otr_done_fn *done = j->done;
    void *arg = j->arg;
    otr_code rc = j->rc;
    otr_free(j);
    strand->undone--;
    strand->delivering = true;
    uint64_t entered = otr_loop_enter();
    done(arg, rc);
    otr_loop_leave(entered, "worker done");
    strand->delivering = false;
    release_strand(strand);
}

/* Calls done() for what has ended up to now; what ends meanwhile is posted anew, so a chain of
 * jobs cannot hold the loop. */
static void deliver_ended(otr_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    job *ended = pool->done.first;
    list_init(&pool->done);
    pthread_mutex_unlock(&pool->lock);
    pool->delivering = true;
    while (ended != NULL) {
        job *j = ended;
        ended = j->next;
        deliver_job(j);
    }
    pool->delivering = false;
}

static void deliver(void *arg)
{
    otr_pool *pool = arg;
    if (pool->freed) {
        release_pool(pool);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->posted = false;
    pthread_mutex_unlock(&pool->lock);
    deliver_ended(pool);
}

void otr_pool_free(otr_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    OTR_ASSERT_LOOP(pool->loop);
    assert(!pool->delivering);
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    otr_timer_free(pool->look);
    pool->look = NULL;
    for (unsigned i = 0; i < pool->max_threads; i++) {
        pthread_mutex_lock(&pool->lock);
        bool joinable = pool->workers[i].state != THREAD_NONE;
        pthread_mutex_unlock(&pool->lock);
        if (joinable) {
            pthread_join(pool->workers[i].thread, NULL);
        }
    }
    deliver_ended(pool);
    assert(pool->n_strands == 0);
    pool->freed = true;
    if (!pool->posted) {
        release_pool(pool);
    } /* else deliver() does it: a post cannot be taken back */
}

otr_code otr_strand_new(otr_pool *pool, unsigned max_jobs, otr_strand **ret, otr_err *err)
{
    OTR_ASSERT_LOOP(pool->loop);
    if (max_jobs == 0) {
        return otr_fail(err, OTR_EINVAL, "a strand must hold at least one job");
    }
    otr_strand *strand = otr_zalloc(sizeof(*strand));
    if (strand == NULL) {
        return otr_fail_nomem(err);
    }
    strand->pool = pool;
    strand->max_jobs = max_jobs;
    list_init(&strand->waiting);
    pool->n_strands++;
    *ret = strand;
    return OTR_OK;
}

void otr_strand_cancel(otr_strand *strand)
{
    if (strand == NULL) {
        return;
    }
    otr_pool *pool = strand->pool;
    OTR_ASSERT_LOOP(pool->loop);
    pthread_mutex_lock(&pool->lock);
    live_remove(pool, strand);
    for (job *j; (j = list_pop(&strand->waiting)) != NULL;) {
        finish_job(pool, j, OTR_ESTATE);
    }
    strand->n_waiting = 0;
    if (strand->running) {
        atomic_store_explicit(&strand->stop, true, memory_order_relaxed);
    }
    pthread_mutex_unlock(&pool->lock);
}

void otr_strand_free(otr_strand *strand)
{
    if (strand != NULL) {
        otr_strand_cancel(strand);
        strand->freed = true;
        release_strand(strand);
    }
}

bool otr_strand_idle(const otr_strand *strand)
{
    return strand->undone == 0;
}

bool otr_worker_should_stop(const otr_strand *strand)
{
    return atomic_load_explicit(&strand->stop, memory_order_relaxed);
}

/* With the lock. Threads are made while more strands have work than threads wait for some; that
 * one cannot be made matters only when there is none at all. */
static otr_code queue_job(otr_pool *pool, otr_strand *strand, job *j, otr_err *err)
{
    if (strand->n_waiting >= strand->max_jobs) {
        return otr_fail(err, OTR_EQUOTA, "%u jobs wait already", strand->n_waiting);
    }
    bool becomes_live = !strand->running && strand->n_waiting == 0;
    unsigned busy;
    if (becomes_live && pool->n_live >= pool->n_idle &&
        may_grow(pool, pool->look != NULL ? count_stuck(pool, &busy) : 0)) {
        int rc = start_thread(pool);
        if (rc != 0 && pool->n_threads == 0) {
            return otr_fail_sys(err, rc, "cannot start a worker thread");
        }
    }
    list_append(&strand->waiting, j);
    strand->n_waiting++;
    if (becomes_live) {
        live_append(pool, strand);
        pthread_cond_signal(&pool->work);
        begin_to_look(pool);
    }
    return OTR_OK;
}

otr_code otr_worker_submit(otr_strand *strand, otr_job_fn *fn, otr_done_fn *done, void *arg,
                           otr_err *err)
{
    otr_pool *pool = strand->pool;
    OTR_ASSERT_LOOP(pool->loop);
    assert(!strand->freed);
    job *j = otr_zalloc(sizeof(*j));
    if (j == NULL) {
        return otr_fail_nomem(err);
    }
    j->strand = strand;
    j->fn = fn;
    j->done = done;
    j->arg = arg;
    pthread_mutex_lock(&pool->lock);
    otr_code rc = queue_job(pool, strand, j, err);
    pthread_mutex_unlock(&pool->lock);
    if (rc != OTR_OK) {
        otr_free(j);
        return rc;
    }
    strand->undone++;
    return OTR_OK;
}
