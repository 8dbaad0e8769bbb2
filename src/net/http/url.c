#include "base/alloc.h"
#include "net/http/client.h"

enum { URL_BYTES = 8192 };

void otr_http_url_deinit(otr_http_url *url)
{
    otr_free(url->unix_path);
    otr_free(url->host);
    otr_free(url->path);
    otr_free(url->host_header);
    otr_free(url->credentials);
    *url = (otr_http_url){ 0 };
}

/* Bytes that would end a request line or a header. */
static bool is_clean(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f) {
            return false;
        }
    }
    return true;
}

static char *copy(const char *from, const char *to)
{
    return otr_strndup(from, (size_t)(to - from));
}

static otr_code parse_port(const char *p, const char *end, uint16_t *ret, otr_err *err)
{
    unsigned long port = 0;
    for (const char *at = p; at < end; at++) {
        if (*at < '0' || *at > '9' || port > 65535) {
            port = 0;
            break;
        }
        port = 10 * port + (unsigned long)(*at - '0');
    }
    if (port < 1 || port > 65535) {
        return otr_fail(err, OTR_EINVAL, "\"%.*s\" is no port number", (int)(end - p), p);
    }
    *ret = (uint16_t)port;
    return OTR_OK;
}

static int hex(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* "user:password" in [p, end), percent-encoded. */
static otr_code parse_credentials(const char *p, const char *end, otr_http_url *url, otr_err *err)
{
    char *out = copy(p, end);
    if (out == NULL) {
        return otr_fail_nomem(err);
    }
    url->credentials = out;
    for (; p < end; p++) {
        if (*p != '%') {
            *out++ = *p;
            continue;
        }
        int high = end - p > 2 ? hex(p[1]) : -1, low = high >= 0 ? hex(p[2]) : -1;
        if (low < 0 || high + low == 0) {
            return otr_fail(err, OTR_EINVAL, "the user or password is not percent-encoded");
        }
        *out++ = (char)(16 * high + low);
        p += 2;
    }
    *out = '\0';
    return strchr(url->credentials, ':') != NULL
               ? OTR_OK
               : otr_fail(err, OTR_EINVAL, "USER:PASSWORD@ has no colon");
}

/* "host", "host:port", "[v6]:port" in [p, end). */
static otr_code parse_authority(const char *p, const char *end, otr_http_url *url, otr_err *err)
{
    const char *host_end = end, *port = NULL, *host = p;
    if (p < end && *p == '[') {
        host = p + 1;
        host_end = memchr(p, ']', (size_t)(end - p));
        if (host_end == NULL || (host_end + 1 < end && host_end[1] != ':')) {
            return otr_fail(err, OTR_EINVAL, "the address in brackets is not complete");
        }
        port = host_end + 1 < end ? host_end + 2 : NULL;
    } else {
        const char *colon = p < end ? memchr(p, ':', (size_t)(end - p)) : NULL;
        if (colon != NULL) {
            host_end = colon;
            port = colon + 1;
        }
    }
    if (host_end == host) {
        return otr_fail(err, OTR_EINVAL, "the host is missing");
    }
    url->port = url->tls ? 443 : 80;
    if (port != NULL) {
        otr_code rc = parse_port(port, end, &url->port, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    url->host = copy(host, host_end);
    url->host_header = copy(p, end);
    return url->host != NULL && url->host_header != NULL ? OTR_OK : otr_fail_nomem(err);
}

/* SOCKET[:/PATH]: the path begins at the last ":/". */
static otr_code parse_unix(const char *p, const char *end, otr_http_url *url, const char **ret_path,
                           otr_err *err)
{
    const char *socket_end = end;
    for (const char *at = p; at + 1 < end; at++) {
        if (at[0] == ':' && at[1] == '/') {
            socket_end = at;
        }
    }
    *ret_path = socket_end < end ? socket_end + 1 : end;
    if (socket_end == p) {
        return otr_fail(err, OTR_EINVAL, "the path of the socket is missing");
    }
    url->unix_path = copy(p, socket_end);
    url->host_header = otr_strdup("localhost");
    return url->unix_path != NULL && url->host_header != NULL ? OTR_OK : otr_fail_nomem(err);
}

static bool is_option(const char *p, size_t n, const char *name)
{
    return n == strlen(name) && memcmp(p, name, n) == 0;
}

static otr_code parse_option(const char *p, size_t n, otr_http_url *url, otr_err *err)
{
    if (is_option(p, n, "proxy_protocol")) {
        url->proxy_protocol = true;
        return OTR_OK;
    }
    if (is_option(p, n, "http2")) {
        url->http2 = true;
        return OTR_OK;
    }
    if (is_option(p, n, "tls") && url->unix_path != NULL) {
        url->tls = true;
        return OTR_OK;
    }
    if (n >= 5 && memcmp(p, "host=", 5) == 0) {
        char *host = otr_strndup(p + 5, n - 5);
        if (host == NULL) {
            return otr_fail_nomem(err);
        }
        otr_free(url->host_header);
        url->host_header = host;
        return OTR_OK;
    }
    return otr_fail(err, OTR_EINVAL, "\"%.*s\" is none of host=NAME, proxy_protocol, http2", (int)n,
                    p);
}

static otr_code parse_rest(const char *path, const char *end, otr_http_url *url, otr_err *err)
{
    url->path = path < end ? copy(path, end) : otr_strdup("/");
    if (url->path == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    const char *option = *end == '#' ? end + 1 : "";
    while (rc == OTR_OK && *option != '\0') {
        size_t n = strcspn(option, "&");
        rc = parse_option(option, n, url, err);
        option += n + (option[n] == '&');
    }
    return rc;
}

static otr_code parse_remote(const char *text, otr_http_url *url, const char **ret_path,
                             otr_err *err)
{
    url->tls = strncmp(text, "https://", 8) == 0;
    if (!url->tls && strncmp(text, "http://", 7) != 0) {
        return otr_fail(err, OTR_EINVAL, "it begins with none of http://, https://, unix:");
    }
    const char *host = text + (url->tls ? 8 : 7);
    *ret_path = host + strcspn(host, "/#");
    const char *at = *ret_path;
    while (at > host && at[-1] != '@') {
        at--;
    }
    if (at > host) {
        otr_code rc = parse_credentials(host, at - 1, url, err);
        if (rc != OTR_OK) {
            return rc;
        }
        host = at;
    }
    return parse_authority(host, *ret_path, url, err);
}

static otr_code parse(const char *text, otr_http_url *url, otr_err *err)
{
    bool local = strncmp(text, "unix:", 5) == 0;
    const char *end = text + strcspn(text, "#"), *path = text;
    if (strlen(text) > URL_BYTES || (!local && !is_clean(text))) {
        return otr_fail(err, OTR_EINVAL, "it is too long or holds white space");
    }
    otr_code rc =
        local ? parse_unix(text + 5, end, url, &path, err) : parse_remote(text, url, &path, err);
    if (rc == OTR_OK && !is_clean(path)) { /* a socket's own name goes into no request */
        return otr_fail(err, OTR_EINVAL, "it is too long or holds white space");
    }
    return rc == OTR_OK ? parse_rest(path, end, url, err) : rc;
}

otr_code otr_http_url_parse(const char *text, otr_http_url *ret, otr_err *err)
{
    otr_http_url url = { 0 };
    otr_code rc = parse(text, &url, err);
    if (rc != OTR_OK) {
        otr_http_url_deinit(&url);
        const char *shown = strchr(text, '@'); /* a password is not for the log */
        return rc == OTR_ENOMEM
                   ? rc
                   : otr_wrap(err, rc, "bad URL \"%s%.200s\"", shown != NULL ? "..." : "",
                              shown != NULL ? shown : text);
    }
    *ret = url;
    return OTR_OK;
}
