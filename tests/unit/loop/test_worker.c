#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/clock.h"
#include "loop/worker.h"
#include "support/test.h"

enum { JOBS = 200 };

static void free_loop(void *slot)
{
    otr_loop_free(otr_steal(slot));
}

static void free_pool(void *slot)
{
    otr_pool_free(otr_steal(slot));
}

static void free_strand(void *slot)
{
    otr_strand_free(otr_steal(slot));
}

/* The loop outlives the pool, which outlives its strands. */
typedef struct bench {
    otr_loop *loop;
    otr_pool *pool;
    otr_strand *strand;
} bench;

static void free_bench(void *slot)
{
    bench *b = slot;
    free_strand(&b->strand);
    free_pool(&b->pool);
    free_loop(&b->loop);
}

static otr_code make_bench(bench *b, unsigned threads, unsigned max_jobs, otr_err *e)
{
    otr_code rc = otr_loop_new(&b->loop, e);
    if (rc == OTR_OK) {
        rc = otr_pool_new(b->loop, threads, &b->pool, e);
    }
    return rc == OTR_OK ? otr_strand_new(b->pool, max_jobs, &b->strand, e) : rc;
}

typedef struct task {
    otr_strand *strand;
    struct task *peer;
    atomic_bool started, go;
    atomic_int *inside; /* how many jobs of the strand run now */
    int number, ran_as, done_as;
    int *runs, *dones;
    unsigned done_calls;
    otr_code rc;
    bool stopped, on_loop;
    otr_loop *loop;
    bool free_strand_in_done;
} task;

static otr_code quick(otr_strand *strand, void *arg)
{
    (void)strand;
    task *t = arg;
    t->on_loop = otr_loop_is_mine(t->loop);
    if (t->inside != NULL) {
        t->stopped = atomic_fetch_add(t->inside, 1) > 0;
        t->ran_as = (*t->runs)++;
        atomic_fetch_sub(t->inside, 1);
    }
    return OTR_EGUEST;
}

/* Runs until it is told to go or to stop. */
static otr_code blocked(otr_strand *strand, void *arg)
{
    task *t = arg;
    atomic_store(&t->started, true);
    while (!atomic_load(&t->go)) {
        if (otr_worker_should_stop(strand)) {
            t->stopped = true;
            return OTR_ETIMEOUT;
        }
        sched_yield();
    }
    t->stopped = otr_worker_should_stop(strand);
    return OTR_OK;
}

static void on_done(void *arg, otr_code rc)
{
    task *t = arg;
    t->done_calls++;
    t->rc = rc;
    if (t->dones != NULL) {
        t->done_as = (*t->dones)++;
    }
    if (t->free_strand_in_done) {
        otr_strand_free(t->strand);
    }
}

static void wait_started(task *t)
{
    while (!atomic_load(&t->started)) {
        sched_yield();
    }
}

static void step_until_idle(const bench *b, const otr_strand *strand)
{
    for (int i = 0; i < 1000 && !otr_strand_idle(strand); i++) {
        otr_loop_step(b->loop, 100);
    }
}

T(a_pool_without_threads_and_a_strand_without_room_are_refused)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_bench(&b, 1, 1, &e), e);
    otr_pool *pool = NULL;
    otr_strand *strand = NULL;
    CHECK_INT(otr_pool_new(b.loop, 0, &pool, &e), OTR_EINVAL);
    CHECK_INT(otr_strand_new(b.pool, 0, &strand, &e), OTR_EINVAL);
    otr_pool_free(NULL);
    otr_strand_free(NULL);
    otr_strand_cancel(NULL);
}

T(a_job_runs_on_another_thread_and_its_result_reaches_done)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_bench(&b, 2, 4, &e), e);
    task t = { .loop = b.loop, .on_loop = true };
    CHECK(otr_strand_idle(b.strand));
    REQUIRE_OK(otr_worker_submit(b.strand, quick, on_done, &t, &e), e);
    CHECK(!otr_strand_idle(b.strand));
    CHECK_INT(t.done_calls, 0);
    step_until_idle(&b, b.strand);
    CHECK_INT(t.done_calls, 1);
    CHECK_INT(t.rc, OTR_EGUEST);
    CHECK(!t.on_loop);
}

T(a_full_strand_refuses_and_the_job_is_not_done)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    task first = { 0 }, second = { 0 }, third = { 0 };
    REQUIRE_OK(make_bench(&b, 1, 1, &e), e);
    second.loop = third.loop = b.loop;
    REQUIRE_OK(otr_worker_submit(b.strand, blocked, on_done, &first, &e), e);
    wait_started(&first);
    otr_code rc = otr_worker_submit(b.strand, quick, on_done, &second, &e);
    otr_code refused = otr_worker_submit(b.strand, quick, on_done, &third, &e);
    atomic_store(&first.go, true);
    step_until_idle(&b, b.strand);
    CHECK_INT(rc, OTR_OK);
    CHECK_INT(refused, OTR_EQUOTA);
    CHECK_INT(first.done_calls, 1);
    CHECK_INT(second.done_calls, rc == OTR_OK);
    CHECK_INT(third.done_calls, refused == OTR_OK);
}

T(jobs_of_a_strand_run_one_at_a_time_and_in_order)
{
    static task tasks[JOBS];
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_bench(&b, 4, JOBS, &e), e);
    atomic_int inside = 0;
    int runs = 0, dones = 0, submitted = 0;
    for (; submitted < JOBS; submitted++) {
        task *t = &tasks[submitted];
        memset(t, 0, sizeof(*t));
        t->loop = b.loop;
        t->inside = &inside;
        t->runs = &runs;
        t->dones = &dones;
        if (otr_worker_submit(b.strand, quick, on_done, t, &e) != OTR_OK) {
            break;
        }
    }
    step_until_idle(&b, b.strand);
    CHECK_INT(runs, JOBS);
    for (int i = 0; i < submitted; i++) {
        if (tasks[i].ran_as != i || tasks[i].done_as != i || tasks[i].stopped) {
            CHECK_INT(tasks[i].ran_as, i);
            CHECK_INT(tasks[i].done_as, i);
            CHECK(!tasks[i].stopped);
            return;
        }
    }
}

/* Each waits for the other: they end only if they run at the same time. */
static otr_code meet(otr_strand *strand, void *arg)
{
    (void)strand;
    task *t = arg;
    atomic_store(&t->started, true);
    uint64_t end = uv_hrtime() + 20 * OTR_NS_PER_S;
    while (!atomic_load(&t->peer->started) && uv_hrtime() < end) {
        sched_yield();
    }
    return atomic_load(&t->peer->started) ? OTR_OK : OTR_ETIMEOUT;
}

T(strands_run_beside_each_other)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    task x = { 0 }, y = { 0 };
    REQUIRE_OK(make_bench(&b, 2, 1, &e), e);
    x.peer = &y;
    y.peer = &x;
    OTR_CLEANUP(free_strand) otr_strand *other = NULL;
    REQUIRE_OK(otr_strand_new(b.pool, 1, &other, &e), e);
    REQUIRE_OK(otr_worker_submit(b.strand, meet, on_done, &x, &e), e);
    otr_code rc = otr_worker_submit(other, meet, on_done, &y, &e);
    if (rc != OTR_OK) {
        atomic_store(&y.started, true);
    }
    step_until_idle(&b, b.strand);
    step_until_idle(&b, other);
    CHECK_INT(rc, OTR_OK);
    CHECK_INT(x.rc, OTR_OK);
    CHECK_INT(y.rc, OTR_OK);
}

/* Fails when the first strand's job is still blocked and `other` is not served. */
T(a_long_job_does_not_hold_up_another_strand)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    task slow = { 0 }, fast = { 0 };
    REQUIRE_OK(make_bench(&b, 1, 1, &e), e);
    REQUIRE_OK(otr_pool_grow(b.pool, 2, &e), e);
    OTR_CLEANUP(free_strand) otr_strand *other = NULL;
    REQUIRE_OK(otr_strand_new(b.pool, 1, &other, &e), e);
    fast.loop = b.loop;
    REQUIRE_OK(otr_worker_submit(b.strand, blocked, on_done, &slow, &e), e);
    wait_started(&slow);
    otr_code rc = otr_worker_submit(other, quick, on_done, &fast, &e);
    uint64_t end = uv_hrtime() + 20 * OTR_NS_PER_S;
    while (rc == OTR_OK && fast.done_calls == 0 && uv_hrtime() < end) {
        otr_loop_step(b.loop, 10);
    }
    unsigned beside = fast.done_calls;
    atomic_store(&slow.go, true);
    step_until_idle(&b, b.strand);
    step_until_idle(&b, other);
    CHECK_INT(rc, OTR_OK);
    CHECK_INT(beside, 1);
    CHECK_INT(slow.done_calls, 1);
}

/* Runs until its thread has a lower priority than the process. */
static otr_code until_slowed(otr_strand *strand, void *arg)
{
    (void)strand;
    task *t = arg;
    uint64_t end = uv_hrtime() + 20 * OTR_NS_PER_S;
    while (getpriority(PRIO_PROCESS, 0) <= t->number && uv_hrtime() < end) {
        sched_yield();
    }
    t->ran_as = getpriority(PRIO_PROCESS, 0);
    return OTR_OK;
}

static otr_code note_priority(otr_strand *strand, void *arg)
{
    (void)strand;
    task *t = arg;
    t->ran_as = getpriority(PRIO_PROCESS, 0);
    return OTR_OK;
}

T(a_long_job_gives_way_and_so_does_the_next_of_its_strand)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    int usual = getpriority(PRIO_PROCESS, 0);
    task slow = { .number = usual }, next = { 0 };
    REQUIRE_OK(make_bench(&b, 1, 1, &e), e);
    REQUIRE_OK(otr_pool_grow(b.pool, 2, &e), e);
    REQUIRE_OK(otr_worker_submit(b.strand, until_slowed, on_done, &slow, &e), e);
    step_until_idle(&b, b.strand);
    CHECK(slow.ran_as > usual);
    /* The next one is expected to be long, too; after a short one nothing is held against it. */
    REQUIRE_OK(otr_worker_submit(b.strand, note_priority, on_done, &next, &e), e);
    step_until_idle(&b, b.strand);
    CHECK(next.ran_as > usual);
    REQUIRE_OK(otr_worker_submit(b.strand, note_priority, on_done, &next, &e), e);
    step_until_idle(&b, b.strand);
    CHECK_INT(next.ran_as, usual);
    CHECK_INT(next.done_calls, 2);
}

/* All threads are taken while both wait, so that the next free one chooses. */
T(who_ran_long_before_waits_for_who_did_not)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    int usual = getpriority(PRIO_PROCESS, 0), runs = 0;
    atomic_int inside = 0;
    task slow = { .number = usual }, block[2] = { { 0 }, { 0 } };
    task late = { .inside = &inside, .runs = &runs }, soon = { .inside = &inside, .runs = &runs };
    REQUIRE_OK(make_bench(&b, 1, 1, &e), e);
    REQUIRE_OK(otr_pool_grow(b.pool, 2, &e), e);
    late.loop = soon.loop = b.loop;
    OTR_CLEANUP(free_strand) otr_strand *other = NULL;
    OTR_CLEANUP(free_strand) otr_strand *first = NULL;
    OTR_CLEANUP(free_strand) otr_strand *second = NULL;
    REQUIRE_OK(otr_strand_new(b.pool, 1, &other, &e), e);
    REQUIRE_OK(otr_strand_new(b.pool, 1, &first, &e), e);
    REQUIRE_OK(otr_strand_new(b.pool, 1, &second, &e), e);
    REQUIRE_OK(otr_worker_submit(b.strand, until_slowed, on_done, &slow, &e), e);
    step_until_idle(&b, b.strand);
    otr_code rc = otr_worker_submit(first, blocked, on_done, &block[0], &e);
    rc = rc != OTR_OK ? rc : otr_worker_submit(second, blocked, on_done, &block[1], &e);
    uint64_t end = uv_hrtime() + 20 * OTR_NS_PER_S;
    while (rc == OTR_OK && !atomic_load(&block[1].started) && uv_hrtime() < end) {
        otr_loop_step(b.loop, 1); /* the pool grows */
    }
    rc = rc != OTR_OK ? rc : otr_worker_submit(b.strand, quick, on_done, &late, &e);
    rc = rc != OTR_OK ? rc : otr_worker_submit(other, quick, on_done, &soon, &e);
    atomic_store(&block[0].go, true);
    step_until_idle(&b, b.strand);
    step_until_idle(&b, other);
    atomic_store(&block[1].go, true);
    step_until_idle(&b, first);
    step_until_idle(&b, second);
    CHECK_INT(rc, OTR_OK);
    CHECK_INT(soon.ran_as, 0);
    CHECK_INT(late.ran_as, 1);
}

T(a_pool_grows_to_its_most_threads_only)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    task slow[2] = { 0 }, fast = { 0 };
    REQUIRE_OK(make_bench(&b, 1, 1, &e), e);
    REQUIRE_OK(otr_pool_grow(b.pool, 2, &e), e);
    OTR_CLEANUP(free_strand) otr_strand *second = NULL;
    OTR_CLEANUP(free_strand) otr_strand *third = NULL;
    REQUIRE_OK(otr_strand_new(b.pool, 1, &second, &e), e);
    REQUIRE_OK(otr_strand_new(b.pool, 1, &third, &e), e);
    fast.loop = b.loop;
    otr_code rc[3];
    rc[0] = otr_worker_submit(b.strand, blocked, on_done, &slow[0], &e);
    rc[1] = otr_worker_submit(second, blocked, on_done, &slow[1], &e);
    rc[2] = otr_worker_submit(third, quick, on_done, &fast, &e);
    uint64_t end = uv_hrtime() + 100 * OTR_NS_PER_MS;
    while (uv_hrtime() < end) {
        otr_loop_step(b.loop, 10);
    }
    unsigned early = fast.done_calls;
    atomic_store(&slow[0].go, true);
    atomic_store(&slow[1].go, true);
    step_until_idle(&b, b.strand);
    step_until_idle(&b, second);
    step_until_idle(&b, third);
    CHECK(rc[0] == OTR_OK && rc[1] == OTR_OK && rc[2] == OTR_OK);
    CHECK_INT(early, 0);
    CHECK_INT(fast.done_calls, 1);
}

T(cancel_ends_what_waits_and_asks_the_running_job_to_stop)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    task running = { 0 }, waiting = { 0 }, later = { 0 };
    REQUIRE_OK(make_bench(&b, 1, 4, &e), e);
    waiting.loop = later.loop = b.loop;
    REQUIRE_OK(otr_worker_submit(b.strand, blocked, on_done, &running, &e), e);
    wait_started(&running);
    otr_code rc = otr_worker_submit(b.strand, quick, on_done, &waiting, &e);
    otr_strand_cancel(b.strand);
    CHECK_INT(waiting.done_calls, 0);
    step_until_idle(&b, b.strand);
    REQUIRE(rc == OTR_OK);
    CHECK_INT(waiting.done_calls, 1);
    CHECK_INT(waiting.rc, OTR_ESTATE);
    CHECK_INT(running.done_calls, 1);
    CHECK_INT(running.rc, OTR_ETIMEOUT);
    CHECK(running.stopped);
    /* The flag was for that job: the strand works on. */
    atomic_store(&later.go, true);
    REQUIRE_OK(otr_worker_submit(b.strand, blocked, on_done, &later, &e), e);
    step_until_idle(&b, b.strand);
    CHECK_INT(later.rc, OTR_OK);
    CHECK(!later.stopped);
}

T(cancelling_an_idle_strand_does_not_stop_its_next_job)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    task t = { .go = true };
    REQUIRE_OK(make_bench(&b, 1, 4, &e), e);
    otr_strand_cancel(b.strand);
    REQUIRE_OK(otr_worker_submit(b.strand, blocked, on_done, &t, &e), e);
    step_until_idle(&b, b.strand);
    CHECK_INT(t.rc, OTR_OK);
    CHECK(!t.stopped);
}

T(done_still_arrives_after_the_strand_of_a_running_job_is_freed)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    task running = { 0 }, waiting = { 0 };
    REQUIRE_OK(make_bench(&b, 1, 4, &e), e);
    waiting.loop = b.loop;
    REQUIRE_OK(otr_worker_submit(b.strand, blocked, on_done, &running, &e), e);
    wait_started(&running);
    otr_code rc = otr_worker_submit(b.strand, quick, on_done, &waiting, &e);
    free_strand(&b.strand);
    for (int i = 0; i < 100 && running.done_calls == 0; i++) {
        otr_loop_step(b.loop, 100);
    }
    CHECK_INT(running.done_calls, 1);
    CHECK_INT(running.rc, OTR_ETIMEOUT);
    CHECK_INT(waiting.done_calls, rc == OTR_OK);
}

T(freeing_the_pool_delivers_what_is_still_due)
{
    task running = { 0 }, waiting = { 0 };
    otr_code first = OTR_ESTATE, second = OTR_ESTATE;
    {
        OTR_CLEANUP(free_bench) bench b = { 0 };
        otr_err e = { 0 };
        REQUIRE_OK(make_bench(&b, 1, 4, &e), e);
        waiting.loop = b.loop;
        first = otr_worker_submit(b.strand, blocked, on_done, &running, &e);
        second = otr_worker_submit(b.strand, quick, on_done, &waiting, &e);
    }
    CHECK_INT(running.done_calls, first == OTR_OK);
    CHECK_INT(waiting.done_calls, second == OTR_OK);
    CHECK_INT(first, OTR_OK);
    CHECK_INT(second, OTR_OK);
}

T(a_strand_may_be_freed_inside_done)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_bench(&b, 1, 4, &e), e);
    task t = { .loop = b.loop, .strand = b.strand, .free_strand_in_done = true };
    REQUIRE_OK(otr_worker_submit(b.strand, quick, on_done, &t, &e), e);
    b.strand = NULL; /* done() owns it now */
    for (int i = 0; i < 100 && t.done_calls == 0; i++) {
        otr_loop_step(b.loop, 100);
    }
    CHECK_INT(t.done_calls, 1);
}

typedef struct chain {
    bench *b;
    unsigned left;
} chain;

static otr_code run_chain(otr_strand *strand, void *arg)
{
    (void)strand;
    (void)arg;
    return OTR_OK;
}

static void chain_done(void *arg, otr_code rc)
{
    (void)rc;
    chain *c = arg;
    otr_err e = { 0 };
    if (c->left > 0) {
        c->left--;
        CHECK_INT(otr_worker_submit(c->b->strand, run_chain, chain_done, c, &e), OTR_OK);
    }
}

T(done_may_submit_the_next_job)
{
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_bench(&b, 2, 1, &e), e);
    chain c = { .b = &b, .left = 100 };
    chain_done(&c, OTR_OK);
    step_until_idle(&b, b.strand);
    for (int i = 0; i < 1000 && c.left > 0 && !otr_strand_idle(b.strand); i++) {
        otr_loop_step(b.loop, 100);
    }
    CHECK_INT(c.left, 0);
}

enum { STRANDS = 8, EACH = 60 };

T(many_strands_on_few_threads_lose_no_done_when_cancelled_midway)
{
    static task tasks[STRANDS][EACH];
    OTR_CLEANUP(free_bench) bench b = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_bench(&b, 3, EACH, &e), e);
    atomic_int inside[STRANDS];
    int runs[STRANDS] = { 0 };
    otr_strand *strands[STRANDS] = { 0 };
    unsigned submitted = 0, arrived = 0;
    for (int s = 0; s < STRANDS; s++) {
        atomic_init(&inside[s], 0);
        if (otr_strand_new(b.pool, EACH, &strands[s], &e) != OTR_OK) {
            continue;
        }
        for (int i = 0; i < EACH; i++) {
            task *t = &tasks[s][i];
            memset(t, 0, sizeof(*t));
            t->loop = b.loop;
            t->inside = &inside[s];
            t->runs = &runs[s];
            if (otr_worker_submit(strands[s], quick, on_done, t, &e) == OTR_OK) {
                submitted++;
            }
        }
        if (s % 2 == 0) {
            otr_strand_cancel(strands[s]);
        }
        if (s % 4 == 1) {
            otr_strand_free(strands[s]);
            strands[s] = NULL;
        }
    }
    for (int round = 0; round < 1000 && arrived < submitted; round++) {
        otr_loop_step(b.loop, 10);
        arrived = 0;
        for (int i = 0; i < STRANDS * EACH; i++) {
            arrived += tasks[i / EACH][i % EACH].done_calls;
        }
    }
    unsigned twice = 0, together = 0;
    for (int i = 0; i < STRANDS * EACH; i++) {
        twice += tasks[i / EACH][i % EACH].done_calls > 1;
        together += tasks[i / EACH][i % EACH].stopped;
    }
    for (int s = 0; s < STRANDS; s++) {
        otr_strand_free(strands[s]);
    }
    CHECK_INT(arrived, submitted);
    CHECK_INT(submitted, STRANDS * EACH);
    CHECK_INT(twice, 0);
    CHECK_INT(together, 0);
}
