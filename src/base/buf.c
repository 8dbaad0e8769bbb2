#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "base/file.h"

enum { FIRST_BYTES = 64, READ_BYTES = 65536 };

void otr_buf_init(otr_buf *buf, size_t max_bytes)
{
    *buf = (otr_buf){ .max_bytes = max_bytes };
}

void otr_buf_deinit(otr_buf *buf)
{
    if (buf != NULL) {
        otr_free(buf->p);
        otr_buf_init(buf, buf->max_bytes);
    }
}

void otr_buf_clear(otr_buf *buf)
{
    otr_buf_cut(buf, 0);
}

void otr_buf_cut(otr_buf *buf, size_t n)
{
    assert(n <= buf->n);
    buf->n = n;
    if (buf->p != NULL) {
        buf->p[n] = 0;
    }
}

static otr_code grow(otr_buf *buf, size_t need, otr_err *err)
{
    size_t cap = buf->cap > 0 ? buf->cap : FIRST_BYTES;
    while (cap < need) {
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    }
    if (buf->max_bytes < SIZE_MAX && cap > buf->max_bytes + 1) {
        cap = buf->max_bytes + 1;
    }
    uint8_t *p = otr_realloc(buf->p, cap);
    if (p == NULL) {
        return otr_fail_nomem(err);
    }
    otr_alloc_large(p, cap);
    buf->p = p;
    buf->cap = cap;
    return OTR_OK;
}

otr_code otr_buf_reserve(otr_buf *buf, size_t extra, uint8_t **ret, otr_err *err)
{
    size_t most = buf->max_bytes < SIZE_MAX ? buf->max_bytes : SIZE_MAX - 1; /* and a NUL */
    if (extra > most || buf->n > most - extra) {
        return otr_fail(err, OTR_EQUOTA, "more than the limit of %zu bytes", buf->max_bytes);
    }
    if (buf->n + extra >= buf->cap) { /* one more for the NUL */
        otr_code rc = grow(buf, buf->n + extra + 1, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    *ret = buf->p + buf->n;
    return OTR_OK;
}

void otr_buf_grew(otr_buf *buf, size_t written)
{
    assert(written < buf->cap - buf->n);
    buf->n += written;
    buf->p[buf->n] = 0;
}

otr_code otr_buf_add(otr_buf *buf, otr_bytes bytes, otr_err *err)
{
    uint8_t *at;
    if (OTR_LIKELY(bytes.n > 0 && buf->cap > buf->n && bytes.n < buf->cap - buf->n &&
                   buf->n + bytes.n <= buf->max_bytes)) {
        at = buf->p + buf->n;
        memcpy(at, bytes.p, bytes.n);
        at[bytes.n] = 0;
        buf->n += bytes.n;
        return OTR_OK;
    }
    otr_code rc = otr_buf_reserve(buf, bytes.n, &at, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (bytes.n > 0) {
        memcpy(at, bytes.p, bytes.n);
    }
    otr_buf_grew(buf, bytes.n);
    return OTR_OK;
}

otr_code otr_buf_adds(otr_buf *buf, const char *text, otr_err *err)
{
    return otr_buf_add(buf, otr_bytes_of(text), err);
}

otr_code otr_buf_addc(otr_buf *buf, char c, otr_err *err)
{
    return otr_buf_add(buf, (otr_bytes){ (const uint8_t *)&c, 1 }, err);
}

static otr_code add_args(otr_buf *buf, otr_err *err, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    char small[128];
    int n = vsnprintf(small, sizeof(small), format, args);
    otr_code rc = OTR_OK;
    if (n < 0) {
        rc = otr_fail(err, OTR_EINVAL, "text cannot be formatted");
    } else if ((size_t)n < sizeof(small)) {
        rc = otr_buf_add(buf, (otr_bytes){ (const uint8_t *)small, (size_t)n }, err);
    } else {
        uint8_t *at;
        rc = otr_buf_reserve(buf, (size_t)n, &at, err);
        if (rc == OTR_OK) {
            (void)vsnprintf((char *)at, (size_t)n + 1, format, again);
            otr_buf_grew(buf, (size_t)n);
        }
    }
    va_end(again);
    return rc;
}

otr_code otr_buf_addf(otr_buf *buf, otr_err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    otr_code rc = add_args(buf, err, format, args);
    va_end(args);
    return rc;
}

static otr_code add_escaped(otr_buf *buf, otr_bytes text, otr_err *err)
{
    size_t before = buf->n;
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && text.n > 0) {
        char one[OTR_ESCAPE_BYTES];
        size_t n = 0, took = otr_escape_next(text, one, &n);
        rc = otr_buf_add(buf, (otr_bytes){ (const uint8_t *)one, n }, err);
        text = (otr_bytes){ text.p + took, text.n - took };
    }
    if (rc != OTR_OK) {
        otr_buf_cut(buf, before);
    }
    return rc;
}

otr_code otr_buf_add_line(otr_buf *buf, otr_err *err, const char *format, ...)
{
    otr_buf line;
    va_list args;
    size_t before = buf->n;
    otr_buf_init(&line, SIZE_MAX);
    va_start(args, format);
    otr_code rc = add_args(&line, err, format, args);
    va_end(args);
    rc = rc == OTR_OK ? add_escaped(buf, otr_buf_bytes(&line), err) : rc;
    rc = rc == OTR_OK ? otr_buf_addc(buf, '\n', err) : rc;
    if (rc != OTR_OK) {
        otr_buf_cut(buf, before);
    }
    otr_buf_deinit(&line);
    return rc;
}

/* Appends what one read gives; *ret is how much that was. At the ceiling one more byte is asked
 * for, to tell a full buffer from one that would overflow. */
static otr_code read_some(otr_buf *buf, int fd, size_t *ret, otr_err *err)
{
    uint8_t one;
    uint8_t *at = &one;
    size_t room = buf->max_bytes - buf->n;
    size_t want = room < READ_BYTES ? room : READ_BYTES;
    otr_code rc = room > 0 ? otr_buf_reserve(buf, want, &at, err) : OTR_OK;
    if (rc != OTR_OK) {
        return rc;
    }
    ssize_t got;
    do {
        got = read(fd, at, room > 0 ? want : 1);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return otr_fail_sys(err, errno, "cannot read");
    }
    if (got > 0 && room == 0) {
        return otr_fail(err, OTR_EQUOTA, "more than the limit of %zu bytes", buf->max_bytes);
    }
    if (got > 0) {
        otr_buf_grew(buf, (size_t)got);
    }
    *ret = (size_t)got;
    return OTR_OK;
}

/* A file says beforehand that it is too large. */
static otr_code check_room(const otr_buf *buf, int fd, otr_err *err)
{
    struct stat st;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= at ||
        (uint64_t)(st.st_size - at) <= buf->max_bytes - buf->n) {
        return OTR_OK;
    }
    return otr_fail(err, OTR_EQUOTA, "has %lld bytes, more than the limit of %zu bytes",
                    (long long)st.st_size, buf->max_bytes);
}

otr_code otr_buf_read_fd(otr_buf *buf, int fd, otr_err *err)
{
    otr_code fits = check_room(buf, fd, err);
    if (fits != OTR_OK) {
        return fits;
    }
    size_t start = buf->n;
    otr_code rc;
    size_t got = 0;
    do {
        rc = read_some(buf, fd, &got, err);
    } while (rc == OTR_OK && got > 0);
    if (rc != OTR_OK) {
        otr_buf_cut(buf, start);
    }
    return rc;
}

otr_code otr_buf_read_file(otr_buf *buf, const char *path, otr_err *err)
{
    struct stat st;
    int fd = -1;
    otr_code rc = otr_file_open(path, &fd, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_buf_read_fd(buf, fd, err);
    close(fd);
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "%s", path);
}
