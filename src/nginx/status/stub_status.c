#include "nginx/status/stub_status.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "net/http/client.h"

/* ---- text ---- */

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

otr_code otr_stub_status_parse(otr_bytes body, otr_stub_status *ret, otr_err *err)
{
    reader r = { .p = body.p, .end = body.n > 0 ? body.p + body.n : body.p };
    otr_stub_status s = { 0 };
    r.failed = body.n == 0;
    if (!r.failed) {
        expect(&r, "Active connections:");
        s.active = number(&r);
        expect(&r, "server accepts handled requests");
        s.accepted = number(&r);
        s.handled = number(&r);
        s.requests = number(&r);
        expect(&r, "Reading:");
        s.reading = number(&r);
        expect(&r, "Writing:");
        s.writing = number(&r);
        expect(&r, "Waiting:");
        s.waiting = number(&r);
    }
    if (r.failed) {
        return otr_fail(err, OTR_EINVAL, "the answer is not the text of stub_status");
    }
    *ret = s;
    return OTR_OK;
}

/* ---- poller ---- */

struct otr_stub_poller {
    otr_loop *loop;
    char **urls;
    size_t n;
    size_t current; /* the candidate that `client` is for */
    otr_http_client *client;
    uint64_t timeout_ms;
    size_t tried; /* candidates of this question */
    otr_err first_err;
    otr_defer later;        /* reports a failure that came at once */
    otr_stub_done_fn *done; /* NULL: not asking */
    void *arg;
};

static void on_response(void *arg, otr_code rc, const otr_http_response *response,
                        const otr_err *err);

const char *otr_stub_poller_url(const otr_stub_poller *poller)
{
    return poller->n > 0 ? poller->urls[poller->current] : "";
}

otr_code otr_stub_poller_new(otr_loop *loop, const char *const *urls, size_t n,
                             otr_stub_poller **ret, otr_err *err)
{
    otr_stub_poller *p = otr_zalloc(sizeof(*p));
    if (p == NULL) {
        return otr_fail_nomem(err);
    }
    p->loop = loop;
    p->urls = otr_calloc(n + 1, sizeof(*p->urls));
    for (; p->urls != NULL && p->n < n; p->n++) {
        p->urls[p->n] = otr_strdup(urls[p->n]);
        if (p->urls[p->n] == NULL) {
            break;
        }
    }
    if (p->urls == NULL || p->n < n) {
        otr_stub_poller_free(p);
        return otr_fail_nomem(err);
    }
    *ret = p;
    return OTR_OK;
}

void otr_stub_poller_free(otr_stub_poller *poller)
{
    if (poller == NULL) {
        return;
    }
    otr_loop_defer_cancel(&poller->later);
    otr_http_client_free(poller->client);
    for (size_t i = 0; i < poller->n; i++) {
        otr_free(poller->urls[i]);
    }
    otr_free(poller->urls);
    otr_free(poller);
}

static void finish(otr_stub_poller *p, const otr_stub_status *status)
{
    otr_stub_done_fn *done = p->done;
    p->done = NULL;
    otr_err err = p->first_err;
    done(p->arg, status, status != NULL ? NULL : &err);
}

static otr_code ask_current(otr_stub_poller *p, otr_err *err)
{
    if (p->client == NULL) {
        otr_http_url url;
        otr_code rc = otr_http_url_parse(p->urls[p->current], &url, err);
        if (rc != OTR_OK) {
            return rc;
        }
        rc = otr_http_client_new(p->loop, &url, &p->client, err);
        otr_http_url_deinit(&url);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    otr_http_get get = { .timeout_ms = p->timeout_ms,
                         .max_body_bytes = OTR_LIMIT_NGINX_STATUS_BYTES,
                         .done = on_response,
                         .arg = p };
    return otr_http_client_get(p->client, &get, err);
}

static void move_on(otr_stub_poller *p)
{
    otr_http_client_free(p->client);
    p->client = NULL;
    p->current = (p->current + 1) % p->n;
    p->tried++;
}

static void keep_first(otr_stub_poller *p, const otr_err *err)
{
    if (p->tried == 0) {
        p->first_err = *err;
    }
}

/* The next candidate to which a request begins; false when none is left. */
static bool ask_any(otr_stub_poller *p)
{
    while (p->tried < p->n) {
        otr_err err = { 0 };
        if (ask_current(p, &err) == OTR_OK) {
            return true;
        }
        keep_first(p, &err);
        move_on(p);
    }
    return false;
}

static void on_response(void *arg, otr_code rc, const otr_http_response *response,
                        const otr_err *err)
{
    otr_stub_poller *p = arg;
    otr_err why = { 0 };
    otr_stub_status status;
    if (rc != OTR_OK) {
        why = *err;
    } else if (response->status != 200) {
        rc = otr_fail(&why, OTR_EINVAL, "%s answered with status %u", p->urls[p->current],
                      response->status);
    } else {
        rc = otr_stub_status_parse(response->body, &status, &why);
        if (rc != OTR_OK) {
            rc = otr_wrap(&why, rc, "%s", p->urls[p->current]);
        }
    }
    if (rc == OTR_OK) {
        finish(p, &status);
        return;
    }
    keep_first(p, &why);
    move_on(p);
    if (!ask_any(p)) {
        finish(p, NULL);
    }
}

static void on_later(void *arg)
{
    finish(arg, NULL);
}

otr_code otr_stub_poller_ask(otr_stub_poller *p, uint64_t timeout_ms, otr_stub_done_fn *done,
                             void *arg, otr_err *err)
{
    if (p->done != NULL) {
        return otr_fail(err, OTR_ESTATE, "the status is being asked for");
    }
    if (p->n == 0) {
        return otr_fail(err, OTR_ENOTFOUND, "no status location is known");
    }
    p->done = done;
    p->arg = arg;
    p->timeout_ms = timeout_ms;
    p->tried = 0;
    if (!ask_any(p)) {
        otr_loop_defer(p->loop, &p->later, on_later, p);
    }
    return OTR_OK;
}
