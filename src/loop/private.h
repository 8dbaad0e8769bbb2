/*
 * What the files of src/loop share: the loop's inside and the guard around callbacks.
 *
 * Thread: loop, except `posts` and `owner`.
 */
#ifndef OTR_LOOP_PRIVATE_H
#define OTR_LOOP_PRIVATE_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "base/base.h"
#include "loop/loop.h"

struct otr_loop {
    uv_loop_t uv; /* .data is this struct */
    uv_async_t wake;
    uv_check_t check;          /* runs the defers, after timers and I/O of the round */
    uv_idle_t spin;            /* active while defers wait: libuv then polls without blocking */
    uv_timer_t step;           /* bounds the wait of otr_loop_step() */
    _Atomic(otr_post *) posts; /* newest first; whoever makes it non-empty sends `wake` */
    otr_defer defers;          /* head of a ring */
    _Atomic(pthread_t) owner;
    uint64_t child_files; /* soft limit of descriptors for children; 0: ours */
    unsigned reaping;     /* children that were killed and freed, and still watched for their end */
    bool running;
    bool stopping;
};

#define OTR_ASSERT_LOOP(loop) assert(otr_loop_is_mine(loop))

/* Around every call into the owner's code: in debug builds, at debug level, one that holds the
 * loop for more than a millisecond is logged. */
#ifdef NDEBUG
static inline uint64_t otr_loop_enter(void)
{
    return 0;
}
static inline void otr_loop_leave(uint64_t entered, const char *kind)
{
    (void)entered;
    (void)kind;
}
#else
uint64_t otr_loop_enter(void);
void otr_loop_leave(uint64_t entered, const char *kind);
#endif

#endif
