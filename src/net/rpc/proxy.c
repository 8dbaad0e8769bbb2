#include "net/rpc/proxy.h"

#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/limits.h"

enum {
    HTTP_PORT = 80,
    HTTPS_PORT = 443,
    TIMEOUT_MS = 10000,
    CREDENTIALS_BYTES = 65536,
    HEX = 16,
    TEN = 10,
};

/* ---- what was configured ---- */

static otr_code copy(const char *from, size_t n, char **to, otr_err *err)
{
    otr_free(*to);
    *to = otr_strndup(from != NULL ? from : "", from != NULL ? n : 0);
    return *to != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code copy_text(const char *from, char **to, otr_err *err)
{
    return copy(from, from != NULL ? strlen(from) : 0, to, err);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | ' ');
    return c >= 'a' && c <= 'f' ? c - 'a' + TEN : -1;
}

/* %XX in the credentials of a URL, in place. */
static void decode(char *text)
{
    char *to = text;
    for (const char *p = text; *p != '\0'; p++) {
        int high = *p == '%' ? hex_value(p[1]) : -1;
        int low = high >= 0 ? hex_value(p[2]) : -1;
        if (low >= 0 && high * HEX + low != 0) {
            *to++ = (char)(high * HEX + low);
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
}

/* "user:password@" at the start of what follows the scheme. */
static otr_code take_credentials(otr_rpc_proxy *proxy, const char **rest, otr_err *err)
{
    const char *at = strrchr(*rest, '@');
    if (at == NULL) {
        return OTR_OK;
    }
    const char *colon = memchr(*rest, ':', (size_t)(at - *rest));
    const char *user_end = colon != NULL ? colon : at;
    otr_code rc = copy(*rest, (size_t)(user_end - *rest), &proxy->user, err);
    if (rc == OTR_OK && colon != NULL) {
        rc = copy(colon + 1, (size_t)(at - colon - 1), &proxy->password, err);
    }
    if (rc == OTR_OK) {
        decode(proxy->user);
        decode(proxy->password);
        proxy->auth = OTR_RPC_PROXY_BASIC;
        *rest = at + 1;
    }
    return rc;
}

static otr_code take_url(otr_rpc_proxy *proxy, const char *url, otr_err *err)
{
    static const char http[] = "http://", https[] = "https://";
    char host[OTR_RPC_AUTHORITY_BYTES];
    const char *rest;
    if (strncasecmp(url, http, sizeof(http) - 1) == 0) {
        rest = url + sizeof(http) - 1;
    } else if (strncasecmp(url, https, sizeof(https) - 1) == 0) {
        rest = url + sizeof(https) - 1;
        proxy->secure = true;
    } else { /* the text may hold a password: it is not shown */
        return otr_fail(err, OTR_EINVAL,
                        "the URL of the proxy begins with neither http:// nor https://");
    }
    otr_code rc = take_credentials(proxy, &rest, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t n = strcspn(rest, "/?#");
    if (n >= sizeof(host) || strspn(rest + n, "/") != strlen(rest + n)) {
        return otr_fail(err, OTR_EINVAL, "the URL of the proxy has more than a host and a port");
    }
    memcpy(host, rest, n);
    host[n] = '\0';
    rc = otr_rpc_target_parse(host, proxy->secure ? HTTPS_PORT : HTTP_PORT, &proxy->at, err);
    if (rc == OTR_OK && proxy->at.local) {
        rc = otr_fail(err, OTR_EINVAL, "a proxy is no unix socket");
    }
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "the URL of the proxy");
}

/* What goes into a header must not end it. */
static bool is_clean(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f) {
            return false;
        }
    }
    return true;
}

static otr_code check(const otr_rpc_proxy *proxy, otr_err *err)
{
    if (proxy->secure && proxy->tls == NULL) {
        return otr_fail(err, OTR_EINVAL, "an https proxy needs TLS settings");
    }
    if (proxy->auth == OTR_RPC_PROXY_BASIC && proxy->user[0] == '\0') {
        return otr_fail(err, OTR_EINVAL, "the proxy's basic authentication needs a username");
    }
    if (proxy->auth == OTR_RPC_PROXY_BASIC && strchr(proxy->user, ':') != NULL) {
        return otr_fail(err, OTR_EINVAL, "the username for the proxy must not hold a colon");
    }
    if (proxy->auth == OTR_RPC_PROXY_BEARER && proxy->token[0] == '\0') {
        return otr_fail(err, OTR_EINVAL, "the proxy's bearer authentication needs a token");
    }
    if (!is_clean(proxy->token)) {
        return otr_fail(err, OTR_EINVAL, "the proxy's token has characters that no header has");
    }
    return OTR_OK;
}

otr_code otr_rpc_proxy_init(otr_rpc_proxy *proxy, const otr_rpc_proxy_spec *spec, otr_err *err)
{
    *proxy = (otr_rpc_proxy){ .auth = spec->auth,
                              .tls = spec->tls,
                              .timeout_ms = spec->timeout_ms > 0 ? spec->timeout_ms : TIMEOUT_MS };
    otr_code rc = copy_text(spec->user, &proxy->user, err);
    rc = rc == OTR_OK ? copy_text(spec->password, &proxy->password, err) : rc;
    rc = rc == OTR_OK ? copy_text(spec->token, &proxy->token, err) : rc;
    rc = rc == OTR_OK ? copy_text(spec->no_proxy, &proxy->no_proxy, err) : rc;
    rc = rc == OTR_OK ? take_url(proxy, spec->url, err) : rc;
    rc = rc == OTR_OK ? check(proxy, err) : rc;
    if (rc != OTR_OK) {
        otr_rpc_proxy_deinit(proxy);
    }
    return rc;
}

void otr_rpc_proxy_deinit(otr_rpc_proxy *proxy)
{
    otr_free(proxy->user);
    otr_free(proxy->password);
    otr_free(proxy->token);
    otr_free(proxy->no_proxy);
    *proxy = (otr_rpc_proxy){ 0 };
}

/* ---- the question and the answer ---- */

static otr_code add_basic(const otr_rpc_proxy *proxy, otr_buf *out, otr_err *err)
{
    otr_buf plain;
    otr_buf_init(&plain, CREDENTIALS_BYTES);
    otr_code rc = otr_buf_addf(&plain, err, "%s:%s", proxy->user, proxy->password);
    rc = rc == OTR_OK ? otr_buf_adds(out, "Proxy-Authorization: Basic ", err) : rc;
    rc = rc == OTR_OK ? otr_base64_add(otr_buf_bytes(&plain), out, err) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(out, "\r\n", err) : rc;
    otr_buf_deinit(&plain);
    return rc;
}

otr_code otr_rpc_proxy_request(const otr_rpc_proxy *proxy, const otr_rpc_target *target,
                               otr_buf *out, otr_err *err)
{
    char to[OTR_RPC_AUTHORITY_BYTES];
    (void)otr_rpc_target_authority(target, to);
    otr_code rc = otr_buf_addf(out, err, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", to, to);
    if (rc == OTR_OK && proxy->auth == OTR_RPC_PROXY_BASIC) {
        rc = add_basic(proxy, out, err);
    } else if (rc == OTR_OK && proxy->auth == OTR_RPC_PROXY_BEARER) {
        rc = otr_buf_addf(out, err, "Proxy-Authorization: Bearer %s\r\n", proxy->token);
    }
    return rc == OTR_OK ? otr_buf_adds(out, "\r\n", err) : rc;
}

void otr_rpc_proxy_answer_init(otr_rpc_proxy_answer *answer)
{
    answer->taken = 0;
    otr_buf_init(&answer->head, OTR_LIMIT_RPC_PROXY_BYTES);
}

void otr_rpc_proxy_answer_deinit(otr_rpc_proxy_answer *answer)
{
    otr_buf_deinit(&answer->head);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.x NNN", as far as it has come. */
static bool may_be_answer(const otr_buf *head)
{
    static const char form[] = "HTTP/1.d ddd";
    for (size_t i = 0; i < head->n && i < sizeof(form) - 1; i++) {
        if (form[i] == 'd' ? !is_digit(head->p[i]) : head->p[i] != (uint8_t)form[i]) {
            return false;
        }
    }
    size_t end = sizeof(form) - 1;
    return head->n <= end || head->p[end] == ' ' || head->p[end] == '\r' || head->p[end] == '\n';
}

static bool is_complete(const otr_buf *head)
{
    const uint8_t *p = head->p;
    size_t n = head->n;
    return (n >= 4 && memcmp(p + n - 4, "\r\n\r\n", 4) == 0) ||
           (n >= 2 && memcmp(p + n - 2, "\n\n", 2) == 0);
}

/* The head is complete: whether it opens the tunnel, is one before the answer, or refuses. */
static otr_code judge(const otr_buf *head, bool *ret_open, otr_err *err)
{
    enum { AT = 9 };
    static const char proxy_says[] = "the proxy answered ";
    const char *status = (const char *)head->p + AT;
    if (status[0] == '2' || status[0] == '1') {
        *ret_open = status[0] == '2';
        return OTR_OK;
    }
    int n = (int)strcspn(status, "\r\n");
    if (strncmp(status, "407", 3) == 0) {
        return otr_fail(err, OTR_EDENIED, "%s%.*s: it wants other credentials", proxy_says, n,
                        status);
    }
    return otr_fail(err, OTR_EDENIED, "%s%.*s", proxy_says, n, status);
}

otr_code otr_rpc_proxy_answer_feed(otr_rpc_proxy_answer *answer, otr_bytes *in, bool *ret_open,
                                   otr_err *err)
{
    *ret_open = false;
    while (in->n > 0) {
        if (++answer->taken > OTR_LIMIT_RPC_PROXY_BYTES) {
            return otr_fail(err, OTR_EIO, "the proxy's answer has more than %u bytes",
                            OTR_LIMIT_RPC_PROXY_BYTES);
        }
        otr_code rc = otr_buf_addc(&answer->head, (char)*in->p, err);
        if (rc != OTR_OK) {
            return rc;
        }
        in->p++;
        in->n--;
        if (!may_be_answer(&answer->head)) {
            return otr_fail(err, OTR_EIO, "what the proxy answered is not HTTP/1");
        }
        if (is_complete(&answer->head)) {
            rc = judge(&answer->head, ret_open, err);
            otr_buf_clear(&answer->head);
            if (rc != OTR_OK || *ret_open) {
                return rc;
            }
        }
    }
    return OTR_OK;
}
