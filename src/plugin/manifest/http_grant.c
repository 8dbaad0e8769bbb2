#include "plugin/manifest/http_grant.h"

#include <ctype.h>
#include <string.h>

#include "base/alloc.h"
#include "base/texts.h"
#include "plugin/manifest/http_path.h"
#include "plugin/manifest/read.h"

enum { MAX_GRANTS = 64, MAX_PORT = 65535 };

#define KEY "grants.http"

/* ---- reading ---- */

static otr_code bad_value(const otr_node *at, const char *text, const char *what, otr_err *err)
{
    char where[OTR_MANIFEST_WHERE];
    return otr_fail(err, OTR_EINVAL, "%s: " KEY ": \"%s\": %s",
                    otr_node_where(at, where, sizeof(where)), text, what);
}

static bool host_ok(const char *host)
{
    if (strcmp(host, "*") == 0) {
        return true;
    }
    if (host[0] == '[') {
        size_t n = strlen(host);
        return n > 2 && host[n - 1] == ']' && strspn(host + 1, "0123456789abcdef:.") == n - 2;
    }
    const char *rest = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
    return rest[0] != '\0' && rest[0] != '.' &&
           strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789-._") == strlen(rest);
}

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)tolower((unsigned char)*text);
    }
}

static otr_code check_hosts(const otr_node *at, char **hosts, otr_err *err)
{
    for (; *hosts != NULL; hosts++) {
        lower(*hosts);
        if (!host_ok(*hosts)) {
            return bad_value(at, *hosts, "expected a host name, an address, \"*.domain\" or \"*\"",
                             err);
        }
    }
    return OTR_OK;
}

static otr_code check_paths(const otr_node *at, char *const *paths, otr_err *err)
{
    for (; *paths != NULL; paths++) {
        const char *why = otr_http_path_check(*paths);
        if ((*paths)[0] != '/' || strpbrk(*paths, "?# \t") != NULL) {
            return bad_value(at, *paths, "expected a path: it begins with '/', without query", err);
        }
        if (why != NULL) {
            return bad_value(at, *paths, why, err);
        }
    }
    return OTR_OK;
}

static otr_code check_methods(const otr_node *at, char *const *methods, otr_err *err)
{
    for (; *methods != NULL; methods++) {
        size_t n = strlen(*methods);
        if (n == 0 || strspn(*methods, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != n) {
            return bad_value(at, *methods, "expected a method in capitals, \"GET\" for example",
                             err);
        }
    }
    return OTR_OK;
}

static otr_code add_scheme(const otr_node *at, const char *name, otr_http_grant *g, otr_err *err)
{
    if (strcmp(name, "https") == 0) {
        g->https = true;
    } else if (strcmp(name, "http") == 0) {
        g->http = true;
    } else {
        return bad_value(at, name, "expected http or https", err);
    }
    return OTR_OK;
}

static otr_code read_schemes(const otr_node *node, otr_http_grant *g, otr_err *err)
{
    char **names = NULL;
    otr_code rc = otr_manifest_texts(node, KEY ".schemes", &names, err);
    for (size_t i = 0; rc == OTR_OK && names[i] != NULL; i++) {
        rc = add_scheme(node, names[i], g, err);
    }
    otr_texts_free(names);
    return rc;
}

static otr_code read_ports(const otr_node *node, otr_http_grant *g, otr_err *err)
{
    otr_code rc = otr_manifest_kind(node, OTR_NODE_LIST, KEY ".ports", err);
    if (rc == OTR_OK && otr_node_size(node) > OTR_HTTP_GRANT_PORTS) {
        rc = otr_manifest_bad(node, OTR_EQUOTA, KEY ".ports: more than 16 ports", err);
    }
    for (size_t i = 0; rc == OTR_OK && i < otr_node_size(node); i++) {
        int64_t port = 0;
        rc = otr_node_as_int(otr_node_at(node, i), 1, MAX_PORT, &port, err);
        g->ports[i] = (uint16_t)port;
        g->n_ports = i + 1;
    }
    return rc;
}

typedef otr_code check_fn(const otr_node *at, char *const *texts, otr_err *err);

static otr_code read_checked(const otr_node *map, const char *key, check_fn *check, char ***ret,
                             otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    otr_code rc = node != NULL ? otr_manifest_texts(node, key, ret, err) : OTR_OK;
    return rc == OTR_OK && node != NULL ? check(node, *ret, err) : rc;
}

static otr_code read_ca(const otr_node *map, otr_http_grant *g, otr_err *err)
{
    otr_code rc = otr_manifest_text(map, "ca", &g->ca, err);
    return rc == OTR_OK && g->ca != NULL && g->ca[0] != '/'
               ? bad_value(otr_node_get(map, "ca"), g->ca, "expected the absolute path of a file",
                           err)
               : rc;
}

static otr_code read_long(const otr_node *map, otr_http_grant *g, otr_err *err)
{
    static const char *const known[] = {
        "methods", "schemes", "hosts", "ports", "paths", "ca", NULL
    };
    otr_code rc = otr_node_only(map, known, err);
    const otr_node *node = otr_node_get(map, "hosts");
    if (rc == OTR_OK && (node == NULL || otr_node_size(node) == 0)) {
        return otr_manifest_bad(map, OTR_EINVAL, KEY ": an entry needs `hosts`", err);
    }
    rc = rc == OTR_OK ? otr_manifest_texts(node, KEY ".hosts", &g->hosts, err) : rc;
    rc = rc == OTR_OK ? check_hosts(node, g->hosts, err) : rc;
    rc = rc == OTR_OK ? read_checked(map, "methods", check_methods, &g->methods, err) : rc;
    rc = rc == OTR_OK ? read_checked(map, "paths", check_paths, &g->paths, err) : rc;
    rc = rc == OTR_OK ? read_ca(map, g, err) : rc;
    if (rc == OTR_OK && (node = otr_node_get(map, "ports")) != NULL) {
        rc = read_ports(node, g, err);
    }
    if (rc == OTR_OK && (node = otr_node_get(map, "schemes")) != NULL) {
        return read_schemes(node, g, err);
    }
    g->https = true;
    return rc;
}

/* A list of the one text in [from, to). */
static char **list_of(const char *from, const char *to)
{
    char **list = otr_calloc(2, sizeof(*list));
    if (list != NULL && (list[0] = otr_strndup(from, (size_t)(to - from))) == NULL) {
        otr_free(list);
        list = NULL;
    }
    return list;
}

/* Where the port of an authority begins, with its colon; its end when there is none. */
static const char *port_of(const char *from, const char *to)
{
    const char *at = from[0] == '[' ? memchr(from, ']', (size_t)(to - from)) : from;
    const char *colon = at != NULL ? memchr(at, ':', (size_t)(to - at)) : NULL;
    return colon != NULL ? colon : to;
}

static bool read_port(const char *colon, const char *to, otr_http_grant *g)
{
    unsigned long port = 0;
    for (const char *p = colon + 1; p < to; p++) {
        if (*p < '0' || *p > '9' || port > MAX_PORT) {
            return false;
        }
        port = 10 * port + (unsigned long)(*p - '0');
    }
    g->ports[0] = (uint16_t)port;
    g->n_ports = 1;
    return port > 0 && port <= MAX_PORT;
}

static otr_code read_short(const otr_node *node, otr_http_grant *g, otr_err *err)
{
    static const char what[] = "expected a URL, \"https://api.example.com/v1/*\" for example";
    const char *text = otr_node_text(node);
    const char *sep = strstr(text, "://");
    if (sep == NULL) {
        return bad_value(node, text, what, err);
    }
    g->https = sep - text == 5 && strncmp(text, "https", 5) == 0;
    g->http = sep - text == 4 && strncmp(text, "http", 4) == 0;
    const char *host = sep + 3;
    const char *end = host + strcspn(host, "/");
    const char *colon = port_of(host, end);
    if ((!g->http && !g->https) || (colon < end && !read_port(colon, end, g))) {
        return bad_value(node, text, what, err);
    }
    g->hosts = list_of(host, colon);
    if (g->hosts == NULL ||
        (*end != '\0' && (g->paths = list_of(end, end + strlen(end))) == NULL)) {
        return otr_fail_nomem(err);
    }
    otr_code rc = check_hosts(node, g->hosts, err);
    return rc == OTR_OK && g->paths != NULL ? check_paths(node, g->paths, err) : rc;
}

otr_code otr_http_grants_read(const otr_node *list, otr_http_grants *ret, otr_err *err)
{
    otr_code rc = otr_manifest_kind(list, OTR_NODE_LIST, KEY, err);
    size_t n = otr_node_size(list);
    if (rc == OTR_OK && n > MAX_GRANTS) {
        rc = otr_manifest_bad(list, OTR_EQUOTA, KEY ": more than 64 entries", err);
    }
    if (rc != OTR_OK || n == 0) {
        return rc;
    }
    if ((ret->items = otr_calloc(n, sizeof(*ret->items))) == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < n && rc == OTR_OK; i++) {
        const otr_node *item = otr_node_at(list, i);
        otr_http_grant *g = &ret->items[ret->n++];
        if (otr_node_kind(item) == OTR_NODE_SCALAR) {
            rc = read_short(item, g, err);
        } else {
            rc = otr_manifest_kind(item, OTR_NODE_MAP, KEY, err);
            rc = rc == OTR_OK ? read_long(item, g, err) : rc;
        }
    }
    return rc;
}

void otr_http_grants_deinit(otr_http_grants *grants)
{
    for (size_t i = 0; i < grants->n; i++) {
        otr_texts_free(grants->items[i].methods);
        otr_texts_free(grants->items[i].hosts);
        otr_texts_free(grants->items[i].paths);
        otr_free(grants->items[i].ca);
    }
    otr_free(grants->items);
    *grants = (otr_http_grants){ .n = 0 };
}
