/*
 * /proc: what the kernel tells about one process.
 *
 * `proc_root` is "/proc", or a folder that looks like it (tests, a host's /proc in a container).
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_PROC_H
#define OTR_NGINX_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_proc_stat {
    char state; /* 'R', 'S', 'Z' … */
    pid_t ppid;
    pid_t session;          /* the pid of the process that began it */
    uint64_t started_ticks; /* since boot: with the pid it names one process */
} otr_proc_stat;

/* False when there is no such process, or none that may be seen. */
bool otr_proc_stat_read(const char *proc_root, pid_t pid, otr_proc_stat *ret);

enum { OTR_PROC_COMM_BYTES = 64 };
/* The command name, without the line end; "" when there is no such process. */
void otr_proc_comm(const char *proc_root, pid_t pid, char out[OTR_PROC_COMM_BYTES]);

/* The process title or arguments up to `cap` bytes, NULs as spaces and those at the end cut, as a
 * string into `out`. Returns its length. */
size_t otr_proc_title(const char *proc_root, pid_t pid, char *out, size_t cap);

/* The arguments and the environment from the memory of the process, up to `cap` bytes: what it
 * wrote over them as its title too, where the kernel shows less. Returns how many bytes. It asks
 * for more rights than the title does (ptrace). */
size_t otr_proc_arguments(const char *proc_root, pid_t pid, char *out, size_t cap);

/* The target of /proc/<pid>/<name> ("exe", "cwd"); false when it cannot be read. */
bool otr_proc_link(const char *proc_root, pid_t pid, const char *name, char *out, size_t cap);

/* The children of `pid` from /proc/<pid>/task/<pid>/children, at most `cap` of them, into `out`.
 * False when this kernel does not have the file. */
bool otr_proc_children(const char *proc_root, pid_t pid, pid_t *out, size_t cap, size_t *ret_n);

/* One file, whatever it is called; all 0: unknown. */
typedef struct otr_file_key {
    uint64_t dev, ino, mtime_ns, size;
} otr_file_key;

bool otr_file_key_eq(const otr_file_key *a, const otr_file_key *b);
bool otr_file_key_known(const otr_file_key *key);

/* The file that `path` leads to, asked of no file system that a user may serve (a mount of FUSE
 * answers when it likes): what the kernel knows already. False when it cannot be told. */
bool otr_file_key_read(const char *path, otr_file_key *ret);
/* The same of an open descriptor; `ret_regular` may be NULL. */
bool otr_file_key_of(int fd, otr_file_key *ret, bool *ret_regular);

/* Of /proc/<pid>/exe: the executable that runs, also when its path names another one by now. */
bool otr_proc_exe_key(const char *proc_root, pid_t pid, otr_file_key *ret);

enum { OTR_PROC_GROUPS = 64 };
/* Whose process it is. One that runs with several users (set-user-ID) counts as that of the one who
 * is neither root nor `own`: its title, files and environment are theirs. */
typedef struct otr_proc_owner {
    uid_t uid;
    gid_t gid;
    gid_t groups[OTR_PROC_GROUPS]; /* supplementary ones, the first of them */
    size_t n_groups;
} otr_proc_owner;
/* False when it cannot be told. */
bool otr_proc_owner_read(const char *proc_root, pid_t pid, uid_t own, otr_proc_owner *ret);

/* The inode of the namespace "net", "mnt", "pid" or "user" of a process, of this one for pid 0; 0
 * when it cannot be read. */
uint64_t otr_proc_ns(const char *proc_root, pid_t pid, const char *kind);

/* A decimal pid that is all of `text`; 0 for anything else. */
pid_t otr_proc_pid(const char *text);

#endif
