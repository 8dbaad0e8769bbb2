#include "plugin/source/fetch.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "net/curl/curl.h"
#include "plugin/manifest/url.h"

enum { STATUS_OK = 200, STATUS_SAME = 304, MAX_REDIRECTS = 5, CONNECT_MS = 10000 };

/* ---- one transfer ---- */

typedef struct transfer {
    const otr_fetch_spec *spec;
    const otr_curl *curl;
    CURL *easy;
    struct curl_slist *headers;
    otr_buf *out;
    size_t before;
    bool too_large;
} transfer;

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    transfer *t = arg;
    size_t all = size * n;
    long status = 0;
    (void)t->curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != STATUS_OK) {
        return all; /* the page of an error or a redirect is not the file */
    }
    if (otr_buf_add(t->out, (otr_bytes){ (const uint8_t *)data, all }, NULL) != OTR_OK) {
        t->too_large = true;
        return all + 1; /* anything but `all` ends the transfer */
    }
    return all;
}

static CURLcode set_options(transfer *t)
{
    const otr_curl *c = t->curl;
    uint64_t ms = t->spec->limit_ns / OTR_NS_PER_MS;
    const otr_curl_setup setup = { .schemes = "https",
                                   .timeout_ms = (long)(ms > 0 ? ms : 1),
                                   .headers = t->headers,
                                   .ca = t->spec->ca,
                                   .write = take_body,
                                   .arg = t };
    CURLcode bad = otr_curl_set(c, t->easy, &setup);
#define SET(option, value) bad = bad == CURLE_OK ? c->easy_setopt(t->easy, option, value) : bad
    SET(CURLOPT_URL, t->spec->url);
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
#undef SET
    return bad;
}

static otr_code explain(const transfer *t, CURLcode bad, otr_err *err)
{
    char label[OTR_URL_LABEL_BYTES];
    (void)otr_url_label(t->spec->url, label);
    if (t->too_large) {
        return otr_fail(err, OTR_EQUOTA, "%s is larger than %zu bytes", label,
                        t->out->max_bytes - t->before);
    }
    if (bad == CURLE_ABORTED_BY_CALLBACK) {
        return otr_fail(err, OTR_EIO, "%s: no longer wanted", label);
    }
    switch (bad) {
    case CURLE_OPERATION_TIMEDOUT:
        return otr_fail(err, OTR_ETIMEOUT, "%s: not fetched within %llu ms", label,
                        (unsigned long long)(t->spec->limit_ns / OTR_NS_PER_MS));
    case CURLE_UNSUPPORTED_PROTOCOL:
        return otr_fail(err, OTR_EIO, "%s redirects to what is not https", label);
    case CURLE_TOO_MANY_REDIRECTS:
        return otr_fail(err, OTR_EIO, "%s redirects more than %d times", label, MAX_REDIRECTS);
    case CURLE_PEER_FAILED_VERIFICATION:
        return otr_fail(err, OTR_EIO, "%s: the server's certificate is not trusted (%s)", label,
                        t->spec->ca != NULL ? t->spec->ca : "the system's roots");
    case CURLE_SSL_CACERT_BADFILE:
        return otr_fail(err, OTR_EIO, "%s: cannot use the roots in %s", label,
                        t->spec->ca != NULL ? t->spec->ca : "the system's folder");
    case CURLE_OUT_OF_MEMORY:
        return otr_fail_nomem(err);
    default:
        return otr_fail(err, OTR_EIO, "%s: %s", label, t->curl->easy_strerror(bad));
    }
}

/* An ETag that can be sent back as it is; else there is none. */
static void take_etag(const transfer *t, char ret[OTR_ETAG_BYTES])
{
    ret[0] = '\0';
    struct curl_header *h = NULL;
    while ((h = t->curl->easy_nextheader(t->easy, CURLH_HEADER, -1, h)) != NULL) {
        if (strcasecmp(h->name, "etag") != 0) {
            continue;
        }
        size_t n = strlen(h->value);
        for (size_t i = 0; i < n; i++) {
            n = isgraph((unsigned char)h->value[i]) ? n : 0;
        }
        if (n > 0 && n < OTR_ETAG_BYTES) {
            memcpy(ret, h->value, n + 1);
        }
        return;
    }
}

static otr_code conclude(const transfer *t, otr_fetched *ret, otr_err *err)
{
    char label[OTR_URL_LABEL_BYTES];
    long status = 0;
    (void)t->curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    bool asked = t->spec->etag != NULL && t->spec->etag[0] != '\0';
    if (status != STATUS_OK && !(status == STATUS_SAME && asked)) {
        return otr_fail(err, OTR_EIO, "%s: the server answers with status %ld",
                        otr_url_label(t->spec->url, label), status);
    }
    *ret = (otr_fetched){ .unchanged = status == STATUS_SAME };
    take_etag(t, ret->etag);
    return OTR_OK;
}

static otr_code condition(transfer *t, otr_err *err)
{
    if (t->spec->etag == NULL || t->spec->etag[0] == '\0') {
        return OTR_OK;
    }
    char line[OTR_ETAG_BYTES + sizeof("If-None-Match: ")];
    (void)snprintf(line, sizeof(line), "If-None-Match: %s", t->spec->etag);
    t->headers = t->curl->slist_append(NULL, line);
    return t->headers != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_fetch(const otr_fetch_spec *spec, otr_buf *out, otr_fetched *ret, otr_err *err)
{
    transfer t = { .spec = spec, .out = out, .before = out->n };
    otr_code rc = otr_url_check(spec->url, err);
    rc = rc == OTR_OK ? otr_curl_open(&t.curl, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    if ((t.easy = t.curl->easy_init()) == NULL) {
        return otr_fail_nomem(err);
    }
    CURLM *multi = t.curl->multi_init();
    rc = condition(&t, err);
    if (rc == OTR_OK) {
        CURLcode bad = multi != NULL ? set_options(&t) : CURLE_OUT_OF_MEMORY;
        bad = bad == CURLE_OK ? otr_curl_perform(t.curl, multi, t.easy, spec->ended) : bad;
        rc = bad == CURLE_OK ? conclude(&t, ret, err) : explain(&t, bad, err);
    }
    if (rc != OTR_OK) {
        otr_buf_cut(out, t.before);
    }
    t.curl->easy_cleanup(t.easy);
    if (multi != NULL) {
        (void)t.curl->multi_cleanup(multi);
    }
    t.curl->slist_free_all(t.headers);
    return rc;
}
