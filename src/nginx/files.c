#include "nginx/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/path.h"

enum { GLOB_WORDS = 64 };

otr_code otr_root_read(const otr_root *root, const char *path, otr_buf *out, struct stat *ret_stat,
                       otr_err *err)
{
    int fd;
    otr_code rc = otr_root_open_file(root, path, &fd, ret_stat, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_buf_read_fd(out, fd, err);
    close(fd);
    return rc == OTR_OK ? rc : otr_wrap(err, rc, "cannot read %s%s", root->path, path);
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
    otr_code grew = otr_grow(&paths->items, paths->n, &paths->cap, sizeof(char *), err);
    if (grew != OTR_OK) {
        return grew;
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
    const otr_root *root;
    const otr_glob *glob;
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

/* What is not there does not match, as in glob(3); the rest may match, and nobody knows. */
static otr_code no_match(const glob_job *job, const otr_err *why, otr_err *err)
{
    bool absent = why->sys == ENOENT || why->sys == ENOTDIR || why->sys == ENAMETOOLONG;
    return absent || job->glob->unseen == NULL ? OTR_OK
                                               : job->glob->unseen(job->glob->arg, why, err);
}

static otr_code tell_looked(const glob_job *job, const char *path, int fd, otr_err *err)
{
    struct stat st;
    return job->glob->looked != NULL && fstat(fd, &st) == 0
               ? job->glob->looked(job->glob->arg, path, &st, err)
               : OTR_OK;
}

static otr_code glob_list(glob_job *job, otr_buf *path, const char *word, const char *rest,
                          unsigned depth, otr_err *err)
{
    int fd;
    otr_err why;
    if (otr_root_open(job->root, path->n > 0 ? otr_buf_text(path) : "/", O_RDONLY | O_DIRECTORY,
                      &fd, &why) != OTR_OK) {
        return no_match(job, &why, err);
    }
    otr_code rc = tell_looked(job, path->n > 0 ? otr_buf_text(path) : "/", fd, err);
    DIR *dir = rc == OTR_OK ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        close(fd);
        return rc != OTR_OK ? rc : otr_fail_nomem(err);
    }
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
        otr_err why;
        if (otr_root_open(job->root, otr_buf_text(path), O_PATH, &fd, &why) != OTR_OK) {
            return no_match(job, &why, err);
        }
        close(fd);
        return otr_paths_add(job->out, otr_buf_text(path), job->glob->max, err);
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

void otr_paths_unique(otr_paths *paths)
{
    size_t kept = 0;
    if (paths->n > 0) {
        qsort(paths->items, paths->n, sizeof(*paths->items), by_name);
    }
    for (size_t i = 0; i < paths->n; i++) {
        if (kept > 0 && strcmp(paths->items[kept - 1], paths->items[i]) == 0) {
            otr_free(paths->items[i]);
        } else {
            paths->items[kept++] = paths->items[i];
        }
    }
    paths->n = kept;
}

otr_code otr_root_glob(const otr_root *root, const otr_glob *glob, otr_paths *out, otr_err *err)
{
    glob_job job = { .root = root, .glob = glob, .out = out };
    size_t first = out->n;
    otr_buf path;
    otr_buf_init(&path, OTR_NGINX_PATH_BYTES);
    otr_code rc = glob_word(&job, &path, glob->pattern, 0, err);
    otr_buf_deinit(&path);
    if (rc == OTR_OK && out->n > first) {
        qsort(out->items + first, out->n - first, sizeof(*out->items), by_name);
    }
    return rc;
}

otr_code otr_path_join(const char *dir, const char *path, otr_buf *out, otr_err *err)
{
    otr_code rc = path[0] == '/' ? OTR_OK : otr_buf_addf(out, err, "/%s/", dir);
    rc = rc == OTR_OK ? otr_buf_adds(out, path, err) : rc;
    if (rc == OTR_OK) {
        otr_buf_cut(out, otr_path_clean((char *)out->p));
    }
    return rc;
}
