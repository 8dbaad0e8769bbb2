/*
 * Worker pool: runs blocking jobs away from the loop.
 *
 * A job belongs to one strand; jobs of a strand run one at a time and in order, on any thread of
 * the pool. Completions arrive on the loop thread, exactly once for each job, also for cancelled
 * ones. Threads start with the first job and are never more than the pool's size; a pool that may
 * grow adds some for jobs that run long, so that short ones go on beside them, and gives those of
 * long jobs a lower priority until they end.
 *
 * Thread: loop, except otr_worker_should_stop() (worker).
 */
#ifndef OTR_LOOP_WORKER_H
#define OTR_LOOP_WORKER_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"

typedef struct otr_pool otr_pool;
typedef struct otr_strand otr_strand;

/* Worker thread. The result is handed to done. */
typedef otr_code otr_job_fn(otr_strand *strand, void *arg);
/* Loop thread. `rc` is the job's result, or OTR_ESTATE when it was cancelled before it ran. */
typedef void otr_done_fn(void *arg, otr_code rc);

otr_code otr_pool_new(otr_loop *loop, unsigned threads, otr_pool **ret, otr_err *err)
    OTR_MUST_CHECK;
/* Before the first job. While strands wait, there may be as many threads beside those that are held
 * by a job of more than 3 ms as otr_pool_new() was told, and `most` in all. What is above the base
 * number ends after 10 s without work. */
otr_code otr_pool_grow(otr_pool *pool, unsigned most, otr_err *err) OTR_MUST_CHECK;
/* After its strands are freed, and not from inside a `done`. Joins the threads (a job that never
 * returns blocks this) and calls the `done`s that are still due. */
void otr_pool_free(otr_pool *pool);

/* `max_jobs`: how many may wait in the strand beside the one that runs. */
otr_code otr_strand_new(otr_pool *pool, unsigned max_jobs, otr_strand **ret, otr_err *err)
    OTR_MUST_CHECK;
/* Cancels what waits, lets a running job end (its `done` still comes), then releases. `arg`s of
 * jobs must stay valid until their `done`. */
void otr_strand_free(otr_strand *strand);
/* Cancels what waits and raises the stop flag for the running job. */
void otr_strand_cancel(otr_strand *strand);
/* True when every `done` has been called, or the last one is being called. */
bool otr_strand_idle(const otr_strand *strand);

/* Queue `fn(arg)` on `strand`; `done(arg, rc)` follows on the loop, exactly once.
 * Borrows `arg` until then. OTR_EQUOTA when the strand already holds its maximum. */
otr_code otr_worker_submit(otr_strand *strand, otr_job_fn *fn, otr_done_fn *done, void *arg,
                           otr_err *err) OTR_MUST_CHECK;

/* True once otr_strand_cancel() or otr_strand_free() asked the running job to end early. */
bool otr_worker_should_stop(const otr_strand *strand);

#endif
