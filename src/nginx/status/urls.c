/*
 * From the servers of a configuration to the URLs at which stub_status may be asked.
 */
#include "nginx/status/urls.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "nginx/files.h"

enum {
    STUBS_MOST = 64, /* more of them tell nothing new */
    URLS_MOST = 64,
    URL_BYTES = 8192,

    /* What makes a candidate worse; the smallest sum is asked first. */
    COST_NOT_EXACT = 1,
    COST_LOGGED = 2,
    COST_RESTRICTED = 4,
    COST_TCP = 16,
    COST_PROXY = 8,
    COST_FOREIGN = 32,
    COST_SSL = 128,
};

void otr_scan_servers_deinit(scan_servers *s)
{
    for (size_t i = 0; i < s->n; i++) {
        otr_free(s->items[i].name);
    }
    for (size_t i = 0; i < s->n_listens; i++) {
        otr_free(s->listens[i].address);
    }
    for (size_t i = 0; i < s->n_stubs; i++) {
        otr_free(s->stubs[i].uri);
    }
    otr_free(s->items);
    otr_free(s->listens);
    otr_free(s->stubs);
    *s = (scan_servers){ 0 };
}

otr_code otr_scan_room(void *slot, size_t n, size_t *cap, size_t size, otr_err *err)
{
    if (n < *cap) {
        return OTR_OK;
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

otr_code otr_scan_server(scan_servers *s, otr_err *err)
{
    otr_code rc = otr_scan_room(&s->items, s->n, &s->cap, sizeof(*s->items), err);
    if (rc == OTR_OK) {
        s->items[s->n++] = (scan_server){ 0 };
    }
    return rc;
}

static bool all_digits(otr_bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            return false;
        }
    }
    return text.n > 0 && text.n <= 5;
}

/* Splits "host:port", "[v6]:port", "host", "port". An empty port means 80. */
static void split_address(const char *text, otr_bytes *host, otr_bytes *port)
{
    const char *colon = text[0] == '[' ? strchr(text, ']') : text;
    colon = colon != NULL ? strchr(colon, ':') : NULL;
    otr_bytes all = otr_bytes_of(text);
    *port = (otr_bytes){ 0 };
    *host = all;
    if (colon != NULL) {
        host->n = (size_t)(colon - text);
        *port = otr_bytes_of(colon + 1);
    } else if (all_digits(all)) {
        *host = (otr_bytes){ 0 };
        *port = all;
    }
}

static bool is(otr_bytes a, const char *b)
{
    return a.n == strlen(b) && memcmp(a.p, b, a.n) == 0;
}

static bool is_literal(otr_bytes host)
{
    if (host.n > 0 && host.p[0] == '[') {
        return host.p[host.n - 1] == ']';
    }
    for (size_t i = 0; i < host.n; i++) {
        if ((host.p[i] < '0' || host.p[i] > '9') && host.p[i] != '.') {
            return false;
        }
    }
    return true;
}

/* The address a client on this host uses; "" when there is none. */
static otr_code client_address(const char *listen, otr_buf *out, otr_err *err)
{
    if (strncmp(listen, "unix:", 5) == 0) {
        return otr_buf_adds(out, listen, err);
    }
    otr_bytes host, port;
    split_address(listen, &host, &port);
    if (host.n == 0 || is(host, "*") || is(host, "0.0.0.0") || is(host, "localhost")) {
        host = otr_bytes_of("127.0.0.1");
    } else if (is(host, "[::]")) {
        host = otr_bytes_of("[::1]");
    } else if (!is_literal(host)) {
        return OTR_OK; /* a name: we do not resolve */
    }
    if (port.n == 0) {
        port = otr_bytes_of("80");
    } else if (!all_digits(port)) {
        return OTR_OK;
    }
    return otr_buf_addf(out, err, "%.*s:%.*s", (int)host.n, (const char *)host.p, (int)port.n,
                        (const char *)port.p);
}

static otr_code add_listen(scan_servers *s, const char *address, scan_listen *listen, otr_err *err)
{
    otr_code rc =
        otr_scan_room(&s->listens, s->n_listens, &s->cap_listens, sizeof(*s->listens), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf text;
    otr_buf_init(&text, OTR_NGINX_PATH_BYTES);
    rc = client_address(address, &text, err);
    if (rc == OTR_OK) {
        listen->address = otr_strdup(otr_buf_text(&text));
        rc = listen->address != NULL ? OTR_OK : otr_fail_nomem(err);
    } else if (rc == OTR_EQUOTA) {
        rc = OTR_OK; /* longer than any address: nothing to ask */
    }
    otr_buf_deinit(&text);
    if (rc == OTR_OK && listen->address != NULL) {
        s->listens[s->n_listens++] = *listen;
    }
    return rc;
}

otr_code otr_scan_listen(scan_servers *s, const otr_directive *d, otr_err *err)
{
    if (d->n_args == 0) {
        return OTR_OK;
    }
    scan_listen listen = { .server = s->n - 1 };
    for (size_t i = 1; i < d->n_args; i++) {
        if (strcmp(d->args[i], "quic") == 0) {
            return OTR_OK; /* UDP */
        }
        listen.ssl |= strcmp(d->args[i], "ssl") == 0;
        listen.proxy_protocol |= strcmp(d->args[i], "proxy_protocol") == 0;
        listen.is_default |=
            strcmp(d->args[i], "default_server") == 0 || strcmp(d->args[i], "default") == 0;
    }
    return add_listen(s, d->args[0], &listen, err);
}

otr_code otr_scan_listen_default(scan_servers *s, otr_err *err)
{
    scan_listen listen = { .server = s->n - 1 };
    return add_listen(s, "80", &listen, err);
}

otr_code otr_scan_stub(scan_servers *s, const scan_stub *stub, otr_err *err)
{
    if (s->n_stubs >= STUBS_MOST) {
        return OTR_OK;
    }
    otr_code rc = otr_scan_room(&s->stubs, s->n_stubs, &s->cap_stubs, sizeof(*s->stubs), err);
    char *uri = rc == OTR_OK ? otr_strdup(stub->uri) : NULL;
    if (uri == NULL) {
        return otr_fail_nomem(err);
    }
    s->stubs[s->n_stubs] = *stub;
    s->stubs[s->n_stubs].uri = uri;
    s->stubs[s->n_stubs++].server = s->n - 1;
    s->items[s->n - 1].has_stubs = true;
    return OTR_OK;
}

/* Does a request without a fitting Host reach this server at this address? */
static bool is_default_server(const scan_servers *s, const scan_listen *at)
{
    for (size_t i = 0; i < s->n_listens; i++) {
        const scan_listen *other = &s->listens[i];
        if (other->server != at->server && strcmp(other->address, at->address) == 0 &&
            (other->is_default || (other->server < at->server && !at->is_default))) {
            return false;
        }
    }
    return true;
}

typedef struct candidate {
    int cost;
    size_t order;
    char *url;
} candidate;

static int by_cost(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->cost != y->cost) {
        return x->cost < y->cost ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

static int cost_of(const scan_servers *s, const scan_stub *stub, const scan_listen *at)
{
    const scan_server *server = &s->items[stub->server];
    int cost = stub->exact ? 0 : COST_NOT_EXACT;
    cost += stub->restricted || server->restricted ? COST_RESTRICTED : 0;
    cost += stub->quiet || server->quiet ? 0 : COST_LOGGED;
    cost += at->ssl || server->ssl ? COST_SSL : 0;
    cost += at->proxy_protocol ? COST_PROXY : 0;
    if (strncmp(at->address, "unix:", 5) != 0) {
        bool near = strncmp(at->address, "127.", 4) == 0 || strncmp(at->address, "[::1]", 5) == 0;
        cost += near ? COST_TCP : COST_FOREIGN;
    }
    return cost;
}

static otr_code write_url(const scan_servers *s, const char *root, const scan_stub *stub,
                          const scan_listen *at, otr_buf *out, otr_err *err)
{
    const scan_server *server = &s->items[stub->server];
    otr_code rc;
    if (strncmp(at->address, "unix:", 5) == 0) {
        rc = otr_buf_addf(out, err, "unix:%s%s:%s", root, at->address + 5, stub->uri);
    } else {
        rc = otr_buf_addf(out, err, "http%s://%s%s", at->ssl || server->ssl ? "s" : "", at->address,
                          stub->uri);
    }
    char mark = '#';
    if (rc == OTR_OK && server->name != NULL && !is_default_server(s, at)) {
        rc = otr_buf_addf(out, err, "%chost=%s", mark, server->name);
        mark = '&';
    }
    if (rc == OTR_OK && at->proxy_protocol) {
        rc = otr_buf_addf(out, err, "%cproxy_protocol", mark);
    }
    return rc;
}

static otr_code add_candidate(candidate *list, size_t *n, int cost, const char *url, otr_err *err)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(list[i].url, url) == 0) {
            return OTR_OK;
        }
    }
    char *copy = otr_strdup(url);
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    list[*n] = (candidate){ .cost = cost, .order = *n, .url = copy };
    ++*n;
    return OTR_OK;
}

static otr_code collect(const scan_servers *s, const char *root, candidate *list, size_t *n,
                        otr_err *err)
{
    otr_code rc = OTR_OK;
    otr_buf url;
    otr_buf_init(&url, URL_BYTES);
    for (size_t i = 0; i < s->n_stubs; i++) {
        const scan_stub *stub = &s->stubs[i];
        for (size_t j = 0; rc == OTR_OK && j < s->n_listens && *n < URLS_MOST; j++) {
            const scan_listen *at = &s->listens[j];
            if (at->server != stub->server || at->address[0] == '\0') {
                continue;
            }
            otr_buf_clear(&url);
            rc = write_url(s, root, stub, at, &url, err);
            if (rc == OTR_OK) {
                rc = add_candidate(list, n, cost_of(s, stub, at), otr_buf_text(&url), err);
            } else if (rc == OTR_EQUOTA) {
                rc = OTR_OK; /* too long to be asked */
            }
        }
    }
    otr_buf_deinit(&url);
    return rc;
}

otr_code otr_scan_status_urls(const scan_servers *s, const char *root, char ***ret, size_t *ret_n,
                              otr_err *err)
{
    char **urls = NULL;
    candidate list[URLS_MOST];
    size_t n = 0;
    otr_code rc = collect(s, root, list, &n, err);
    if (rc == OTR_OK && n > 0) {
        qsort(list, n, sizeof(*list), by_cost);
        urls = otr_calloc(n, sizeof(*urls));
        rc = urls != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (rc == OTR_OK) {
            urls[i] = list[i].url;
        } else {
            otr_free(list[i].url);
        }
    }
    if (rc == OTR_OK) {
        *ret = urls;
        *ret_n = n;
    }
    return rc;
}
