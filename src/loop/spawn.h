/*
 * Private to loop/child.c: from a fork to another program, in a place and with rights of its own.
 *
 * What happens between fork and exec is a list of system calls: the child of a process with threads
 * may do nothing else. The first one that fails is reported with its errno, and nothing was run.
 *
 * Thread: loop.
 */
#ifndef OTR_LOOP_SPAWN_H
#define OTR_LOOP_SPAWN_H

#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"

typedef struct otr_spawn {
    const otr_child_spec *spec;
    int output;     /* becomes stdout and stderr */
    uint64_t files; /* soft limit of descriptors; 0: ours */
} otr_spawn;

typedef struct otr_spawned {
    pid_t pid;  /* leads a session and a process group of its own */
    int pidfd;  /* readable once it ended */
    int report; /* for otr_spawn_report() */
} otr_spawned;

/* Forks and does not wait for the exec, which may take as long as the file system that it is on.
 * Both descriptors are the caller's. */
otr_code otr_spawn_start(const otr_spawn *spawn, otr_spawned *ret, otr_err *err) OTR_MUST_CHECK;
/* Of a child that ended: OTR_OK, or why `file` was never run. */
otr_code otr_spawn_report(int report, const char *file, otr_err *err) OTR_MUST_CHECK;

#endif
