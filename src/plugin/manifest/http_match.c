/* Which entry decides about a request: http_grant.h. */
#include <string.h>
#include <strings.h>

#include "plugin/manifest/http_grant.h"
#include "plugin/manifest/http_path.h"

enum { HTTP_PORT = 80, HTTPS_PORT = 443 };

/* How closely an entry names a target: 0 is not at all, more is more closely. Host before path. */
typedef struct rank {
    size_t host, path;
} rank;

static bool is_in(char *const *list, const char *text)
{
    for (; *list != NULL; list++) {
        if (strcmp(*list, text) == 0) {
            return true;
        }
    }
    return false;
}

static bool host_matches(const char *pattern, const char *host)
{
    if (strncmp(pattern, "*.", 2) == 0) {
        size_t n = strlen(host), suffix = strlen(pattern) - 1;
        return n > suffix && strcasecmp(host + n - suffix, pattern + 1) == 0;
    }
    return strcmp(pattern, "*") == 0 || strcasecmp(pattern, host) == 0;
}

static bool path_matches(const char *pattern, const char *path)
{
    const char *star = NULL, *retry = NULL;
    while (*path != '\0') {
        if (*pattern == '*') {
            if (pattern[1] == '\0') {
                return true;
            }
            star = pattern++;
            retry = path;
        } else if (*pattern == *path) {
            pattern++;
            path++;
        } else if (star != NULL && *retry != '/') {
            pattern = star + 1;
            path = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

/* A name before a domain, a longer domain before a shorter one, all of them before "*". */
static size_t host_rank(const otr_http_grant *g, const char *host)
{
    size_t best = 0;
    for (char *const *pattern = g->hosts; *pattern != NULL; pattern++) {
        if (host_matches(*pattern, host)) {
            size_t one = (*pattern)[0] == '*' ? strlen(*pattern) : SIZE_MAX;
            best = one > best ? one : best;
        }
    }
    return best;
}

/* By what stands before the first '*'; a whole path before its own beginning with a '*'. */
static size_t pattern_rank(const char *pattern)
{
    size_t n = strcspn(pattern, "*");
    return 2 * n + (pattern[n] == '\0' ? 1 : 0) + 2;
}

static size_t path_rank(const otr_http_grant *g, const otr_http_target *t)
{
    size_t best = g->paths == NULL ? 1 : 0;
    for (char *const *pattern = g->paths; pattern != NULL && *pattern != NULL; pattern++) {
        size_t one = pattern_rank(*pattern);
        best = one > best && path_matches(*pattern, t->path) ? one : best;
    }
    return best;
}

/* As path_rank(), of what is left of target and patterns after `rounds` of decoding. */
static size_t reading_rank(const otr_http_grant *g, const char *reading, unsigned rounds)
{
    otr_http_path p;
    size_t best = g->paths == NULL ? 1 : 0;
    for (char *const *pattern = g->paths; pattern != NULL && *pattern != NULL; pattern++) {
        size_t one = pattern_rank(*pattern);
        if (one > best && path_matches(otr_http_path_read(*pattern, rounds, &p), reading)) {
            best = one;
        }
    }
    return best;
}

static bool any_port(const otr_http_grant *g, uint16_t port, bool tls)
{
    for (size_t i = 0; i < g->n_ports; i++) {
        if (g->ports[i] == port) {
            return true;
        }
    }
    return g->n_ports == 0 && port == (tls ? HTTPS_PORT : HTTP_PORT);
}

static bool any_scheme(const otr_http_grant *g, bool tls)
{
    return tls ? g->https : g->http;
}

static bool covers_method(const otr_http_grant *g, const otr_http_target *t)
{
    return g->methods == NULL || is_in(g->methods, t->method);
}

typedef struct search {
    const otr_http_grants *grants;
    const otr_http_target *target;
    bool tls;
    const char *reading; /* NULL: the path as it was sent */
    unsigned rounds;
} search;

/* The entry that names the target most closely, whatever the method. Of equal ones the first that
 * has the method, else the first. */
static const otr_http_grant *closest(const search *s, rank *ret)
{
    const otr_http_grant *best = NULL;
    rank top = { 0, 0 };
    for (size_t i = 0; i < s->grants->n; i++) {
        const otr_http_grant *g = &s->grants->items[i];
        rank one = { host_rank(g, s->target->host), 0 };
        if (one.host == 0 || !any_scheme(g, s->tls) || !any_port(g, s->target->port, s->tls)) {
            continue;
        }
        one.path =
            s->reading == NULL ? path_rank(g, s->target) : reading_rank(g, s->reading, s->rounds);
        if (one.path == 0 || one.host < top.host || (one.host == top.host && one.path < top.path)) {
            continue;
        }
        bool equal = one.host == top.host && one.path == top.path;
        if (!equal || (!covers_method(best, s->target) && covers_method(g, s->target))) {
            best = g;
            top = one;
        }
    }
    *ret = top;
    return best;
}

/* Whether some entry looks at paths: else it is all one how they are read. */
static bool paths_matter(const otr_http_grants *grants)
{
    for (size_t i = 0; i < grants->n; i++) {
        if (grants->items[i].paths != NULL) {
            return true;
        }
    }
    return false;
}

/* Every reading of the path must lead to `decider`. */
static bool read_alike(search *s, const otr_http_grant *decider)
{
    otr_http_path p, last = { "" };
    rank unused;
    for (s->rounds = 0; s->rounds <= OTR_HTTP_PATH_ROUNDS; s->rounds++) {
        s->reading = otr_http_path_read(s->target->path, s->rounds, &p);
        if (s->rounds > 0 && strcmp(s->reading, last.text) == 0) {
            return true;
        }
        if (closest(s, &unused) != decider) {
            return false;
        }
        memcpy(last.text, p.text, strlen(p.text) + 1);
    }
    return true;
}

const otr_http_grant *otr_http_granted(const otr_http_grants *grants, const otr_http_target *t,
                                       otr_http_answer *ret)
{
    search s = { .grants = grants, .target = t, .tls = strcmp(t->scheme, "https") == 0 };
    rank top;
    *ret = (otr_http_answer){ .why = "" };
    if (!s.tls && strcmp(t->scheme, "http") != 0) {
        return NULL;
    }
    const otr_http_grant *g = closest(&s, &top);
    if (g == NULL) {
        return NULL;
    }
    bool matter = paths_matter(grants);
    const char *why = matter ? otr_http_path_check(t->path) : otr_http_path_climbs(t->path);
    if (why == NULL && matter && !read_alike(&s, g)) {
        why = "the path can be read in more than one way, and not all of them are granted alike";
    }
    if (why == NULL && !covers_method(g, t)) {
        why = "the entry that names it most closely does not have the method";
    }
    ret->why = why != NULL ? why : "";
    ret->named = top.host == SIZE_MAX;
    return why == NULL ? g : NULL;
}
