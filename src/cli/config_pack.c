#include "cli/config_pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"

enum { COPY_BYTES = 65536, DEPTH = 32, TAR_HEAD = 512, MAGIC_AT = 257 };

/* ---- a file without a name ---- */

static otr_code unnamed(int *ret, otr_err *err)
{
    const char *folder = getenv("TMPDIR");
    folder = folder != NULL && folder[0] == '/' ? folder : "/tmp";
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        otr_buf name;
        otr_buf_init(&name, OTR_LIMIT_HISTORY_PATH_BYTES);
        if (otr_buf_addf(&name, err, "%s/outrider-XXXXXX", folder) != OTR_OK) {
            otr_buf_deinit(&name);
            return OTR_ENOMEM;
        }
        fd = mkostemp((char *)name.p, O_CLOEXEC);
        if (fd >= 0) {
            (void)unlink(otr_buf_text(&name));
        }
        otr_buf_deinit(&name);
    }
    *ret = fd;
    return fd >= 0 ? OTR_OK : otr_fail_sys(err, errno, "cannot make a file in %s", folder);
}

static otr_code write_all(int fd, otr_bytes bytes, otr_err *err)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return otr_fail_sys(err, errno, "cannot write a temporary file (see TMPDIR)");
        }
        n = n > 0 ? n : 0;
        bytes = (otr_bytes){ bytes.p + n, bytes.n - (size_t)n };
    }
    return OTR_OK;
}

static otr_code to_fd(void *arg, otr_bytes bytes, otr_err *err)
{
    const otr_pack *pack = arg;
    return write_all(pack->fd, bytes, err);
}

otr_code otr_pack_open(otr_pack *pack, otr_err *err)
{
    *pack = (otr_pack){ .fd = -1 };
    pack->tar = (otr_tarw){ .sink = to_fd, .arg = pack };
    return unnamed(&pack->fd, err);
}

void otr_pack_close(otr_pack *pack)
{
    if (pack->fd >= 0) {
        close(pack->fd);
        pack->fd = -1;
    }
}

/* ---- one file ---- */

static ssize_t read_some(int fd, uint8_t *to, size_t n)
{
    ssize_t got;
    do {
        got = read(fd, to, n);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* Exactly as many bytes as were announced. */
static otr_code add_content(otr_pack *pack, int fd, uint64_t bytes, const char *path, otr_err *err)
{
    uint8_t part[COPY_BYTES];
    while (bytes > 0) {
        size_t want = bytes < sizeof(part) ? (size_t)bytes : sizeof(part);
        ssize_t n = read_some(fd, part, want);
        if (n <= 0) {
            return n < 0 ? otr_fail_sys(err, errno, "cannot read %s", path)
                         : otr_fail(err, OTR_EIO, "%s became shorter while it was read", path);
        }
        otr_code rc = otr_tarw_content(&pack->tar, (otr_bytes){ part, (size_t)n }, err);
        if (rc != OTR_OK) {
            return rc;
        }
        bytes -= (uint64_t)n;
    }
    return OTR_OK;
}

static otr_code add_file(otr_pack *pack, int fd, const struct stat *st, const char *name,
                         otr_err *err)
{
    const otr_tarw_entry member = { .name = name,
                                    .kind = '0',
                                    .mode = st->st_mode & 07777,
                                    .uid = st->st_uid,
                                    .gid = st->st_gid,
                                    .bytes = (uint64_t)st->st_size };
    otr_code rc = otr_tarw_add(&pack->tar, &member, err);
    rc = rc == OTR_OK ? add_content(pack, fd, member.bytes, name, err) : rc;
    pack->files += rc == OTR_OK;
    return rc;
}

/* ---- a folder ---- */

static otr_code add_folder(otr_pack *pack, int fd, const char *name, unsigned depth, otr_err *err);

static otr_code add_link(otr_pack *pack, int dir, const char *base, const char *name, otr_err *err)
{
    char target[4096];
    ssize_t n = readlinkat(dir, base, target, sizeof(target) - 1);
    if (n < 0) {
        return otr_fail_sys(err, errno, "cannot read the link %s", name);
    }
    target[n] = '\0';
    const otr_tarw_entry member = { .name = name, .link = target, .kind = '2', .mode = 0777 };
    pack->files++;
    return otr_tarw_add(&pack->tar, &member, err);
}

/* Looked at as a place first: neither a FIFO nor a device is ever opened. */
static otr_code add_name(otr_pack *pack, int dir, const char *base, const char *name,
                         unsigned depth, otr_err *err)
{
    struct stat st;
    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return otr_fail_sys(err, errno, "cannot look at %s", name);
    }
    if (S_ISLNK(st.st_mode)) {
        return add_link(pack, dir, base, name, err);
    }
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        return otr_fail(err, OTR_EINVAL, "%s is neither a file nor a folder", name);
    }
    int kind = S_ISDIR(st.st_mode) ? O_DIRECTORY : O_NONBLOCK;
    int fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | kind);
    if (fd < 0 || fstat(fd, &st) != 0) {
        otr_code rc = otr_fail_sys(err, errno, "cannot open %s", name);
        if (fd >= 0) {
            close(fd);
        }
        return rc;
    }
    otr_code rc;
    if (S_ISDIR(st.st_mode)) {
        return add_folder(pack, fd, name, depth + 1, err); /* takes the descriptor */
    }
    rc = S_ISREG(st.st_mode) ? add_file(pack, fd, &st, name, err)
                             : otr_fail(err, OTR_EINVAL, "%s is no file any more", name);
    close(fd);
    return rc;
}

typedef struct names {
    char **items;
    size_t n, cap;
} names;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static otr_code list_names(DIR *dir, const char *of, names *ret, otr_err *err)
{
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir); /* NOLINT(concurrency-mt-unsafe): main thread */
        if (e == NULL) {
            break;
        }
        if (e->d_name[0] == '.') {
            continue;
        }
        if (ret->n >= OTR_LIMIT_HISTORY_FILES) {
            return otr_fail(err, OTR_EQUOTA, "%s has more than %d names", of,
                            OTR_LIMIT_HISTORY_FILES);
        }
        otr_code rc = otr_grow(&ret->items, ret->n, &ret->cap, sizeof(char *), err);
        if (rc != OTR_OK || (ret->items[ret->n] = otr_strdup(e->d_name)) == NULL) {
            return rc != OTR_OK ? rc : otr_fail_nomem(err);
        }
        ret->n++;
    }
    if (errno != 0) {
        return otr_fail_sys(err, errno, "cannot list %s", of);
    }
    if (ret->n > 0) {
        qsort(ret->items, ret->n, sizeof(char *), by_text);
    }
    return OTR_OK;
}

static otr_code add_names(otr_pack *pack, DIR *dir, const char *of, const names *all,
                          unsigned depth, otr_err *err)
{
    otr_buf name;
    int fd = dirfd(dir);
    otr_code rc = fd >= 0 ? OTR_OK : otr_fail_sys(err, errno, "cannot list %s", of);
    otr_buf_init(&name, OTR_LIMIT_HISTORY_PATH_BYTES);
    for (size_t i = 0; rc == OTR_OK && i < all->n; i++) {
        otr_buf_clear(&name);
        rc = otr_buf_addf(&name, err, "%s%s%s", of, of[0] != '\0' ? "/" : "", all->items[i]);
        rc = rc == OTR_OK ? add_name(pack, fd, all->items[i], otr_buf_text(&name), depth, err) : rc;
    }
    otr_buf_deinit(&name);
    return rc;
}

/* Takes `fd` in every case. `name` is "" for the one that was given. */
static otr_code add_folder(otr_pack *pack, int fd, const char *name, unsigned depth, otr_err *err)
{
    names all = { .n = 0 };
    DIR *dir = depth <= DEPTH ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        otr_code rc = depth <= DEPTH
                          ? otr_fail_sys(err, errno, "cannot list %s", name)
                          : otr_fail(err, OTR_EQUOTA, "%s: more than %d folders within each other",
                                     name, DEPTH);
        close(fd);
        return rc;
    }
    otr_code rc = list_names(dir, name, &all, err);
    rc = rc == OTR_OK ? add_names(pack, dir, name, &all, depth, err) : rc;
    for (size_t i = 0; i < all.n; i++) {
        otr_free(all.items[i]);
    }
    otr_free(all.items);
    closedir(dir);
    return rc;
}

/* ---- a tar, standard input ---- */

static bool is_tar(const uint8_t *head, size_t n)
{
    return n >= TAR_HEAD && memcmp(head + MAGIC_AT, "ustar", 5) == 0;
}

static otr_code check_packed(const uint8_t *head, size_t n, const char *path, otr_err *err)
{
    static const struct {
        const char *magic, *name;
        size_t bytes;
    } kinds[] = { { "\x1f\x8b", "gzip", 2 },
                  { "BZh", "bzip2", 3 },
                  { "\xfd"
                    "7zXZ",
                    "xz", 5 },
                  { "\x28\xb5\x2f\xfd", "zstd", 4 },
                  { "PK\x03\x04", "zip", 4 } };
    for (size_t i = 0; i < OTR_COUNT(kinds); i++) {
        if (n >= kinds[i].bytes && memcmp(head, kinds[i].magic, kinds[i].bytes) == 0) {
            return otr_fail(err, OTR_EINVAL,
                            "%s is compressed (%s): unpack it and give a tar or a folder", path,
                            kinds[i].name);
        }
    }
    return OTR_OK;
}

static otr_code copy_rest(int from, int to, const char *path, uint64_t *bytes, otr_err *err)
{
    uint8_t part[COPY_BYTES];
    for (;;) {
        ssize_t n = read_some(from, part, sizeof(part));
        if (n <= 0) {
            return n == 0 ? OTR_OK : otr_fail_sys(err, errno, "cannot read %s", path);
        }
        otr_code rc = write_all(to, (otr_bytes){ part, (size_t)n }, err);
        if (rc != OTR_OK) {
            return rc;
        }
        *bytes += (uint64_t)n;
    }
}

static otr_code read_head(int fd, uint8_t head[TAR_HEAD], size_t *ret_n, const char *path,
                          otr_err *err)
{
    size_t n = 0;
    ssize_t got = 1;
    while (n < TAR_HEAD && (got = read_some(fd, head + n, TAR_HEAD - n)) > 0) {
        n += (size_t)got;
    }
    *ret_n = n;
    return got >= 0 ? OTR_OK : otr_fail_sys(err, errno, "cannot read %s", path);
}

/* What was read of it already, then the rest. */
static otr_code take_tar(otr_pack *pack, int fd, otr_bytes head, const char *path, otr_err *err)
{
    otr_code rc = write_all(pack->fd, head, err);
    pack->bytes = head.n;
    pack->whole = true;
    pack->taken = true;
    pack->files++;
    return rc == OTR_OK ? copy_rest(fd, pack->fd, path, &pack->bytes, err) : rc;
}

/* The size of standard input is known at its end only. */
static otr_code add_input(otr_pack *pack, int fd, otr_bytes head, const char *name, otr_err *err)
{
    int spool = -1;
    uint64_t bytes = head.n;
    otr_code rc = unnamed(&spool, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = write_all(spool, head, err);
    rc = rc == OTR_OK ? copy_rest(fd, spool, "standard input", &bytes, err) : rc;
    if (rc == OTR_OK && lseek(spool, 0, SEEK_SET) != 0) {
        rc = otr_fail_sys(err, errno, "cannot read a temporary file");
    }
    const struct stat st = {
        .st_size = (off_t)bytes, .st_mode = 0644, .st_uid = geteuid(), .st_gid = getegid()
    };
    rc = rc == OTR_OK ? add_file(pack, spool, &st, name, err) : rc;
    close(spool);
    return rc;
}

static otr_code fail_nameless(const char *path, otr_err *err)
{
    return otr_fail(err, OTR_EINVAL,
                    "%s is one file: say with --to where it goes, as in --to conf.d/site.conf",
                    path);
}

static otr_code add_input_or_tar(otr_pack *pack, const char *name, otr_err *err)
{
    static const char path[] = "standard input";
    uint8_t head[TAR_HEAD];
    size_t n = 0;
    otr_code rc = read_head(STDIN_FILENO, head, &n, path, err);
    rc = rc == OTR_OK ? check_packed(head, n, path, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_bytes bytes = { head, n };
    if (is_tar(head, n)) {
        return pack->files == 0 ? take_tar(pack, STDIN_FILENO, bytes, path, err)
                                : otr_fail(err, OTR_EINVAL, "a tar stands alone");
    }
    return name != NULL ? add_input(pack, STDIN_FILENO, bytes, name, err)
                        : fail_nameless(path, err);
}

static otr_code add_regular(otr_pack *pack, const char *path, const char *name, otr_err *err)
{
    uint8_t head[TAR_HEAD];
    struct stat st;
    size_t n = 0;
    int fd = -1;
    otr_code rc = otr_file_open(path, &fd, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = read_head(fd, head, &n, path, err);
    if (rc == OTR_OK && name == NULL) {
        rc = check_packed(head, n, path, err);
    }
    if (rc == OTR_OK && is_tar(head, n)) {
        rc = pack->files == 0 ? take_tar(pack, fd, (otr_bytes){ head, n }, path, err)
                              : otr_fail(err, OTR_EINVAL, "%s is a tar and stands alone", path);
    } else if (rc == OTR_OK && name == NULL) {
        rc = fail_nameless(path, err);
    } else if (rc == OTR_OK && lseek(fd, 0, SEEK_SET) == 0) {
        rc = add_file(pack, fd, &st, name, err);
    }
    close(fd);
    return rc;
}

otr_code otr_pack_add(otr_pack *pack, const char *path, const char *name, otr_err *err)
{
    if (pack->whole) {
        return otr_fail(err, OTR_EINVAL, "nothing may stand beside a folder or a tar, as %s does",
                        path);
    }
    if (strcmp(path, "-") == 0) {
        return add_input_or_tar(pack, name, err);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOTDIR ? add_regular(pack, path, name, err)
                                : otr_fail_sys(err, errno, "cannot open %s", path);
    }
    if (pack->files > 0) {
        close(fd);
        return otr_fail(err, OTR_EINVAL, "%s is a folder and stands alone", path);
    }
    pack->whole = true;
    otr_code rc = add_folder(pack, fd, "", 0, err);
    return rc != OTR_OK ? otr_wrap(err, rc, "%s", path) : OTR_OK;
}

otr_code otr_pack_end(otr_pack *pack, otr_err *err)
{
    if (pack->taken) {
        return OTR_OK;
    }
    otr_code rc = pack->files > 0 ? otr_tarw_end(&pack->tar, err) : OTR_OK;
    pack->bytes = pack->tar.written;
    return rc;
}
