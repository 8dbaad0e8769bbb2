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
#include <sys/types.h>

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
    const otr_err *failed; /* why the program was never run; NULL: it was. Borrowed, too */
    int exit_status;       /* -1 when ended by a signal */
    int term_signal;       /* 0 when it exited */
    bool timed_out;        /* killed at the deadline */
    bool truncated;        /* wrote more than max_output_bytes: some is dropped */
    otr_bytes output;      /* stdout and stderr together; borrowed until the callback returns */
} otr_child_result;
typedef void otr_child_fn(void *arg, const otr_child_result *result);

/* Where a child runs and whose it is; what is not given is as ours. */
typedef struct otr_child_place {
    int program_fd; /* what is executed (O_PATH will do), whatever `file` leads to by then; -1:
                       `file` */
    int root_fd;    /* becomes its root folder; -1 */
    int cwd_fd;     /* its working folder, entered after that; -1 */
    const int *namespaces; /* descriptors of /proc/<pid>/ns/…, entered in this order first */
    size_t n_namespaces;
    bool take_user; /* then what follows counts: nothing of our own rights is left */
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* supplementary ones */
    size_t n_groups;
    uint64_t capabilities; /* bits: the most that it can ever have */
    uint64_t ambient;      /* bits: that it has, though not root */
    int umask;             /* -1: ours */
    uint64_t files;        /* soft limit of descriptors; 0: that of otr_loop_child_files() */
} otr_child_place;

typedef struct otr_child_spec {
    const char *file;             /* absolute path: PATH is never searched */
    const char *const *argv;      /* NULL-terminated, argv[0] included */
    const char *const *env;       /* NULL-terminated; NULL: ours */
    const otr_child_place *place; /* NULL: as we are */
    uint64_t timeout_ms;          /* then SIGKILL */
    size_t max_output_bytes;
    bool keep_end;      /* of longer output the end is kept, not the beginning */
    otr_child_fn *done; /* once, on the loop; never from inside otr_child_start() */
    void *arg;
} otr_child_spec;

/* Starts a program without a shell, with an empty stdin and no other descriptor of ours, in a
 * session of its own: a kill takes its helpers with it, and our own end is its end. `done` follows
 * its exit at once, also when a helper still holds its output, and tells, too, that there is no
 * such program or that what `place` asks for failed: then nothing was run. `*ret` is freed by the
 * caller after or before `done`; before means: kill it and do not call `done`. */
otr_code otr_child_start(otr_loop *loop, const otr_child_spec *spec, otr_child **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_child_free(otr_child *child);
/* The soft limit of descriptors that children get; 0: that of this process. */
void otr_loop_child_files(otr_loop *loop, uint64_t limit);

#endif
