/*
 * From a URL to what a socket needs, and to what a request carries for its user.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/limits.h"
#include "net/http/client.h"
#include "net/http/hosts.h"

enum { CREDENTIALS_BYTES = 1024 };

typedef struct addresses {
    otr_http_address *items;
    size_t n;
    uint16_t port;
} addresses;

static void add(void *arg, const char *host)
{
    addresses *a = arg;
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(a->port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(a->port) };
    if (a->n == OTR_HTTP_ADDRESSES) {
        return;
    }
    otr_http_address *to = &a->items[a->n];
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        to->size = sizeof(v4);
        memcpy(to->bytes, &v4, sizeof(v4));
        a->n++;
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        to->size = sizeof(v6);
        memcpy(to->bytes, &v6, sizeof(v6));
        a->n++;
    }
}

static otr_code add_unix(const char *path, addresses *a, otr_err *err)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    if (n >= sizeof(to.sun_path)) {
        return otr_fail(err, OTR_EINVAL, "%s: the path of a socket has at most %zu bytes", path,
                        sizeof(to.sun_path) - 1);
    }
    memcpy(to.sun_path, path, n + 1);
    memcpy(a->items[0].bytes, &to, sizeof(to));
    a->items[0].size = sizeof(to);
    a->n = 1;
    return OTR_OK;
}

otr_code otr_http_url_resolve(const otr_http_url *url, otr_http_address ret[OTR_HTTP_ADDRESSES],
                              size_t *ret_n, otr_err *err)
{
    addresses a = { .items = ret, .port = url->port };
    if (url->unix_path != NULL) {
        otr_code rc = add_unix(url->unix_path, &a, err);
        *ret_n = a.n;
        return rc;
    }
    add(&a, url->host);
    if (a.n == 0) {
        otr_buf hosts;
        otr_buf_init(&hosts, OTR_LIMIT_HOSTS_BYTES);
        if (otr_buf_read_file(&hosts, "/etc/hosts", NULL) != OTR_OK) {
            otr_buf_clear(&hosts);
        }
        otr_hosts_find(otr_buf_bytes(&hosts), url->host, add, &a);
        otr_buf_deinit(&hosts);
    }
    *ret_n = a.n;
    return a.n > 0
               ? OTR_OK
               : otr_fail(err, OTR_EINVAL,
                          "\"%s\" is neither an IP address nor a name in /etc/hosts", url->host);
}

otr_code otr_http_url_authorize(const otr_http_url *url, otr_buf *out, otr_err *err)
{
    size_t n = url->credentials != NULL ? strlen(url->credentials) : 0;
    char text[sodium_base64_ENCODED_LEN(CREDENTIALS_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    if (n == 0) {
        return OTR_OK;
    }
    if (n > CREDENTIALS_BYTES) {
        return otr_fail(err, OTR_EINVAL, "user and password are longer than %d bytes",
                        CREDENTIALS_BYTES);
    }
    (void)sodium_bin2base64(text, sizeof(text), (const unsigned char *)url->credentials, n,
                            sodium_base64_VARIANT_ORIGINAL);
    return otr_buf_addf(out, err, "Authorization: Basic %s\r\n", text);
}
