/*
 * Threads that may run guests: each has a stack of its own choice.
 *
 * A thread's stack, and the program's first one, are as large as RLIMIT_STACK (systemd's
 * LimitSTACK=, `ulimit -s`) says. A guest may use OTR_LIMIT_WASM_STACK_BYTES of it before it is
 * stopped, and the compiler needs much, too: on less, recursion ends the process in place of the
 * guest.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_THREAD_H
#define OTR_BASE_THREAD_H

#include <pthread.h>

/* As pthread_create() with default attributes, but for the size of its stack: errno's value on
 * failure, 0 on success. */
int otr_thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);
/* fn(argc, argv), on the caller's stack when that may grow far enough, else on a thread of its own,
 * which is waited for. -1 when there can be none. */
int otr_thread_with_stack(int (*fn)(int argc, char **argv), int argc, char **argv);

#endif
