#include "nginx/change/fileops.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PIECE_BYTES = 65536, RACES = 16 };

/* ---- the system's ---- */

static int sys_open(const otr_fileops *ops, int dir, const char *path, const struct open_how *how)
{
    (void)ops;
    return (int)syscall(SYS_openat2, dir, path, how, sizeof(*how));
}

static int sys_stat(const otr_fileops *ops, int dir, const char *path, struct stat *ret)
{
    (void)ops;
    return fstatat(dir, path, ret, AT_SYMLINK_NOFOLLOW | (path[0] == '\0' ? AT_EMPTY_PATH : 0));
}

static ssize_t sys_pread(const otr_fileops *ops, int fd, void *to, size_t n, off_t at)
{
    (void)ops;
    return pread(fd, to, n, at);
}

static ssize_t sys_pwrite(const otr_fileops *ops, int fd, const void *from, size_t n, off_t at)
{
    (void)ops;
    return pwrite(fd, from, n, at);
}

static int sys_truncate(const otr_fileops *ops, int fd, off_t n)
{
    (void)ops;
    return ftruncate(fd, n);
}

static int sys_sync(const otr_fileops *ops, int fd)
{
    (void)ops;
    return fsync(fd);
}

static void sys_write_out(const otr_fileops *ops, int fd)
{
    (void)ops;
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int sys_mkdir(const otr_fileops *ops, int dir, const char *name, mode_t mode)
{
    (void)ops;
    return mkdirat(dir, name, mode);
}

static int sys_chmod(const otr_fileops *ops, int fd, mode_t mode)
{
    (void)ops;
    return fchmod(fd, mode);
}

static int sys_chown(const otr_fileops *ops, int fd, uid_t uid, gid_t gid)
{
    (void)ops;
    return fchown(fd, uid, gid);
}

static int sys_setxattr(const otr_fileops *ops, int fd, const char *name, const void *value,
                        size_t n)
{
    (void)ops;
    return fsetxattr(fd, name, value, n, 0);
}

static int sys_unsetxattr(const otr_fileops *ops, int fd, const char *name)
{
    (void)ops;
    return fremovexattr(fd, name);
}

static int sys_rename(const otr_fileops *ops, int from_dir, const char *from, int to_dir,
                      const char *to, unsigned flags)
{
    (void)ops;
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static int sys_link(const otr_fileops *ops, int from_dir, const char *from, int to_dir,
                    const char *to)
{
    (void)ops;
    return linkat(from_dir, from, to_dir, to, 0);
}

static int sys_unlink(const otr_fileops *ops, int dir, const char *name, int flags)
{
    (void)ops;
    return unlinkat(dir, name, flags);
}

static int sys_lock(const otr_fileops *ops, int fd)
{
    (void)ops;
    return flock(fd, LOCK_EX | LOCK_NB);
}

static int sys_close(const otr_fileops *ops, int fd)
{
    (void)ops;
    return close(fd);
}

const otr_fileops otr_fileops_system = {
    .open = sys_open,
    .stat = sys_stat,
    .pread = sys_pread,
    .pwrite = sys_pwrite,
    .truncate = sys_truncate,
    .sync = sys_sync,
    .write_out = sys_write_out,
    .mkdir = sys_mkdir,
    .chmod = sys_chmod,
    .chown = sys_chown,
    .setxattr = sys_setxattr,
    .unsetxattr = sys_unsetxattr,
    .rename = sys_rename,
    .link = sys_link,
    .unlink = sys_unlink,
    .lock = sys_lock,
    .close = sys_close,
};

/* ---- with patience ---- */

static int open_again(const otr_fileops *ops, int dir, const char *path, const struct open_how *how)
{
    int fd = -1;
    for (int tries = 0; tries < RACES; tries++) { /* EAGAIN: something was renamed meanwhile */
        fd = ops->open(ops, dir, path, how);
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) {
            break;
        }
    }
    return fd;
}

int otr_fileops_open_folder(const otr_fileops *ops, const char *path, int flags)
{
    struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_DIRECTORY | O_CLOEXEC) };
    return open_again(ops, AT_FDCWD, path, &how);
}

int otr_fileops_open(const otr_fileops *ops, int dir, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | (dir >= 0 ? RESOLVE_BENEATH : 0U),
    };
    return open_again(ops, dir, path, &how);
}

int otr_fileops_write(const otr_fileops *ops, int fd, otr_bytes data, uint64_t at)
{
    while (data.n > 0) {
        ssize_t n = ops->pwrite(ops, fd, data.p, data.n, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return -1;
        }
        data.p += n;
        data.n -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

bool otr_fileops_stat(const otr_fileops *ops, int dir, const char *name, struct stat *ret)
{
    if (dir < 0) {
        errno = ENOENT;
        return false;
    }
    return ops->stat(ops, dir, name, ret) == 0;
}

int otr_fileops_sync(const otr_fileops *ops, int fd)
{
    int rc;
    do {
        rc = ops->sync(ops, fd);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

otr_code otr_fileops_read(const otr_fileops *ops, int fd, otr_buf *out, otr_err *err)
{
    uint64_t at = 0;
    for (;;) {
        uint8_t *to;
        otr_code rc = otr_buf_reserve(out, PIECE_BYTES, &to, err);
        if (rc != OTR_OK) {
            return rc;
        }
        ssize_t n = ops->pread(ops, fd, to, PIECE_BYTES, (off_t)at);
        if (n == 0) {
            return OTR_OK;
        }
        if (n > 0) {
            otr_buf_grew(out, (size_t)n);
            at += (uint64_t)n;
        } else if (errno != EINTR) {
            return otr_fail_sys(err, errno, "cannot read");
        }
    }
}
