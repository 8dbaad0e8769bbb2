/* What acts on a name in a folder: attributes, links, making, moving and removing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "wasm/wasi/files_private.h"

enum { TIME_A = 1, TIME_A_NOW = 2, TIME_M = 4, TIME_M_NOW = 8 }; /* fstflags */
enum { NS_PER_S = 1000000000 };

static int32_t result(int rc)
{
    return rc == 0 ? WASI_OK : otr_wf_errno(errno);
}

/* ---- attributes ---- */

uint8_t otr_wf_type(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFBLK:
        return WF_TYPE_BLOCK;
    case S_IFCHR:
        return WF_TYPE_CHARACTER;
    case S_IFDIR:
        return WF_TYPE_DIRECTORY;
    case S_IFREG:
        return WF_TYPE_REGULAR;
    case S_IFSOCK:
        return WF_TYPE_STREAM;
    case S_IFLNK:
        return WF_TYPE_LINK;
    default:
        return WF_TYPE_UNKNOWN;
    }
}

static void store_time(uint8_t *to, const struct timespec *t)
{
    otr_le_store(to, 8, (uint64_t)t->tv_sec * NS_PER_S + (uint64_t)t->tv_nsec);
}

enum { STAT_BYTES = 64, UNSTABLE_STAT_BYTES = 56 };

uint8_t *otr_wf_stat_room(const wf_call *c, int arg)
{
    return wf_at(c, wf_u32(c, arg),
                 c->preview == OTR_WASI_UNSTABLE ? UNSTABLE_STAT_BYTES : STAT_BYTES);
}

/* Both begin with device, number and type; then the unstable one has its links in four bytes, and
 * all that follows eight bytes earlier. */
void otr_wf_store_stat(const wf_call *c, uint8_t *to, const struct stat *st)
{
    bool early = c->preview == OTR_WASI_UNSTABLE;
    memset(to, 0, early ? UNSTABLE_STAT_BYTES : STAT_BYTES);
    otr_le_store(to, 8, st->st_dev);
    otr_le_store(to + 8, 8, st->st_ino);
    to[16] = otr_wf_type(st->st_mode);
    if (early) {
        otr_le_store(to + 20, 4, st->st_nlink < UINT32_MAX ? st->st_nlink : UINT32_MAX);
        to -= 8;
    } else {
        otr_le_store(to + 24, 8, st->st_nlink);
    }
    otr_le_store(to + 32, 8, (uint64_t)st->st_size);
    store_time(to + 40, &st->st_atim);
    store_time(to + 48, &st->st_mtim);
    store_time(to + 56, &st->st_ctim);
}

static int32_t one_time(uint64_t ns, bool set, bool now, struct timespec *ret)
{
    if (set && now) {
        return WASI_INVAL;
    }
    *ret = (struct timespec){ .tv_nsec = now ? UTIME_NOW : UTIME_OMIT };
    if (set) {
        *ret = (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
                                  .tv_nsec = (long)(ns % NS_PER_S) };
    }
    return WASI_OK;
}

int32_t otr_wf_times(const wf_call *c, int arg, struct timespec ret[2])
{
    uint32_t flags = wf_u32(c, arg + 2);
    int32_t error = one_time((uint64_t)c->vals[arg].i64, (flags & TIME_A) != 0,
                             (flags & TIME_A_NOW) != 0, &ret[0]);
    return error == WASI_OK ? one_time((uint64_t)c->vals[arg + 1].i64, (flags & TIME_M) != 0,
                                       (flags & TIME_M_NOW) != 0, &ret[1])
                            : error;
}

/* The file that arguments 0 (folder), 1 (lookupflags) and 2 (path) name, as a path descriptor; -1:
 * see `*ret_error`. */
static int find(const wf_call *c, const wf_slot *dir, int32_t *ret_error)
{
    wf_path path;
    *ret_error = otr_wf_read_path(c, 2, &path);
    if (*ret_error != WASI_OK) {
        return -1;
    }
    int follow = (wf_u32(c, 1) & WF_FOLLOW) != 0 ? 0 : O_NOFOLLOW;
    int fd = otr_wf_open_beneath(dir->fd, path.text, O_PATH | follow, 0);
    *ret_error = fd >= 0 ? WASI_OK : otr_wf_errno(errno);
    return fd;
}

/* (folder, lookupflags, path, its length, ret: 64 bytes) */
int32_t otr_wf_path_filestat_get(const wf_call *c)
{
    const wf_slot *dir = otr_wf_dir(c, 0);
    uint8_t *ret = otr_wf_stat_room(c, 4);
    struct stat st;
    int32_t error = WASI_OK;
    if (dir == NULL) {
        return WASI_BADF;
    }
    if (ret == NULL) {
        return WASI_FAULT;
    }
    int fd = find(c, dir, &error);
    if (fd < 0) {
        return error;
    }
    error = result(fstat(fd, &st));
    (void)close(fd);
    if (error == WASI_OK) {
        otr_wf_store_stat(c, ret, &st);
    }
    return error;
}

static int32_t set_times(int fd, const struct timespec times[2])
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return otr_wf_errno(errno);
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return WASI_PERM;
    }
    return result(utimensat(fd, "", times, AT_EMPTY_PATH));
}

/* (folder, lookupflags, path, its length, access, modification, flags) */
int32_t otr_wf_path_filestat_set_times(const wf_call *c)
{
    const wf_slot *dir = otr_wf_dir(c, 0);
    struct timespec times[2];
    if (dir == NULL) {
        return WASI_BADF;
    }
    int32_t error = otr_wf_times(c, 4, times);
    if (error != WASI_OK) {
        return error;
    }
    if (!dir->may_change) {
        return WASI_PERM;
    }
    int fd = find(c, dir, &error);
    if (fd < 0) {
        return error;
    }
    error = set_times(fd, times);
    (void)close(fd);
    return error;
}

/* ---- names ---- */

/* With a slash behind it, a name must be that of a folder. */
static int32_t check_slash(const wf_name *n)
{
    struct stat st;
    if (!n->slash) {
        return WASI_OK;
    }
    if (fstatat(n->parent, n->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return otr_wf_errno(errno);
    }
    return S_ISDIR(st.st_mode) ? WASI_OK : WASI_NOTDIR;
}

/* Of a folder that was granted for writing only. */
static int32_t open_to_change(const wf_call *c, int arg, wf_path *path, wf_name *ret)
{
    const wf_slot *dir = otr_wf_dir(c, arg);
    ret->parent = -1;
    if (dir == NULL) {
        return WASI_BADF;
    }
    return dir->may_change ? otr_wf_open_name(c, arg, path, ret) : WASI_PERM;
}

/* (folder, path, its length) */
int32_t otr_wf_path_create_directory(const wf_call *c)
{
    wf_path path;
    wf_name n = { .path_arg = 1 };
    int32_t error = open_to_change(c, 0, &path, &n);
    error = error == WASI_OK ? result(mkdirat(n.parent, n.name, 0777)) : error;
    otr_wf_close_name(&n);
    return error;
}

/* (folder, path, its length) */
int32_t otr_wf_path_remove_directory(const wf_call *c)
{
    wf_path path;
    wf_name n = { .path_arg = 1 };
    int32_t error = open_to_change(c, 0, &path, &n);
    error = error == WASI_OK ? result(unlinkat(n.parent, n.name, AT_REMOVEDIR)) : error;
    otr_wf_close_name(&n);
    return error;
}

/* (folder, path, its length) */
int32_t otr_wf_path_unlink_file(const wf_call *c)
{
    wf_path path;
    wf_name n = { .path_arg = 1 };
    int32_t error = open_to_change(c, 0, &path, &n);
    error = error == WASI_OK ? check_slash(&n) : error;
    error = error == WASI_OK ? result(unlinkat(n.parent, n.name, 0)) : error;
    otr_wf_close_name(&n);
    return error;
}

/* (folder, path, its length, to, room, ret): cut to fit. A link to an absolute path, which leads
 * nowhere, would tell of what lies outside. */
int32_t otr_wf_path_readlink(const wf_call *c)
{
    wf_path path;
    wf_name n = { .path_arg = 1, .parent = -1 };
    char text[PATH_MAX];
    uint8_t *to = wf_at(c, wf_u32(c, 3), wf_u32(c, 4)), *ret = wf_at(c, wf_u32(c, 5), 4);
    int32_t error = to != NULL && ret != NULL ? otr_wf_open_name(c, 0, &path, &n) : WASI_FAULT;
    ssize_t len = 0;
    if (error == WASI_OK) {
        len = readlinkat(n.parent, n.name, text, sizeof(text));
        error = len >= 0 ? check_slash(&n) : otr_wf_errno(errno);
    }
    otr_wf_close_name(&n);
    if (error == WASI_OK && len > 0 && text[0] == '/') {
        error = WASI_PERM;
    }
    if (error == WASI_OK) {
        size_t part = (size_t)len < wf_u32(c, 4) ? (size_t)len : wf_u32(c, 4);
        memcpy(to, text, part);
        otr_le_store(ret, 4, part);
    }
    return error;
}

/* (target, its length, folder, path, its length) */
int32_t otr_wf_path_symlink(const wf_call *c)
{
    wf_path target, path;
    wf_name n = { .path_arg = 3 };
    int32_t error = open_to_change(c, 2, &path, &n);
    error = error == WASI_OK ? otr_wf_read_path(c, 0, &target) : error;
    if (error == WASI_OK && (n.slash || target.text[0] == '/')) {
        error = n.slash ? WASI_NOENT : WASI_PERM;
    }
    error = error == WASI_OK ? result(symlinkat(target.text, n.parent, n.name)) : error;
    otr_wf_close_name(&n);
    return error;
}

/* (from folder, lookupflags, from, its length, to folder, to, its length): a link itself can get
 * another name, what it points to cannot. */
int32_t otr_wf_path_link(const wf_call *c)
{
    wf_path from_path, to_path;
    wf_name from = { .path_arg = 2 }, to = { .path_arg = 5, .parent = -1 };
    int32_t error = open_to_change(c, 0, &from_path, &from);
    error = error == WASI_OK ? open_to_change(c, 4, &to_path, &to) : error;
    if (error == WASI_OK && (wf_u32(c, 1) & WF_FOLLOW) != 0) {
        error = WASI_INVAL;
    }
    error = error == WASI_OK ? check_slash(&from) : error;
    error = error == WASI_OK && to.slash ? WASI_NOENT : error;
    error =
        error == WASI_OK ? result(linkat(from.parent, from.name, to.parent, to.name, 0)) : error;
    otr_wf_close_name(&from);
    otr_wf_close_name(&to);
    return error;
}

/* (from folder, from, its length, to folder, to, its length) */
int32_t otr_wf_path_rename(const wf_call *c)
{
    wf_path from_path, to_path;
    wf_name from = { .path_arg = 1 }, to = { .path_arg = 4, .parent = -1 };
    int32_t error = open_to_change(c, 0, &from_path, &from);
    error = error == WASI_OK ? open_to_change(c, 3, &to_path, &to) : error;
    if (error == WASI_OK && (from.slash || to.slash)) {
        from.slash = true; /* only a folder can become what is named like one */
        error = check_slash(&from);
    }
    error = error == WASI_OK ? result(renameat(from.parent, from.name, to.parent, to.name)) : error;
    otr_wf_close_name(&from);
    otr_wf_close_name(&to);
    return error;
}
