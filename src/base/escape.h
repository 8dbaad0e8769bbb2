/*
 * Foreign text made harmless: the one place that says how.
 *
 * Names, messages and bytes that a plugin, a file, a peer or NGINX wrote may drive a terminal,
 * forge a line of a log or of a table, turn the direction of what follows, or be no text at all.
 * What a reader may take for something else is written as C writes it: \n, \r, \t, \x1b, \u202e,
 * \U000e0001, and \xff for a byte that is not UTF-8. The rest stays, backslashes too, so that
 * escaping twice does no more than once.
 *
 * The edges are: the text of every otr_err (base/err.c), the log, what the command line prints
 * (cli/view.h), labels of metrics. JSON has escapes of its own (\u001b), for the same characters.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_ESCAPE_H
#define OTR_BASE_ESCAPE_H

#include <stdbool.h>

#include "base/base.h"

enum { OTR_ESCAPE_BYTES = 16 };

/* Whether `code` is a control, a separator of lines, a mark that turns the direction of text, or
 * one that cannot be seen. */
bool otr_escape_needs(uint32_t code);
/* Writes what stands for the first character of `text`, which is not empty: itself or an escape.
 * Returns how many bytes of `text` it was; `*ret_n` is how many were written. */
size_t otr_escape_next(otr_bytes text, char out[OTR_ESCAPE_BYTES], size_t *ret_n);
/* `text` into `out` of `cap` bytes, 4 at least; what does not fit is cut at a character and ends
 * with "...". Returns `out`. */
const char *otr_escape_text(otr_bytes text, char *out, size_t cap);

#endif
