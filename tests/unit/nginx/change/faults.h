/*
 * File operations that fail when they are told to.
 */
#ifndef OTR_TESTS_UNIT_NGINX_CHANGE_FAULTS_H
#define OTR_TESTS_UNIT_NGINX_CHANGE_FAULTS_H

#include <errno.h>

#include "nginx/change/fileops.h"

typedef struct faults {
    otr_fileops ops; /* first: operations are told apart by it */
    long calls;      /* so far */
    long fail_at;    /* the call that fails, from 1 on; 0: none */
    int sys;         /* how; 0: a write of half of it */
    bool for_ever;   /* and all after it */
    bool no_flags;   /* of a file system that knows no flags of renames … */
    bool no_links;   /* … nor hard links */
    bool stuck;      /* the one that failed */
} faults;

static inline bool faults_hit(const otr_fileops *ops)
{
    faults *f = (faults *)(uintptr_t)ops;
    f->calls++;
    bool hit = f->fail_at > 0 && (f->calls == f->fail_at || (f->for_ever && f->calls > f->fail_at));
    if (hit && f->sys != 0) {
        f->stuck = true;
        errno = f->sys;
        return true;
    }
    return false;
}

static inline int faults_open(const otr_fileops *ops, int dir, const char *path,
                              const struct open_how *how)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.open(ops, dir, path, how);
}

static inline int faults_stat(const otr_fileops *ops, int dir, const char *path, struct stat *ret)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.stat(ops, dir, path, ret);
}

static inline ssize_t faults_pread(const otr_fileops *ops, int fd, void *to, size_t n, off_t at)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.pread(ops, fd, to, n, at);
}

static inline ssize_t faults_pwrite(const otr_fileops *ops, int fd, const void *from, size_t n,
                                    off_t at)
{
    if (faults_hit(ops)) { /* a full disk takes a part before it says so */
        (void)otr_fileops_system.pwrite(ops, fd, from, n / 2, at);
        errno = ((const faults *)ops)->sys;
        return -1;
    }
    const faults *f = (const faults *)ops;
    bool half = f->calls == f->fail_at && f->sys == 0 && n > 1;
    return otr_fileops_system.pwrite(ops, fd, from, half ? n / 2 : n, at);
}

static inline int faults_truncate(const otr_fileops *ops, int fd, off_t n)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.truncate(ops, fd, n);
}

static inline int faults_sync(const otr_fileops *ops, int fd)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.sync(ops, fd);
}

static inline void faults_write_out(const otr_fileops *ops, int fd)
{
    (void)ops;
    (void)fd;
}

static inline int faults_mkdir(const otr_fileops *ops, int dir, const char *name, mode_t mode)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.mkdir(ops, dir, name, mode);
}

static inline int faults_chmod(const otr_fileops *ops, int fd, mode_t mode)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.chmod(ops, fd, mode);
}

static inline int faults_chown(const otr_fileops *ops, int fd, uid_t uid, gid_t gid)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.chown(ops, fd, uid, gid);
}

static inline int faults_setxattr(const otr_fileops *ops, int fd, const char *name,
                                  const void *value, size_t n)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.setxattr(ops, fd, name, value, n);
}

static inline int faults_unsetxattr(const otr_fileops *ops, int fd, const char *name)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.unsetxattr(ops, fd, name);
}

static inline int faults_rename(const otr_fileops *ops, int from_dir, const char *from, int to_dir,
                                const char *to, unsigned flags)
{
    if (faults_hit(ops)) {
        return -1;
    }
    if (((const faults *)ops)->no_flags && flags != 0) {
        errno = EINVAL;
        return -1;
    }
    return otr_fileops_system.rename(ops, from_dir, from, to_dir, to, flags);
}

static inline int faults_link(const otr_fileops *ops, int from_dir, const char *from, int to_dir,
                              const char *to)
{
    if (faults_hit(ops)) {
        return -1;
    }
    if (((const faults *)ops)->no_links) {
        errno = EPERM;
        return -1;
    }
    return otr_fileops_system.link(ops, from_dir, from, to_dir, to);
}

static inline int faults_unlink(const otr_fileops *ops, int dir, const char *name, int flags)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.unlink(ops, dir, name, flags);
}

static inline int faults_lock(const otr_fileops *ops, int fd)
{
    return faults_hit(ops) ? -1 : otr_fileops_system.lock(ops, fd);
}

static inline int faults_close(const otr_fileops *ops, int fd)
{
    return otr_fileops_system.close(ops, fd); /* its errors change nothing */
}

static inline void faults_init(faults *f)
{
    *f = (faults){ .ops = { .open = faults_open,
                            .stat = faults_stat,
                            .pread = faults_pread,
                            .pwrite = faults_pwrite,
                            .truncate = faults_truncate,
                            .sync = faults_sync,
                            .write_out = faults_write_out,
                            .mkdir = faults_mkdir,
                            .chmod = faults_chmod,
                            .chown = faults_chown,
                            .setxattr = faults_setxattr,
                            .unsetxattr = faults_unsetxattr,
                            .rename = faults_rename,
                            .link = faults_link,
                            .unlink = faults_unlink,
                            .lock = faults_lock,
                            .close = faults_close } };
}

#endif
