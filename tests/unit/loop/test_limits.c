/* The loop, and libuv below it, where descriptors end: errors that say so, nothing lost, all well
 * after. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "support/test.h"

enum { MANY = 3000 };

static void free_loop(void *slot)
{
    otr_loop_free(*(otr_loop **)slot);
}

static struct rlimit limit_now(void)
{
    struct rlimit limit = { 0 };
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    return limit;
}

static void put_back(const struct rlimit *limit)
{
    (void)setrlimit(RLIMIT_NOFILE, limit);
}

/* From now on nothing can be opened. */
static void no_more_descriptors(const struct rlimit *before)
{
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest);
    struct rlimit none = { .rlim_cur = (rlim_t)lowest, .rlim_max = before->rlim_max };
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
}

typedef struct seen {
    otr_loop *loop;
    unsigned calls;
    int fd; /* read from in the call */
} seen;

static void count_read(void *arg, int events)
{
    seen *s = arg;
    char c;
    s->calls += (events & OTR_WATCH_READ) != 0 && read(s->fd, &c, 1) == 1;
}

static void on_child(void *arg, const otr_child_result *result)
{
    seen *s = arg;
    s->calls += result->exit_status == 0;
    otr_loop_stop(s->loop);
}

T_NO_OOM(a_loop_needs_descriptors_and_says_so)
{
    OTR_CLEANUP(put_back) struct rlimit before = limit_now();
    otr_loop *loop = NULL;
    otr_err e = { 0 };
    no_more_descriptors(&before);
    CHECK(otr_loop_new(&loop, &e) != OTR_OK);
    CHECK_INT(e.sys, EMFILE);
    put_back(&before);
    REQUIRE_OK(otr_loop_new(&loop, &e), e);
    otr_loop_free(loop);
}

T_NO_OOM(a_child_without_descriptors_is_an_error_and_the_next_one_runs)
{
    OTR_CLEANUP(put_back) struct rlimit before = limit_now();
    OTR_CLEANUP(free_loop) otr_loop *loop = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_loop_new(&loop, &e), e);
    seen s = { .loop = loop };
    otr_child *child = NULL;
    otr_child_spec spec = { .file = "/bin/true",
                            .argv = (const char *const[]){ "true", NULL },
                            .timeout_ms = 10000,
                            .max_output_bytes = 100,
                            .done = on_child,
                            .arg = &s };
    no_more_descriptors(&before);
    CHECK(otr_child_start(loop, &spec, &child, &e) != OTR_OK);
    CHECK_INT(e.sys, EMFILE);
    CHECK(child == NULL);
    put_back(&before);
    REQUIRE_OK(otr_child_start(loop, &spec, &child, &e), e);
    otr_loop_run(loop);
    CHECK_INT(s.calls, 1);
    otr_child_free(child);
}

T_NO_OOM(a_folder_without_descriptors_is_an_error_and_can_be_watched_later)
{
    OTR_CLEANUP(put_back) struct rlimit before = limit_now();
    OTR_CLEANUP(free_loop) otr_loop *loop = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_loop_new(&loop, &e), e);
    otr_folder *folder = NULL;
    no_more_descriptors(&before);
    CHECK(otr_folder_new(loop, "/tmp", NULL, NULL, &folder, &e) != OTR_OK);
    CHECK_INT(e.sys, EMFILE);
    put_back(&before);
    REQUIRE_OK(otr_folder_new(loop, "/tmp", NULL, NULL, &folder, &e), e);
    otr_folder_free(folder);
}

T_NO_OOM(thousands_of_watches_each_hear_of_their_own)
{
    OTR_CLEANUP(put_back) struct rlimit before = limit_now();
    struct rlimit more = { .rlim_cur = before.rlim_max, .rlim_max = before.rlim_max };
    (void)setrlimit(RLIMIT_NOFILE, &more);
    if (more.rlim_cur < 2 * MANY + 100) {
        otr_test_skip("the hard limit of descriptors is too small");
        return;
    }
    OTR_CLEANUP(free_loop) otr_loop *loop = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_loop_new(&loop, &e), e);
    static seen all[MANY];
    static otr_watch *watches[MANY];
    static int fds[MANY][2];
    for (int i = 0; i < MANY; i++) {
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]) == 0);
        all[i] = (seen){ .loop = loop, .fd = fds[i][0] };
        REQUIRE_OK(
            otr_watch_new(loop, fds[i][0], OTR_WATCH_READ, count_read, &all[i], &watches[i], &e),
            e);
    }
    unsigned heard = 0;
    for (int i = 0; i < MANY; i++) {
        CHECK(write(fds[i][1], "x", 1) == 1);
    }
    for (int i = 0; i < 20; i++) {
        otr_loop_step(loop, 1);
    }
    for (int i = 0; i < MANY; i++) {
        heard += all[i].calls == 1;
        otr_watch_free(watches[i]);
        close(fds[i][0]);
        close(fds[i][1]);
    }
    CHECK_INT(heard, MANY);
}

T(a_stopped_watch_is_silent_until_it_is_started)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_loop_new(&loop, &e), e);
    int fds[2];
    REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
    seen s = { .loop = loop, .fd = fds[0] };
    otr_watch *watch = NULL;
    otr_code rc = otr_watch_new(loop, fds[0], OTR_WATCH_READ, count_read, &s, &watch, &e);
    otr_watch_stop(watch);
    CHECK(write(fds[1], "x", 1) == 1);
    otr_loop_step(loop, 1);
    CHECK_INT(s.calls, 0);
    otr_watch_start(watch);
    otr_loop_step(loop, 100);
    otr_watch_free(watch);
    close(fds[0]);
    close(fds[1]);
    CHECK(rc == OTR_OK);
    CHECK_INT(s.calls, 1);
}

T(a_watch_is_told_what_it_is_set_for)
{
    OTR_CLEANUP(free_loop) otr_loop *loop = NULL;
    otr_err e = { 0 };
    REQUIRE_OK(otr_loop_new(&loop, &e), e);
    int fds[2];
    REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
    seen s = { .loop = loop, .fd = fds[0] };
    otr_watch *watch = NULL;
    otr_code rc = otr_watch_new(loop, fds[0], OTR_WATCH_WRITE, count_read, &s, &watch, &e);
    CHECK(write(fds[1], "x", 1) == 1);
    otr_loop_step(loop, 1);
    CHECK_INT(s.calls, 0);
    otr_watch_set(watch, OTR_WATCH_READ);
    otr_loop_step(loop, 100);
    otr_watch_free(watch);
    close(fds[0]);
    close(fds[1]);
    CHECK(rc == OTR_OK);
    CHECK_INT(s.calls, 1);
}
