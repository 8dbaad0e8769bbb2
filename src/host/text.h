/*
 * Texts of /proc and /sys: small files, lines, words and numbers. Private to src/host.
 *
 * Thread: any.
 */
#ifndef OTR_HOST_TEXT_H
#define OTR_HOST_TEXT_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

/* The file "<root><path>" whole; an empty text where there is none, it cannot be read, or it is
 * longer than OTR_LIMIT_HOST_TEXT_BYTES. Fails only when memory is out. */
otr_code otr_host_text(const char *root, const char *path, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

/* The next line of `*rest`, without its end; false: there is none. */
bool otr_host_line(otr_bytes *rest, otr_bytes *ret);
/* The next word of `*rest`, between blanks; false: there is none. */
bool otr_host_word(otr_bytes *rest, otr_bytes *ret);
bool otr_host_is(otr_bytes word, const char *text);
/* A decimal number that is all of `word`. */
bool otr_host_u64(otr_bytes word, uint64_t *ret);
bool otr_host_f64(otr_bytes word, double *ret); /* without an exponent */
/* The next word of `*rest` as a number. */
bool otr_host_next_u64(otr_bytes *rest, uint64_t *ret);
/* The number that follows `key` at the begin of a line of `text`; false: there is none. */
bool otr_host_find(otr_bytes text, const char *key, uint64_t *ret);
/* Into a string, cut at its end. */
void otr_host_copy(otr_bytes word, char *out, size_t cap);

#endif
