/* Stacks under a small RLIMIT_STACK. In a child each: a limit that is lowered stays so. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/thread.h"
#include "support/test.h"

enum { SMALL = 512 * 1024, DEEP = 6 * 1024 * 1024, STEP = 4096 };

/* Uses so much of the stack, a page at a time as a guest's frames do. */
__attribute__((noinline)) static int use(int bytes)
{
    volatile char page[STEP];
    page[0] = (char)bytes;
    return bytes > STEP ? use(bytes - STEP) + page[0] - page[0] : 7;
}

static int use_deep(int argc, char **argv)
{
    (void)argv;
    return use(DEEP) + argc;
}

static void *use_deep_there(void *arg)
{
    *(int *)arg = use_deep(0, NULL);
    return NULL;
}

static int in_thread(void)
{
    pthread_t thread;
    int got = 0;
    if (otr_thread_start(&thread, use_deep_there, &got) == 0) {
        (void)pthread_join(thread, NULL);
    }
    return got;
}

static int with_stack(void)
{
    return otr_thread_with_stack(use_deep, 1, NULL);
}

/* What `fn` returns in a process whose stacks are small; 128 and more when that ended it. */
static int in_small_process(int (*fn)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        const struct rlimit small = { SMALL, SMALL };
        _exit(setrlimit(RLIMIT_STACK, &small) == 0 ? fn() : 100);
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

T_NO_OOM(a_thread_has_its_stack_whatever_the_limit_is) /* forks */
{
    CHECK_INT(in_small_process(in_thread), 7);
}

T_NO_OOM(a_call_gets_a_stack_when_the_callers_is_small) /* forks */
{
    CHECK_INT(in_small_process(with_stack), 8);
}

static pthread_t ran_on;

static int note_thread(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    ran_on = pthread_self();
    return 3;
}

T(a_call_stays_on_a_stack_that_is_large_enough)
{
    struct rlimit limit = { 0 };
    REQUIRE(getrlimit(RLIMIT_STACK, &limit) == 0);
    if (limit.rlim_cur < OTR_LIMIT_THREAD_STACK_BYTES) {
        otr_test_skip("the stack is limited here");
        return;
    }
    CHECK_INT(otr_thread_with_stack(note_thread, 0, NULL), 3);
    CHECK(pthread_equal(ran_on, pthread_self()));
}
