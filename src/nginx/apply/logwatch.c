/* What is added to error logs: files by descriptor, from where they ended. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "nginx/apply/errlogs.h"

enum { READ_BYTES = 65536, LINE_BYTES = 8192, READS_MOST = 64 };

typedef struct watched {
    char *path;
    int fd;                   /* -1: it was not there when it was last looked for */
    uint64_t at;              /* what is not read yet begins here */
    uint8_t line[LINE_BYTES]; /* a line whose end has not been seen */
    size_t n;
    bool cut; /* the rest of that line is passed over */
} watched;

struct otr_log_watch {
    otr_root *root;
    watched **items;
    size_t n;
};

void otr_log_watch_free(otr_log_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    for (size_t i = 0; watch->items != NULL && i < watch->n; i++) {
        if (watch->items[i]->fd >= 0) {
            (void)close(watch->items[i]->fd);
        }
        otr_free(watch->items[i]->path);
        otr_free(watch->items[i]);
    }
    otr_free(watch->items);
    otr_root_free(watch->root);
    otr_free(watch);
}

static otr_code add(otr_log_watch *w, const char *path, int fd, uint64_t at, otr_err *err)
{
    watched *item = otr_zalloc(sizeof(*item));
    char *copy = item != NULL ? otr_strdup(path) : NULL;
    if (copy == NULL) {
        otr_free(item);
        if (fd >= 0) {
            (void)close(fd);
        }
        return otr_fail_nomem(err);
    }
    *item = (watched){ .path = copy, .fd = fd, .at = at };
    w->items[w->n++] = item;
    return OTR_OK;
}

static otr_code open_logs(otr_log_watch *w, char *const *files, otr_unwatched_fn *unwatched,
                          void *arg, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && files[i] != NULL; i++) {
        int fd = -1;
        struct stat st = { 0 };
        otr_err why = { 0 };
        otr_code opened = otr_root_open_file(w->root, files[i], &fd, &st, &why);
        if (opened == OTR_OK) {
            rc = add(w, files[i], fd, (uint64_t)st.st_size, err);
        } else if (opened == OTR_ENOTFOUND) {
            rc = add(w, files[i], -1, 0, err);
        } else if (opened == OTR_ENOMEM) {
            rc = otr_fail_nomem(err);
        } else {
            rc = unwatched(arg, files[i], &why, err);
        }
    }
    return rc;
}

otr_code otr_log_watch_new(const otr_root *root, char *const *files, otr_unwatched_fn *unwatched,
                           void *arg, otr_log_watch **ret, otr_err *err)
{
    size_t n = 0;
    while (files != NULL && files[n] != NULL) {
        n++;
    }
    otr_log_watch *w = otr_zalloc(sizeof(*w));
    if (w == NULL) {
        return otr_fail_nomem(err);
    }
    w->items = otr_calloc(n + 1, sizeof(watched *));
    otr_code rc = w->items != NULL ? otr_root_copy(root, &w->root, err) : otr_fail_nomem(err);
    rc = rc == OTR_OK && n > 0 ? open_logs(w, files, unwatched, arg, err) : rc;
    if (rc != OTR_OK) {
        otr_log_watch_free(w);
        return rc;
    }
    *ret = w;
    return OTR_OK;
}

static otr_code end_line(watched *item, otr_log_line_fn *fn, void *arg, otr_err *err)
{
    otr_line line;
    bool whole = !item->cut || item->n == LINE_BYTES;
    size_t n = item->n;
    item->n = 0;
    item->cut = false;
    return whole && otr_line_parse((otr_bytes){ item->line, n }, &line) ? fn(arg, &line, err)
                                                                        : OTR_OK;
}

static otr_code take(watched *item, otr_bytes bytes, otr_log_line_fn *fn, void *arg, otr_err *err)
{
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && bytes.n > 0) {
        const uint8_t *end = memchr(bytes.p, '\n', bytes.n);
        size_t n = end != NULL ? (size_t)(end - bytes.p) : bytes.n;
        size_t room = LINE_BYTES - item->n;
        size_t keep = n < room ? n : room; /* a long line counts by its beginning */
        memcpy(item->line + item->n, bytes.p, keep);
        item->n += keep;
        item->cut |= keep < n;
        n += end != NULL;
        bytes = (otr_bytes){ bytes.p + n, bytes.n - n };
        if (end != NULL) {
            rc = end_line(item, fn, arg, err);
        }
    }
    return rc;
}

static void open_late(otr_log_watch *w, watched *item)
{
    int fd = -1;
    if (otr_root_open_file(w->root, item->path, &fd, NULL, NULL) == OTR_OK) {
        item->fd = fd;
    }
}

/* A file that was cut begins anew. */
static uint64_t size_of(watched *item)
{
    struct stat st;
    uint64_t size = fstat(item->fd, &st) == 0 ? (uint64_t)st.st_size : item->at;
    if (size < item->at) {
        item->at = 0;
        item->n = 0;
        item->cut = false;
    }
    return size;
}

static otr_code read_one(watched *item, otr_log_line_fn *fn, void *arg, bool *ret_missed,
                         otr_err *err)
{
    uint64_t size = size_of(item);
    uint64_t most = (uint64_t)READ_BYTES * READS_MOST;
    if (size - item->at > most) {
        item->at = size - most;
        item->n = 0;
        item->cut = true;
        *ret_missed = true;
    }
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && item->at < size) {
        uint8_t bytes[READ_BYTES];
        ssize_t n = pread(item->fd, bytes, sizeof(bytes), (off_t)item->at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        item->at += (uint64_t)n;
        rc = take(item, (otr_bytes){ bytes, (size_t)n }, fn, arg, err);
    }
    return rc;
}

otr_code otr_log_watch_read(otr_log_watch *watch, otr_log_line_fn *fn, void *arg, bool *ret_missed,
                            otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < watch->n; i++) {
        if (watch->items[i]->fd < 0) {
            open_late(watch, watch->items[i]);
        }
        if (watch->items[i]->fd >= 0) {
            rc = read_one(watch->items[i], fn, arg, ret_missed, err);
        }
    }
    return rc;
}
