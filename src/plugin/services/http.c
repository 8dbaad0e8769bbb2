/*
 * http.request: blocks the guest's worker, at most for what is left of the call's time. Each
 * redirect is a request of its own, which needs a grant. The addresses that a name stands for are
 * checked when the connection is made, so that no second look-up can give others.
 */
#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/frame.h"
#include "base/json.h"
#include "base/limits.h"
#include "net/curl/curl.h"
#include "net/curl/pin.h"
#include "net/resolve/resolve.h"
#include "plugin/services/http_fields.h"
#include "plugin/services/services.h"
#include "wasm/abi/extism_manifest.h"

enum { MAX_REDIRECTS = 5, METHOD_BYTES = 16, ADDRESS_BYTES = 64, PORT_BASE = 10 };

typedef struct client { /* kept for a guest */
    const otr_curl *curl;
    CURL *easy;
    CURLM *multi; /* keeps the plugin's connections between requests */
} client;

typedef struct request {
    otr_gate *gate;
    const otr_curl *curl;
    CURL *easy;
    CURLM *multi;
    otr_json *head;
    CURLU *url;
    char *scheme, *host, *path; /* of `url`; libcurl's */
    char method[METHOD_BYTES];
    struct curl_slist *headers;
    struct curl_slist *addresses; /* of the host, so that libcurl looks up nothing */
    bool foreign;                 /* a redirect led to another origin: credentials stay behind */
    const char *ca;               /* of the grant that covers it; NULL: the system's roots */
    uint16_t port;
    bool literal; /* that grant names the host: any address will do */
    otr_bytes body;
    otr_buf answer;
    otr_http_fields fields;
    char refused[ADDRESS_BYTES]; /* an address that is not public; "": none */
    bool too_large;
} request;

static bool granted(const otr_manifest *m)
{
    return m->http.n > 0;
}

static void close_client(void *own)
{
    client *http = own;
    http->curl->easy_cleanup(http->easy);
    if (http->multi != NULL) {
        (void)http->curl->multi_cleanup(http->multi);
    }
    otr_free(http);
}

static otr_code open_client(const otr_gate *gate, void **ret, otr_err *err)
{
    (void)gate;
    const otr_curl *curl;
    otr_code rc = otr_curl_open(&curl, err);
    if (rc != OTR_OK) {
        return rc;
    }
    client *http = otr_zalloc(sizeof(*http));
    if (http == NULL) {
        return otr_fail_nomem(err);
    }
    http->curl = curl;
    http->easy = curl->easy_init();
    http->multi = curl->multi_init();
    if (http->easy == NULL || http->multi == NULL) {
        close_client(http);
        return otr_fail_nomem(err);
    }
    *ret = http;
    return OTR_OK;
}

/* ---- what the guest asks for ---- */

static otr_code read_request(request *r, otr_bytes in, otr_err *err)
{
    otr_bytes json;
    if (!otr_frame_take(&in, &json)) {
        return otr_fail(err, OTR_EINVAL,
                        "http.request: expected the JSON's length, the JSON and the body");
    }
    r->body = in;
    if (json.n > OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "http.request: URL and headers of %zu bytes; at most %u",
                        json.n, OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES);
    }
    otr_code rc = otr_json_parse(json, &r->head, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "http.request");
    }
    if ((rc = otr_http_question_check(r->head, err)) != OTR_OK) {
        return rc;
    }
    const char *method = otr_json_str(otr_json_get(r->head, "method"), "GET");
    size_t len = strlen(method);
    if (len == 0 || len >= sizeof(r->method)) {
        return otr_fail(err, OTR_EINVAL, "http.request: there is no such method");
    }
    for (size_t i = 0; i <= len; i++) {
        r->method[i] = (char)toupper((unsigned char)method[i]);
        if (i < len && (r->method[i] < 'A' || r->method[i] > 'Z')) {
            return otr_fail(err, OTR_EINVAL, "http.request: there is no such method");
        }
    }
    return OTR_OK;
}

/* ---- where it goes ---- */

static void forget_target(request *r)
{
    if (r->curl != NULL) {
        r->curl->free(r->scheme);
        r->curl->free(r->host);
        r->curl->free(r->path);
    }
    r->scheme = r->host = r->path = NULL;
}

static uint16_t number_of(const char *port)
{
    unsigned n = 0;
    for (; *port != '\0' && n <= UINT16_MAX; port++) {
        n = PORT_BASE * n + (unsigned)(*port - '0');
    }
    return n <= UINT16_MAX ? (uint16_t)n : 0;
}

/* The file's own manifest may name fewer hosts than the grants do. */
static bool plugin_allows(const request *r)
{
    char host[256];
    size_t n = strlen(r->host);
    if (r->gate->allowed_hosts == NULL) {
        return true;
    }
    for (size_t i = 0; i < n && i < sizeof(host); i++) {
        host[i] = (char)tolower((unsigned char)r->host[i]);
    }
    host[n < sizeof(host) ? n : 0] = '\0';
    return n < sizeof(host) && otr_extism_host_allowed(r->gate->allowed_hosts, host);
}

static otr_code deny(const request *r, const otr_http_target *t, const otr_http_answer *answer,
                     otr_err *err)
{
    char what[256];
    (void)snprintf(what, sizeof(what), "http.request %s %s://%s:%u%.80s%s%s", r->method, r->scheme,
                   r->host, t->port, r->path, answer->why[0] != '\0' ? "; " : "", answer->why);
    return otr_gate_deny(r->gate, what, "http", err);
}

/* Reads the URL with the parser that makes the connection, then asks the grants. */
static otr_code aim(request *r, const char *text, otr_err *err)
{
    const otr_curl *curl = r->curl;
    char *port = NULL, *user = NULL;
    forget_target(r);
    CURLUcode bad = strlen(text) <= OTR_LIMIT_PLUGIN_URL_BYTES
                        ? curl->url_set(r->url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME)
                        : CURLUE_MALFORMED_INPUT;
    bad = bad == CURLUE_OK ? curl->url_get(r->url, CURLUPART_SCHEME, &r->scheme, 0) : bad;
    bad = bad == CURLUE_OK ? curl->url_get(r->url, CURLUPART_HOST, &r->host, 0) : bad;
    bad = bad == CURLUE_OK ? curl->url_get(r->url, CURLUPART_PATH, &r->path, 0) : bad;
    if (bad != CURLUE_OK) {
        return otr_fail(err, OTR_EINVAL, "http.request: bad URL: %s", curl->url_strerror(bad));
    }
    bool named = curl->url_get(r->url, CURLUPART_USER, &user, 0) == CURLUE_OK;
    bool ported = curl->url_get(r->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    otr_http_target target = {
        .method = r->method,
        .scheme = r->scheme,
        .host = r->host,
        .path = r->path,
        .port = ported ? number_of(port) : 0,
    };
    curl->free(port);
    curl->free(user);
    if (named) {
        return otr_fail(err, OTR_EINVAL, "http.request: credentials belong in a header");
    }
    /* What holds now, and what the call began with. */
    otr_http_answer now, then;
    const otr_http_grant *grant = otr_http_granted(&otr_gate_policy(r->gate)->http, &target, &now);
    if (grant == NULL) {
        return deny(r, &target, &now, err);
    }
    if (otr_http_granted(&r->gate->manifest->http, &target, &then) == NULL) {
        return deny(r, &target, &then, err);
    }
    if (!plugin_allows(r)) {
        otr_gate_count_denial(r->gate, "http");
        return otr_fail(err, OTR_EDENIED,
                        "http.request: %s is not in allowed_hosts of the plugin's own manifest",
                        r->host);
    }
    r->port = target.port;
    r->ca = grant->ca;
    r->literal = now.named && then.named;
    return OTR_OK;
}

/* ---- one exchange ---- */

static bool may_reach(request *r, const struct sockaddr *addr, socklen_t n)
{
    if (r->literal || otr_address_public(addr)) {
        return true;
    }
    if (getnameinfo(addr, n, r->refused, sizeof(r->refused), NULL, 0, NI_NUMERICHOST) != 0) {
        (void)snprintf(r->refused, sizeof(r->refused), "?");
    }
    return false;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    request *r = arg;
    (void)purpose;
    return may_reach(r, &addr->addr, addr->addrlen)
               ? socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol)
               : CURL_SOCKET_BAD;
}

/* Also of a connection that is used again, which another grant may have opened. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the library dictates the parameters. */
static int before_request(void *arg, char *ip, char *own_ip, int port, int own_port)
{
    const struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    request *r = arg;
    struct addrinfo *at = NULL;
    (void)own_ip;
    (void)port;
    (void)own_port;
    if (r->literal) {
        return CURL_PREREQFUNC_OK;
    }
    bool fine =
        getaddrinfo(ip, NULL, &numeric, &at) == 0 && may_reach(r, at->ai_addr, at->ai_addrlen);
    if (at != NULL) {
        freeaddrinfo(at);
    } else {
        (void)snprintf(r->refused, sizeof(r->refused), "?");
    }
    return fine ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    request *r = arg;
    size_t all = size * n;
    if (otr_buf_add(&r->answer, (otr_bytes){ (const uint8_t *)data, all }, NULL) != OTR_OK) {
        r->too_large = true;
        return all + 1; /* anything but `all` ends the transfer */
    }
    return all;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the library dictates the parameters. */
static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    request *r = arg;
    if (!otr_http_fields_line(&r->fields, (otr_bytes){ (const uint8_t *)data, size * n })) {
        r->too_large = true;
        return size * n + 1;
    }
    return size * n;
}

static otr_code left_ms(const request *r, long *ret, otr_err *err)
{
    uint64_t end = r->gate->until_ns;
    uint64_t now = otr_now_ns();
    if (now + OTR_NS_PER_MS >= end) {
        return otr_fail(err, OTR_ETIMEOUT, "http.request: the call has no time left");
    }
    *ret = (long)((end - now) / OTR_NS_PER_MS);
    return OTR_OK;
}

static CURLcode set_body(const request *r)
{
    const otr_curl *c = r->curl;
    if (strcmp(r->method, "HEAD") == 0) {
        return c->easy_setopt(r->easy, CURLOPT_NOBODY, 1L);
    }
    CURLcode bad = CURLE_OK;
    if (r->body.n > 0 || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0) {
        bad = c->easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
        bad = bad == CURLE_OK ? c->easy_setopt(r->easy, CURLOPT_POSTFIELDS,
                                               r->body.n > 0 ? r->body.p : (const uint8_t *)"")
                              : bad;
    }
    return bad == CURLE_OK ? c->easy_setopt(r->easy, CURLOPT_CUSTOMREQUEST, r->method) : bad;
}

static CURLcode set_options(request *r, long ms)
{
    const otr_curl *c = r->curl;
    const otr_curl_setup setup = { .schemes = "http,https",
                                   .timeout_ms = ms,
                                   .headers = r->headers,
                                   .ca = r->ca,
                                   .write = take_body,
                                   .arg = r };
    c->easy_reset(r->easy);
    CURLcode bad = otr_curl_set(c, r->easy, &setup);
#define SET(option, value) bad = bad == CURLE_OK ? c->easy_setopt(r->easy, option, value) : bad
    SET(CURLOPT_CURLU, r->url);
    SET(CURLOPT_RESOLVE, r->addresses);
    SET(CURLOPT_PROXY, ""); /* the environment's proxy would hide the address */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, r);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_PREREQDATA, r);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, r);
#undef SET
    return bad == CURLE_OK ? set_body(r) : bad;
}

static otr_code explain(request *r, CURLcode bad, otr_err *err)
{
    if (r->refused[0] != '\0') {
        char what[256];
        (void)snprintf(what, sizeof(what), "http.request to %s at the address %s, not a public one",
                       r->host, r->refused);
        return otr_gate_deny(r->gate, what, "http", err);
    }
    if (r->too_large) {
        return otr_fail(err, OTR_EQUOTA, "http.request: the answer of %s is larger than %u bytes",
                        r->host, OTR_LIMIT_PLUGIN_HTTP_BYTES);
    }
    if (bad == CURLE_ABORTED_BY_CALLBACK) {
        return otr_fail(err, OTR_ETIMEOUT, "http.request to %s: the call was cancelled", r->host);
    }
    return otr_fail(err, bad == CURLE_OPERATION_TIMEDOUT ? OTR_ETIMEOUT : OTR_EIO,
                    "http.request to %s: %s", r->host, r->curl->easy_strerror(bad));
}

static otr_code resolve(request *r, otr_err *err)
{
    const otr_resolve_spec spec = { r->host, r->gate->name, r->gate->until_ns, &r->gate->ended };
    r->curl->slist_free_all(otr_steal(&r->addresses));
    otr_code rc = otr_resolve_pin(r->curl, &spec, r->port, &r->addresses, err);
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "http.request to %s", r->host);
}

static otr_code exchange(request *r, long *ret_status, otr_err *err)
{
    long ms = 0;
    otr_code rc = left_ms(r, &ms, err);
    rc = rc == OTR_OK ? resolve(r, err) : rc;
    rc = rc == OTR_OK ? left_ms(r, &ms, err) : rc;
    rc = rc == OTR_OK ? otr_http_question_fields(r->curl, r->head,
                                                 r->foreign ? OTR_HTTP_FOREIGN : OTR_HTTP_FIRST,
                                                 &r->headers, err)
                      : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf_clear(&r->answer);
    otr_http_fields_clear(&r->fields);
    CURLcode bad = set_options(r, ms);
    bad = bad == CURLE_OK ? otr_curl_perform(r->curl, r->multi, r->easy, &r->gate->ended) : bad;
    if (bad != CURLE_OK) {
        return explain(r, bad, err);
    }
    (void)r->curl->easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, ret_status);
    return OTR_OK;
}

/* ---- redirects ---- */

static bool becomes_get(const request *r, long status)
{
    if (strcmp(r->method, "HEAD") == 0) {
        return false;
    }
    return status == 303 || ((status == 301 || status == 302) && strcmp(r->method, "POST") == 0);
}

/* Aims at where the answer sends us; `*ret_more` is false when it sends us nowhere. */
static otr_code follow(request *r, long status, bool *ret_more, otr_err *err)
{
    char *next = NULL, *was = NULL, *is = NULL;
    *ret_more = false;
    if (r->curl->easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &next) != CURLE_OK || next == NULL ||
        status < 301 || status > 308) {
        return OTR_OK;
    }
    OTR_CLEANUP(otr_freep) char *url = otr_strdup(next);
    if (url == NULL) {
        return otr_fail_nomem(err);
    }
    if (becomes_get(r, status)) {
        (void)snprintf(r->method, sizeof(r->method), "GET");
        r->body = (otr_bytes){ NULL, 0 };
    }
    const unsigned flags = CURLU_DEFAULT_PORT;
    char *port = NULL, *new_port = NULL;
    (void)r->curl->url_get(r->url, CURLUPART_PORT, &port, flags);
    was = otr_strdup(r->host);
    is = otr_strdup(r->scheme);
    otr_code rc = was != NULL && is != NULL ? aim(r, url, err) : otr_fail_nomem(err);
    if (rc == OTR_OK) {
        (void)r->curl->url_get(r->url, CURLUPART_PORT, &new_port, flags);
        r->foreign = r->foreign || strcasecmp(was, r->host) != 0 || strcmp(is, r->scheme) != 0 ||
                     port == NULL || new_port == NULL || strcmp(port, new_port) != 0;
        *ret_more = true;
    } else {
        rc = otr_wrap(err, rc, "redirected");
    }
    r->curl->free(port);
    r->curl->free(new_port);
    otr_free(was);
    otr_free(is);
    return rc;
}

/* ---- the answer ---- */

static otr_code write_answer(const request *r, long status, otr_buf *out, otr_err *err)
{
    otr_buf json;
    otr_jw w;
    otr_buf_init(&json, OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES * 8);
    otr_jw_begin(&w, &json, err);
    otr_jw_obj(&w, NULL);
    otr_jw_i64(&w, "status", status);
    otr_jw_obj(&w, "headers");
    otr_code rc = otr_http_fields_write(&r->fields, &w, err);
    otr_jw_obj_end(&w);
    otr_jw_obj_end(&w);
    otr_code wrote = otr_jw_end(&w);
    rc = rc == OTR_OK ? wrote : rc;
    size_t before = out->n;
    rc = rc == OTR_OK ? otr_frame_put(otr_buf_bytes(&json), out, err) : rc;
    rc = rc == OTR_OK ? otr_buf_add(out, otr_buf_bytes(&r->answer), err) : rc;
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    otr_buf_deinit(&json);
    return rc;
}

static otr_code run(request *r, otr_buf *out, otr_err *err)
{
    const char *url = otr_json_str(otr_json_get(r->head, "url"), NULL);
    if (url == NULL) {
        return otr_fail(err, OTR_EINVAL, "http.request: expected {\"url\":text,…}");
    }
    otr_code rc = aim(r, url, err);
    for (unsigned hops = 0; rc == OTR_OK; hops++) {
        long status = 0;
        bool more = false;
        rc = exchange(r, &status, err);
        rc = rc == OTR_OK ? follow(r, status, &more, err) : rc;
        if (rc == OTR_OK && !more) {
            otr_gate_note_status(r->gate, status);
            return write_answer(r, status, out, err);
        }
        if (rc == OTR_OK && hops == MAX_REDIRECTS) {
            rc = otr_fail(err, OTR_EQUOTA, "http.request: more than %d redirects", MAX_REDIRECTS);
        }
    }
    return rc;
}

static otr_code http_request(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    const client *http = own;
    request r = { .gate = gate, .curl = http->curl, .easy = http->easy, .multi = http->multi };
    otr_buf_init(&r.answer, OTR_LIMIT_PLUGIN_HTTP_BYTES);
    otr_http_fields_init(&r.fields);
    otr_code rc = read_request(&r, in, err);
    if (rc == OTR_OK && (r.url = r.curl->url()) == NULL) {
        rc = otr_fail_nomem(err);
    }
    rc = rc == OTR_OK ? run(&r, out, err) : rc;
    r.curl->easy_reset(r.easy); /* it must not keep what ends here */
    r.curl->slist_free_all(r.headers);
    r.curl->slist_free_all(r.addresses);
    forget_target(&r);
    r.curl->url_cleanup(r.url);
    otr_buf_deinit(&r.answer);
    otr_http_fields_deinit(&r.fields);
    otr_json_free(r.head);
    return rc;
}

static const otr_operation operations[] = { { "http.request", http_request }, { NULL, NULL } };

const otr_service otr_service_http = {
    .name = "http.request",
    .grant = "http",
    .granted = granted,
    .operations = operations,
    .open = open_client,
    .close = close_client,
};
