/*
 * A log_format and lines of a log: what stands before the first NUL is the format.
 *
 * Whatever the lines are, the scanner of whole lines, the one of lines in pieces and a plain
 * reference that tries every way to cut a line have to agree.
 */
#include <stdlib.h>

#include "../unit/nginx/log/reference.h"
#include "base/alloc.h"
#include "nginx/log/format.h"

enum { LONGEST = 96 }; /* line that the reference is asked about: it is cubic */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* The class that one line was counted as; 0: unparsed. */
static unsigned class_of(const otr_log_counts *c)
{
    for (unsigned i = 0; i < OTR_COUNT(c->responses); i++) {
        if (c->responses[i] > 0) {
            return 1U << i;
        }
    }
    return c->unparsed > 0 ? 0 : 1U << 5;
}

static unsigned in_pieces(const otr_log_formats *formats, otr_bytes line, size_t piece)
{
    otr_log_line *l = NULL;
    otr_log_counts c = { 0 };
    need(otr_log_line_new(formats, &l, NULL) == OTR_OK);
    for (size_t at = 0; at < line.n; at += piece) {
        size_t n = line.n - at < piece ? line.n - at : piece;
        otr_log_line_feed(l, (otr_bytes){ line.p + at, n });
    }
    otr_log_line_end(l, &c);
    otr_log_line_free(l);
    return class_of(&c);
}

static unsigned at_once(const otr_log_formats *formats, otr_bytes line)
{
    static otr_log_times times;
    memset(&times, 0, sizeof(times));
    otr_log_counts c = { .times = &times };
    (void)otr_log_formats_scan(formats, (otr_bytes){ line.p, line.n + 1 }, &c);
    uint64_t timed = 0;
    for (size_t i = 0; i < OTR_LOG_CLASSES; i++) {
        need(times.requests[i].count <= c.responses[i]);
        timed |= times.requests[i].count;
    }
    need(timed == 0 || (otr_log_formats_times(formats) & 1U << OTR_LOG_REQUEST_TIME) != 0);
    return class_of(&c);
}

/* Of several $status any may be the one that is looked for. */
static bool is_allowed(reference *r, otr_bytes line, unsigned got)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->parts[i].value != NULL && r->parts[i].value->shape == OTR_LOG_STATUS) {
            unsigned ways = reference_at(r, i, line.p, line.n);
            bool one = ways != 0 && (ways & (ways - 1)) == 0;
            if (got == (one ? ways : 0)) {
                return true;
            }
        }
    }
    return false;
}

static void check_line(const otr_log_formats *formats, reference *r, otr_bytes line)
{
    unsigned whole = at_once(formats, line), bytes = in_pieces(formats, line, 1);
    need(bytes == in_pieces(formats, line, 7));
    /* By its marks a line may be read that NGINX cannot have written. */
    need(bytes == whole || bytes == 0);
    if (r->status && !r->too_many && line.n <= LONGEST) {
        need(is_allowed(r, line, bytes));
        need(whole == bytes || reference_ways(r, line.p, line.n) == 0);
    }
}

static void check(const char *text, otr_bytes lines)
{
    otr_log_formats *formats = NULL;
    const otr_log_format format = { .text = text };
    need(otr_log_formats_new(&format, 1, &formats, NULL) == OTR_OK);
    otr_log_counts c = { 0 };
    size_t taken = otr_log_formats_scan(formats, lines, &c);
    uint64_t parsed = 0;
    for (size_t i = 0; i < OTR_COUNT(c.responses); i++) {
        parsed += c.responses[i];
    }
    need(taken <= lines.n && parsed + c.unparsed <= c.lines && c.ambiguous <= c.unparsed);
    need(taken == 0 || lines.p[taken - 1] == '\n');
    reference r;
    reference_init(&r, text != NULL ? text : "$status");
    for (size_t at = 0; text != NULL && otr_log_formats_doubt(formats) == NULL && at < taken;) {
        const uint8_t *eol = memchr(lines.p + at, '\n', taken - at);
        size_t n = (size_t)(eol - lines.p) - at;
        check_line(formats, &r, (otr_bytes){ lines.p + at, n });
        at += n + 1;
    }
    otr_log_formats_unref(formats);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t n = nul != NULL ? (size_t)(nul - data) : 0;
    otr_bytes lines =
        nul != NULL ? (otr_bytes){ nul + 1, size - n - 1 } : (otr_bytes){ data, size };
    char *text = otr_strndup((const char *)data, n);
    need(text != NULL);
    check(nul != NULL ? text : NULL, lines);
    otr_free(text);
    return 0;
}
