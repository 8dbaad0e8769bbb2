#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/limits.h"
#include "cli/print.h"
#include "cli/view.h"

enum { GAP = 2, CELL_BYTES = 512, LEAST_WIDTH = 20, MOST_WIDTH = 10000 };

static bool coloured(void)
{
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) == 1 && (no == NULL || no[0] == '\0') && term != NULL &&
           strcmp(term, "dumb") != 0;
}

/* Columns of the terminal, or of $COLUMNS; 0: no limit. */
static size_t view_width(void)
{
    const char *text = getenv("COLUMNS");
    struct winsize size;
    char *end = NULL;
    long n = text != NULL ? strtol(text, &end, 10) : 0;
    if (n < LEAST_WIDTH || n > MOST_WIDTH || end == NULL || *end != '\0') {
        n = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
    }
    return n >= LEAST_WIDTH ? (size_t)n : 0;
}

static bool begin_tone(otr_tone tone)
{
    static const char *const codes[] = { [OTR_TONE_PLAIN] = "",
                                         [OTR_TONE_GOOD] = "\x1b[32m",
                                         [OTR_TONE_WARN] = "\x1b[33m",
                                         [OTR_TONE_BAD] = "\x1b[31m",
                                         [OTR_TONE_DIM] = "\x1b[2m" };
    bool colour = tone != OTR_TONE_PLAIN && coloured();
    if (colour) {
        (void)fputs(codes[tone], stdout);
    }
    return colour;
}

void otr_view_print(otr_tone tone, const char *text)
{
    bool colour = begin_tone(tone);
    (void)otr_cli_print(stdout, otr_bytes_of(text));
    if (colour) {
        (void)fputs("\x1b[0m", stdout);
    }
}

/* Columns of the first `n` bytes: characters, as nearly as a terminal tells them. */
static size_t width_of(const char *text, size_t n)
{
    size_t columns = 0;
    for (size_t i = 0; i < n; i++) {
        columns += ((unsigned char)text[i] & 0xc0U) != 0x80U;
    }
    return columns;
}

static size_t escaped_width(const char *text, size_t n)
{
    size_t columns = 0;
    for (otr_bytes rest = { (const uint8_t *)text, n }; rest.n > 0;) {
        char one[OTR_ESCAPE_BYTES];
        size_t wrote = 0, took = otr_escape_next(rest, one, &wrote);
        columns += width_of(one, wrote);
        rest = (otr_bytes){ rest.p + took, rest.n - took };
    }
    return columns;
}

static void pad(size_t n)
{
    (void)printf("%*s", (int)n, "");
}

void otr_view_wrap(size_t indent, otr_tone tone, const char *text)
{
    static const char blanks[] = " \n\t";
    size_t width = view_width(), column = indent;
    bool colour = begin_tone(tone);
    text += strspn(text, blanks);
    while (*text != '\0') {
        size_t n = strcspn(text, blanks), columns = escaped_width(text, n);
        if (column > indent && width > 0 && column + 1 + columns > width) {
            (void)putchar('\n');
            pad(indent);
            column = indent;
        } else if (column > indent) {
            (void)putchar(' ');
            column++;
        }
        column += otr_cli_print(stdout, (otr_bytes){ (const uint8_t *)text, n });
        text += n;
        text += strspn(text, blanks);
    }
    (void)fputs(colour ? "\x1b[0m\n" : "\n", stdout);
}

const char *otr_view_bytes(uint64_t bytes, char out[24])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
    double n = (double)bytes;
    size_t unit = 0;
    while (n >= 1024 && unit + 1 < OTR_COUNT(units)) {
        n /= 1024;
        unit++;
    }
    if (bytes == 0) {
        return "-";
    }
    (void)snprintf(out, 24, unit > 0 && n < 100 ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return out;
}

const char *otr_view_span(double seconds, char out[32])
{
    unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;
    if (s < 60) {
        (void)snprintf(out, 32, "%lu s", s);
    } else if (s < 3600) {
        (void)snprintf(out, 32, "%lu min", s / 60);
    } else if (s < 86400) {
        (void)snprintf(out, 32, "%lu h %lu min", s / 3600, s % 3600 / 60);
    } else {
        (void)snprintf(out, 32, "%lu d %lu h", s / 86400, s % 86400 / 3600);
    }
    return out;
}

/* ---- tables ---- */

void otr_table_init(otr_table *t, size_t columns, unsigned right)
{
    *t = (otr_table){ .columns = columns, .right = right };
    otr_buf_init(&t->text, OTR_MIB);
}

void otr_table_cell(otr_table *t, otr_tone tone, const char *format, ...)
{
    char text[CELL_BYTES], cell[CELL_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)otr_escape_text(otr_bytes_of(text), cell, sizeof(cell));
    size_t old = t->text.n;
    if (t->rc == OTR_OK) {
        t->rc = otr_buf_addc(&t->text, (char)tone, NULL);
    }
    if (t->rc == OTR_OK) {
        t->rc = otr_buf_add(&t->text, (otr_bytes){ (const uint8_t *)cell, strlen(cell) + 1 }, NULL);
    }
    if (t->rc == OTR_OK) {
        t->cells++;
    } else {
        t->text.n = old;
    }
}

static void print_cell(const otr_table *t, size_t column, const char *cell, size_t width)
{
    size_t fill = width - width_of(cell + 1, strlen(cell + 1));
    bool right = (t->right >> column & 1U) != 0;
    if (right) {
        pad(fill);
    }
    otr_view_print((otr_tone)cell[0], cell + 1);
    if (column + 1 < t->columns) {
        pad((right ? 0 : fill) + GAP);
    } else {
        (void)putchar('\n');
    }
}

static const char *next_cell(const char *cell)
{
    return cell + strlen(cell + 1) + 2;
}

/* What each column takes. Returns what the longest row does. */
static size_t measure(const otr_table *t, size_t widths[OTR_TABLE_COLUMNS])
{
    const char *cell = (const char *)t->text.p; /* NULL: no cell */
    size_t longest = 0;                         /* of the last column, which is not padded */
    for (size_t i = 0; i < t->cells; i++, cell = next_cell(cell)) {
        size_t n = width_of(cell + 1, strlen(cell + 1)), *width = &widths[i % t->columns];
        *width = n > *width ? n : *width;
        longest = i % t->columns + 1 == t->columns && n > longest ? n : longest;
    }
    for (size_t i = 0; i + 1 < t->columns; i++) {
        longest += widths[i] + GAP;
    }
    return longest + GAP;
}

/* One row as lines: what it is, then "HEAD cell" for each further column. */
static void print_stacked(const otr_table *t, const char *row)
{
    const char *head = (const char *)t->text.p, *cell = row;
    size_t widest = 0;
    for (size_t i = 1; i < t->columns; i++) {
        head = next_cell(head);
        size_t n = width_of(head + 1, strlen(head + 1));
        widest = n > widest ? n : widest;
    }
    pad(GAP);
    otr_view_wrap(GAP, (otr_tone)cell[0], cell + 1);
    head = (const char *)t->text.p;
    for (size_t i = 1; i < t->columns; i++) {
        head = next_cell(head);
        cell = next_cell(cell);
        pad(2 * (size_t)GAP);
        otr_view_print(OTR_TONE_DIM, head + 1);
        pad(widest - width_of(head + 1, strlen(head + 1)) + GAP);
        otr_view_wrap(3 * (size_t)GAP + widest, (otr_tone)cell[0], cell + 1);
    }
}

void otr_table_print(otr_table *t)
{
    size_t widths[OTR_TABLE_COLUMNS] = { 0 }, width = view_width();
    bool narrow = measure(t, widths) > width && width > 0;
    const char *cell = (const char *)t->text.p; /* NULL: no cell */
    for (size_t i = 0; i < t->cells; i++, cell = next_cell(cell)) {
        if (narrow) {
            if (i > 0 && i % t->columns == 0 && i + t->columns <= t->cells) {
                print_stacked(t, cell);
            }
            continue;
        }
        if (i % t->columns == 0) {
            pad(GAP);
        }
        print_cell(t, i % t->columns, cell, widths[i % t->columns]);
    }
    if (t->rc != OTR_OK) {
        (void)fputs("  … (out of memory)\n", stderr);
    }
    otr_buf_deinit(&t->text);
}
