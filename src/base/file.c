#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { RACES = 16, READING = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK };

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a folder";
    case S_IFIFO:
        return "a pipe (FIFO)";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "of another kind";
    }
}

/* /dev/null, which is how one says "an empty file". */
static bool is_null(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

/* Opens what `place` (O_PATH) is, for reading. Without /proc by `path`, if that is still it. */
static int open_place(int place, const struct stat *st, const char *path)
{
    char link[64];
    struct stat now;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
    int fd = open(link, READING);
    if (fd >= 0 || errno != ENOENT) {
        return fd;
    }
    fd = open(path, READING);
    if (fd >= 0 && (fstat(fd, &now) != 0 || now.st_dev != st->st_dev || now.st_ino != st->st_ino)) {
        (void)close(fd);
        errno = ESTALE;
        return -1;
    }
    return fd;
}

/* `place` is ours from now on; it is looked at, opened anew and closed. */
static otr_code read_place(int place, const char *path, int *ret_fd, struct stat *ret, otr_err *err)
{
    otr_code rc = OTR_OK;
    if (fstat(place, ret) != 0) {
        rc = otr_fail_sys(err, errno, "cannot stat %s", path);
    } else if (!S_ISREG(ret->st_mode) && !is_null(ret)) {
        rc = otr_fail(err, OTR_EINVAL, "%s is not a regular file but %s", path,
                      kind_of(ret->st_mode));
    } else if ((*ret_fd = open_place(place, ret, path)) < 0) {
        rc = otr_fail_sys(err, errno, "cannot open %s", path);
    }
    (void)close(place);
    return rc;
}

otr_code otr_file_open(const char *path, int *ret_fd, struct stat *ret, otr_err *err)
{
    int place = open(path, O_PATH | O_CLOEXEC);
    return place >= 0 ? read_place(place, path, ret_fd, ret, err)
                      : otr_fail_sys(err, errno, "cannot open %s", path);
}

static int open_beneath(int folder, const char *path)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    long fd = -1;
    for (int tries = 0; tries < RACES; tries++) {
        fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN) { /* EAGAIN: something was renamed meanwhile */
            break;
        }
    }
    return (int)fd;
}

otr_code otr_file_open_beneath(const char *folder, const char *path, int *ret_fd, struct stat *ret,
                               otr_err *err)
{
    char whole[PATH_MAX];
    int n = snprintf(whole, sizeof(whole), "%s/%s", folder, path);
    if (n < 0 || (size_t)n >= sizeof(whole)) {
        return otr_fail_sys(err, ENAMETOOLONG, "cannot open %s", path);
    }
    int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) {
        return otr_fail_sys(err, errno, "cannot open the folder %s", folder);
    }
    int place = open_beneath(at, path);
    int sys = errno;
    (void)close(at);
    if (place >= 0) {
        return read_place(place, whole, ret_fd, ret, err);
    }
    return sys == EXDEV || sys == ELOOP
               ? otr_fail(err, OTR_EDENIED, "%s leads out of the folder %s", path, folder)
               : otr_fail_sys(err, sys, "cannot open %s", whole);
}
