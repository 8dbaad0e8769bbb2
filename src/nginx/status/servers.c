/*
 * Which server and which location NGINX would choose, by the rules of its documentation.
 */
#include "nginx/status/servers.h"

#include "base/alloc.h"

void otr_servers_cut(otr_servers *s, size_t location, size_t fallback)
{
    while (s->n_locations > location) {
        otr_location *l = &s->locations[--s->n_locations];
        otr_free(l->text);
        otr_regex_free(l->regex);
    }
    while (s->n_fallbacks > fallback) {
        otr_free(s->fallbacks[--s->n_fallbacks].name);
    }
}

void otr_servers_deinit(otr_servers *s)
{
    otr_servers_cut(s, 0, 0);
    for (size_t i = 0; i < s->n_listens; i++) {
        otr_free(s->listens[i].path);
    }
    for (size_t i = 0; i < s->n_names; i++) {
        otr_free(s->names[i].text);
    }
    otr_free(s->items);
    otr_free(s->listens);
    otr_free(s->names);
    otr_free(s->locations);
    otr_free(s->fallbacks);
    *s = (otr_servers){ 0 };
}

/* ---- addresses ---- */

static bool is_there(const otr_listen *l, const otr_place *at)
{
    if (l->any || l->at.family != at->family) {
        return false;
    }
    if (at->family == OTR_FAMILY_UNIX) {
        return strcmp(l->at.path, at->path) == 0;
    }
    return l->at.port == at->port && memcmp(l->at.ip, at->ip, sizeof(at->ip)) == 0;
}

static bool is_any(const otr_listen *l, const otr_place *at)
{
    return l->any && l->at.family == at->family && l->at.port == at->port;
}

static bool is_any_of_both(const otr_listen *l, const otr_place *at)
{
    return l->any && l->also_v4 && at->family == OTR_FAMILY_V4 && l->at.port == at->port;
}

typedef bool fits(const otr_listen *l, const otr_place *at);

static bool some(const otr_servers *s, const otr_place *at, fits *fit)
{
    for (size_t i = 0; i < s->n_listens; i++) {
        if (fit(&s->listens[i], at)) {
            return true;
        }
    }
    return false;
}

/* The most exact address that somebody listens at gets the connection. */
static fits *who(const otr_servers *s, const otr_place *at)
{
    if (some(s, at, is_there)) {
        return is_there;
    }
    return some(s, at, is_any) ? is_any : is_any_of_both;
}

bool otr_servers_reaches(const otr_servers *s, const otr_listen *listen, const otr_place *at)
{
    return who(s, at)(listen, at);
}

/* ---- names ---- */

static bool same(otr_bytes a, otr_bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool ends(otr_bytes text, otr_bytes with)
{
    return text.n >= with.n && memcmp(text.p + text.n - with.n, with.p, with.n) == 0;
}

static bool begins(otr_bytes text, otr_bytes with)
{
    return text.n >= with.n && memcmp(text.p, with.p, with.n) == 0;
}

/* How well a name that is no regular expression fits: 0 not, more is better. Every leading
 * wildcard is before every trailing one. */
static size_t fit_of(const char *text, otr_bytes host)
{
    enum { EXACT = 1 << 20, LEADING = 1 << 19, TRAILING = 1 };
    otr_bytes name = otr_bytes_of(text);
    if (name.n > 1 && name.p[0] == '.') {
        if (same(host, (otr_bytes){ name.p + 1, name.n - 1 })) {
            return EXACT;
        }
        return host.n > name.n && ends(host, name) ? LEADING + name.n : 0;
    }
    if (name.n > 2 && name.p[0] == '*') {
        otr_bytes tail = { name.p + 1, name.n - 1 };
        return host.n > tail.n && ends(host, tail) ? LEADING + tail.n : 0;
    }
    if (name.n > 2 && name.p[name.n - 1] == '*') {
        otr_bytes head = { name.p, name.n - 1 };
        return host.n > head.n && begins(host, head) ? TRAILING + head.n : 0;
    }
    return same(name, host) ? EXACT : 0;
}

static bool listens(const otr_servers *s, int server, const otr_place *at, fits *fit)
{
    for (size_t i = 0; i < s->n_listens; i++) {
        if (s->listens[i].server == server && fit(&s->listens[i], at)) {
            return true;
        }
    }
    return false;
}

static int by_plain_name(const otr_servers *s, const otr_place *at, fits *fit, otr_bytes host)
{
    size_t best = 0;
    int found = OTR_NO_INDEX;
    for (size_t i = 0; i < s->n_names; i++) {
        const otr_server_name *name = &s->names[i];
        size_t how = name->text[0] != '~' ? fit_of(name->text, host) : 0;
        if (how > best && listens(s, name->server, at, fit)) {
            best = how;
            found = name->server;
        }
    }
    return found;
}

static int by_regex_name(const otr_servers *s, const otr_place *at, fits *fit, otr_bytes host,
                         otr_sure *ret)
{
    for (size_t i = 0; i < s->n_names; i++) {
        const otr_server_name *name = &s->names[i];
        if (name->text[0] != '~' || !listens(s, name->server, at, fit)) {
            continue;
        }
        otr_regex *regex = NULL;
        if (otr_regex_new(name->text + 1, OTR_REGEX_ANY_CASE, &regex, NULL) != OTR_OK) {
            *ret = OTR_UNSURE;
            continue;
        }
        bool is = otr_regex_matches(regex, host);
        otr_regex_free(regex);
        if (is) {
            return name->server;
        }
    }
    return OTR_NO_INDEX;
}

static int by_default(const otr_servers *s, const otr_place *at, fits *fit)
{
    int found = OTR_NO_INDEX;
    for (size_t i = 0; i < s->n_listens; i++) {
        const otr_listen *l = &s->listens[i];
        if (fit(l, at)) {
            if (l->is_default) {
                return l->server;
            }
            found = found == OTR_NO_INDEX || l->server < found ? l->server : found;
        }
    }
    return found;
}

int otr_servers_choose(const otr_servers *s, const otr_place *at, otr_bytes host, otr_sure *ret)
{
    *ret = OTR_SURE;
    fits *fit = who(s, at);
    int found = by_plain_name(s, at, fit, host);
    if (found == OTR_NO_INDEX && host.n > 0) {
        found = by_regex_name(s, at, fit, host, ret);
    }
    return found != OTR_NO_INDEX ? found : by_default(s, at, fit);
}

/* ---- locations ---- */

static int find_plain(const otr_servers *s, int server, int parent, otr_bytes uri)
{
    int found = OTR_NO_INDEX;
    size_t best = 0;
    for (size_t i = 0; i < s->n_locations; i++) {
        const otr_location *l = &s->locations[i];
        if (l->server != server || l->parent != parent || l->kind >= OTR_LOCATION_REGEX) {
            continue;
        }
        otr_bytes text = otr_bytes_of(l->text);
        if (l->kind == OTR_LOCATION_EXACT && same(text, uri)) {
            return (int)i;
        }
        if (l->kind != OTR_LOCATION_EXACT && begins(uri, text) &&
            (found == OTR_NO_INDEX || text.n > best)) {
            found = (int)i;
            best = text.n;
        }
    }
    return found;
}

static int find_regex(const otr_servers *s, int server, int parent, otr_bytes uri, otr_sure *ret)
{
    for (size_t i = 0; i < s->n_locations; i++) {
        const otr_location *l = &s->locations[i];
        if (l->server != server || l->parent != parent || l->kind != OTR_LOCATION_REGEX) {
            continue;
        }
        if (l->regex == NULL) {
            *ret = OTR_UNSURE;
        } else if (otr_regex_matches(l->regex, uri)) {
            return (int)i;
        }
    }
    return OTR_NO_INDEX;
}

/* The level below `parent`. `*ended` when nothing above may still take the request. */
static int locate(const otr_servers *s, int server, int parent, otr_bytes uri, otr_sure *ret,
                  bool *ended)
{
    int plain = find_plain(s, server, parent, uri), found = plain;
    *ended = false;
    if (plain != OTR_NO_INDEX && s->locations[plain].kind == OTR_LOCATION_EXACT) {
        *ended = true;
        return plain;
    }
    if (plain != OTR_NO_INDEX) {
        int below = locate(s, server, plain, uri, ret, ended);
        found = below != OTR_NO_INDEX ? below : plain;
    }
    if (*ended || (plain != OTR_NO_INDEX && s->locations[plain].kind == OTR_LOCATION_PREFIX_ONLY)) {
        return found;
    }
    int regex = find_regex(s, server, parent, uri, ret);
    if (regex == OTR_NO_INDEX) {
        return found;
    }
    bool below_ended;
    int below = locate(s, server, regex, uri, ret, &below_ended);
    *ended = true;
    return below != OTR_NO_INDEX ? below : regex;
}

int otr_servers_locate(const otr_servers *s, int server, otr_bytes uri, otr_sure *ret)
{
    bool ended;
    *ret = OTR_SURE;
    return locate(s, server, OTR_NO_INDEX, uri, ret, &ended);
}
