/*
 * What a line of a log_format can mean, by trying every way to cut it: slow and plain, for
 * comparison with the scanner.
 */
#ifndef OTR_TESTS_UNIT_NGINX_LOG_REFERENCE_H
#define OTR_TESTS_UNIT_NGINX_LOG_REFERENCE_H

#include <ctype.h>
#include <strings.h>

#include "nginx/log/values.h"

enum { REFERENCE_PARTS = 64, REFERENCE_LINE = 512, REFERENCE_NONE = 1 << 6 };

typedef enum reference_escape { REFERENCE_DEFAULT, REFERENCE_JSON, REFERENCE_RAW } reference_escape;

typedef struct reference_part {
    const char *text;
    size_t n;
    const otr_log_value *value; /* NULL: literal */
} reference_part;

typedef struct reference {
    reference_escape escape;
    reference_part parts[REFERENCE_PARTS];
    size_t n;
    bool too_many;
    bool status;
    bool request, header; /* it has the request line, a request header */
    int story;            /* 0: well-formed request, 1: none, 2: malformed */
} reference;

static inline size_t reference_name(const char *p)
{
    size_t n = 0;
    while (isalnum((unsigned char)p[n]) || p[n] == '_') {
        n++;
    }
    return n;
}

/* Length of the variable at `p`, braces and all; 0: none. */
static inline size_t reference_variable(const char *p, const char **ret_name, size_t *ret_n)
{
    if (p[0] != '$') {
        return 0;
    }
    bool braces = p[1] == '{';
    *ret_name = p + 1 + braces;
    *ret_n = reference_name(*ret_name);
    if (*ret_n == 0 || (braces && (*ret_name)[*ret_n] != '}')) {
        return 0;
    }
    return 1 + *ret_n + 2 * (size_t)braces;
}

static inline void reference_init(reference *r, const char *format)
{
    memset(r, 0, sizeof(*r));
    if (strncmp(format, "escape=", 7) == 0) {
        r->escape = strncmp(format, "escape=json", 11) == 0 && (format[11] == ' ' || !format[11])
                        ? REFERENCE_JSON
                    : strncmp(format, "escape=none", 11) == 0 && (format[11] == ' ' || !format[11])
                        ? REFERENCE_RAW
                        : REFERENCE_DEFAULT;
        format += strcspn(format, " ");
        format += *format == ' ';
    }
    for (const char *p = format; *p != '\0';) {
        if (r->n == REFERENCE_PARTS) {
            r->too_many = true;
            return;
        }
        reference_part *part = &r->parts[r->n++];
        const char *name;
        size_t n, taken = reference_variable(p, &name, &n);
        if (taken > 0) {
            part->value = otr_log_value_of((otr_bytes){ (const uint8_t *)name, n });
            r->status |= part->value->shape == OTR_LOG_STATUS;
            r->request |= part->value->shape == OTR_LOG_REQUEST;
            r->header |= part->value->shape == OTR_LOG_HEADER;
        } else {
            part->text = p;
            do {
                part->n++;
                taken++;
            } while (p[taken] != '\0' && reference_variable(p + taken, &name, &n) == 0);
        }
        p += taken;
    }
}

static inline bool reference_digits(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isdigit(p[i])) {
            return false;
        }
    }
    return true;
}

static inline bool reference_text(const reference *r, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (r->escape == REFERENCE_RAW) {
            continue;
        }
        if (p[i] < ' ' || p[i] == '"') {
            return false;
        }
        if (r->escape == REFERENCE_JSON && p[i] == '\\') {
            i++;
            if (i == n || p[i] < ' ') {
                return false;
            }
        }
    }
    return true;
}

static inline bool reference_template(const char *t, const uint8_t *p, size_t n)
{
    if (strlen(t) != n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        bool fits = t[i] == '0'   ? isdigit(p[i]) != 0
                    : t[i] == 'A' ? isalpha(p[i]) != 0 && p[i] < 128
                    : t[i] == '+' ? p[i] == '+' || p[i] == '-'
                                  : p[i] == (uint8_t)t[i];
        if (!fits) {
            return false;
        }
    }
    return true;
}

static inline bool reference_method(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ_-", p[i]) == NULL || p[i] == '\0') {
            return false;
        }
    }
    return true;
}

static inline bool reference_well_formed(const uint8_t *p, size_t n)
{
    while (n > 0 && p[n - 1] == ' ') {
        n--;
    }
    size_t version = n;
    while (version > 0 && (isdigit(p[version - 1]) || p[version - 1] == '.')) {
        version--;
    }
    size_t method = 0;
    while (method < n && reference_method(p + method, 1)) {
        method++;
    }
    return version < n && version >= 6 && memcmp(p + version - 6, " HTTP/", 6) == 0 && method > 0 &&
           method + 1 <= version - 6 && p[method] == ' ';
}

static inline bool reference_request(const reference *r, const uint8_t *p, size_t n)
{
    if (!reference_text(r, p, n)) {
        return false;
    }
    return r->story == 0   ? reference_well_formed(p, n)
           : r->story == 1 ? reference_method(p, n)
                           : true;
}

static inline bool reference_fits(const reference *r, const reference_part *part, const uint8_t *p,
                                  size_t n)
{
    if (part->value == NULL) {
        return n == part->n && memcmp(p, part->text, n) == 0;
    }
    switch (part->value->shape) {
    case OTR_LOG_STATUS:
        return n == 3 && reference_digits(p, n);
    case OTR_LOG_TEMPLATE:
        return reference_template(part->value->set, p, n);
    case OTR_LOG_SECONDS:
        return n >= 5 && reference_digits(p, n - 4) && p[n - 4] == '.' &&
               reference_digits(p + n - 3, 3);
    case OTR_LOG_SET:
    case OTR_LOG_SET_SOME:
        for (size_t i = 0; i < n; i++) {
            if (!otr_log_set_has(part->value->set, p[i])) {
                return false;
            }
        }
        return n > 0 || part->value->shape == OTR_LOG_SET;
    case OTR_LOG_REQUEST:
        return r->request && r->header ? reference_request(r, p, n) : reference_text(r, p, n);
    case OTR_LOG_HEADER:
        if (r->request && r->header && r->story == 2) {
            return r->escape == REFERENCE_DEFAULT ? n == 1 && p[0] == '-' : n == 0;
        }
        return reference_text(r, p, n);
    default:
        return reference_text(r, p, n);
    }
}

/* The classes as bits: 1 << 0 … 1 << 4 for 1xx … 5xx, 1 << 5 for others, REFERENCE_NONE when the
 * format has no status; 0: the line does not fit. The part at `status` is the status. */
static inline unsigned reference_story(const reference *r, size_t status, const uint8_t *p,
                                       size_t n)
{
    static unsigned ways[REFERENCE_PARTS + 1][REFERENCE_LINE + 1]; /* that lead to a place */
    memset(ways, 0, sizeof(ways));
    ways[0][0] = REFERENCE_NONE;
    for (size_t i = 0; i < r->n; i++) {
        for (size_t from = 0; from <= n; from++) {
            for (size_t to = from; ways[i][from] != 0 && to <= n; to++) {
                if (!reference_fits(r, &r->parts[i], p + from, to - from)) {
                    continue;
                }
                unsigned class = (unsigned)p[from] - '0';
                ways[i + 1][to] |= i != status                ? ways[i][from]
                                   : class >= 1 && class <= 5 ? 1U << (class - 1)
                                                              : 1U << 5;
            }
        }
    }
    return ways[r->n][n];
}

static inline unsigned reference_at(reference *r, size_t status, const uint8_t *p, size_t n)
{
    unsigned ways = 0;
    for (r->story = 0; r->story < 3; r->story++) {
        ways |= reference_story(r, status, p, n);
    }
    return ways;
}

/* By the status that is the first of the format. */
static inline unsigned reference_ways(reference *r, const uint8_t *p, size_t n)
{
    size_t status = 0;
    while (status < r->n &&
           (r->parts[status].value == NULL || r->parts[status].value->shape != OTR_LOG_STATUS)) {
        status++;
    }
    return reference_at(r, status, p, n);
}

/* Can it hold line ends, so that no line can be relied upon? */
static inline bool reference_doubtful(const reference *r)
{
    for (size_t i = 0; r->escape == REFERENCE_RAW && i < r->n; i++) {
        if (r->parts[i].value != NULL && r->parts[i].value->shape == OTR_LOG_ANYTHING) {
            return true;
        }
    }
    return false;
}

#endif
