/*
 * Every call that touches a file system, in one table: so that tests can record, fail and drop
 * them.
 *
 * Each slot is the system call of its name, with its errno. None is optional. They are called by
 * the wrappers below only, which take a call again that a signal broke off.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHANGE_FILEOPS_H
#define OTR_NGINX_CHANGE_FILEOPS_H

#include <linux/openat2.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_fileops otr_fileops;

struct otr_fileops {
    int (*open)(const otr_fileops *ops, int dir, const char *path, const struct open_how *how);
    int (*stat)(const otr_fileops *ops, int dir, const char *path, struct stat *ret); /* no link */
    ssize_t (*pread)(const otr_fileops *ops, int fd, void *to, size_t n, off_t at);
    ssize_t (*pwrite)(const otr_fileops *ops, int fd, const void *from, size_t n, off_t at);
    int (*truncate)(const otr_fileops *ops, int fd, off_t n);
    int (*sync)(const otr_fileops *ops, int fd);
    void (*write_out)(const otr_fileops *ops, int fd); /* sync_file_range(2): a hint */
    int (*mkdir)(const otr_fileops *ops, int dir, const char *name, mode_t mode);
    int (*chmod)(const otr_fileops *ops, int fd, mode_t mode);
    int (*chown)(const otr_fileops *ops, int fd, uid_t uid, gid_t gid);
    int (*setxattr)(const otr_fileops *ops, int fd, const char *name, const void *value, size_t n);
    int (*unsetxattr)(const otr_fileops *ops, int fd, const char *name);
    int (*rename)(const otr_fileops *ops, int from_dir, const char *from, int to_dir,
                  const char *to, unsigned flags); /* renameat2 */
    int (*link)(const otr_fileops *ops, int from_dir, const char *from, int to_dir, const char *to);
    int (*unlink)(const otr_fileops *ops, int dir, const char *name, int flags);
    int (*lock)(const otr_fileops *ops, int fd); /* flock(2), exclusive, without waiting */
    int (*close)(const otr_fileops *ops, int fd);
};

/* The system's own. */
extern const otr_fileops otr_fileops_system;

/* Below folder `dir` (AT_FDCWD: none): neither ".." nor a link of any kind is followed; `flags` as
 * for open(2), with O_CLOEXEC added. -1: errno. */
int otr_fileops_open(const otr_fileops *ops, int dir, const char *path, int flags, mode_t mode);
/* A folder of our own or the root of an NGINX: links above it are followed. */
int otr_fileops_open_folder(const otr_fileops *ops, const char *path, int flags);
/* All of it; -1: errno. */
int otr_fileops_write(const otr_fileops *ops, int fd, otr_bytes data, uint64_t at);
/* What `name` in `dir` is, a link itself; `dir` -1 or no such name: false with errno ENOENT. */
bool otr_fileops_stat(const otr_fileops *ops, int dir, const char *name, struct stat *ret);
int otr_fileops_sync(const otr_fileops *ops, int fd);
/* Appends what `fd` holds from its beginning on. */
otr_code otr_fileops_read(const otr_fileops *ops, int fd, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

#endif
