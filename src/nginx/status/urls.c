#include "nginx/status/urls.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"

enum {
    URL_BYTES = 8192,
    PLACES_MOST = 2, /* of one listen */
    LOOPBACK_MOST = 254,

    /* What makes a candidate worse; the smallest sum is asked first. */
    COST_NOT_EXACT = 1,
    COST_LOGGED = 2,
    COST_RESTRICTED = 4,
    COST_PROXY = 8,
    COST_TCP = 16,
    COST_FOREIGN = 32,
    COST_NAMED = 64, /* a name where the address alone would do */
    COST_SSL = 128,
    COST_HTTP2 = 256,
    COST_UNSURE = 512,
};

typedef struct candidate {
    int cost;
    size_t order;
    char *url;
} candidate;

typedef struct writer {
    const otr_servers *servers;
    const char *root;
    candidate list[OTR_LIMIT_NGINX_STATUS_URLS];
    size_t n;
    otr_err *err;
} writer;

typedef struct target { /* one stub_status at one place */
    const otr_listen *listen;
    otr_place at;
    int server, location;
    bool ssl, http2, proxy_protocol; /* of the place, whoever says it */
} target;

static int by_cost(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->cost != y->cost) {
        return x->cost < y->cost ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

/* ---- places ---- */

/* A loopback address at which a connection ends at this wildcard and at nothing more exact. */
static bool loopback_v4(const otr_servers *s, const otr_listen *l, otr_place *ret)
{
    *ret = (otr_place){ .family = OTR_FAMILY_V4, .ip = { 127, 0, 0, 1 }, .port = l->at.port };
    for (int i = 1; i <= LOOPBACK_MOST; i++) {
        ret->ip[3] = (uint8_t)i;
        if (otr_servers_reaches(s, l, ret)) {
            return true;
        }
    }
    return false;
}

static size_t places(const otr_servers *s, const otr_listen *l, otr_place out[PLACES_MOST])
{
    if (!l->any) {
        out[0] = l->at;
        return 1;
    }
    if (l->at.family == OTR_FAMILY_V4) {
        return loopback_v4(s, l, &out[0]);
    }
    out[0] = (otr_place){ .family = OTR_FAMILY_V6, .port = l->at.port };
    out[0].ip[15] = 1;
    size_t n = otr_servers_reaches(s, l, &out[0]);
    return n + (l->also_v4 && loopback_v4(s, l, &out[n]));
}

/* ssl, http2 and proxy_protocol belong to the address: one `listen` of it that says so is enough.
 */
static void take_options(const otr_servers *s, target *t)
{
    for (size_t i = 0; i < s->n_listens; i++) {
        const otr_listen *l = &s->listens[i];
        if (l == t->listen || otr_servers_reaches(s, l, &t->at)) {
            t->ssl |= l->ssl;
            t->http2 |= l->http2;
            t->proxy_protocol |= l->proxy_protocol;
        }
    }
    t->ssl |= s->items[t->server].ssl;
}

/* ---- text ---- */

/* Percent-encodes what may not stand in a request line, or begins something else in a URL. */
static otr_code write_uri(const char *uri, otr_buf *out, otr_err *err)
{
    static const char plain[] = "/-._~!$&'()*+,;=:@";
    otr_code rc = OTR_OK;
    for (const char *c = uri; rc == OTR_OK && *c != '\0'; c++) {
        bool word =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        rc = word || strchr(plain, *c) != NULL
                 ? otr_buf_addc(out, *c, err)
                 : otr_buf_addf(out, err, "%%%02X", (unsigned)(unsigned char)*c);
    }
    return rc;
}

static otr_code write_place(const writer *w, const target *t, otr_buf *out, otr_err *err)
{
    if (t->at.family == OTR_FAMILY_UNIX) {
        return otr_buf_addf(out, err, "unix:%s%s:", w->root, t->at.path);
    }
    char ip[INET6_ADDRSTRLEN] = "";
    bool v6 = t->at.family == OTR_FAMILY_V6;
    (void)inet_ntop(v6 ? AF_INET6 : AF_INET, t->at.ip, ip, sizeof(ip));
    return otr_buf_addf(out, err, v6 ? "http%s://[%s]:%u" : "http%s://%s:%u", t->ssl ? "s" : "", ip,
                        (unsigned)t->at.port);
}

static otr_code add_text(writer *w, int cost, const char *url)
{
    if (w->n == OTR_LIMIT_NGINX_STATUS_URLS) {
        return OTR_OK;
    }
    for (size_t i = 0; i < w->n; i++) {
        if (strcmp(w->list[i].url, url) == 0) {
            w->list[i].cost = cost < w->list[i].cost ? cost : w->list[i].cost;
            return OTR_OK;
        }
    }
    char *copy = otr_strdup(url);
    if (copy == NULL) {
        return otr_fail_nomem(w->err);
    }
    w->list[w->n] = (candidate){ .cost = cost, .order = w->n, .url = copy };
    w->n++;
    return OTR_OK;
}

static int cost_of_place(const target *t)
{
    int cost = (t->ssl ? COST_SSL : 0) + (t->proxy_protocol ? COST_PROXY : 0);
    if (t->at.family == OTR_FAMILY_UNIX) {
        return cost;
    }
    bool near =
        t->at.family == OTR_FAMILY_V4 ? t->at.ip[0] == 127 : t->at.ip[0] == 0 && t->at.ip[15] == 1;
    return cost + (near ? COST_TCP : COST_FOREIGN);
}

static int cost_of(const otr_servers *s, const target *t)
{
    static const otr_location itself = { .kind = OTR_LOCATION_PREFIX };
    const otr_server *server = &s->items[t->server];
    const otr_location *l = t->location != OTR_NO_INDEX ? &s->locations[t->location] : &itself;
    int cost = cost_of_place(t);
    cost += l->kind == OTR_LOCATION_EXACT ? 0 : COST_NOT_EXACT;
    cost += server->restricted || l->restricted ? COST_RESTRICTED : 0;
    cost += server->quiet || l->quiet ? 0 : COST_LOGGED;
    return cost;
}

/* ---- candidates ---- */

/* What the fragment says. `host` NULL: what the address gives. */
static otr_code write_options(const target *t, const char *host, const char *way, otr_buf *out,
                              otr_err *err)
{
    const struct {
        bool is;
        const char *name, *value;
    } options[] = { { host != NULL, "host=", host },
                    { t->proxy_protocol, "proxy_protocol", "" },
                    { t->ssl && t->at.family == OTR_FAMILY_UNIX, "tls", "" },
                    { way[0] != '\0', way, "" } };
    char mark = '#';
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(options); i++) {
        if (options[i].is) {
            rc = otr_buf_addf(out, err, "%c%s%s", mark, options[i].name, options[i].value);
            mark = '&';
        }
    }
    return rc;
}

/* A plain http2 listener of an older NGINX speaks nothing else; a newer one tells the two apart. */
static otr_code add(writer *w, const target *t, const char *uri, const char *host, int cost)
{
    static const char *const ways[] = { "", "http2" };
    otr_code rc = OTR_OK;
    size_t n = t->http2 && !t->ssl ? 2 : 1;
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        otr_buf url;
        otr_buf_init(&url, URL_BYTES);
        rc = write_place(w, t, &url, w->err);
        rc = rc == OTR_OK ? write_uri(uri, &url, w->err) : rc;
        rc = rc == OTR_OK ? write_options(t, host, ways[i], &url, w->err) : rc;
        rc = rc == OTR_OK ? add_text(w, cost + (int)i * COST_HTTP2, otr_buf_text(&url)) : rc;
        otr_buf_deinit(&url);
    }
    return rc == OTR_EQUOTA ? OTR_OK : rc; /* too long to be asked */
}

static otr_code add_hosts(writer *w, const target *t, const char *uri, int cost)
{
    otr_host_list hosts;
    otr_status_hosts(w->servers, t->server, &t->at, &hosts);
    const otr_server *server = &w->servers->items[t->server];
    bool plain = hosts.n > 0 && hosts.items[0].plain;
    otr_code rc = OTR_OK;
    if (hosts.n == 0) { /* nobody else's name either: let the answer tell */
        return add(w, t, uri, NULL, cost + COST_UNSURE);
    }
    for (size_t i = 0; rc == OTR_OK && i < hosts.n; i++) {
        bool bare = hosts.items[i].plain;
        bool second = server->tests_host ? bare && hosts.n > 1 : !bare && plain;
        rc = add(w, t, uri, bare ? NULL : hosts.items[i].text,
                 cost + (second ? COST_NAMED : 0) +
                     (hosts.items[i].sure == OTR_UNSURE ? COST_UNSURE : 0));
    }
    return rc;
}

static otr_code add_stub(writer *w, int server, int location)
{
    const otr_servers *s = w->servers;
    otr_uri_list uris;
    otr_status_uris(s, server, location, &uris);
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < s->n_listens; i++) {
        if (s->listens[i].server != server) {
            continue;
        }
        otr_place where[PLACES_MOST];
        size_t n = places(s, &s->listens[i], where);
        for (size_t j = 0; j < n; j++) {
            target t = {
                .listen = &s->listens[i], .at = where[j], .server = server, .location = location
            };
            take_options(s, &t);
            for (size_t k = 0; rc == OTR_OK && k < uris.n; k++) {
                int unsure = uris.items[k].sure == OTR_UNSURE ? COST_UNSURE : 0;
                rc = add_hosts(w, &t, uris.items[k].text, cost_of(s, &t) + unsure);
            }
        }
    }
    return rc;
}

static otr_code collect(writer *w)
{
    const otr_servers *s = w->servers;
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < s->n; i++) {
        rc = s->items[i].stub ? add_stub(w, (int)i, OTR_NO_INDEX) : OTR_OK;
    }
    for (size_t i = 0; rc == OTR_OK && i < s->n_locations; i++) {
        if (s->locations[i].stub) {
            rc = add_stub(w, s->locations[i].server, (int)i);
        }
    }
    return rc;
}

otr_code otr_status_urls(const otr_servers *s, const char *root, char ***ret, size_t *ret_n,
                         otr_err *err)
{
    char **urls = NULL;
    writer w = { .servers = s, .root = root, .err = err };
    otr_code rc = collect(&w);
    if (rc == OTR_OK && w.n > 0) {
        qsort(w.list, w.n, sizeof(*w.list), by_cost);
        urls = otr_calloc(w.n, sizeof(*urls));
        rc = urls != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    for (size_t i = 0; i < w.n; i++) {
        if (rc == OTR_OK) {
            urls[i] = w.list[i].url;
        } else {
            otr_free(w.list[i].url);
        }
    }
    if (rc == OTR_OK) {
        *ret = urls;
        *ret_n = w.n;
    }
    return rc;
}
