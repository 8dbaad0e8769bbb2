/*
 * /proc: what the kernel tells about one process.
 *
 * `proc_root` is "/proc", or a folder that looks like it (tests, a host's /proc in a container).
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_INSTANCE_PROC_H
#define OTR_NGINX_INSTANCE_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_proc_stat {
    char state; /* 'R', 'S', 'Z' … */
    pid_t ppid;
    uint64_t started_ticks; /* since boot: with the pid it names one process */
} otr_proc_stat;

/* False when there is no such process. */
bool otr_proc_stat_read(const char *proc_root, pid_t pid, otr_proc_stat *ret);

enum { OTR_PROC_COMM_BYTES = 64 };
/* The command name, without the line end; "" when there is no such process. */
void otr_proc_comm(const char *proc_root, pid_t pid, char out[OTR_PROC_COMM_BYTES]);

/* The process title or arguments up to `cap` bytes, NULs as spaces and those at the end cut, as a
 * string into `out`. Returns its length. */
size_t otr_proc_title(const char *proc_root, pid_t pid, char *out, size_t cap);

/* The target of /proc/<pid>/<name> ("exe", "cwd"); false when it cannot be read. */
bool otr_proc_link(const char *proc_root, pid_t pid, const char *name, char *out, size_t cap);

/* The children of `pid` from /proc/<pid>/task/<pid>/children, at most `cap` of them, into `out`.
 * False when this kernel does not have the file. */
bool otr_proc_children(const char *proc_root, pid_t pid, pid_t *out, size_t cap, size_t *ret_n);

/* A decimal pid that is all of `text`; 0 for anything else. */
pid_t otr_proc_pid(const char *text);

#endif
