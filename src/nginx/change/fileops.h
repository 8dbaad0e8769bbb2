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
#include <sys/stat.h>
#include <sys/types.h>

#include "base/base.h"

typedef struct otr_fileops otr_fileops;

struct otr_fileops {
    int (*open)(const otr_fileops *ops, int dir, const char *path, const struct open_how *how);
    int (*stat)(const otr_fileops *ops, int dir, const char *path, struct stat *ret); /* no link */
    ssize_t (*pread)(const otr_fileops *ops, int fd, void *to, size_t n, off_t at);
    ssize_t (*pwrite)(const otr_fileops *ops, int fd, const void *from, size_t n, off_t at);
    int (*truncate)(const otr_fileops *ops, int fd, off_t n);
    int (*sync)(const otr_fileops *ops, int fd);
    int (*mkdir)(const otr_fileops *ops, int dir, const char *name, mode_t mode);
    int (*chmod)(const otr_fileops *ops, int fd, mode_t mode);
    int (*chown)(const otr_fileops *ops, int fd, uid_t uid, gid_t gid);
    int (*setxattr)(const otr_fileops *ops, int fd, const char *name, const void *value, size_t n);
    int (*rename)(const otr_fileops *ops, int from_dir, const char *from, int to_dir,
                  const char *to, unsigned flags); /* renameat2 */
    int (*link)(const otr_fileops *ops, int from_dir, const char *from, int to_dir, const char *to);
    int (*unlink)(const otr_fileops *ops, int dir, const char *name, int flags);
    int (*close)(const otr_fileops *ops, int fd);
};

/* The system's own. */
extern const otr_fileops otr_fileops_system;

#endif
