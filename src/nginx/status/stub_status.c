#include "nginx/status/stub_status.h"

enum { SHOWN_BYTES = 40 };

typedef struct reader {
    const uint8_t *p, *end;
    bool failed;
} reader;

static void skip_blank(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r')) {
        r->p++;
    }
}

static void expect(reader *r, const char *word)
{
    size_t n = strlen(word);
    skip_blank(r);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) {
        r->failed = true;
        return;
    }
    r->p += n;
}

/* The word stands here, and is passed over. */
static bool accept(reader *r, const char *word)
{
    reader copy = *r;
    expect(&copy, word);
    if (!copy.failed) {
        *r = copy;
    }
    return !copy.failed;
}

static uint64_t number(reader *r)
{
    skip_blank(r);
    uint64_t v = 0;
    const uint8_t *first = r->p;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        unsigned digit = (unsigned)(*r->p - '0');
        if (v > (UINT64_MAX - digit) / 10) {
            r->failed = true;
            return 0;
        }
        v = 10 * v + digit;
    }
    r->failed |= r->p == first;
    return v;
}

/* The start of a text that may hold anything. */
static void show(otr_bytes body, char out[SHOWN_BYTES + 1])
{
    size_t n = body.n < SHOWN_BYTES ? body.n : SHOWN_BYTES;
    for (size_t i = 0; i < n; i++) {
        bool plain = body.p[i] >= ' ' && body.p[i] < 0x7f && body.p[i] != '"';
        out[i] = plain ? (char)body.p[i] : ' ';
    }
    out[n] = '\0';
}

otr_code otr_stub_status_parse(otr_bytes body, otr_stub_status *ret, otr_err *err)
{
    reader r = { .p = body.p, .end = body.n > 0 ? body.p + body.n : body.p };
    otr_stub_status s = { 0 };
    r.failed = body.n == 0;
    if (!r.failed) {
        expect(&r, "Active connections:");
        s.active = number(&r);
        expect(&r, "server accepts handled requests");
        bool timed = accept(&r, "request_time"); /* Tengine: milliseconds, all together */
        s.accepted = number(&r);
        s.handled = number(&r);
        s.requests = number(&r);
        if (timed) {
            (void)number(&r);
        }
        expect(&r, "Reading:");
        s.reading = number(&r);
        expect(&r, "Writing:");
        s.writing = number(&r);
        expect(&r, "Waiting:");
        s.waiting = number(&r);
    }
    if (r.failed) {
        char begin[SHOWN_BYTES + 1];
        show(body, begin);
        return otr_fail(err, OTR_EINVAL, "not a stub_status page: \"%s\"", begin);
    }
    *ret = s;
    return OTR_OK;
}
