#include "nginx/line.h"

enum { PID_DIGITS = 9 };

static const char *const levels[OTR_LEVELS] = { "stderr", "emerg",  "alert", "crit", "error",
                                                "warn",   "notice", "info",  "debug" };

const char *otr_level_name(otr_level level)
{
    return levels[level];
}

static bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void skip(otr_bytes *at, size_t n)
{
    at->p += n;
    at->n -= n;
}

static bool take(otr_bytes *at, const char *text)
{
    size_t n = strlen(text);
    if (at->n < n || memcmp(at->p, text, n) != 0) {
        return false;
    }
    skip(at, n);
    return true;
}

bool otr_line_take_time(otr_bytes *line)
{
    static const char form[] = "dddd/dd/dd dd:dd:dd ";
    if (line->n < sizeof(form) - 1) {
        return false;
    }
    for (size_t i = 0; form[i] != '\0'; i++) {
        if (form[i] == 'd' ? !digit(line->p[i]) : line->p[i] != (uint8_t)form[i]) {
            return false;
        }
    }
    skip(line, sizeof(form) - 1);
    return true;
}

bool otr_line_take_level(otr_bytes *line, otr_level *ret)
{
    otr_bytes rest = *line;
    if (!take(&rest, "[")) {
        return false;
    }
    for (size_t i = 0; i < OTR_COUNT(levels); i++) {
        otr_bytes name = rest;
        if (take(&name, levels[i]) && take(&name, "] ")) {
            *ret = (otr_level)i;
            *line = name;
            return true;
        }
    }
    return false;
}

static bool take_pid(otr_bytes *at, pid_t *ret)
{
    pid_t n = 0;
    size_t i = 0;
    for (; i < at->n && digit(at->p[i]); i++) {
        if (i == PID_DIGITS) {
            return false;
        }
        n = 10 * n + (at->p[i] - '0');
    }
    skip(at, i);
    *ret = n;
    return i > 0;
}

static void skip_digits(otr_bytes *at)
{
    while (at->n > 0 && digit(at->p[0])) {
        skip(at, 1);
    }
}

/* "17#17: " and, about a connection, "*3 ". */
static bool take_process(otr_bytes *at, otr_line_head *head)
{
    if (!take_pid(at, &head->pid) || !take(at, "#")) {
        return false;
    }
    skip_digits(at);
    if (!take(at, ": ")) {
        return false;
    }
    otr_bytes rest = *at;
    if (take(&rest, "*") && rest.n > 0 && digit(rest.p[0])) {
        skip_digits(&rest);
        if (take(&rest, " ")) {
            head->connection = true;
            *at = rest;
        }
    }
    return true;
}

bool otr_line_take_head(otr_bytes *line, otr_line_head *ret)
{
    *ret = (otr_line_head){ 0 };
    return otr_line_take_time(line) && otr_line_take_level(line, &ret->level) &&
           take_process(line, ret);
}
