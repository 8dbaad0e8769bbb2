#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "support/test.h"

static void free_loop(void *slot)
{
    otr_loop_free(otr_steal(slot));
}

static void free_timer(void *slot)
{
    otr_timer_free(otr_steal(slot));
}

static void free_signal(void *slot)
{
    otr_signal_free(otr_steal(slot));
}

static void free_watch(void *slot)
{
    otr_watch_free(otr_steal(slot));
}

static void free_folder(void *slot)
{
    otr_folder_free(otr_steal(slot));
}

static otr_loop *make_loop(void)
{
    otr_loop *loop = NULL;
    otr_err e = { 0 };
    return otr_loop_new(&loop, &e) == OTR_OK ? loop : NULL;
}

/* What a callback of these tests works on. */
typedef struct seen {
    otr_loop *loop;
    otr_timer *timer;
    otr_signal *sig;
    otr_watch *watch;
    otr_post post;
    otr_defer defer, other;
    unsigned calls;
    unsigned stop_at;
    int events;
    char order[32];
    bool mine;
} seen;

static void count_call(void *arg)
{
    seen *s = arg;
    s->calls++;
    if (s->calls == s->stop_at) {
        otr_loop_stop(s->loop);
    }
}

static void note(seen *s, char what)
{
    size_t n = strlen(s->order);
    if (n + 1 < sizeof(s->order)) {
        s->order[n] = what;
    }
}

T(handles_accept_null)
{
    otr_loop_free(NULL);
    otr_timer_free(NULL);
    otr_timer_start(NULL, 1, 1);
    otr_timer_stop(NULL);
    otr_signal_free(NULL);
    otr_watch_free(NULL);
    otr_child_free(NULL);
    otr_loop_defer_cancel(NULL);
    CHECK(true);
}

T(an_unused_loop_is_freed_with_its_handles)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    seen s = { .loop = loop };
    OTR_CLEANUP(free_timer) otr_timer *timer = NULL;
    REQUIRE_OK(otr_timer_new(loop, count_call, &s, &timer, &e), e);
    OTR_CLEANUP(free_signal) otr_signal *sig = NULL;
    REQUIRE_OK(otr_signal_new(loop, SIGUSR1, count_call, &s, &sig, &e), e);
    CHECK(otr_loop_is_mine(loop));
    CHECK(otr_loop_uv(loop) != NULL);
}

T(a_step_without_work_waits_no_longer_than_asked)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    uint64_t before = uv_hrtime();
    otr_loop_step(loop, 0);
    CHECK(uv_hrtime() - before < 500 * OTR_NS_PER_MS);
    before = uv_hrtime();
    otr_loop_step(loop, 20);
    CHECK(uv_hrtime() - before >= 10 * OTR_NS_PER_MS);
}

T(a_stop_before_run_or_inside_a_step_is_not_lost)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_loop_stop(loop);
    otr_loop_run(loop);
    seen s = { .loop = loop, .stop_at = 1 };
    otr_loop_defer(loop, &s.defer, count_call, &s);
    otr_loop_step(loop, 0);
    CHECK_INT(s.calls, 1);
    otr_loop_run(loop);
    CHECK_INT(s.calls, 1);
}

/* ---- timers ---- */

T(a_timer_fires_once_or_again_and_again)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    seen once = { .loop = loop }, often = { .loop = loop, .stop_at = 3 };
    OTR_CLEANUP(free_timer) otr_timer *a = NULL;
    OTR_CLEANUP(free_timer) otr_timer *b = NULL;
    REQUIRE_OK(otr_timer_new(loop, count_call, &once, &a, &e), e);
    REQUIRE_OK(otr_timer_new(loop, count_call, &often, &b, &e), e);
    otr_timer_start(a, 1, 0);
    otr_timer_start(b, 1, 1);
    otr_loop_run(loop);
    CHECK_INT(once.calls, 1);
    CHECK_INT(often.calls, 3);
}

T(a_stopped_timer_is_silent)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    seen s = { .loop = loop };
    OTR_CLEANUP(free_timer) otr_timer *timer = NULL;
    REQUIRE_OK(otr_timer_new(loop, count_call, &s, &timer, &e), e);
    otr_timer_start(timer, 0, 1);
    otr_timer_stop(timer);
    otr_loop_step(loop, 5);
    CHECK_INT(s.calls, 0);
}

static void free_own_timer(void *arg)
{
    seen *s = arg;
    s->calls++;
    otr_timer_free(s->timer);
    s->timer = NULL;
    otr_loop_stop(s->loop);
}

T(a_timer_may_free_itself_in_its_callback)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    seen s = { .loop = loop };
    REQUIRE_OK(otr_timer_new(loop, free_own_timer, &s, &s.timer, &e), e);
    otr_timer_start(s.timer, 0, 1);
    otr_loop_run(loop);
    otr_loop_step(loop, 3);
    CHECK_INT(s.calls, 1);
}

/* ---- signals ---- */

static void free_own_signal(void *arg)
{
    seen *s = arg;
    s->calls++;
    otr_signal_free(s->sig);
    s->sig = NULL;
    otr_loop_stop(s->loop);
}

T(a_signal_arrives_on_the_loop_and_may_free_its_handle)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    seen s = { .loop = loop };
    REQUIRE_OK(otr_signal_new(loop, SIGUSR2, free_own_signal, &s, &s.sig, &e), e);
    REQUIRE(kill(getpid(), SIGUSR2) == 0);
    otr_loop_run(loop);
    CHECK_INT(s.calls, 1);
    CHECK(s.sig == NULL);
}

T(a_signal_that_cannot_be_caught_is_refused)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    otr_signal *sig = NULL;
    CHECK(otr_signal_new(loop, SIGKILL, count_call, NULL, &sig, &e) != OTR_OK);
    CHECK(sig == NULL);
    CHECK_HAS(e.msg, "signal 9");
}

/* ---- file descriptors ---- */

static void close_fds(void *slot)
{
    int *fds = slot;
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static void free_own_watch(void *arg, int events)
{
    seen *s = arg;
    s->calls++;
    s->events = events;
    otr_watch_free(s->watch);
    s->watch = NULL;
}

static void count_events(void *arg, int events)
{
    seen *s = arg;
    s->calls++;
    s->events = events;
}

T(a_watch_of_nothing_or_of_a_bad_fd_is_refused)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    otr_watch *watch = NULL;
    CHECK(otr_watch_new(loop, -1, OTR_WATCH_READ, count_events, NULL, &watch, &e) != OTR_OK);
    CHECK_INT(otr_watch_new(loop, 0, 0, count_events, NULL, &watch, &e), OTR_EINVAL);
    CHECK_INT(otr_watch_new(loop, 0, 8, count_events, NULL, &watch, &e), OTR_EINVAL);
    CHECK(watch == NULL);
}

T(a_watch_reports_readable_and_may_free_itself)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(close_fds) int fds[2] = { -1, -1 };
    REQUIRE(pipe(fds) == 0);
    seen s = { .loop = loop };
    REQUIRE_OK(otr_watch_new(loop, fds[0], OTR_WATCH_READ, free_own_watch, &s, &s.watch, &e), e);
    otr_loop_step(loop, 0);
    CHECK_INT(s.calls, 0);
    CHECK(write(fds[1], "x", 1) == 1);
    otr_loop_step(loop, 100);
    otr_loop_step(loop, 0);
    CHECK_INT(s.calls, 1);
    CHECK_INT(s.events, OTR_WATCH_READ);
}

T(an_error_on_a_watched_fd_counts_as_ready_until_it_is_freed)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    OTR_CLEANUP(close_fds) int fds[2] = { -1, -1 };
    REQUIRE(pipe(fds) == 0);
    close(fds[0]);
    fds[0] = -1;
    seen s = { .loop = loop };
    OTR_CLEANUP(free_watch) otr_watch *watch = NULL;
    REQUIRE_OK(otr_watch_new(loop, fds[1], OTR_WATCH_WRITE, count_events, &s, &watch, &e), e);
    otr_loop_step(loop, 100);
    otr_loop_step(loop, 100);
    CHECK(s.calls >= 2);
    CHECK_INT(s.events, OTR_WATCH_WRITE);
}

/* ---- defers ---- */

static void defer_a(void *arg)
{
    note(arg, 'a');
}

static void defer_b(void *arg)
{
    note(arg, 'b');
}

static void timer_that_defers(void *arg)
{
    seen *s = arg;
    note(s, 't');
    otr_loop_defer(s->loop, &s->defer, defer_a, s);
    otr_loop_defer(s->loop, &s->other, defer_b, s);
    otr_loop_defer(s->loop, &s->defer, defer_b, s);
}

T(defers_run_once_in_order_at_the_end_of_the_round)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    seen s = { .loop = loop };
    OTR_CLEANUP(free_timer) otr_timer *timer = NULL;
    REQUIRE_OK(otr_timer_new(loop, timer_that_defers, &s, &timer, &e), e);
    otr_timer_start(timer, 0, 0);
    otr_loop_step(loop, 50);
    CHECK_STR(s.order, "tab");
    otr_loop_step(loop, 0);
    CHECK_STR(s.order, "tab");
}

T(a_cancelled_defer_does_not_run)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    seen s = { .loop = loop };
    otr_loop_defer(loop, &s.defer, defer_a, &s);
    otr_loop_defer(loop, &s.other, defer_b, &s);
    otr_loop_defer_cancel(&s.defer);
    otr_loop_defer_cancel(&s.defer);
    otr_loop_step(loop, 0);
    CHECK_STR(s.order, "b");
}

static void cancel_other(void *arg)
{
    seen *s = arg;
    note(s, 'c');
    otr_loop_defer_cancel(&s->other);
}

T(a_defer_may_cancel_one_that_is_due_in_the_same_round)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    seen s = { .loop = loop };
    otr_loop_defer(loop, &s.defer, cancel_other, &s);
    otr_loop_defer(loop, &s.other, defer_b, &s);
    otr_loop_step(loop, 0);
    CHECK_STR(s.order, "c");
}

static void defer_for_ever(void *arg)
{
    seen *s = arg;
    s->calls++;
    otr_loop_defer(s->loop, &s->defer, defer_for_ever, s);
}

T(a_defer_that_renews_itself_starves_neither_timers_nor_posts)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    seen busy = { .loop = loop }, timed = { .loop = loop, .stop_at = 2 }, posted = { .loop = loop };
    OTR_CLEANUP(free_timer) otr_timer *timer = NULL;
    REQUIRE_OK(otr_timer_new(loop, count_call, &timed, &timer, &e), e);
    otr_timer_start(timer, 1, 1);
    otr_loop_post(loop, &posted.post, count_call, &posted);
    defer_for_ever(&busy);
    otr_loop_run(loop);
    otr_loop_defer_cancel(&busy.defer);
    CHECK_INT(timed.calls, 2);
    CHECK_INT(posted.calls, 1);
    CHECK(busy.calls > 2);
}

T(the_loop_does_not_spin_without_defers)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    seen s = { .loop = loop };
    otr_loop_defer(loop, &s.defer, count_call, &s);
    otr_loop_step(loop, 0);
    otr_loop_defer(loop, &s.defer, count_call, &s);
    otr_loop_defer_cancel(&s.defer);
    otr_loop_step(loop, 0);
    CHECK_INT(s.calls, 1);
    CHECK_INT(uv_backend_timeout(otr_loop_uv(loop)), -1);
}

T(a_loop_is_freed_with_a_defer_still_waiting)
{
    seen s = { 0 };
    {
        OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
        REQUIRE(loop != NULL);
        otr_loop_defer(loop, &s.defer, count_call, &s);
    }
    otr_loop_defer_cancel(&s.defer);
    CHECK_INT(s.calls, 0);
}

/* ---- posts ---- */

static void post_and_reuse(void *arg)
{
    seen *s = arg;
    s->mine = otr_loop_is_mine(s->loop);
    s->calls++;
    if (s->calls < 3) {
        otr_loop_post(s->loop, &s->post, post_and_reuse, s);
    }
}

T(a_post_may_be_posted_again_by_its_own_callback)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    seen s = { .loop = loop };
    otr_loop_post(loop, &s.post, post_and_reuse, &s);
    for (int i = 0; i < 10 && s.calls < 3; i++) {
        otr_loop_step(loop, 100);
    }
    CHECK_INT(s.calls, 3);
    CHECK(s.mine);
}

T(a_post_that_still_waits_runs_when_the_loop_is_freed)
{
    seen s = { 0 };
    {
        OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
        REQUIRE(loop != NULL);
        otr_loop_post(loop, &s.post, count_call, &s);
    }
    CHECK_INT(s.calls, 1);
}

enum { POSTERS = 4, POSTS = 2000 };

typedef struct numbered {
    otr_post post;
    struct posters *all;
    int by;
    int number;
} numbered;

typedef struct posters {
    otr_loop *loop;
    int last[POSTERS];
    int arrived;
    int disorder;
    numbered posts[POSTERS][POSTS];
} posters;

static posters crowd;

static void on_numbered(void *arg)
{
    numbered *n = arg;
    posters *all = n->all;
    all->disorder += n->number != all->last[n->by] + 1;
    all->last[n->by] = n->number;
    if (++all->arrived == POSTERS * POSTS) {
        otr_loop_stop(all->loop);
    }
}

static void *post_many(void *arg)
{
    numbered *mine = arg;
    for (int i = 0; i < POSTS; i++) {
        otr_loop_post(mine[i].all->loop, &mine[i].post, on_numbered, &mine[i]);
    }
    return NULL;
}

T(no_post_of_several_threads_is_lost_or_out_of_order)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    memset(&crowd, 0, sizeof(crowd));
    crowd.loop = loop;
    pthread_t threads[POSTERS];
    for (int t = 0; t < POSTERS; t++) {
        for (int i = 0; i < POSTS; i++) {
            crowd.posts[t][i] = (numbered){ .all = &crowd, .by = t, .number = i + 1 };
        }
        if (pthread_create(&threads[t], NULL, post_many, crowd.posts[t]) != 0) {
            otr_test_check(false, __FILE__, __LINE__, "pthread_create");
            abort();
        }
    }
    otr_loop_run(loop);
    for (int t = 0; t < POSTERS; t++) {
        pthread_join(threads[t], NULL);
    }
    CHECK_INT(crowd.arrived, POSTERS * POSTS);
    CHECK_INT(crowd.disorder, 0);
}

/* ---- folders ---- */

typedef struct told {
    unsigned calls, wanted; /* `wanted`: those with the name "wanted" */
} told;

static void on_name(void *arg, const char *name)
{
    told *t = arg;
    t->calls++;
    t->wanted += name != NULL && strcmp(name, "wanted") == 0;
}

static void remove_folder(void *slot)
{
    char command[96];
    (void)snprintf(command, sizeof(command), "%s/wanted", (char *)slot);
    (void)unlink(command);
    (void)snprintf(command, sizeof(command), "%s/other", (char *)slot);
    (void)unlink(command);
    (void)rmdir(slot);
}

static bool touch(const char *folder, const char *name, const char *text)
{
    char path[96];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    return fd >= 0 && write(fd, text, strlen(text)) >= 0 && close(fd) == 0;
}

static void wait_wanted(otr_loop *loop, const told *t, unsigned more_than)
{
    for (int i = 0; i < 200 && t->wanted <= more_than; i++) {
        otr_loop_step(loop, 50);
    }
    CHECK(t->wanted > more_than);
}

T(a_missing_folder_cannot_be_watched)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    REQUIRE(loop != NULL);
    otr_err e = { 0 };
    otr_folder *folder = NULL;
    CHECK_INT(otr_folder_new(loop, "/no/such/folder", on_name, NULL, &folder, &e), OTR_ENOTFOUND);
    CHECK_HAS(e.msg, "/no/such/folder");
}

/* No failing allocation: libuv's own would be hit, and it has no error for that here. */
T_NO_OOM(a_write_and_a_rename_in_a_folder_are_told_by_name)
{
    OTR_CLEANUP(remove_folder) char path[32] = "/tmp/otr-loop-XXXXXX";
    REQUIRE(mkdtemp(path) != NULL);
    OTR_CLEANUP(free_loop) otr_loop *loop = make_loop();
    OTR_CLEANUP(free_folder) otr_folder *folder = NULL;
    otr_err e = { 0 };
    told t = { 0 };
    REQUIRE_OK(otr_folder_new(loop, path, on_name, &t, &folder, &e), e);
    REQUIRE(touch(path, "wanted", "1"));
    wait_wanted(loop, &t, 0);
    REQUIRE(touch(path, "other", "2"));
    char from[64], to[64];
    (void)snprintf(from, sizeof(from), "%s/other", path);
    (void)snprintf(to, sizeof(to), "%s/wanted", path);
    unsigned before = t.wanted;
    REQUIRE(rename(from, to) == 0);
    wait_wanted(loop, &t, before);
}
