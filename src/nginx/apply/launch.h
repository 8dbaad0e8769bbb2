/*
 * How a master process runs: enough to start its program alike, with its own options, place and
 * rights and nothing of ours.
 *
 * Everything is asked of the kernel by descriptors of that one process: pid and start are compared
 * last, so that all of it is of the process that was meant. What cannot be had is said, not
 * guessed: another user's rights for an agent that is not root, a user namespace of its own, a
 * container's seccomp filter, options that its title has no room for.
 *
 * Thread: any; calls block for /proc.
 */
#ifndef OTR_NGINX_APPLY_LAUNCH_H
#define OTR_NGINX_APPLY_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "nginx/proc.h"

enum { OTR_LAUNCH_NAMESPACES = 4, OTR_LAUNCH_ARGS = 12 };

typedef struct otr_launch {
    otr_child_place place; /* its pointers lead into this struct, which must not be moved */
    int namespaces[OTR_LAUNCH_NAMESPACES];
    otr_proc_owner owner;
    uint64_t lacking; /* bits: capabilities of the master that the program will not have */
    pid_t log_pid;    /* of the master as its own logs name it */
    char *binary;     /* the path, for people and argv[0] */
    char *config_arg, *prefix_arg, *error_log_arg, *global_arg; /* "": not given */
} otr_launch;

/* OTR_ESTATE: the process is gone, or another one. OTR_EUNSUP: it cannot be started alike from
 * here, and why. */
otr_code otr_launch_read(const char *proc_root, pid_t pid, uint64_t started_ticks, otr_launch *ret,
                         otr_err *err) OTR_MUST_CHECK;
/* Fills `argv` with the program, its options, then `extra`, and a NULL. Borrows from both. */
void otr_launch_argv(const otr_launch *launch, const char *extra,
                     const char *argv[OTR_LAUNCH_ARGS]);
void otr_launch_deinit(otr_launch *launch);

#endif
