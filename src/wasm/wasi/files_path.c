/* What names a file by a path below a folder. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/utf8.h"
#include "wasm/wasi/files_private.h"

enum { O_FLAG_CREAT = 1, O_FLAG_DIRECTORY = 2, O_FLAG_EXCL = 4, O_FLAG_TRUNC = 8 }; /* oflags */
enum { RACES = 16 };

int otr_wf_open_beneath(int dir, const char *path, int flags, unsigned mode)
{
    struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                            .mode = mode,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    long fd = -1;
    for (int tries = 0; tries < RACES; tries++) {
        fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN) { /* EAGAIN: something was renamed meanwhile */
            break;
        }
    }
    if (fd < 0 && errno == EXDEV) {
        errno = EPERM;
    }
    return (int)fd;
}

/* ---- paths ---- */

int32_t otr_wf_read_path(const wf_call *c, int arg, wf_path *ret)
{
    uint32_t n = wf_u32(c, arg + 1);
    const uint8_t *p = wf_at(c, wf_u32(c, arg), n);
    if (p == NULL) {
        return WASI_FAULT;
    }
    if (n >= sizeof(ret->text)) {
        return WASI_NAMETOOLONG;
    }
    for (size_t at = 0; at < n;) {
        uint32_t code = 0;
        size_t len = otr_utf8_next((otr_bytes){ p + at, n - at }, &code);
        if (len == 0) {
            return WASI_ILSEQ;
        }
        if (code == 0) {
            return WASI_INVAL;
        }
        at += len;
    }
    memcpy(ret->text, p, n);
    ret->text[n] = '\0';
    return n > 0 ? WASI_OK : WASI_NOENT;
}

void otr_wf_close_name(wf_name *n)
{
    if (n->parent >= 0) {
        (void)close(n->parent);
    }
}

/* Opens the folder that holds the last name. A slash behind the name never reaches the kernel, as
 * it would follow a link there. */
static int32_t open_parent(const wf_slot *dir, wf_path *path, wf_name *ret)
{
    char *end = path->text + strlen(path->text);
    bool slash = false;
    while (end > path->text + 1 && end[-1] == '/') {
        *--end = '\0';
        slash = true;
    }
    char *last = strrchr(path->text, '/');
    const char *parent = ".";
    ret->name = path->text;
    if (last != NULL) {
        *last = '\0';
        parent = last != path->text ? path->text : "/";
        ret->name = last + 1;
    }
    ret->slash = slash;
    ret->parent = otr_wf_open_beneath(dir->fd, parent, O_PATH | O_DIRECTORY, 0);
    if (ret->parent < 0) {
        return otr_wf_errno(errno);
    }
    if (strcmp(ret->name, "..") == 0) {
        return WASI_PERM;
    }
    return ret->name[0] == '\0' || strcmp(ret->name, ".") == 0 ? WASI_INVAL : WASI_OK;
}

int32_t otr_wf_open_name(const wf_call *c, int arg, wf_path *path, wf_name *ret)
{
    const wf_slot *dir = otr_wf_dir(c, arg);
    ret->parent = -1;
    if (dir == NULL) {
        return WASI_BADF;
    }
    int32_t error = otr_wf_read_path(c, ret->path_arg, path);
    return error == WASI_OK ? open_parent(dir, path, ret) : error;
}

/* ---- opening ---- */

static bool too_many(int fd)
{
    struct rlimit limit;
    /* The numbers are given out from below: the last quarter stays the agent's own. */
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           (rlim_t)fd >= limit.rlim_cur - limit.rlim_cur / 4;
}

typedef struct opening {
    const char *path;
    uint32_t oflags;
    int flags; /* for openat2 */
} opening;

/* Looks before it opens, since opening a FIFO or a device can already do something. */
static int32_t look(const wf_slot *dir, const opening *o)
{
    struct stat st;
    int fd = otr_wf_open_beneath(dir->fd, o->path, O_PATH | (o->flags & O_NOFOLLOW), 0);
    if (fd < 0) {
        bool creates = errno == ENOENT && (o->oflags & O_FLAG_CREAT) != 0;
        return creates ? WASI_OK : otr_wf_errno(errno);
    }
    int32_t error = fstat(fd, &st) == 0 ? WASI_OK : otr_wf_errno(errno);
    (void)close(fd);
    if (error == WASI_OK && (o->oflags & O_FLAG_EXCL) != 0 && (o->oflags & O_FLAG_CREAT) != 0) {
        return WASI_EXIST;
    }
    if (error == WASI_OK && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return WASI_PERM;
    }
    return error; /* a link that is not to be followed: the kernel says so */
}

static int32_t check_opened(int fd, struct stat *ret)
{
    if (fstat(fd, ret) != 0) {
        return otr_wf_errno(errno);
    }
    if (!S_ISREG(ret->st_mode) && !S_ISDIR(ret->st_mode)) {
        return WASI_PERM;
    }
    return too_many(fd) ? WASI_MFILE : WASI_OK;
}

static int32_t open_in(otr_wasi_files *f, const wf_slot *dir, const opening *o, uint32_t *ret)
{
    struct stat st;
    bool may_change = dir->may_change; /* `dir` may move when the table grows */
    int32_t error = look(dir, o);
    if (error != WASI_OK) {
        return error;
    }
    unsigned mode = (o->flags & O_CREAT) != 0 ? 0666 : 0;
    int fd = otr_wf_open_beneath(dir->fd, o->path, o->flags, mode);
    if (fd < 0) {
        return otr_wf_errno(errno);
    }
    error = check_opened(fd, &st);
    wf_slot *s = error == WASI_OK ? otr_wf_new_slot(f, ret) : NULL;
    if (s == NULL) {
        (void)close(fd);
        return error == WASI_OK ? WASI_MFILE : error;
    }
    int access = o->flags & O_ACCMODE;
    s->kind = S_ISDIR(st.st_mode) ? WF_DIR : WF_FILE;
    s->fd = fd;
    s->may_change = may_change;
    s->readable = access != O_WRONLY;
    s->writable = access != O_RDONLY;
    return WASI_OK;
}

/* openat2's flags from the guest's. */
static int flags_of(uint32_t lookup, uint32_t oflags, uint64_t rights)
{
    bool writes = (rights & WF_RIGHT_WRITE) != 0 || (oflags & O_FLAG_TRUNC) != 0;
    bool reads = (rights & WF_RIGHT_READ) != 0 || !writes;
    int flags = O_NONBLOCK | O_NOCTTY | (writes ? O_WRONLY : O_RDONLY);
    if (writes && reads) {
        flags = O_NONBLOCK | O_NOCTTY | O_RDWR;
    }
    if ((oflags & O_FLAG_CREAT) != 0) {
        flags |= O_CREAT | ((oflags & O_FLAG_EXCL) != 0 ? O_EXCL : 0);
    }
    flags |= (oflags & O_FLAG_TRUNC) != 0 ? O_TRUNC : 0;
    flags |= (oflags & O_FLAG_DIRECTORY) != 0 ? O_DIRECTORY : 0;
    return flags | ((lookup & WF_FOLLOW) != 0 ? 0 : O_NOFOLLOW);
}

/* What is refused before the kernel is asked. */
static int32_t check_open(const wf_slot *dir, const opening *o, uint32_t fdflags)
{
    bool changes = (o->flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != O_RDONLY;
    if ((fdflags & WF_FLAG_SYNCS) != 0) {
        return WASI_NOTSUP;
    }
    if ((o->oflags & O_FLAG_DIRECTORY) != 0 && (o->oflags & ~(uint32_t)O_FLAG_DIRECTORY) != 0) {
        return WASI_INVAL;
    }
    return changes && !dir->may_change ? WASI_PERM : WASI_OK;
}

/* (fd, lookupflags, path, its length, oflags, rights, rights to pass on, fdflags, ret) */
int32_t otr_wf_path_open(const wf_call *c)
{
    wf_path path;
    opening o = { .path = path.text, .oflags = wf_u32(c, 4) };
    const wf_slot *dir = otr_wf_slot(c, 0);
    uint8_t *ret = wf_at(c, wf_u32(c, 8), 4);
    uint32_t number = 0, fdflags = wf_u32(c, 7);
    if (dir == NULL || dir->kind == WF_STANDARD) {
        return WASI_BADF;
    }
    if (dir->kind == WF_FILE) {
        return WASI_NOTDIR;
    }
    int32_t error = ret != NULL ? otr_wf_read_path(c, 2, &path) : WASI_FAULT;
    if (error == WASI_OK) {
        o.flags = flags_of(wf_u32(c, 1), o.oflags, (uint64_t)c->vals[5].i64);
        error = check_open(dir, &o, fdflags);
    }
    if (error == WASI_OK) {
        error = open_in(c->files, dir, &o, &number);
    }
    if (error == WASI_OK) {
        c->files->slots[number].flags = (uint16_t)(fdflags & (WF_FLAG_APPEND | WF_FLAG_NONBLOCK));
        otr_le_store(ret, 4, number);
    }
    return error;
}
