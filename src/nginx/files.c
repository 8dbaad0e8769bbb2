#include "nginx/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { GLOB_WORDS = 64 };

static int open_in_root(const char *root, const char *path, int flags)
{
    int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return -1;
    }
    struct open_how how = { .flags = (uint64_t)(unsigned)flags, .resolve = RESOLVE_IN_ROOT };
    long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
    int sys = errno;
    close(dir);
    errno = sys;
    return (int)fd;
}

otr_code otr_root_open(const char *root, const char *path, int flags, int *ret_fd, otr_err *err)
{
    int fd = root[0] == '\0' ? open(path, flags | O_CLOEXEC)
                             : open_in_root(root, path, flags | O_CLOEXEC);
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot open %s%s", root, path);
    }
    *ret_fd = fd;
    return OTR_OK;
}

otr_code otr_root_read(const char *root, const char *path, otr_buf *out, otr_err *err)
{
    int fd = -1;
    /* Non-blocking, so that a FIFO in the place of a file cannot hold us up. */
    otr_code rc = otr_root_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd, err);
    if (rc != OTR_OK) {
        return rc;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        rc = otr_fail_sys(err, errno, "cannot read %s%s", root, path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = otr_fail(err, OTR_EINVAL, "%s%s is not a regular file", root, path);
    } else {
        rc = otr_buf_read_fd(out, fd, err);
        if (rc != OTR_OK) {
            rc = otr_wrap(err, rc, "cannot read %s%s", root, path);
        }
    }
    close(fd);
    return rc;
}

void otr_paths_deinit(otr_paths *paths)
{
    for (size_t i = 0; i < paths->n; i++) {
        otr_free(paths->items[i]);
    }
    otr_free(paths->items);
    *paths = (otr_paths){ 0 };
}

otr_code otr_paths_add(otr_paths *paths, const char *path, size_t max, otr_err *err)
{
    if (paths->n >= max) {
        return otr_fail(err, OTR_EQUOTA, "more than %zu files", max);
    }
    if (paths->n == paths->cap) {
        size_t cap = paths->cap > 0 ? 2 * paths->cap : 8;
        char **items = otr_realloc(paths->items, cap * sizeof(*items));
        if (items == NULL) {
            return otr_fail_nomem(err);
        }
        paths->items = items;
        paths->cap = cap;
    }
    char *copy = otr_strdup(path);
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    paths->items[paths->n++] = copy;
    return OTR_OK;
}

bool otr_is_glob(const char *pattern)
{
    return strpbrk(pattern, "*?[") != NULL;
}

typedef struct glob_job {
    const char *root;
    size_t max;
    otr_paths *out;
    size_t looked_at; /* directory entries: bounds the whole search */
} glob_job;

static otr_code glob_word(glob_job *job, otr_buf *path, const char *rest, unsigned depth,
                          otr_err *err);

/* `path` plus "/name", then what is left of the pattern; `path` is as before on return. */
static otr_code glob_into(glob_job *job, otr_buf *path, otr_bytes name, const char *rest,
                          unsigned depth, otr_err *err)
{
    size_t mark = path->n;
    otr_code rc = otr_buf_addc(path, '/', err);
    if (rc == OTR_OK) {
        rc = otr_buf_add(path, name, err);
    }
    if (rc == OTR_OK) {
        rc = glob_word(job, path, rest, depth + 1, err);
    }
    otr_buf_cut(path, mark);
    return rc;
}

static otr_code glob_list(glob_job *job, otr_buf *path, const char *word, const char *rest,
                          unsigned depth, otr_err *err)
{
    int fd;
    if (otr_root_open(job->root, path->n > 0 ? otr_buf_text(path) : "/", O_RDONLY | O_DIRECTORY,
                      &fd, NULL) != OTR_OK) {
        return OTR_OK; /* not there, not a directory, not ours to read: no match, as in glob(3) */
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    for (const struct dirent *e; rc == OTR_OK && (e = readdir(dir)) != NULL;) {
        if (++job->looked_at > (size_t)64 * OTR_LIMIT_NGINX_CONFIG_FILES) {
            rc = otr_fail(err, OTR_EQUOTA, "a pattern looks at too many files in %s/",
                          otr_buf_text(path));
        } else if (fnmatch(word, e->d_name, FNM_PERIOD) == 0) {
            rc = glob_into(job, path, otr_bytes_of(e->d_name), rest, depth, err);
        }
    }
    closedir(dir);
    return rc;
}

static otr_code glob_word(glob_job *job, otr_buf *path, const char *rest, unsigned depth,
                          otr_err *err)
{
    while (*rest == '/') {
        rest++;
    }
    if (*rest == '\0') {
        int fd;
        if (otr_root_open(job->root, otr_buf_text(path), O_PATH, &fd, NULL) != OTR_OK) {
            return OTR_OK;
        }
        close(fd);
        return otr_paths_add(job->out, otr_buf_text(path), job->max, err);
    }
    if (depth >= GLOB_WORDS) {
        return otr_fail(err, OTR_EQUOTA, "a pattern has more than %d parts", GLOB_WORDS);
    }
    size_t n = strcspn(rest, "/");
    char word[256];
    if (n >= sizeof(word)) {
        return OTR_OK; /* longer than any file name */
    }
    memcpy(word, rest, n);
    word[n] = '\0';
    if (!otr_is_glob(word)) {
        return glob_into(job, path, otr_bytes_of(word), rest + n, depth, err);
    }
    return glob_list(job, path, word, rest + n, depth, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

otr_code otr_root_glob(const char *root, const char *pattern, size_t max, otr_paths *out,
                       otr_err *err)
{
    glob_job job = { .root = root, .max = max, .out = out };
    size_t first = out->n;
    otr_buf path;
    otr_buf_init(&path, OTR_NGINX_PATH_BYTES);
    otr_code rc = glob_word(&job, &path, pattern, 0, err);
    otr_buf_deinit(&path);
    if (rc == OTR_OK && out->n > first) {
        qsort(out->items + first, out->n - first, sizeof(*out->items), by_name);
    }
    return rc;
}

otr_code otr_path_join(const char *dir, const char *path, otr_buf *out, otr_err *err)
{
    const char *const parts[] = { path[0] == '/' ? "" : dir, path };
    for (size_t i = 0; i < OTR_COUNT(parts); i++) {
        for (const char *at = parts[i]; *at != '\0';) {
            size_t n = strcspn(at, "/");
            if (n > 0 && !(n == 1 && at[0] == '.')) {
                otr_code rc = otr_buf_addc(out, '/', err);
                if (rc == OTR_OK) {
                    rc = otr_buf_add(out, (otr_bytes){ (const uint8_t *)at, n }, err);
                }
                if (rc != OTR_OK) {
                    return rc;
                }
            }
            at += n + (at[n] == '/');
        }
    }
    return out->n > 0 ? OTR_OK : otr_buf_addc(out, '/', err);
}
