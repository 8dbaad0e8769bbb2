#include "nginx/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "nginx/rights.h"

enum { PATH_BYTES = OTR_ROOT_PATH_BYTES, LINKS_MOST = 40 };

/* ---- the value ---- */

static size_t size_of_folders(const otr_root *root, size_t *ret_n)
{
    size_t bytes = 0, n = 0;
    for (; root->allowed != NULL && root->allowed[n] != NULL; n++) {
        bytes += strlen(root->allowed[n]) + 1;
    }
    *ret_n = n;
    return bytes;
}

static char *put_text(char **at, const char *text)
{
    size_t n = strlen(text) + 1;
    char *to = memcpy(*at, text, n);
    *at += n;
    return to;
}

otr_code otr_root_copy(const otr_root *from, otr_root **ret, otr_err *err)
{
    size_t n, texts = size_of_folders(from, &n) + strlen(from->path) + 1;
    size_t lists = (n + 1) * sizeof(char *), ids = from->n_groups * sizeof(gid_t);
    otr_root *to = otr_alloc(sizeof(*to) + lists + ids + texts);
    if (to == NULL) {
        return otr_fail_nomem(err);
    }
    *to = *from;
    const char **allowed = (const char **)(to + 1);
    gid_t *groups = (gid_t *)(allowed + n + 1);
    char *at = (char *)(groups + from->n_groups);
    to->path = put_text(&at, from->path);
    if (from->n_groups > 0) {
        memcpy(groups, from->groups, ids);
    }
    to->groups = groups;
    for (size_t i = 0; i < n; i++) {
        allowed[i] = put_text(&at, from->allowed[i]);
    }
    allowed[n] = NULL;
    to->allowed = from->allowed != NULL ? allowed : NULL;
    *ret = to;
    return OTR_OK;
}

void otr_root_free(otr_root *root)
{
    otr_free(root);
}

static bool same_folders(const char *const *a, const char *const *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

bool otr_root_eq(const otr_root *a, const otr_root *b)
{
    return strcmp(a->path, b->path) == 0 && a->uid == b->uid && a->gid == b->gid &&
           a->n_groups == b->n_groups &&
           (a->n_groups == 0 ||
            memcmp(a->groups, b->groups, a->n_groups * sizeof(*a->groups)) == 0) &&
           same_folders(a->allowed, b->allowed);
}

/* ---- places ---- */

typedef struct place { /* where absolute paths of one NGINX begin */
    const otr_root *root;
    int dir; /* its root directory; -1: our own */
} place;

/* Links such as /proc/self/fd/1 lead to what *we* have open: they are not followed. */
static int open_at(const place *at, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .resolve = resolve | RESOLVE_NO_MAGICLINKS | (at->dir >= 0 ? RESOLVE_IN_ROOT : 0),
    };
    long fd = syscall(SYS_openat2, at->dir >= 0 ? at->dir : AT_FDCWD, path, &how, sizeof(how));
    bool plain = at->dir < 0 && resolve == 0 && at->root->allowed == NULL;
    return fd < 0 && errno == ENOSYS && plain ? open(path, flags | O_CLOEXEC) : (int)fd;
}

static void close_quietly(int fd)
{
    int sys = errno;
    close(fd);
    errno = sys;
}

/* ---- allowed folders ---- */

/* What is left of `path` beneath `folder`: "." for itself; NULL: it is elsewhere. */
static const char *rest_of(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    if (strncmp(path, folder, n) != 0 || (path[n] != '/' && path[n] != '\0')) {
        return NULL;
    }
    path += n;
    while (*path == '/') {
        path++;
    }
    return *path != '\0' ? path : ".";
}

static int open_beneath(const place *at, const char *folder, const char *rest, int flags)
{
    int dir = open_at(at, folder, O_PATH | O_DIRECTORY, 0);
    if (dir < 0) {
        return -1;
    }
    struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    long fd = syscall(SYS_openat2, dir, rest, &how, sizeof(how));
    close_quietly(dir);
    return (int)fd;
}

typedef struct walk { /* a path on its way to the one without links */
    char done[PATH_BYTES];
    char left[2 * PATH_BYTES];
    unsigned links;
    otr_root_last last;
    const otr_root_visitor *visitor; /* NULL: nobody looks */
    bool missing;                    /* what exists has ended */
    size_t there;
    otr_code rc; /* of the visitor */
    otr_err *err;
} walk;

static bool is_of_proc(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* The link behind `fd`, the last part of `done`, goes back in front of what is left. */
static bool expand_link(walk *w, int fd, char *name)
{
    char target[PATH_BYTES], left[2 * PATH_BYTES];
    ssize_t n = is_of_proc(fd) ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);
    if (n <= 0 || ++w->links > LINKS_MOST) {
        errno = ELOOP;
        return false;
    }
    target[n] = '\0';
    *name = '\0'; /* at the '/' before it */
    if (target[0] == '/') {
        w->done[0] = '\0';
    }
    memcpy(left, w->left, strlen(w->left) + 1);
    int made = snprintf(w->left, sizeof(w->left), "%s/%s", target, left);
    if (made < 0 || (size_t)made >= sizeof(w->left)) {
        errno = ENAMETOOLONG;
        return false;
    }
    return true;
}

static bool tell(walk *w, const struct stat *st)
{
    if (w->visitor != NULL && w->visitor->seen != NULL) {
        w->rc = w->visitor->seen(w->visitor->arg, w->done[0] != '\0' ? w->done : "/", st, w->err);
    }
    return w->rc == OTR_OK;
}

/* Looks at `done`, whose last part begins at `name`, and follows it if it is a link. */
static bool look(walk *w, const place *at, char *name)
{
    int fd =
        open_at(at, w->done[0] != '\0' ? w->done : "/", O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
    if (fd < 0 && errno == ENOENT && w->visitor != NULL) {
        w->missing = true;
        w->there = (size_t)(name - w->done);
        return true;
    }
    if (fd < 0) {
        return false;
    }
    struct stat st;
    bool ok = fstat(fd, &st) == 0 && tell(w, &st);
    bool stays = w->last == OTR_ROOT_STAY && w->left[strspn(w->left, "/")] == '\0';
    if (ok && S_ISLNK(st.st_mode) && !stays) {
        ok = expand_link(w, fd, name);
    }
    close_quietly(fd);
    return ok;
}

/* Takes one part of what is left; false on failure. */
static bool step(walk *w, const place *at)
{
    const char *part = w->left + strspn(w->left, "/");
    size_t n = strcspn(part, "/"), len = strlen(w->done);
    char *name = w->done + len;
    bool up = n == 2 && part[0] == '.' && part[1] == '.';
    bool stay = n == 0 || (n == 1 && part[0] == '.');
    if (!up && !stay) {
        if (len + n + 2 > sizeof(w->done)) {
            errno = ENAMETOOLONG;
            return false;
        }
        *name = '/';
        memcpy(name + 1, part, n);
        name[n + 1] = '\0';
    } else if (up && w->missing) {
        errno = EINVAL;
        return false;
    } else if (up) {
        char *slash = strrchr(w->done, '/');
        w->done[slash != NULL ? (size_t)(slash - w->done) : 0] = '\0';
    }
    memmove(w->left, part + n, strlen(part + n) + 1);
    return up || stay || w->missing || look(w, at, name);
}

/* `path` without links into `w->done`. */
static bool resolve(walk *w, const place *at, const char *path)
{
    w->done[0] = '\0';
    w->links = 0;
    w->missing = false;
    w->rc = OTR_OK;
    int n = snprintf(w->left, sizeof(w->left), "%s", path);
    if (n < 0 || (size_t)n >= PATH_BYTES) {
        errno = ENAMETOOLONG;
        return false;
    }
    bool ok = w->visitor == NULL || look(w, at, w->done);
    while (ok && w->left[0] != '\0') {
        ok = step(w, at);
    }
    w->there = w->missing ? w->there : strlen(w->done);
    return ok;
}

/* By where its links end. The kernel has the last word again: a link that somebody puts in the way
 * meanwhile leads nowhere. EXDEV: outside. */
static int open_by_its_end(const place *at, const char *path, int flags)
{
    walk *file = otr_zalloc(2 * sizeof(*file));
    if (file == NULL) {
        errno = ENOMEM;
        return -1;
    }
    walk *folder = file + 1;
    int fd = -1;
    if (resolve(file, at, path)) {
        errno = EXDEV;
        for (const char *const *f = at->root->allowed; fd < 0 && *f != NULL; f++) {
            const char *rest = resolve(folder, at, *f) ? rest_of(file->done, folder->done) : NULL;
            errno = EXDEV;
            if (rest != NULL) {
                fd = open_beneath(at, folder->done, rest, flags);
                break;
            }
        }
    }
    int sys = errno;
    otr_free(file);
    errno = sys;
    return fd;
}

static int open_allowed(const place *at, const char *path, int flags)
{
    for (const char *const *f = at->root->allowed; *f != NULL; f++) {
        const char *rest = rest_of(path, *f);
        int fd = rest != NULL ? open_beneath(at, *f, rest, flags) : -1;
        if (fd >= 0 || (rest != NULL && errno != EXDEV)) {
            return fd;
        }
    }
    return open_by_its_end(at, path, flags);
}

/* ---- opening ---- */

static otr_code fail_open(const otr_root *root, const char *path, int sys, otr_err *err)
{
    if (sys == EXDEV) {
        return otr_fail(err, OTR_EDENIED, "%s%s is outside of allowed_directories", root->path,
                        path);
    }
    if (sys == ELOOP) {
        return otr_fail(err, OTR_EINVAL,
                        "%s%s leads to a stream of the process that opens it (such as "
                        "/dev/stdout) or in a circle, not to a file",
                        root->path, path);
    }
    return otr_fail_sys(err, sys, "cannot open %s%s", root->path, path);
}

static int open_place(const place *at, const char *path, int flags)
{
    return at->root->allowed != NULL ? open_allowed(at, path, flags) : open_at(at, path, flags, 0);
}

static otr_code enter(const otr_root *root, place *ret, otr_err *err)
{
    *ret = (place){ .root = root, .dir = -1 };
    if (root->path[0] != '\0') {
        ret->dir = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (ret->dir < 0) {
            return otr_fail_sys(err, errno, "cannot open %s", root->path);
        }
    }
    return OTR_OK;
}

static void leave(const place *at)
{
    if (at->dir >= 0) {
        close(at->dir);
    }
}

otr_code otr_root_open(const otr_root *root, const char *path, int flags, int *ret_fd, otr_err *err)
{
    place at;
    otr_code rc = enter(root, &at, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_rights rights;
    otr_rights_take(root, &rights);
    int fd = open_place(&at, path, flags);
    int sys = errno;
    otr_rights_give_back(&rights);
    leave(&at);
    if (fd < 0) {
        return fail_open(root, path, sys, err);
    }
    *ret_fd = fd;
    return OTR_OK;
}

/* ---- ends ---- */

/* The allowed folder that `file` ends in, by where that folder's own links end. */
static bool find_allowed(const place *at, const walk *file, walk *folder, size_t *ret)
{
    for (const char *const *f = at->root->allowed; *f != NULL; f++) {
        if (resolve(folder, at, *f) && rest_of(file->done, folder->done) != NULL) {
            *ret = strlen(folder->done);
            return true;
        }
    }
    return false;
}

static otr_code fail_follow(const otr_root *root, const char *path, const walk *w, otr_err *err)
{
    if (w->rc != OTR_OK) {
        return w->rc;
    }
    if (errno == ELOOP) {
        return otr_fail(err, OTR_EINVAL, "%s%s: its symbolic links lead in a circle or into /proc",
                        root->path, path);
    }
    if (errno == EINVAL) {
        return otr_fail(err, OTR_EINVAL, "%s%s: a link on the way leads to what does not exist",
                        root->path, path);
    }
    return otr_fail_sys(err, errno, "cannot look at %s%s", root->path, path);
}

otr_code otr_root_follow(const otr_root *root, const char *path, otr_root_last last,
                         const otr_root_visitor *visitor, otr_root_end *ret, otr_err *err)
{
    place at;
    otr_code rc = enter(root, &at, err);
    if (rc != OTR_OK) {
        return rc;
    }
    static const otr_root_visitor nobody = { 0 };
    walk *file = otr_zalloc(2 * sizeof(*file));
    if (file == NULL) {
        leave(&at);
        return otr_fail_nomem(err);
    }
    file->last = last;
    file->visitor = visitor != NULL ? visitor : &nobody;
    file->err = err;
    otr_rights rights;
    otr_rights_take(root, &rights);
    if (!resolve(file, &at, path)) {
        rc = fail_follow(root, path, file, err);
    } else if (!find_allowed(&at, file, file + 1, &ret->allowed)) {
        rc = fail_open(root, path, EXDEV, err);
    }
    otr_rights_give_back(&rights);
    leave(&at);
    if (rc == OTR_OK) {
        (void)snprintf(ret->path, sizeof(ret->path), "%s",
                       file->done[0] != '\0' ? file->done : "/");
        ret->there = file->there;
        ret->links = file->links > 0;
    }
    otr_free(file);
    return rc;
}

/* ---- regular files ---- */

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a folder";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    default:
        return "a device";
    }
}

/* Files of these are made up by the kernel as they are read; some wait, some do things. */
static bool is_made_up(int fd)
{
    static const long kinds[] = { PROC_SUPER_MAGIC,    SYSFS_MAGIC,      DEBUGFS_MAGIC,
                                  TRACEFS_MAGIC,       SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC,
                                  CGROUP2_SUPER_MAGIC, PSTOREFS_MAGIC,   EFIVARFS_MAGIC,
                                  SELINUX_MAGIC,       BPF_FS_MAGIC };
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) {
        return true;
    }
    for (size_t i = 0; i < OTR_COUNT(kinds); i++) {
        if (fs.f_type == kinds[i]) {
            return true;
        }
    }
    return false;
}

static bool is_same(int fd, const struct stat *st)
{
    struct stat own;
    return fstat(fd, &own) == 0 && own.st_dev == st->st_dev && own.st_ino == st->st_ino;
}

/* What we print or log into it would be read as NGINX's. */
static bool is_our_output(const struct stat *st)
{
    return is_same(STDOUT_FILENO, st) || is_same(STDERR_FILENO, st) ||
           otr_log_goes_to(st->st_dev, st->st_ino);
}

static otr_code check(const otr_root *root, const char *path, int fd, struct stat *st, otr_err *err)
{
    if (fstat(fd, st) != 0) {
        return otr_fail_sys(err, errno, "cannot open %s%s", root->path, path);
    }
    if (!S_ISREG(st->st_mode)) {
        return otr_fail(err, OTR_EINVAL, "%s%s is %s, not a regular file", root->path, path,
                        kind_of(st->st_mode));
    }
    if (is_made_up(fd)) {
        return otr_fail(err, OTR_EINVAL, "%s%s is made up by the kernel, not a regular file",
                        root->path, path);
    }
    if (is_our_output(st)) {
        return otr_fail(err, OTR_EINVAL, "%s%s is where this agent writes its own log", root->path,
                        path);
    }
    return OTR_OK;
}

/* Opens what was only a place. Non-blocking: its owner may hold a lease on it. */
static int reopen(int fd)
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    return open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static otr_code open_checked(const place *at, const char *path, const otr_rights *rights,
                             struct stat *st, int *ret_fd, otr_err *err)
{
    int spot = open_place(at, path, O_PATH);
    if (spot < 0) {
        return fail_open(at->root, path, errno, err);
    }
    int fd = -1;
    otr_code rc = check(at->root, path, spot, st, err);
    if (rc == OTR_OK && rights->state == OTR_RIGHTS_JUDGE && !otr_rights_may_read(at->root, spot)) {
        rc = otr_fail(err, OTR_EDENIED, "%s%s: the user of that NGINX may not read it",
                      at->root->path, path);
    } else if (rc == OTR_OK && (fd = reopen(spot)) < 0) {
        rc = otr_fail_sys(err, errno, "cannot open %s%s", at->root->path, path);
    }
    close(spot);
    *ret_fd = fd;
    return rc;
}

otr_code otr_root_open_file(const otr_root *root, const char *path, int *ret_fd,
                            struct stat *ret_stat, otr_err *err)
{
    place at;
    otr_code rc = enter(root, &at, err);
    if (rc != OTR_OK) {
        return rc;
    }
    int fd = -1;
    struct stat st;
    otr_rights rights;
    otr_rights_take(root, &rights);
    rc = open_checked(&at, path, &rights, &st, &fd, err);
    otr_rights_give_back(&rights);
    leave(&at);
    if (rc == OTR_OK) {
        *ret_fd = fd;
        if (ret_stat != NULL) {
            *ret_stat = st;
        }
    }
    return rc;
}
