#include "base/thread.h"

#include <stddef.h>
#include <sys/resource.h>

#include "base/limits.h"

int otr_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc != 0) {
        return rc;
    }
    rc = pthread_attr_setstacksize(&attr, OTR_LIMIT_THREAD_STACK_BYTES);
    rc = rc == 0 ? pthread_create(ret, &attr, fn, arg) : rc;
    (void)pthread_attr_destroy(&attr);
    return rc;
}

typedef struct call {
    int (*fn)(int argc, char **argv);
    int argc;
    char **argv;
    int ret;
} call;

static void *make_call(void *arg)
{
    call *c = arg;
    c->ret = c->fn(c->argc, c->argv);
    return NULL;
}

/* The first thread's stack grows on demand, up to the limit. */
int otr_thread_with_stack(int (*fn)(int argc, char **argv), int argc, char **argv)
{
    struct rlimit limit = { 0 };
    call c = { fn, argc, argv, -1 };
    pthread_t thread;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur >= OTR_LIMIT_THREAD_STACK_BYTES) {
        return fn(argc, argv);
    }
    if (otr_thread_start(&thread, make_call, &c) == 0) {
        (void)pthread_join(thread, NULL);
    }
    return c.ret;
}
