/*
 * A byte buffer that grows up to a ceiling it was given.
 *
 * Every appending call either takes all of its input or leaves the buffer as it was: OTR_EQUOTA
 * at the ceiling, OTR_ENOMEM when memory is out. The bytes are always followed by a NUL that is
 * not counted, so `otr_buf_text()` is a C string. What is appended must not lie in the buffer.
 *
 * Thread: one at a time.
 */
#ifndef OTR_BASE_BUF_H
#define OTR_BASE_BUF_H

#include <stdarg.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_buf {
    uint8_t *p; /* NULL until the first byte */
    size_t n;
    size_t cap;
    size_t max_bytes;
} otr_buf;

/* An empty buffer that will never hold more than `max_bytes`. Allocates nothing. */
void otr_buf_init(otr_buf *buf, size_t max_bytes);
/* Releases the memory; the buffer can be used again. NULL is fine. */
void otr_buf_deinit(otr_buf *buf);
void otr_buf_clear(otr_buf *buf); /* length 0, memory kept */

/* Forgets what lies beyond the first `n` bytes. */
void otr_buf_cut(otr_buf *buf, size_t n);

/* Makes room for `extra` more bytes and returns where they go in `*ret`; otr_buf_grew() then
 * counts those that were written. */
otr_code otr_buf_reserve(otr_buf *buf, size_t extra, uint8_t **ret, otr_err *err) OTR_MUST_CHECK;
void otr_buf_grew(otr_buf *buf, size_t written);

otr_code otr_buf_add(otr_buf *buf, otr_bytes bytes, otr_err *err) OTR_MUST_CHECK;
otr_code otr_buf_adds(otr_buf *buf, const char *text, otr_err *err) OTR_MUST_CHECK;
otr_code otr_buf_addc(otr_buf *buf, char c, otr_err *err) OTR_MUST_CHECK;
otr_code otr_buf_addf(otr_buf *buf, otr_err *err, const char *format, ...) OTR_PRINTF(3, 4)
OTR_MUST_CHECK;
/* One line, whatever is put into it: as base/escape.h writes it, then a line break. */
otr_code otr_buf_add_line(otr_buf *buf, otr_err *err, const char *format, ...) OTR_PRINTF(3, 4)
OTR_MUST_CHECK;
/* Everything that `fd` has until end of file. OTR_EQUOTA when that is more than fits. */
otr_code otr_buf_read_fd(otr_buf *buf, int fd, otr_err *err) OTR_MUST_CHECK;
/* The whole file at `path`, which must be a regular one (base/file.h); an error names the path. */
otr_code otr_buf_read_file(otr_buf *buf, const char *path, otr_err *err) OTR_MUST_CHECK;

static inline otr_bytes otr_buf_bytes(const otr_buf *buf)
{
    return (otr_bytes){ buf->p, buf->n };
}

/* NUL-terminated, "" when empty; valid until the next change. */
static inline const char *otr_buf_text(const otr_buf *buf)
{
    return buf->p != NULL ? (const char *)buf->p : "";
}

#endif
