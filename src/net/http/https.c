#include "net/http/https.h"

#include <curl/curl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/curl/curl.h"

enum { URL_BYTES = 8192, NAME_BYTES = 256, REQUEST_BYTES = 2048 };

struct otr_https {
    const otr_curl *curl;
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    otr_https_connect_fn *connect;
    void *arg;
    char proxy_line[32]; /* sent first on a new connection; "" */
    otr_buf *body;
    otr_err *err; /* of the question under way */
    otr_code rc;
};

/* ---- what libcurl calls ---- */

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    (void)address;
    otr_https *h = arg;
    int fd = -1;
    h->rc = h->connect(h->arg, &fd, h->err);
    size_t n = strlen(h->proxy_line);
    if (h->rc == OTR_OK && n > 0 && write(fd, h->proxy_line, n) != (ssize_t)n) {
        h->rc = otr_fail(h->err, OTR_EIO, "cannot send the PROXY line");
    }
    if (h->rc != OTR_OK) {
        if (fd >= 0) {
            close(fd);
        }
        return CURL_SOCKET_BAD;
    }
    return fd;
}

static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    otr_https *h = arg;
    h->rc = otr_buf_add(h->body, (otr_bytes){ (const uint8_t *)data, size * n }, h->err);
    return h->rc == OTR_OK ? size * n : 0;
}

/* ---- life ---- */

static const char *host_of(const otr_http_url *url)
{
    if (url->host_header[0] != '\0') {
        return url->host_header;
    }
    return url->host != NULL ? url->host : "localhost";
}

/* The URL has the name, so that TLS asks for it; the socket goes where it goes. */
static otr_code set_url(otr_https *h, const otr_http_url *url, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, URL_BYTES);
    otr_code rc =
        otr_buf_addf(&text, err, "%s://%s%s", url->tls ? "https" : "http", host_of(url), url->path);
    bool bad = rc == OTR_OK &&
               (h->curl->easy_setopt(h->easy, CURLOPT_URL, otr_buf_text(&text)) != CURLE_OK ||
                h->curl->easy_setopt(h->easy, CURLOPT_PATH_AS_IS, 1L) != CURLE_OK);
    otr_buf_deinit(&text);
    return bad ? otr_fail_nomem(err) : rc;
}

static otr_code add_header(otr_https *h, const char *line, otr_err *err)
{
    struct curl_slist *more = h->curl->slist_append(h->headers, line);
    if (more == NULL) {
        return otr_fail_nomem(err);
    }
    h->headers = more;
    return OTR_OK;
}

static otr_code set_headers(otr_https *h, const otr_http_url *url, otr_err *err)
{
    otr_buf line;
    otr_buf_init(&line, REQUEST_BYTES);
    otr_code rc = otr_http_url_authorize(url, &line, err);
    if (rc == OTR_OK && line.n > 2) {
        otr_buf_cut(&line, line.n - 2);
        rc = add_header(h, otr_buf_text(&line), err);
    }
    otr_buf_deinit(&line);
    if (rc == OTR_OK && url->host_header[0] == '\0') {
        rc = add_header(h, "Host:", err);
    }
    return rc;
}

/* libcurl makes connections to a unix socket itself and takes none that is there already. */
static CURLcode set_hooks(otr_https *h, const otr_http_url *url)
{
    CURLcode rc = h->curl->easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
    if (rc == CURLE_OK && url->unix_path == NULL) {
        rc = h->curl->easy_setopt(h->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        rc =
            rc == CURLE_OK ? h->curl->easy_setopt(h->easy, CURLOPT_SOCKOPTFUNCTION, on_socket) : rc;
    }
    return rc;
}

static otr_code set_options(otr_https *h, const otr_https_spec *spec, otr_err *err)
{
    const otr_http_url *url = spec->url;
    long check = spec->trust == OTR_HTTPS_CHECKED;
    long version = url->host_header[0] == '\0' ? CURL_HTTP_VERSION_1_0 : CURL_HTTP_VERSION_1_1;
    h->connect_to = h->curl->slist_append(NULL, "::127.0.0.1:"); /* nothing is looked up */
    if (h->connect_to == NULL) {
        return otr_fail_nomem(err);
    }
    const struct option {
        CURLoption name;
        long value;
    } numbers[] = {
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_FOLLOWLOCATION, 0 },
        /* libcurl 7.88 fails on a used connection of HTTP/2 with prior knowledge. */
        { CURLOPT_FORBID_REUSE, url->http2 },
        { CURLOPT_SSL_VERIFYPEER, check },
        { CURLOPT_SSL_VERIFYHOST, 2 * check },
        { CURLOPT_HTTP_VERSION, url->http2 ? (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : version },
    };
    CURLcode rc = CURLE_OK;
    for (size_t i = 0; rc == CURLE_OK && i < OTR_COUNT(numbers); i++) {
        rc = h->curl->easy_setopt(h->easy, numbers[i].name, numbers[i].value);
    }
    const struct {
        CURLoption name;
        const void *value;
    } texts[] = {
        { CURLOPT_PROTOCOLS_STR, "http,https" },
        { CURLOPT_PROXY, "" },
        { CURLOPT_USERAGENT, "outrider/" OTR_VERSION },
        { CURLOPT_CONNECT_TO, h->connect_to },
        { CURLOPT_UNIX_SOCKET_PATH, url->unix_path },
        /* What is not checked may be of any age. */
        { CURLOPT_SSL_CIPHER_LIST, check != 0 ? NULL : "DEFAULT:@SECLEVEL=0" },
        { CURLOPT_HTTPHEADER, h->headers },
        { CURLOPT_OPENSOCKETDATA, h },
        { CURLOPT_SOCKOPTDATA, h },
        { CURLOPT_WRITEDATA, h },
        { CURLOPT_CAINFO, spec->ca != NULL && spec->ca[0] != '\0' ? spec->ca : NULL },
    };
    for (size_t i = 0; rc == CURLE_OK && i < OTR_COUNT(texts); i++) {
        bool skip = texts[i].value == NULL;
        rc = skip ? CURLE_OK : h->curl->easy_setopt(h->easy, texts[i].name, texts[i].value);
    }
    rc = rc == CURLE_OK ? set_hooks(h, url) : rc;
    return rc == CURLE_OK ? OTR_OK
                          : otr_fail(err, OTR_EUNSUP, "libcurl: %s", h->curl->easy_strerror(rc));
}

otr_code otr_https_new(const otr_https_spec *spec, otr_https **ret, otr_err *err)
{
    const otr_curl *curl;
    otr_code rc = otr_curl_open(&curl, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_https *h = otr_zalloc(sizeof(*h));
    if (h == NULL) {
        return otr_fail_nomem(err);
    }
    h->curl = curl;
    h->connect = spec->connect;
    h->arg = spec->arg;
    if (spec->url->proxy_protocol) {
        memcpy(h->proxy_line, "PROXY UNKNOWN\r\n", sizeof("PROXY UNKNOWN\r\n"));
    }
    h->easy = h->curl->easy_init();
    rc = h->easy != NULL ? set_url(h, spec->url, err) : otr_fail_nomem(err);
    rc = rc == OTR_OK ? set_headers(h, spec->url, err) : rc;
    rc = rc == OTR_OK ? set_options(h, spec, err) : rc;
    if (rc != OTR_OK) {
        otr_https_free(h);
        return rc;
    }
    *ret = h;
    return OTR_OK;
}

void otr_https_free(otr_https *https)
{
    if (https == NULL) {
        return;
    }
    if (https->easy != NULL) {
        https->curl->easy_cleanup(https->easy);
        https->curl->slist_free_all(https->headers);
        https->curl->slist_free_all(https->connect_to);
    }
    otr_free(https);
}

otr_code otr_https_get(otr_https *h, uint64_t timeout_ms, otr_buf *body, unsigned *ret_status,
                       otr_err *err)
{
    char why[CURL_ERROR_SIZE] = "";
    otr_err none = { 0 };
    h->err = err != NULL ? err : &none;
    h->body = body;
    h->rc = OTR_OK;
    otr_buf_clear(body);
    CURLcode rc = h->curl->easy_setopt(h->easy, CURLOPT_ERRORBUFFER, why);
    rc = rc == CURLE_OK ? h->curl->easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) : rc;
    rc = rc == CURLE_OK ? h->curl->easy_perform(h->easy) : rc;
    (void)h->curl->easy_setopt(h->easy, CURLOPT_ERRORBUFFER, NULL);
    long status = 0;
    if (rc == CURLE_OK) {
        rc = h->curl->easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    }
    if (rc == CURLE_OK) {
        *ret_status = (unsigned)status;
        return OTR_OK;
    }
    if (h->rc != OTR_OK) {
        return h->rc; /* told by what libcurl called */
    }
    otr_code code = rc == CURLE_OPERATION_TIMEDOUT ? OTR_ETIMEOUT : OTR_EIO;
    return otr_fail(err, code, "%s", why[0] != '\0' ? why : h->curl->easy_strerror(rc));
}
