#include "cli/print.h"

#include <stdarg.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/escape.h"
#include "base/json.h"

enum { LINE_BYTES = 16 << 20 };

size_t otr_cli_print(FILE *to, otr_bytes text)
{
    size_t columns = 0;
    while (text.n > 0) {
        char one[OTR_ESCAPE_BYTES];
        size_t n = 0, took = otr_escape_next(text, one, &n);
        (void)fwrite(one, 1, n, to);
        columns += (one[0] & 0x80) != 0 ? 1 : n;
        text = (otr_bytes){ text.p + took, text.n - took };
    }
    return columns;
}

void otr_cli_say(FILE *to, const char *format, ...)
{
    char small[1024];
    otr_buf whole;
    va_list args, again;
    otr_buf_init(&whole, LINE_BYTES);
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    uint8_t *at = NULL;
    otr_bytes text = otr_bytes_of(small);
    if (n >= (int)sizeof(small) && otr_buf_reserve(&whole, (size_t)n, &at, NULL) == OTR_OK) {
        (void)vsnprintf((char *)at, (size_t)n + 1, format, again);
        text = (otr_bytes){ at, (size_t)n };
    }
    va_end(again);
    (void)otr_cli_print(to, text);
    (void)fputc('\n', to);
    otr_buf_deinit(&whole);
}

void otr_cli_print_json(FILE *to, otr_bytes json)
{
    otr_buf plain;
    otr_buf_init(&plain, 8 * json.n + 1);
    if (otr_json_plain(json, &plain, NULL) == OTR_OK) {
        (void)fwrite(plain.p, 1, plain.n, to);
    }
    (void)fputc('\n', to);
    otr_buf_deinit(&plain);
}

int otr_cli_print_output(otr_bytes output)
{
    if (isatty(STDOUT_FILENO) != 1) {
        bool whole = output.n == 0 || fwrite(output.p, 1, output.n, stdout) == output.n;
        return whole && fflush(stdout) == 0 ? 0 : -1;
    }
    while (output.n > 0) {
        const uint8_t *end = memchr(output.p, '\n', output.n);
        size_t n = end != NULL ? (size_t)(end - output.p) : output.n;
        (void)otr_cli_print(stdout, (otr_bytes){ output.p, n });
        if (end != NULL) {
            (void)fputc('\n', stdout);
            n++;
        }
        output = (otr_bytes){ output.p + n, output.n - n };
    }
    return fflush(stdout) == 0 ? 0 : -1;
}
