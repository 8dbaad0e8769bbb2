#include "plugin/manifest/http_path.h"

#include <string.h>

enum { ESCAPE_BYTES = 3, OVERLONG_FROM = 0xc0, OVERLONG_TO = 0xc1, DELETE = 0x7f };

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "%xx" at `p` stands for, or -1. */
static int escape_at(const char *p)
{
    int high = p[0] == '%' ? digit_of(p[1]) : -1;
    int low = high >= 0 ? digit_of(p[2]) : -1;
    return low >= 0 ? 16 * high + low : -1;
}

/* One round, in place. What is no escape stays. Returns whether something changed. */
static bool decode(char *text)
{
    char *to = text;
    bool changed = false;
    for (const char *p = text; *p != '\0';) {
        int byte = escape_at(p);
        changed = changed || byte > 0;
        *to++ = byte > 0 ? (char)byte : *p;
        p += byte > 0 ? ESCAPE_BYTES : 1;
    }
    *to = '\0';
    return changed;
}

static bool separates(char c)
{
    return c == '/' || c == '\\';
}

/* "..", also before parameters, a query, blanks, which servers cut off. */
static bool part_climbs(const char *part, size_t n)
{
    size_t dots = 0;
    while (dots < n && part[dots] == '.') {
        dots++;
    }
    size_t end = dots;
    while (end < n && (unsigned char)part[end] <= ' ') {
        end++;
    }
    bool ends = end == n || strchr(";?#", part[end]) != NULL;
    return (dots == 1 || dots == 2) && ends;
}

static bool climbs(const char *text)
{
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, "/\\");
        if (part_climbs(p, n)) {
            return true;
        }
        p += n + (p[n] != '\0' ? 1 : 0);
    }
    return false;
}

static bool copy(const char *path, otr_http_path *ret)
{
    size_t n = strlen(path);
    if (n >= sizeof(ret->text)) {
        return false;
    }
    memcpy(ret->text, path, n + 1);
    return true;
}

const char *otr_http_path_climbs(const char *path)
{
    otr_http_path p;
    if (!copy(path, &p)) {
        return "the path is too long";
    }
    bool changed = true;
    for (size_t round = 0; changed; round++) { /* each makes it shorter */
        if (climbs(p.text)) {
            return "the path climbs: a part of it is, or may be read as, \".\" or \"..\"";
        }
        changed = decode(p.text);
    }
    return NULL;
}

static bool broken_escape(const char *text)
{
    for (const char *p = strchr(text, '%'); p != NULL; p = strchr(p + 1, '%')) {
        if (escape_at(p) < 0) {
            return true;
        }
    }
    return false;
}

static bool unclear(int byte)
{
    return (byte >= 0 && byte < ' ') || byte == DELETE ||
           (byte >= OVERLONG_FROM && byte <= OVERLONG_TO);
}

static bool any_unclear(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (unclear((unsigned char)*p) || unclear(escape_at(p))) {
            return true;
        }
    }
    return false;
}

const char *otr_http_path_check(const char *path)
{
    otr_http_path p;
    const char *why = otr_http_path_climbs(path);
    if (why != NULL) {
        return why;
    }
    (void)copy(path, &p);
    if (broken_escape(path)) {
        return "the path has a '%' that begins no escape";
    }
    for (unsigned round = 0; round <= OTR_HTTP_PATH_ROUNDS; round++) {
        if (any_unclear(p.text)) {
            return "the path has a control, or bytes that may be read as '.' or '/'";
        }
        if (!decode(p.text)) {
            return NULL;
        }
    }
    return "the path is encoded more than four times";
}

const char *otr_http_path_read(const char *path, unsigned rounds, otr_http_path *ret)
{
    if (!copy(path, ret)) {
        ret->text[0] = '\0';
    }
    for (unsigned i = 0; i < rounds && decode(ret->text); i++) {
    }
    char *to = ret->text;
    for (const char *p = ret->text; *p != '\0';) {
        if (separates(*p)) {
            while (separates(*p)) {
                p++;
            }
            if (to == ret->text || to[-1] != '/') {
                *to++ = '/';
            }
        }
        size_t all = strcspn(p, "/\\"), n = strcspn(p, ";/\\");
        memmove(to, p, n);
        to += n;
        p += all;
    }
    *to = '\0';
    return ret->text;
}
