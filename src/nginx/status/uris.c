/*
 * URIs and names that lead to a location and a server.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "nginx/status/urls.h"

enum { SAMPLES = 8 };

/* ---- URIs ---- */

typedef struct finding {
    const otr_servers *servers;
    int server, location;
    otr_uri_list *list;
} finding;

static void put(otr_uri_list *list, otr_bytes uri, otr_sure sure)
{
    size_t i = list->n;
    if (i == OTR_URIS_MOST || uri.n >= OTR_URI_BYTES) {
        return;
    }
    for (size_t j = 0; j < i; j++) {
        if (strlen(list->items[j].text) == uri.n &&
            memcmp(list->items[j].text, uri.p, uri.n) == 0) {
            return;
        }
    }
    memcpy(list->items[i].text, uri.p, uri.n);
    list->items[i].text[uri.n] = '\0';
    list->items[i].sure = sure;
    list->n++;
}

/* Takes the URI when it leads to the location. */
static bool offer(const finding *f, otr_bytes uri)
{
    otr_sure sure;
    if (uri.n == 0 || uri.p[0] != '/' || memchr(uri.p, '\0', uri.n) != NULL ||
        otr_servers_locate(f->servers, f->server, uri, &sure) != f->location) {
        return false;
    }
    put(f->list, uri, sure);
    return true;
}

/* The prefix itself, else something below it that no other location takes. */
static void offer_prefix(const finding *f, const char *text)
{
    static const char *const more[] = { "", "/", "/status", "status", "-status" };
    for (size_t i = 0; i < OTR_COUNT(more); i++) {
        char uri[OTR_URI_BYTES];
        int n = snprintf(uri, sizeof(uri), "%s%s", text, more[i]);
        if (n > 0 && n < OTR_URI_BYTES && offer(f, otr_bytes_of(uri))) {
            return;
        }
    }
}

static bool on_sample(void *arg, otr_bytes text)
{
    const finding *f = arg;
    uint8_t uri[OTR_REGEX_SAMPLE_BYTES + 1];
    bool rooted = text.n > 0 && text.p[0] == '/';
    uri[0] = '/';
    if (text.n > 0) {
        memcpy(uri + !rooted, text.p, text.n);
    }
    return !offer(f, (otr_bytes){ uri, text.n + !rooted });
}

static void offer_location(const finding *f)
{
    const otr_location *l = &f->servers->locations[f->location];
    switch (l->kind) {
    case OTR_LOCATION_EXACT:
        (void)offer(f, otr_bytes_of(l->text));
        break;
    case OTR_LOCATION_PREFIX:
    case OTR_LOCATION_PREFIX_ONLY:
        offer_prefix(f, l->text);
        break;
    case OTR_LOCATION_REGEX:
        if (l->regex != NULL) {
            otr_regex_samples(l->regex, SAMPLES, on_sample, (void *)f);
        }
        break;
    case OTR_LOCATION_NAMED:
    default:
        break;
    }
}

/* A server itself takes what no location does. */
static void offer_server(const finding *f)
{
    static const char *const uris[] = { "/", "/nginx_status", "/outrider-status" };
    for (size_t i = 0; i < OTR_COUNT(uris); i++) {
        if (offer(f, otr_bytes_of(uris[i]))) {
            return;
        }
    }
}

static bool leads_here(const finding *f, const char *name)
{
    otr_sure sure;
    return name[0] == '@' ? strcmp(name, f->servers->locations[f->location].text) == 0
                          : otr_servers_locate(f->servers, f->server, otr_bytes_of(name), &sure) ==
                                f->location;
}

static void offer_fallbacks(const finding *f)
{
    const otr_servers *s = f->servers;
    for (size_t i = 0; i < s->n_fallbacks; i++) {
        const otr_fallback *from = &s->fallbacks[i];
        if (from->server != f->server || !leads_here(f, from->name)) {
            continue;
        }
        finding there = *f;
        there.location = from->location;
        if (from->location == OTR_NO_INDEX) {
            offer_server(&there);
        } else if (from->location != f->location) {
            offer_location(&there);
        }
    }
}

void otr_status_uris(const otr_servers *s, int server, int location, otr_uri_list *ret)
{
    finding f = { .servers = s, .server = server, .location = location, .list = ret };
    ret->n = 0;
    if (location == OTR_NO_INDEX) {
        offer_server(&f);
        if (ret->n == 0) {
            put(ret, otr_bytes_of("/"), OTR_UNSURE);
        }
        return;
    }
    const otr_location *l = &s->locations[location];
    if (l->kind == OTR_LOCATION_NAMED || l->internal) {
        offer_fallbacks(&f);
    }
    if (l->kind == OTR_LOCATION_NAMED || ret->n > 0) {
        return;
    }
    offer_location(&f);
    if (ret->n == 0 && l->kind != OTR_LOCATION_REGEX && l->text[0] == '/') {
        put(ret, otr_bytes_of(l->text), OTR_UNSURE); /* so that the answer can be told */
    }
}

/* ---- names ---- */

typedef struct naming {
    const otr_servers *servers;
    int server;
    const otr_place *at;
    otr_host_list *list;
    bool found; /* of the name that is looked at */
} naming;

/* What may stand in a header and in the fragment of a URL. */
static bool is_sendable(otr_bytes host)
{
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = host.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("#&/:%\\\"", c) != NULL) {
            return false;
        }
    }
    bool dot = host.n > 0 && (host.p[0] == '.' || host.p[host.n - 1] == '.');
    return host.n < OTR_HOST_BYTES && !dot;
}

static void propose(naming *n, otr_bytes host, bool plain)
{
    otr_host_list *list = n->list;
    char lower[OTR_HOST_BYTES] = "";
    otr_sure sure;
    if (list->n == OTR_HOSTS_MOST || host.n >= sizeof(lower) || (!plain && !is_sendable(host))) {
        return;
    }
    for (size_t i = 0; i < host.n; i++) {
        lower[i] = (char)(host.p[i] >= 'A' && host.p[i] <= 'Z' ? host.p[i] + 32 : host.p[i]);
    }
    if (otr_servers_choose(n->servers, n->at, otr_bytes_of(lower), &sure) != n->server) {
        return;
    }
    n->found = true;
    memcpy(list->items[list->n].text, lower, sizeof(lower));
    list->items[list->n].plain = plain;
    list->items[list->n].sure = sure;
    list->n++;
}

static bool on_name_sample(void *arg, otr_bytes text)
{
    naming *n = arg;
    uint8_t longer[OTR_REGEX_SAMPLE_BYTES + 1];
    if (text.n > 0 && text.p[text.n - 1] == '.') { /* NGINX takes a dot at the end away */
        memcpy(longer, text.p, text.n);
        longer[text.n] = 'a';
        text = (otr_bytes){ longer, text.n + 1 };
    }
    propose(n, text, false);
    return !n->found;
}

static void propose_regex(naming *n, const char *pattern)
{
    otr_regex *regex = NULL;
    if (otr_regex_new(pattern, OTR_REGEX_ANY_CASE, &regex, NULL) == OTR_OK) {
        otr_regex_samples(regex, SAMPLES, on_name_sample, n);
        otr_regex_free(regex);
    }
}

/* Something that the wildcard stands for, unless another server has just that. */
static void propose_wildcard(naming *n, const char *name)
{
    static const char *const words[] = { "a", "status", "nginx-status", "outrider" };
    size_t length = strlen(name);
    if (name[0] == '.') {
        propose(n, otr_bytes_of(name + 1), false);
    }
    for (size_t i = 0; !n->found && i < OTR_COUNT(words); i++) {
        char host[OTR_HOST_BYTES];
        int written =
            name[length - 1] == '*'
                ? snprintf(host, sizeof(host), "%.*s%s", (int)length - 1, name, words[i])
                : snprintf(host, sizeof(host), "%s%s", words[i], name[0] == '*' ? name + 1 : name);
        if (written > 0 && written < OTR_HOST_BYTES) {
            propose(n, otr_bytes_of(host), false);
        }
    }
}

typedef enum name_kind {
    PLAIN_NAME,
    WILDCARD_NAME,
    REGEX_NAME,
} name_kind;

static name_kind kind_of(const char *name)
{
    if (name[0] == '~') {
        return REGEX_NAME;
    }
    return name[0] == '.' || strchr(name, '*') != NULL ? WILDCARD_NAME : PLAIN_NAME;
}

/* The first name of this kind that works. */
static void propose_names(naming *n, name_kind kind)
{
    n->found = false;
    for (size_t i = 0; !n->found && i < n->servers->n_names; i++) {
        const otr_server_name *name = &n->servers->names[i];
        if (name->server != n->server || name->text[0] == '\0' || kind_of(name->text) != kind) {
            continue;
        }
        if (kind == REGEX_NAME) {
            propose_regex(n, name->text + 1);
        } else if (kind == WILDCARD_NAME) {
            propose_wildcard(n, name->text);
        } else {
            propose(n, otr_bytes_of(name->text), false);
        }
    }
}

/* What a client says that was given the address alone. */
static void address_text(const otr_place *at, char out[OTR_HOST_BYTES])
{
    char ip[INET6_ADDRSTRLEN] = "";
    if (at->family == OTR_FAMILY_UNIX) {
        (void)snprintf(out, OTR_HOST_BYTES, "localhost");
        return;
    }
    bool v6 = at->family == OTR_FAMILY_V6;
    (void)inet_ntop(v6 ? AF_INET6 : AF_INET, at->ip, ip, sizeof(ip));
    (void)snprintf(out, OTR_HOST_BYTES, v6 ? "[%s]" : "%s", ip);
}

void otr_status_hosts(const otr_servers *s, int server, const otr_place *at, otr_host_list *ret)
{
    naming n = { .servers = s, .server = server, .at = at, .list = ret };
    char address[OTR_HOST_BYTES];
    address_text(at, address);
    ret->n = 0;
    propose(&n, otr_bytes_of(address), true);
    propose_names(&n, PLAIN_NAME);
    for (int kind = WILDCARD_NAME; ret->n == 0 && kind <= REGEX_NAME; kind++) {
        propose_names(&n, (name_kind)kind);
    }
    if (ret->n == 0) { /* the default server without Host, or nothing that can be told */
        propose(&n, (otr_bytes){ 0 }, false);
    }
}
