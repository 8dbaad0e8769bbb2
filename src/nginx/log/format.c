#include "nginx/log/format.h"

#include "base/alloc.h"

enum { PARTS_MOST = 64, QUOTES_MOST = 6, STATUS_DIGITS = 3 };

typedef enum method {
    COUNT_LINES,  /* no status */
    AFTER_QUOTES, /* behind the n-th quote of the line */
    AFTER_TEXT,   /* behind a literal that occurs once */
    WALK,         /* behind each literal in turn */
} method;

struct otr_log_format {
    method how;
    unsigned quotes;
    char *text;                 /* the format: parts point into it */
    otr_bytes skip[PARTS_MOST]; /* literals before the status; with WALK: all, else the last */
    size_t n_skip;
    otr_bytes after; /* literal behind the status; empty: end of line */
    bool first;      /* the line begins with the first literal */
    bool last;       /* the status ends the line */
};

static const char combined[] = "$remote_addr - $remote_user [$time_local] \"$request\" $status "
                               "$body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

/* ---- compile ---- */

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The variable that begins at `p` ('$'); NULL when it is none. `*ret_end` is behind it. */
static const char *variable(const char *p, size_t *ret_n, const char **ret_end)
{
    const char *name = p + 1;
    bool braced = *name == '{';
    name += braced;
    size_t n = 0;
    while (is_name(name[n])) {
        n++;
    }
    if (n == 0 || (braced && name[n] != '}')) {
        return NULL;
    }
    *ret_n = n;
    *ret_end = name + n + braced;
    return name;
}

typedef struct parts { /* of a format, up to the literal behind its $status */
    otr_bytes literals[PARTS_MOST];
    size_t n;      /* before the status; an empty one where variables touch */
    bool found;    /* the status */
    bool touching; /* a variable stands right before the status */
    const char *after, *after_end;
    bool last;
} parts;

static const char *literal_end(const char *p)
{
    size_t n;
    const char *end;
    while (*p != '\0' && (*p != '$' || variable(p, &n, &end) == NULL)) {
        p++;
    }
    return p;
}

static void split(const char *text, parts *out)
{
    *out = (parts){ 0 };
    const char *p = text;
    while (out->n < PARTS_MOST) {
        const char *end = literal_end(p);
        out->touching = end == p && p != text;
        out->literals[out->n++] = (otr_bytes){ (const uint8_t *)p, (size_t)(end - p) };
        if (*end == '\0') {
            return;
        }
        size_t n = 0;
        const char *name = variable(end, &n, &p);
        if (n == 6 && memcmp(name, "status", 6) == 0) {
            out->found = true;
            out->after = p;
            out->after_end = literal_end(p);
            out->last = *out->after_end == '\0' && out->after_end == p;
            return;
        }
    }
}

static bool is_safe(uint8_t c)
{
    return c == '"' || c < ' ';
}

/* Can a literal be imitated by what a client sends? Not with an escaped byte in it. */
static bool has_safe(otr_bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (is_safe(text.p[i])) {
            return true;
        }
    }
    return false;
}

static unsigned count_quotes(const otr_bytes *literals, size_t n)
{
    unsigned quotes = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < literals[i].n; j++) {
            quotes += literals[i].p[j] == '"';
        }
    }
    return quotes;
}

static bool occurs(const otr_bytes *in, size_t n, otr_bytes what)
{
    for (size_t i = 0; i < n; i++) {
        if (in[i].n >= what.n && memmem(in[i].p, in[i].n, what.p, what.n) != NULL) {
            return true;
        }
    }
    return false;
}

/* What of the literal stands behind its last quote. */
static otr_bytes behind_quotes(otr_bytes literal)
{
    size_t at = literal.n;
    while (literal.p[at - 1] != '"') {
        at--;
    }
    return (otr_bytes){ literal.p + at, literal.n - at };
}

static void choose(otr_log_format *f, const parts *p, bool escaped)
{
    otr_bytes last = p->literals[p->n - 1];
    unsigned quotes = count_quotes(p->literals, p->n);
    f->last = p->last;
    f->after = (otr_bytes){ (const uint8_t *)p->after, (size_t)(p->after_end - p->after) };
    if (escaped && quotes <= QUOTES_MOST && count_quotes(&last, 1) > 0) {
        f->how = AFTER_QUOTES;
        f->quotes = quotes;
        f->skip[f->n_skip++] = behind_quotes(last);
        return;
    }
    if (escaped && p->n > 1 && has_safe(last) && !occurs(p->literals, p->n - 1, last)) {
        f->how = AFTER_TEXT;
        f->skip[f->n_skip++] = last;
        return;
    }
    f->how = WALK;
    f->first = true;
    for (size_t i = 0; i < p->n; i++) {
        if (p->literals[i].n > 0) {
            f->skip[f->n_skip++] = p->literals[i];
        } else if (i == 0) {
            f->first = false;
        }
    }
}

static otr_code new_format(const char *text, otr_log_format **ret, otr_err *err)
{
    otr_log_format *f = otr_zalloc(sizeof(*f));
    if (f == NULL) {
        return otr_fail_nomem(err);
    }
    f->text = otr_strdup(text);
    if (f->text == NULL) {
        otr_free(f);
        return otr_fail_nomem(err);
    }
    *ret = f;
    return OTR_OK;
}

otr_code otr_log_format_new(const char *format, otr_log_format **ret, otr_err *err)
{
    static const char escape[] = "escape=";
    const char *text = format != NULL ? format : combined;
    bool escaped = true;
    if (strncmp(text, escape, sizeof(escape) - 1) == 0) {
        const char *end = strchr(text, ' ');
        escaped = strncmp(text, "escape=none", 11) != 0;
        text = end != NULL ? end + 1 : "";
    }
    otr_log_format *f = NULL;
    otr_code rc = new_format(text, &f, err);
    if (rc != OTR_OK) {
        return rc;
    }
    parts p;
    split(f->text, &p);
    if (!p.found || p.touching) {
        otr_log_format_free(f);
        return otr_fail(err, OTR_EUNSUP, "the log format has no $status%s",
                        p.found ? " apart from other variables" : "");
    }
    choose(f, &p, escaped);
    *ret = f;
    return OTR_OK;
}

otr_code otr_log_format_lines(otr_log_format **ret, otr_err *err)
{
    return new_format("", ret, err);
}

void otr_log_format_free(otr_log_format *format)
{
    if (format != NULL) {
        otr_free(format->text);
        otr_free(format);
    }
}

/* ---- scan ---- */

/* The class of the status at `p` if one stands there and what follows fits: 1 … 5; 0: none;
 * 9: a status of no class. */
static unsigned status_at(const otr_log_format *f, const uint8_t *p, const uint8_t *end)
{
    enum { NO_CLASS = 9 };
    if (end - p < STATUS_DIGITS || (unsigned)(p[0] - '0') > 9 || (unsigned)(p[1] - '0') > 9 ||
        (unsigned)(p[2] - '0') > 9) {
        return 0;
    }
    const uint8_t *behind = p + STATUS_DIGITS;
    size_t left = (size_t)(end - behind);
    if (f->after.n > 0) {
        if (left < f->after.n || memcmp(behind, f->after.p, f->after.n) != 0) {
            return 0;
        }
    } else if (f->last && left > 0 && !(left == 1 && *behind == '\r')) {
        return 0;
    }
    unsigned class = (unsigned)(p[0] - '0');
    return class >= 1 && class <= 5 ? class : NO_CLASS;
}

static bool starts(const uint8_t *p, const uint8_t *end, otr_bytes with)
{
    return (size_t)(end - p) >= with.n && (with.n == 0 || memcmp(p, with.p, with.n) == 0);
}

/* The literals before the last one may match too early only if a value holds them; the last one is
 * tried at each of its places until a status follows. */
static unsigned walk(const otr_log_format *f, const uint8_t *p, const uint8_t *end)
{
    if (f->n_skip == 0) {
        return status_at(f, p, end);
    }
    for (size_t i = 0; i < f->n_skip; i++) {
        otr_bytes lit = f->skip[i];
        if (i == 0 && f->first) {
            if (!starts(p, end, lit)) {
                return 0;
            }
            p += lit.n;
            if (f->n_skip == 1) {
                return status_at(f, p, end);
            }
            continue;
        }
        for (;;) {
            p = memmem(p, (size_t)(end - p), lit.p, lit.n);
            if (p == NULL) {
                return 0;
            }
            p += lit.n;
            if (i + 1 < f->n_skip) {
                break;
            }
            unsigned class = status_at(f, p, end);
            if (class != 0) {
                return class;
            }
            p -= lit.n - 1;
        }
    }
    return 0;
}

/* `[p, end)` is one line without its end. */
static unsigned class_of(const otr_log_format *f, const uint8_t *p, const uint8_t *end)
{
    switch (f->how) {
    case AFTER_QUOTES:
        for (unsigned i = 0; i < f->quotes; i++) {
            p = memchr(p, '"', (size_t)(end - p));
            if (p == NULL) {
                return 0;
            }
            p++;
        }
        return starts(p, end, f->skip[0]) ? status_at(f, p + f->skip[0].n, end) : 0;
    case AFTER_TEXT:
        p = memmem(p, (size_t)(end - p), f->skip[0].p, f->skip[0].n);
        return p != NULL ? status_at(f, p + f->skip[0].n, end) : 0;
    case WALK:
        return walk(f, p, end);
    case COUNT_LINES:
    default:
        return 0;
    }
}

size_t otr_log_format_scan(const otr_log_format *format, otr_bytes data, otr_log_counts *counts)
{
    const uint8_t *p = data.p, *end = data.p + data.n;
    uint64_t lines = 0, by_class[10] = { 0 };
    while (p < end) {
        const uint8_t *eol = memchr(p, '\n', (size_t)(end - p));
        if (eol == NULL) {
            break;
        }
        lines++;
        by_class[class_of(format, p, eol)]++;
        p = eol + 1;
    }
    counts->lines += lines;
    counts->unparsed += by_class[0];
    for (unsigned i = 0; i < OTR_COUNT(counts->responses); i++) {
        counts->responses[i] += by_class[i + 1];
    }
    return data.n > 0 ? (size_t)(p - data.p) : 0;
}
