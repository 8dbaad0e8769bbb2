/* What needs an open descriptor: reading, writing, positions, attributes, listing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wasm/wasi/files_private.h"

enum { MOST_PIECES = 1024, PIECES_AT_ONCE = 16, LIST_BYTES = 8192, DIRENT_BYTES = 24 };
enum { ALL_RIGHTS = (1 << 30) - 1, SEEK_RIGHTS = 1 << 2, SIZE_RIGHTS = 1 << 19 | 1 << 22 };
enum { READDIR_RIGHT = 1 << 14 };

/* ---- reading and writing ---- */

/* The first pieces of the list in arguments 1 and 2, as far as one call goes. It may be partial:
 * that keeps it short. */
static int32_t take_pieces(const wf_call *c, struct iovec iov[PIECES_AT_ONCE], int *ret_n)
{
    uint32_t n = wf_u32(c, 2);
    if (n > MOST_PIECES) {
        return WASI_INVAL;
    }
    const uint8_t *pieces = wf_at(c, wf_u32(c, 1), (uint64_t)n * 8);
    if (pieces == NULL) {
        return WASI_FAULT;
    }
    int used = 0;
    size_t room = OTR_LIMIT_WASI_IO_BYTES;
    for (uint32_t k = 0; k < n && used < PIECES_AT_ONCE && room > 0; k++) {
        size_t len = otr_le_load(pieces + (size_t)k * 8 + 4, 4);
        uint8_t *p = wf_at(c, (uint32_t)otr_le_load(pieces + (size_t)k * 8, 4), len);
        if (p == NULL) {
            return WASI_FAULT;
        }
        len = len < room ? len : room;
        room -= len;
        if (len > 0) {
            iov[used++] = (struct iovec){ p, len };
        }
    }
    *ret_n = used;
    return WASI_OK;
}

typedef enum direction { READING, WRITING } direction;

static int32_t transfer(const wf_call *c, wf_slot *s, direction d, uint64_t *at, uint8_t *ret)
{
    struct iovec iov[PIECES_AT_ONCE];
    int n = 0;
    bool append = (s->flags & WF_FLAG_APPEND) != 0 && d == WRITING;
    if (d == READING ? !s->readable : !s->writable) {
        return WASI_BADF;
    }
    int32_t error = take_pieces(c, iov, &n);
    if (error != WASI_OK) {
        return error;
    }
    ssize_t done = 0;
    if (n > 0 && d == READING) {
        done = preadv(s->fd, iov, n, (off_t)*at);
    } else if (n > 0) {
        done = pwritev2(s->fd, iov, n, (off_t)*at, append ? RWF_APPEND : 0);
    }
    if (done < 0) {
        return otr_wf_errno(errno);
    }
    *at += (uint64_t)done;
    if (append) { /* the kernel wrote at the end, wherever that was */
        struct stat st;
        *at = fstat(s->fd, &st) == 0 ? (uint64_t)st.st_size : *at;
    }
    otr_le_store(ret, 4, (uint64_t)done);
    return WASI_OK;
}

/* (fd, pieces, n, ret) for a standard stream: the input is at its end, the rest is printed. */
static int32_t standard(const wf_call *c, const wf_slot *s, direction d, uint8_t *ret)
{
    struct iovec iov[PIECES_AT_ONCE];
    int n = 0;
    uint64_t sum = 0;
    if ((d == READING) != (s->standard == 0)) {
        return WASI_BADF;
    }
    int32_t error = take_pieces(c, iov, &n);
    for (int k = 0; error == WASI_OK && d == WRITING && k < n; k++) {
        size_t room = OTR_LIMIT_WASI_PRINT_BYTES - sum;
        size_t len = iov[k].iov_len < room ? iov[k].iov_len : room;
        c->files->engine->print(c->inst, s->standard, iov[k].iov_base, len);
        sum += len;
    }
    if (error == WASI_OK) {
        otr_le_store(ret, 4, sum);
    }
    return error;
}

static int32_t at_position(const wf_call *c, direction d)
{
    wf_slot *s = otr_wf_slot(c, 0);
    uint8_t *ret = wf_at(c, wf_u32(c, 3), 4);
    if (s == NULL || s->kind == WF_DIR) {
        return WASI_BADF;
    }
    if (ret == NULL) {
        return WASI_FAULT;
    }
    return s->kind == WF_STANDARD ? standard(c, s, d, ret) : transfer(c, s, d, &s->position, ret);
}

static int32_t at_offset(const wf_call *c, direction d)
{
    wf_slot *s = otr_wf_slot(c, 0);
    uint64_t at = (uint64_t)c->vals[3].i64;
    uint8_t *ret = wf_at(c, wf_u32(c, 4), 4);
    if (s == NULL || s->kind == WF_DIR) {
        return WASI_BADF;
    }
    if (s->kind == WF_STANDARD) {
        return WASI_SPIPE;
    }
    return ret != NULL ? transfer(c, s, d, &at, ret) : WASI_FAULT;
}

/* (fd, pieces, n, ret) */
int32_t otr_wf_fd_read(const wf_call *c)
{
    return at_position(c, READING);
}

/* (fd, pieces, n, ret) */
int32_t otr_wf_fd_write(const wf_call *c)
{
    return at_position(c, WRITING);
}

/* (fd, pieces, n, offset, ret) */
int32_t otr_wf_fd_pread(const wf_call *c)
{
    return at_offset(c, READING);
}

/* (fd, pieces, n, offset, ret) */
int32_t otr_wf_fd_pwrite(const wf_call *c)
{
    return at_offset(c, WRITING);
}

/* ---- positions ---- */

static int32_t seekable(const wf_call *c, wf_slot **ret)
{
    wf_slot *s = otr_wf_slot(c, 0);
    if (s == NULL || s->kind == WF_DIR) {
        return WASI_BADF;
    }
    *ret = s;
    return s->kind == WF_STANDARD ? WASI_SPIPE : WASI_OK;
}

/* (fd, offset, whence: set, current, end; ret) */
int32_t otr_wf_fd_seek(const wf_call *c)
{
    static const uint32_t unstable[] = { SEEK_CUR, SEEK_END, SEEK_SET };
    uint32_t whence = wf_u32(c, 2);
    wf_slot *s = NULL;
    struct stat st = { 0 };
    int32_t error = seekable(c, &s);
    uint8_t *ret = wf_at(c, wf_u32(c, 3), 8);
    if (error != WASI_OK) {
        return error;
    }
    if (ret == NULL) {
        return WASI_FAULT;
    }
    if (c->preview == OTR_WASI_UNSTABLE && whence < OTR_COUNT(unstable)) {
        whence = unstable[whence];
    }
    if (whence == SEEK_END && fstat(s->fd, &st) != 0) {
        return otr_wf_errno(errno);
    }
    const int64_t from[] = { 0, (int64_t)s->position, st.st_size };
    int64_t to = 0;
    if (whence >= OTR_COUNT(from) || __builtin_add_overflow(from[whence], c->vals[1].i64, &to) ||
        to < 0) {
        return WASI_INVAL;
    }
    s->position = (uint64_t)to;
    otr_le_store(ret, 8, s->position);
    return WASI_OK;
}

/* (fd, ret) */
int32_t otr_wf_fd_tell(const wf_call *c)
{
    wf_slot *s = NULL;
    int32_t error = seekable(c, &s);
    uint8_t *ret = wf_at(c, wf_u32(c, 1), 8);
    if (error != WASI_OK) {
        return error;
    }
    if (ret == NULL) {
        return WASI_FAULT;
    }
    otr_le_store(ret, 8, s->position);
    return WASI_OK;
}

/* ---- files ---- */

/* (fd, offset, length, advice) */
int32_t otr_wf_fd_advise(const wf_call *c)
{
    static const int advices[] = { POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL, POSIX_FADV_RANDOM,
                                   POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,   POSIX_FADV_NOREUSE };
    const wf_slot *s = otr_wf_file(c, 0);
    if (s == NULL) {
        return WASI_BADF;
    }
    if (wf_u32(c, 3) >= OTR_COUNT(advices) || c->vals[1].i64 < 0 || c->vals[2].i64 < 0) {
        return WASI_INVAL;
    }
    int sys = posix_fadvise(s->fd, c->vals[1].i64, c->vals[2].i64, advices[wf_u32(c, 3)]);
    return sys == 0 ? WASI_OK : otr_wf_errno(sys);
}

/* (fd, offset, length): one call could take all of the disk; writing is bounded by time. */
int32_t otr_wf_fd_allocate(const wf_call *c)
{
    return otr_wf_file(c, 0) != NULL ? WASI_NOTSUP : WASI_BADF;
}

/* (fd) */
int32_t otr_wf_fd_datasync(const wf_call *c)
{
    const wf_slot *s = otr_wf_file(c, 0);
    return s == NULL ? WASI_BADF : fdatasync(s->fd) == 0 ? WASI_OK : otr_wf_errno(errno);
}

/* (fd) */
int32_t otr_wf_fd_sync(const wf_call *c)
{
    const wf_slot *s = otr_wf_file(c, 0);
    return s == NULL ? WASI_BADF : fsync(s->fd) == 0 ? WASI_OK : otr_wf_errno(errno);
}

/* (fd, size) */
int32_t otr_wf_fd_filestat_set_size(const wf_call *c)
{
    const wf_slot *s = otr_wf_file(c, 0);
    if (s == NULL) {
        return WASI_BADF;
    }
    if (!s->may_change) {
        return WASI_PERM;
    }
    if (!s->writable || c->vals[1].i64 < 0) {
        return WASI_INVAL;
    }
    return ftruncate(s->fd, c->vals[1].i64) == 0 ? WASI_OK : otr_wf_errno(errno);
}

/* (fd, access, modification, flags) */
int32_t otr_wf_fd_filestat_set_times(const wf_call *c)
{
    const wf_slot *s = otr_wf_slot(c, 0);
    struct timespec times[2];
    int32_t error = otr_wf_times(c, 1, times);
    if (s == NULL || s->kind == WF_STANDARD) {
        return WASI_BADF;
    }
    if (error != WASI_OK) {
        return error;
    }
    if (!s->may_change) {
        return WASI_PERM;
    }
    /* A granted folder's descriptor is only a path, which futimens() does not take. */
    return utimensat(s->fd, "", times, AT_EMPTY_PATH) == 0 ? WASI_OK : otr_wf_errno(errno);
}

/* (fd, ret: 64 bytes) */
int32_t otr_wf_fd_filestat_get(const wf_call *c)
{
    const wf_slot *s = otr_wf_slot(c, 0);
    uint8_t *ret = otr_wf_stat_room(c, 1);
    struct stat st = { .st_mode = S_IFCHR };
    if (s == NULL) {
        return WASI_BADF;
    }
    if (ret == NULL) {
        return WASI_FAULT;
    }
    if (s->kind != WF_STANDARD && fstat(s->fd, &st) != 0) {
        return otr_wf_errno(errno);
    }
    otr_wf_store_stat(c, ret, &st);
    return WASI_OK;
}

/* ---- flags and rights ---- */

/* What guests may ask of a descriptor. The folder's grant is not shown here: libraries of guests
 * would leave out what they lack and go on, where an error is due. */
static uint64_t rights_of(const wf_slot *s)
{
    if (s->kind == WF_STANDARD) {
        return s->standard == 0 ? WF_RIGHT_READ : WF_RIGHT_WRITE;
    }
    if (s->kind == WF_DIR) {
        return ALL_RIGHTS & ~(uint64_t)(SEEK_RIGHTS | SIZE_RIGHTS | WF_RIGHT_READ | WF_RIGHT_WRITE);
    }
    uint64_t lacks = s->readable ? 0 : WF_RIGHT_READ | READDIR_RIGHT;
    return ALL_RIGHTS & ~(lacks | (s->writable ? 0 : WF_RIGHT_WRITE));
}

/* (fd, ret: type u8, flags u16 at 2, rights u64 at 8, rights to pass on u64 at 16) */
int32_t otr_wf_fd_fdstat_get(const wf_call *c)
{
    static const uint8_t types[] = {
        [WF_STANDARD] = WF_TYPE_CHARACTER, [WF_FILE] = WF_TYPE_REGULAR, [WF_DIR] = WF_TYPE_DIRECTORY
    };
    const wf_slot *s = otr_wf_slot(c, 0);
    uint8_t *ret = wf_at(c, wf_u32(c, 1), 24);
    if (s == NULL) {
        return WASI_BADF;
    }
    if (ret == NULL) {
        return WASI_FAULT;
    }
    memset(ret, 0, 24);
    ret[0] = types[s->kind];
    otr_le_store(ret + 2, 2, s->flags);
    otr_le_store(ret + 8, 8, rights_of(s));
    otr_le_store(ret + 16, 8, s->kind == WF_DIR ? ALL_RIGHTS : rights_of(s));
    return WASI_OK;
}

/* (fd, flags) */
int32_t otr_wf_fd_fdstat_set_flags(const wf_call *c)
{
    wf_slot *s = otr_wf_file(c, 0);
    if (s == NULL) {
        return WASI_BADF;
    }
    if ((wf_u32(c, 1) & ~(uint32_t)(WF_FLAG_APPEND | WF_FLAG_NONBLOCK)) != 0) {
        return WASI_INVAL;
    }
    s->flags = (uint16_t)wf_u32(c, 1); /* files are never waited for: NONBLOCK changes nothing */
    return WASI_OK;
}

/* (fd, rights, rights to pass on): rights are what was opened, and stay. */
int32_t otr_wf_fd_fdstat_set_rights(const wf_call *c)
{
    const wf_slot *s = otr_wf_slot(c, 0);
    return s != NULL && s->kind != WF_STANDARD ? WASI_NOTSUP : WASI_BADF;
}

/* ---- listing ---- */

typedef struct kernel_dirent { /* getdents64(2) */
    uint64_t inode;
    int64_t next;
    uint16_t bytes;
    uint8_t type;
    char name[];
} kernel_dirent;

typedef struct listing {
    const wf_slot *dir;
    uint8_t *to;
    size_t room, used;
    uint64_t inode; /* of the folder itself */
} listing;

static uint8_t type_of(const kernel_dirent *e, int dir)
{
    struct stat st = { .st_mode = DTTOIF((mode_t)e->type) };
    if (e->type == DT_UNKNOWN && fstatat(dir, e->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        st.st_mode = 0;
    }
    return otr_wf_type(st.st_mode);
}

/* As much of the entry as there is room for: a full buffer tells the guest to ask again. */
static void put_entry(listing *l, const kernel_dirent *e, int dir)
{
    uint8_t head[DIRENT_BYTES] = { 0 };
    size_t n = strlen(e->name), room = l->room - l->used;
    bool up = strcmp(e->name, "..") == 0; /* what lies above is not the guest's */
    otr_le_store(head, 8, (uint64_t)e->next);
    otr_le_store(head + 8, 8, up ? l->inode : e->inode);
    otr_le_store(head + 16, 4, n);
    head[20] = type_of(e, dir);
    size_t part = sizeof(head) < room ? sizeof(head) : room;
    memcpy(l->to + l->used, head, part);
    l->used += part;
    room -= part;
    part = n < room ? n : room;
    memcpy(l->to + l->used, e->name, part);
    l->used += part;
}

static int32_t list(listing *l, int dir, int64_t cookie)
{
    _Alignas(kernel_dirent) uint8_t block[LIST_BYTES];
    if (lseek(dir, cookie, SEEK_SET) < 0) {
        return otr_wf_errno(errno);
    }
    while (l->used < l->room) {
        long n = syscall(SYS_getdents64, dir, block, sizeof(block));
        if (n <= 0) {
            return n == 0 ? WASI_OK : otr_wf_errno(errno);
        }
        for (long at = 0; at < n && l->used < l->room;) {
            const kernel_dirent *e = (const kernel_dirent *)(block + at);
            put_entry(l, e, dir);
            at += e->bytes;
        }
    }
    return WASI_OK;
}

/* (fd, to, room, cookie, ret): a cookie is the kernel's position, so that it outlives other calls
 * and changes of the folder. */
int32_t otr_wf_fd_readdir(const wf_call *c)
{
    wf_slot *s = otr_wf_dir(c, 0);
    listing l = { .dir = s, .to = wf_at(c, wf_u32(c, 1), wf_u32(c, 2)), .room = wf_u32(c, 2) };
    uint8_t *ret = wf_at(c, wf_u32(c, 4), 4);
    struct stat st;
    if (s == NULL) {
        return WASI_BADF;
    }
    if (l.to == NULL || ret == NULL) {
        return WASI_FAULT;
    }
    l.room = l.room < OTR_LIMIT_WASI_IO_BYTES ? l.room : OTR_LIMIT_WASI_IO_BYTES;
    int dir = s->preopen != NULL ? s->list_fd : s->fd;
    if (dir < 0) { /* a granted folder's descriptor cannot be read */
        dir = s->list_fd = otr_wf_open_beneath(s->fd, ".", O_RDONLY | O_DIRECTORY, 0);
    }
    if (dir < 0 || fstat(dir, &st) != 0) {
        return otr_wf_errno(errno);
    }
    l.inode = st.st_ino;
    int32_t error = list(&l, dir, c->vals[3].i64);
    if (error == WASI_OK) {
        otr_le_store(ret, 4, l.used);
    }
    return error;
}
