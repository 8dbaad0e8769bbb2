#include "loop/loop.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/private.h"

#ifndef NDEBUG
enum { SLOW_NS = OTR_NS_PER_MS };

/* uv_hrtime() and not otr_now_ns(): a test's fake clock says nothing about how long code ran. */
uint64_t otr_loop_enter(void)
{
    return otr_log_get_level() == OTR_LOG_DEBUG ? uv_hrtime() : 0;
}

void otr_loop_leave(uint64_t entered, const char *kind)
{
    if (entered == 0) {
        return;
    }
    uint64_t took = uv_hrtime() - entered;
    if (took > SLOW_NS) {
        otr_log_debug("slow callback on the loop", "kind", kind, "us", OTR_U64(took / 1000));
    }
}
#endif

static void run_posts(otr_loop *loop)
{
    otr_post *newest = atomic_exchange_explicit(&loop->posts, NULL, memory_order_acquire);
    otr_post *first = NULL;
    while (newest != NULL) {
        otr_post *older = newest->next;
        newest->next = first;
        first = newest;
        newest = older;
    }
    while (first != NULL) {
        otr_post *post = first;
        first = post->next;
        uint64_t entered = otr_loop_enter();
        post->fn(post->arg); /* may free `post` or post it again */
        otr_loop_leave(entered, "post");
    }
}

static void on_wake(uv_async_t *wake)
{
    run_posts(wake->data);
}

void otr_loop_post(otr_loop *loop, otr_post *post, otr_loop_fn *fn, void *arg)
{
    post->fn = fn;
    post->arg = arg;
    otr_post *head = atomic_load_explicit(&loop->posts, memory_order_relaxed);
    do {
        post->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posts, &head, post, memory_order_release,
                                                    memory_order_relaxed));
    /* A post that finds others waiting leaves the waking to the first of them. */
    if (head == NULL) {
        (void)uv_async_send(&loop->wake);
    }
}

static void ring_init(otr_defer *head)
{
    head->next = head->prev = head;
}

static bool ring_empty(const otr_defer *head)
{
    return head->next == head;
}

static void ring_append(otr_defer *head, otr_defer *defer)
{
    defer->next = head;
    defer->prev = head->prev;
    head->prev->next = defer;
    head->prev = defer;
}

static void ring_remove(otr_defer *defer)
{
    defer->prev->next = defer->next;
    defer->next->prev = defer->prev;
    defer->next = defer->prev = NULL;
}

static otr_defer *ring_pop(otr_defer *head)
{
    otr_defer *first = head->next;
    head->next = first->next;
    head->next->prev = head;
    first->next = first->prev = NULL;
    return first;
}

/* Runs what was deferred up to now. What a defer defers waits for the next round, which does not
 * block: so timers and I/O get their turn however busy the defers are. */
static void run_defers(otr_loop *loop)
{
    otr_defer due;
    ring_init(&due);
    while (!ring_empty(&loop->defers)) {
        ring_append(&due, ring_pop(&loop->defers));
    }
    while (!ring_empty(&due)) {
        otr_defer *defer = ring_pop(&due);
        uint64_t entered = otr_loop_enter();
        defer->fn(defer->arg);
        otr_loop_leave(entered, "defer");
    }
    if (ring_empty(&loop->defers)) {
        (void)uv_idle_stop(&loop->spin);
    }
}

static void on_check(uv_check_t *check)
{
    run_defers(check->data);
}

static void on_spin(uv_idle_t *spin)
{
    (void)spin; /* being active is all it is for */
}

void otr_loop_defer(otr_loop *loop, otr_defer *defer, otr_loop_fn *fn, void *arg)
{
    OTR_ASSERT_LOOP(loop);
    if (defer->next != NULL) {
        return;
    }
    defer->fn = fn;
    defer->arg = arg;
    if (ring_empty(&loop->defers)) {
        (void)uv_idle_start(&loop->spin, on_spin);
    }
    ring_append(&loop->defers, defer);
}

void otr_loop_defer_cancel(otr_defer *defer)
{
    if (defer != NULL && defer->next != NULL) {
        ring_remove(defer); /* on_check() stops the spinning if this was the last */
    }
}

otr_code otr_loop_new(otr_loop **ret, otr_err *err)
{
    otr_loop *loop = otr_zalloc(sizeof(*loop));
    if (loop == NULL) {
        return otr_fail_nomem(err);
    }
    int rc = uv_loop_init(&loop->uv);
    if (rc < 0) {
        otr_free(loop);
        return otr_fail_sys(err, -rc, "cannot make an event loop");
    }
    rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (rc < 0) {
        (void)uv_loop_close(&loop->uv);
        otr_free(loop);
        return otr_fail_sys(err, -rc, "cannot make the event loop's wake-up");
    }
    (void)uv_check_init(&loop->uv, &loop->check);
    (void)uv_idle_init(&loop->uv, &loop->spin);
    (void)uv_timer_init(&loop->uv, &loop->step);
    loop->uv.data = loop->wake.data = loop->check.data = loop;
    (void)uv_check_start(&loop->check, on_check);
    ring_init(&loop->defers);
    atomic_init(&loop->owner, pthread_self());
    *ret = loop;
    return OTR_OK;
}

/* Only children that were killed and wait to be reaped may be left: they close themselves. */
static void close_leftover(uv_handle_t *handle, void *arg)
{
    unsigned *reaping = arg;
    if (uv_is_closing(handle)) {
        return;
    }
    if (handle->type == UV_POLL && *reaping > 0) {
        --*reaping;
    } else {
        assert(!"a handle outlives its loop");
        uv_close(handle, NULL);
    }
}

void otr_loop_free(otr_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    OTR_ASSERT_LOOP(loop);
    assert(!loop->running);
    run_posts(loop);
    while (!ring_empty(&loop->defers)) {
        (void)ring_pop(&loop->defers);
    }
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->spin, NULL);
    uv_close((uv_handle_t *)&loop->step, NULL);
    unsigned reaping = loop->reaping;
    uv_walk(&loop->uv, close_leftover, &reaping);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
    }
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0);
    (void)rc;
    otr_free(loop);
}

static void run(otr_loop *loop, uv_run_mode mode)
{
    assert(!loop->running); /* no callback may run the loop */
    atomic_store_explicit(&loop->owner, pthread_self(), memory_order_relaxed);
    loop->running = true;
    (void)uv_run(&loop->uv, mode);
    loop->running = false;
}

void otr_loop_run(otr_loop *loop)
{
    while (!loop->stopping) {
        run(loop, UV_RUN_DEFAULT);
    }
    loop->stopping = false;
}

static void on_step(uv_timer_t *step)
{
    (void)step; /* the wait is over: nothing else to do */
}

void otr_loop_step(otr_loop *loop, unsigned wait_ms)
{
    if (wait_ms > 0) {
        uv_update_time(&loop->uv);
        (void)uv_timer_start(&loop->step, on_step, wait_ms, 0);
    }
    run(loop, wait_ms > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    (void)uv_timer_stop(&loop->step);
    run_defers(loop); /* UV_RUN_ONCE runs timers last, after on_check() */
}

void otr_loop_stop(otr_loop *loop)
{
    OTR_ASSERT_LOOP(loop);
    loop->stopping = true;
    if (loop->running) {
        uv_stop(&loop->uv);
    }
}

uv_loop_t *otr_loop_uv(otr_loop *loop)
{
    return &loop->uv;
}

bool otr_loop_is_mine(const otr_loop *loop)
{
    pthread_t owner = atomic_load_explicit(&loop->owner, memory_order_relaxed);
    return pthread_equal(owner, pthread_self()) != 0;
}
