/*
 * What a guest prints, cut into lines: one collector for all engines and ABIs.
 *
 * Text without a line end waits for the rest of its line; the owner flushes at the end of each call
 * and of the instance's start, so that last words are not lost.
 *
 * Thread: that of the guest's call.
 */
#ifndef OTR_WASM_WASI_LINES_H
#define OTR_WASM_WASI_LINES_H

#include <stdbool.h>

#include "base/buf.h"

/* As otr_wasi.line: without the line break, of OTR_LIMIT_PLUGIN_LOG_BYTES at most. */
typedef void otr_line_fn(void *user, int fd, otr_bytes text);

typedef struct otr_lines { /* all zero: what is printed is dropped */
    otr_line_fn *give;     /* NULL: dropped */
    void *user;
    struct otr_line {
        char *text; /* with the first byte */
        size_t n;
    } fds[2]; /* of standard output and error */
} otr_lines;

void otr_lines_init(otr_lines *l, otr_line_fn *give, void *user);
void otr_lines_deinit(otr_lines *l); /* what waits is dropped: flush before */

/* `fd` is 1 or 2. A line is lost when memory is out: better than a guest that fails as it prints.
 */
void otr_lines_take(otr_lines *l, int fd, otr_bytes text);
void otr_lines_flush(otr_lines *l);

/* Does text wait for a line end? */
static inline bool otr_lines_wait(const otr_lines *l)
{
    return (l->fds[0].n | l->fds[1].n) != 0;
}

#endif
