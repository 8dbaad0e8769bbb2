/*
 * A log_format and lines of a log: what stands before the first NUL is the format.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "nginx/log/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t n = nul != NULL ? (size_t)(nul - data) : 0;
    otr_bytes lines =
        nul != NULL ? (otr_bytes){ nul + 1, size - n - 1 } : (otr_bytes){ data, size };
    char *text = otr_strndup((const char *)data, n);
    otr_log_format *format = NULL;
    if (text == NULL ||
        otr_log_format_new(nul != NULL ? text : NULL, &format, NULL) == OTR_ENOMEM) {
        abort();
    }
    if (format != NULL) {
        otr_log_counts c = { 0 };
        size_t taken = otr_log_format_scan(format, lines, &c);
        uint64_t parsed = 0;
        for (size_t i = 0; i < OTR_COUNT(c.responses); i++) {
            parsed += c.responses[i];
        }
        if (taken > lines.n || parsed + c.unparsed > c.lines ||
            (taken > 0 && lines.p[taken - 1] != '\n')) {
            abort();
        }
    }
    otr_log_format_free(format);
    otr_free(text);
    return 0;
}
