#include "nginx/log/tail.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/files.h"

_Static_assert((size_t)OTR_LOG_TAIL_BYTES >= 2 * (size_t)OTR_LIMIT_NGINX_LOG_LINE,
               "a line at the ceiling has to fit");

otr_code otr_log_tail_init(otr_log_tail *tail, const char *root, const char *path,
                           const char *format, otr_err *err)
{
    *tail = (otr_log_tail){ .fd = -1 };
    otr_code rc = otr_log_format_new(format, &tail->format, err);
    if (rc == OTR_EUNSUP) {
        rc = otr_log_format_lines(&tail->format, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    tail->root = otr_strdup(root);
    tail->path = otr_strdup(path);
    if (tail->root == NULL || tail->path == NULL) {
        otr_log_tail_deinit(tail);
        return otr_fail_nomem(err);
    }
    return OTR_OK;
}

static void close_file(otr_log_tail *tail)
{
    if (tail->fd >= 0) {
        close(tail->fd);
        tail->fd = -1;
    }
}

void otr_log_tail_deinit(otr_log_tail *tail)
{
    close_file(tail);
    otr_log_format_free(tail->format);
    otr_free(tail->root);
    otr_free(tail->path);
    *tail = (otr_log_tail){ .fd = -1 };
}

/* Does the file end in the middle of a line? */
static bool is_torn(int fd, uint64_t size)
{
    char last = '\n';
    return size > 0 && pread(fd, &last, 1, (off_t)size - 1) == 1 && last != '\n';
}

static void start_at(otr_log_tail *tail, uint64_t offset)
{
    tail->offset = offset;
    tail->skipping = tail->uncounted = false;
}

/* True when there is a file; `*ret_new` when it is another one than before. */
static bool open_file(otr_log_tail *tail, int *ret_fd, struct stat *st)
{
    otr_root root = { .path = tail->root };
    return otr_root_open_file(&root, tail->path, ret_fd, st, NULL) == OTR_OK;
}

/* Takes the file that the path names now, if it is not the open one. */
static bool take_new_file(otr_log_tail *tail)
{
    int fd;
    struct stat st;
    if (!open_file(tail, &fd, &st)) {
        tail->looked = true;
        return false;
    }
    if (tail->fd >= 0 && tail->dev == st.st_dev && tail->ino == st.st_ino) {
        close(fd);
        return false;
    }
    bool first = !tail->looked;
    close_file(tail);
    tail->fd = fd;
    tail->dev = st.st_dev;
    tail->ino = st.st_ino;
    tail->looked = true;
    start_at(tail, first ? (uint64_t)st.st_size : 0);
    tail->skipping = tail->uncounted = first && is_torn(fd, tail->offset);
    return true;
}

/* A file that is shorter than what we read of it was truncated; so was one in which no line ends
 * right before our place, when it has grown again since. */
static void notice_truncation(otr_log_tail *tail)
{
    struct stat st;
    if (fstat(tail->fd, &st) != 0) {
        return;
    }
    uint64_t size = (uint64_t)st.st_size;
    bool grown_again = size >= tail->offset && !tail->skipping && is_torn(tail->fd, tail->offset);
    if (size < tail->offset || grown_again) {
        start_at(tail, 0);
    }
}

/* Counts what the buffer holds; returns how many bytes of it are done with. */
static size_t take(otr_log_tail *tail, otr_bytes data)
{
    size_t done = 0;
    if (tail->skipping) {
        const uint8_t *eol = memchr(data.p, '\n', data.n);
        if (eol == NULL) {
            return data.n;
        }
        done = (size_t)(eol + 1 - data.p);
        tail->counts.lines += !tail->uncounted;
        tail->counts.unparsed += !tail->uncounted;
        tail->skipping = tail->uncounted = false;
    }
    done += otr_log_format_scan(tail->format, (otr_bytes){ data.p + done, data.n - done },
                                &tail->counts);
    if (data.n - done > OTR_LIMIT_NGINX_LOG_LINE) {
        tail->skipping = true;
        done = data.n;
    }
    return done;
}

static void read_open_file(otr_log_tail *tail, uint8_t *buffer, bool (*stop)(const void *arg),
                           const void *arg)
{
    for (;;) {
        ssize_t n = pread(tail->fd, buffer, OTR_LOG_TAIL_BYTES, (off_t)tail->offset);
        if (n <= 0) {
            return;
        }
        size_t done = take(tail, (otr_bytes){ buffer, (size_t)n });
        tail->offset += done;
        if (done == 0 || n < OTR_LOG_TAIL_BYTES || stop(arg)) {
            return;
        }
    }
}

void otr_log_tail_read(otr_log_tail *tail, uint8_t *buffer, bool (*stop)(const void *arg),
                       const void *arg)
{
    if (tail->fd >= 0) {
        notice_truncation(tail);
        read_open_file(tail, buffer, stop, arg);
    }
    if (take_new_file(tail)) {
        read_open_file(tail, buffer, stop, arg);
    }
}
