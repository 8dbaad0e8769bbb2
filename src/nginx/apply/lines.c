#include "nginx/apply/lines.h"

#include <stdio.h>

#include "base/escape.h"

enum { FILE_BYTES = 4352, TEXT_BYTES = 2048, WORD_MOST = 24, LINE_DIGITS = 9 };

static bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void skip(otr_bytes *at, size_t n)
{
    at->p += n;
    at->n -= n;
}

/* "nginx: ", whatever the server calls itself. */
static bool take_name(otr_bytes *at)
{
    size_t n = 0;
    while (n < at->n && n <= WORD_MOST &&
           ((at->p[n] >= 'a' && at->p[n] <= 'z') || (at->p[n] >= 'A' && at->p[n] <= 'Z') ||
            digit(at->p[n]) || at->p[n] == '-' || at->p[n] == '_')) {
        n++;
    }
    if (n == 0 || n > WORD_MOST || at->n < n + 2 || at->p[n] != ':' || at->p[n + 1] != ' ') {
        return false;
    }
    skip(at, n + 2);
    return true;
}

/* The digits that it begins with; false: none, or more than a pid or a line has. */
static bool take_number(otr_bytes *at, unsigned *ret)
{
    unsigned n = 0;
    size_t i = 0;
    for (; i < at->n && digit(at->p[i]); i++) {
        if (i == LINE_DIGITS) {
            return false;
        }
        n = 10 * n + (unsigned)(at->p[i] - '0');
    }
    skip(at, i);
    *ret = n;
    return i > 0;
}

/* Where the last " in " of `text` begins that has a path behind it; text.n: nowhere. */
static size_t last_in(otr_bytes text)
{
    for (size_t i = text.n; i-- > 0;) {
        if (text.n - i > 5 && memcmp(text.p + i, " in ", 4) == 0) {
            return i;
        }
    }
    return text.n;
}

/* Cuts " in FILE:LINE" off the end of the text. */
static void cut_place(otr_line *line)
{
    otr_bytes text = line->text;
    size_t digits = 0;
    while (digits < text.n && digits <= LINE_DIGITS && digit(text.p[text.n - 1 - digits])) {
        digits++;
    }
    if (digits == 0 || digits > LINE_DIGITS || digits + 1 > text.n ||
        text.p[text.n - 1 - digits] != ':') {
        return;
    }
    size_t at = last_in((otr_bytes){ text.p, text.n - digits - 1 });
    if (at == text.n - digits - 1) {
        return;
    }
    otr_bytes number = { text.p + text.n - digits, digits };
    (void)take_number(&number, &line->number);
    line->file = (otr_bytes){ text.p + at + 4, text.n - digits - 1 - at - 4 };
    line->text.n = at;
}

bool otr_line_parse(otr_bytes line, otr_line *ret)
{
    otr_line found = { 0 };
    otr_line_head head;
    otr_bytes rest = line;
    if (otr_line_take_time(&rest)) {
        if (!otr_line_take_head(&line, &head)) {
            return false;
        }
        found.level = head.level;
        found.pid = head.pid;
        found.connection = head.connection;
    } else if (!take_name(&line) || !otr_line_take_level(&line, &found.level)) {
        return false;
    }
    found.text = line;
    cut_place(&found);
    *ret = found;
    return true;
}

bool otr_line_next(otr_bytes *rest, otr_bytes *ret)
{
    if (rest->n == 0) {
        return false;
    }
    const uint8_t *end = memchr(rest->p, '\n', rest->n);
    size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
    *ret = (otr_bytes){ rest->p, n };
    skip(rest, end != NULL ? n + 1 : n);
    if (ret->n > 0 && ret->p[ret->n - 1] == '\r') {
        ret->n--;
    }
    return true;
}

otr_code otr_findings_add_line(otr_findings *findings, const otr_line *line, otr_err *err)
{
    char file[FILE_BYTES], text[TEXT_BYTES];
    otr_finding finding = { .line = line->number, .file = file, .text = text };
    (void)otr_escape_text(line->file, file, sizeof(file));
    (void)otr_escape_text(line->text, text, sizeof(text));
    (void)snprintf(finding.level, sizeof(finding.level), "%s", otr_level_name(line->level));
    return otr_findings_add(findings, &finding, err);
}
