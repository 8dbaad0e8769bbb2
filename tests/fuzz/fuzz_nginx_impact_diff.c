/* Two texts, split at the first "\n%%\n": what their diff makes of the old one is the new one. */
#include <stdlib.h>
#include <string.h>

#include "nginx/impact/diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MANY_BYTES = 64 << 20 };

static void add(otr_buf *out, const uint8_t *p, size_t n)
{
    otr_err err;
    if (otr_buf_add(out, (otr_bytes){ p, n }, &err) != OTR_OK) {
        abort();
    }
}

static size_t line_end(const uint8_t *p, size_t n, size_t at)
{
    const uint8_t *feed = memchr(p + at, '\n', n - at);
    return feed != NULL ? (size_t)(feed - p) + 1 : n;
}

/* Copies lines of the old text up to the `to`-th. */
static void copy_until(otr_bytes old, size_t *at, size_t *line, size_t to, otr_buf *out)
{
    for (; *line < to; ++*line) {
        size_t end = line_end(old.p, old.n, *at);
        add(out, old.p + *at, end - *at);
        *at = end;
    }
}

static void apply(otr_bytes old, const otr_buf *diff, otr_buf *out)
{
    size_t at = 0, line = 1;
    const uint8_t *p = diff->p;
    size_t n = diff->n;
    size_t i = line_end(p, n, line_end(p, n, 0)); /* behind the head */
    while (i < n) {
        size_t end = line_end(p, n, i), len = end - i - 1;
        bool bare = end < n && p[end] == '\\';
        if (p[i] == '@') {
            char *rest;
            size_t first = strtoul((const char *)p + i + 4, &rest, 10);
            copy_until(old, &at, &line, first + (strncmp(rest, ",0 ", 3) == 0), out);
            i = end;
            continue;
        }
        len -= bare ? 1 : 0; /* the line feed belongs to the diff */
        if (p[i] != '-') {
            add(out, p + i + 1, len);
        }
        if (p[i] != '+') {
            if (old.n - at < len || memcmp(old.p + at, p + i + 1, len) != 0) {
                abort();
            }
            at += len;
            line++;
        }
        i = bare ? line_end(p, n, end) : end;
    }
    add(out, old.p + at, old.n - at);
}

static void check(otr_bytes old, otr_bytes new, unsigned context)
{
    otr_buf diff, made;
    otr_err err;
    otr_diff_stats stats;
    otr_buf_init(&diff, MANY_BYTES);
    otr_buf_init(&made, MANY_BYTES);
    otr_diff_spec spec = { .old = { "a/f", old, false },
                           .new = { "b/f", new, false },
                           .context = context };
    if (otr_diff_write(&spec, &diff, &stats, &err) != OTR_OK) {
        abort();
    }
    if (stats.kind == OTR_DIFF_SHOWN) {
        apply(old, &diff, &made);
        if (made.n != new.n || (made.n > 0 && memcmp(made.p, new.p, new.n) != 0)) {
            abort();
        }
    }
    otr_buf_deinit(&diff);
    otr_buf_deinit(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t empty[1];
    const uint8_t *cut = size > 0 ? memmem(data, size, "\n%%\n", 4) : NULL;
    size_t n = cut != NULL ? (size_t)(cut - data) : size / 2;
    size_t skip = cut != NULL ? 4 : 0;
    otr_bytes old = { size > 0 ? data : empty, n };
    otr_bytes new = { size > 0 ? data + n + skip : empty, size - n - skip };
    check(old, new, 3);
    check(new, old, 0);
    return 0;
}
