#include "nginx/status/listens.h"

#include <arpa/inet.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/http/hosts.h"
#include "nginx/status/collect.h"

enum { RANGE_MOST = 8, HOST_BYTES = 256, MAIN_PORT = 80, OTHER_PORT = 8000 };

otr_code otr_scan_room(void *slot, size_t n, size_t *cap, size_t size, otr_err *err)
{
    if (n < *cap) {
        return OTR_OK;
    }
    if (n >= OTR_LIMIT_NGINX_STATUS_ITEMS) {
        return otr_fail(err, OTR_EQUOTA, "the configuration has too many servers");
    }
    void *items;
    memcpy(&items, slot, sizeof(items));
    size_t more = *cap > 0 ? 2 * *cap : 8;
    items = otr_realloc(items, more * size);
    if (items == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(slot, &items, sizeof(items));
    *cap = more;
    return OTR_OK;
}

static otr_code add(otr_servers *s, const otr_listen *listen, otr_err *err)
{
    otr_code rc =
        otr_scan_room(&s->listens, s->n_listens, &s->cap_listens, sizeof(*s->listens), err);
    if (rc == OTR_OK) {
        s->listens[s->n_listens++] = *listen;
    }
    return rc;
}

static otr_code add_unix(otr_servers *s, const char *path, otr_listen *listen, otr_err *err)
{
    listen->path = otr_strdup(path);
    if (listen->path == NULL) {
        return otr_fail_nomem(err);
    }
    listen->at = (otr_place){ .family = OTR_FAMILY_UNIX, .path = listen->path };
    otr_code rc = add(s, listen, err);
    if (rc != OTR_OK) {
        otr_free(listen->path);
    }
    return rc;
}

/* ---- ports ---- */

typedef struct ports {
    unsigned first, last;
} ports;

static bool number(otr_bytes text, unsigned *ret)
{
    unsigned n = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || text.n > 5) {
            return false;
        }
        n = 10 * n + (unsigned)(text.p[i] - '0');
    }
    *ret = n;
    return n >= 1 && n <= UINT16_MAX;
}

/* "80", "8101-8104" */
static bool parse_ports(otr_bytes text, ports *ret)
{
    const uint8_t *dash = text.n > 0 ? memchr(text.p, '-', text.n) : NULL;
    otr_bytes first = { text.p, dash != NULL ? (size_t)(dash - text.p) : text.n };
    if (!number(first, &ret->first)) {
        return false;
    }
    ret->last = ret->first;
    return dash == NULL || (number((otr_bytes){ dash + 1, text.n - first.n - 1 }, &ret->last) &&
                            ret->last >= ret->first);
}

static otr_code add_ports(otr_servers *s, otr_listen *listen, const ports *p, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (unsigned i = p->first; rc == OTR_OK && i <= p->last && i < p->first + RANGE_MOST; i++) {
        listen->at.port = (uint16_t)i;
        rc = add(s, listen, err);
    }
    return rc;
}

/* ---- hosts ---- */

/* An address as text, without brackets. */
static bool parse_ip(const char *text, otr_place *ret)
{
    if (inet_pton(AF_INET, text, ret->ip) == 1) {
        ret->family = OTR_FAMILY_V4;
        return true;
    }
    ret->family = OTR_FAMILY_V6;
    return inet_pton(AF_INET6, text, ret->ip) == 1;
}

static bool is_zero(const otr_place *at)
{
    static const uint8_t zero[sizeof(at->ip)] = { 0 };
    return memcmp(at->ip, zero, sizeof(zero)) == 0;
}

typedef struct resolving {
    otr_servers *servers;
    otr_listen *listen;
    const ports *ports;
    otr_code rc;
    otr_err *err;
} resolving;

static void on_address(void *arg, const char *address)
{
    resolving *r = arg;
    otr_listen one = *r->listen;
    if (r->rc == OTR_OK && parse_ip(address, &one.at)) {
        r->rc = add_ports(r->servers, &one, r->ports, r->err);
    }
}

static otr_code add_host(otr_servers *s, otr_listen *listen, const char *host, const ports *p,
                         otr_bytes hosts, otr_err *err)
{
    otr_place at = { 0 };
    if (strcmp(host, "*") == 0 || host[0] == '\0') {
        listen->at.family = OTR_FAMILY_V4;
        listen->any = true;
        return add_ports(s, listen, p, err);
    }
    if (parse_ip(host, &at)) {
        listen->at = at;
        listen->any = is_zero(&at);
        return add_ports(s, listen, p, err);
    }
    resolving r = { .servers = s, .listen = listen, .ports = p, .err = err };
    otr_hosts_find(hosts, host, on_address, &r);
    return r.rc;
}

/* Splits "host:port", "[v6]:port", "host", "port"; no port is 80. */
static bool split(const char *text, char host[HOST_BYTES], ports *ret)
{
    const char *end = text[0] == '[' ? strchr(text, ']') : text;
    const char *colon = end != NULL ? strchr(end, ':') : NULL;
    *ret = (ports){ MAIN_PORT, MAIN_PORT };
    host[0] = '\0';
    if (end == NULL || (colon == NULL && parse_ports(otr_bytes_of(text), ret))) {
        return end != NULL;
    }
    size_t n = colon != NULL ? (size_t)(colon - text) : strlen(text);
    if (text[0] == '[') {
        text++;
        n = (size_t)(end - text);
    }
    if (n >= HOST_BYTES || (colon != NULL && !parse_ports(otr_bytes_of(colon + 1), ret))) {
        return false;
    }
    memcpy(host, text, n);
    host[n] = '\0';
    return true;
}

otr_code otr_servers_listen(otr_servers *s, const otr_directive *d, otr_bytes hosts, otr_err *err)
{
    if (d->n_args == 0) {
        return OTR_OK;
    }
    otr_listen listen = { .server = (int)s->n - 1 };
    s->items[s->n - 1].has_listens = true;
    for (size_t i = 1; i < d->n_args; i++) {
        const char *option = d->args[i];
        if (strcmp(option, "quic") == 0) {
            return OTR_OK; /* UDP */
        }
        listen.ssl |= strcmp(option, "ssl") == 0;
        listen.http2 |= strcmp(option, "http2") == 0;
        listen.proxy_protocol |= strcmp(option, "proxy_protocol") == 0;
        listen.also_v4 |= strcmp(option, "ipv6only=off") == 0;
        listen.is_default |=
            strcmp(option, "default_server") == 0 || strcmp(option, "default") == 0;
    }
    if (strncmp(d->args[0], "unix:", 5) == 0) {
        return add_unix(s, d->args[0] + 5, &listen, err);
    }
    char host[HOST_BYTES];
    ports p;
    return split(d->args[0], host, &p) ? add_host(s, &listen, host, &p, hosts, err) : OTR_OK;
}

otr_code otr_servers_listen_default(otr_servers *s, otr_err *err)
{
    static const unsigned either[] = { MAIN_PORT, OTHER_PORT };
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(either); i++) {
        otr_listen listen = { .server = (int)s->n - 1, .any = true };
        listen.at.family = OTR_FAMILY_V4;
        rc = add_ports(s, &listen, &(ports){ either[i], either[i] }, err);
    }
    return rc;
}
