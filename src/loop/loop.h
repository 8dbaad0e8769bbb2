/*
 * The loop: one thread that owns all state of the agent.
 *
 * Wraps libuv. Timers, signals, file descriptors, folders, child processes and posts from other
 * threads all end in callbacks on the loop thread, which return within a millisecond. Handles are
 * freed with their own free function; that is safe inside any callback, also the handle's own. A
 * NULL handle is fine in every free.
 *
 * Thread: loop, except otr_loop_post() (any).
 */
#ifndef OTR_LOOP_LOOP_H
#define OTR_LOOP_LOOP_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_loop otr_loop;
typedef struct otr_timer otr_timer;
typedef struct otr_signal otr_signal;
typedef struct otr_watch otr_watch;
typedef struct otr_child otr_child;
typedef struct otr_folder otr_folder;

typedef void otr_loop_fn(void *arg);

otr_code otr_loop_new(otr_loop **ret, otr_err *err) OTR_MUST_CHECK;
/* After every handle, pool and child made from it is freed; runs what is still closing. */
void otr_loop_free(otr_loop *loop);
/* Runs until otr_loop_stop(). */
void otr_loop_run(otr_loop *loop);
/* One round: waits at most `wait_ms` for something to do. For tests and offline commands. */
void otr_loop_step(otr_loop *loop, unsigned wait_ms);
void otr_loop_stop(otr_loop *loop);
/* libuv's loop, for src/net and src/nginx, which speak libuv. */
struct uv_loop_s *otr_loop_uv(otr_loop *loop);
bool otr_loop_is_mine(const otr_loop *loop); /* true on the loop thread */

/* Runs fn(arg) on the loop thread, in the order of the posts. Any thread. Never fails once the
 * caller holds a `post`: embed it in what `arg` points to; it is free again when fn runs. */
typedef struct otr_post {
    struct otr_post *next;
    otr_loop_fn *fn;
    void *arg;
} otr_post;
void otr_loop_post(otr_loop *loop, otr_post *post, otr_loop_fn *fn, void *arg);

/* Runs fn(arg) once at the end of this round, before the loop waits again; a second call before
 * that is ignored. Embed it and zero it at start; otr_loop_defer_cancel() before its memory goes.
 */
typedef struct otr_defer {
    struct otr_defer *next, *prev;
    otr_loop_fn *fn;
    void *arg;
} otr_defer;
void otr_loop_defer(otr_loop *loop, otr_defer *defer, otr_loop_fn *fn, void *arg);
void otr_loop_defer_cancel(otr_defer *defer);

otr_code otr_timer_new(otr_loop *loop, otr_loop_fn *fn, void *arg, otr_timer **ret, otr_err *err)
    OTR_MUST_CHECK;
/* First after `delay_ms`, then every `repeat_ms` (0: once). Restarts a running timer. */
void otr_timer_start(otr_timer *timer, uint64_t delay_ms, uint64_t repeat_ms);
void otr_timer_stop(otr_timer *timer);
void otr_timer_free(otr_timer *timer);

otr_code otr_signal_new(otr_loop *loop, int signum, otr_loop_fn *fn, void *arg, otr_signal **ret,
                        otr_err *err) OTR_MUST_CHECK;
void otr_signal_free(otr_signal *sig);

enum { OTR_WATCH_READ = 1, OTR_WATCH_WRITE = 2 };
typedef void otr_watch_fn(void *arg, int events);
/* Calls fn while `fd` is ready, which an error on it counts as. The fd becomes non-blocking, stays
 * the caller's and is closed after the free. */
otr_code otr_watch_new(otr_loop *loop, int fd, int events, otr_watch_fn *fn, void *arg,
                       otr_watch **ret, otr_err *err) OTR_MUST_CHECK;
/* Stops the calls until otr_watch_start(). */
void otr_watch_stop(otr_watch *watch);
void otr_watch_start(otr_watch *watch);
/* From now on for these events; starts the calls. */
void otr_watch_set(otr_watch *watch, int events);
void otr_watch_free(otr_watch *watch);

/* A name in the folder appeared, went or was written to. NULL: some name did. The text is borrowed
 * until return. */
typedef void otr_folder_fn(void *arg, const char *name);
/* Watches one folder, not what is below it. The kernel tells: an idle watch costs nothing. When the
 * folder itself goes, nothing more is told: free it and try anew. OTR_ENOTFOUND: there is none. */
otr_code otr_folder_new(otr_loop *loop, const char *path, otr_folder_fn *fn, void *arg,
                        otr_folder **ret, otr_err *err) OTR_MUST_CHECK;
void otr_folder_free(otr_folder *folder);

typedef struct otr_child_result {
    int exit_status;  /* -1 when ended by a signal */
    int term_signal;  /* 0 when it exited */
    bool timed_out;   /* killed at the deadline */
    bool truncated;   /* wrote more than max_output_bytes: the rest is dropped */
    otr_bytes output; /* stdout and stderr together; borrowed until the callback returns */
} otr_child_result;
typedef void otr_child_fn(void *arg, const otr_child_result *result);

typedef struct otr_child_spec {
    const char *file;        /* absolute path: PATH is never searched */
    const char *const *argv; /* NULL-terminated, argv[0] included */
    uint64_t timeout_ms;     /* then SIGKILL */
    size_t max_output_bytes;
    otr_child_fn *done; /* once, on the loop; never from inside otr_child_start() */
    void *arg;
} otr_child_spec;

/* Starts a program without a shell, with an empty stdin, in a session of its own: a kill takes its
 * helpers with it. `done` follows its exit at once, also when a helper still holds its output.
 * `*ret` is freed by the caller after or before `done`; before means: kill it and do not call
 * `done`. */
otr_code otr_child_start(otr_loop *loop, const otr_child_spec *spec, otr_child **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_child_free(otr_child *child);
/* The soft limit of descriptors that children get; 0: that of this process. */
void otr_loop_child_files(otr_loop *loop, uint64_t limit);

#endif
