#include "nginx/status/collect.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "nginx/files.h"
#include "nginx/language/context.h"
#include "nginx/status/listens.h"
#include "nginx/status/servers.h"
#include "nginx/status/urls.h"

enum { STUBS_MOST = 64, NAME_BYTES = 512 };

typedef struct block {
    otr_context in;
    int location;                /* the innermost one; OTR_NO_INDEX */
    size_t locations, fallbacks; /* of a server: how many there were before it */
} block;

struct otr_status_collect {
    otr_root root; /* its texts are borrowed; `allowed` is for what configurations name */
    block blocks[OTR_LIMIT_NGINX_BLOCK_DEPTH + 1]; /* [0] is the main context */
    size_t depth;
    otr_servers servers;
    int stubs;
    otr_buf hosts;
    bool hosts_read;
    otr_code failed; /* in a callback that cannot fail */
};

otr_code otr_status_collect_new(const otr_root *root, otr_status_collect **ret, otr_err *err)
{
    otr_status_collect *c = otr_zalloc(sizeof(*c));
    if (c == NULL) {
        return otr_fail_nomem(err);
    }
    otr_buf_init(&c->hosts, OTR_LIMIT_HOSTS_BYTES);
    c->root = *root;
    c->root.allowed = NULL;
    c->blocks[0].location = OTR_NO_INDEX;
    *ret = c;
    return OTR_OK;
}

void otr_status_collect_free(otr_status_collect *collect)
{
    if (collect != NULL) {
        otr_servers_deinit(&collect->servers);
        otr_buf_deinit(&collect->hosts);
        otr_free(collect);
    }
}

static block *top(otr_status_collect *c)
{
    return &c->blocks[c->depth];
}

static otr_server *server_of(otr_status_collect *c)
{
    return &c->servers.items[c->servers.n - 1];
}

/* ---- names ---- */

static otr_code add_name(otr_servers *s, const char *text, otr_err *err)
{
    otr_code rc = otr_scan_room(&s->names, s->n_names, &s->cap_names, sizeof(*s->names), err);
    char *copy = rc == OTR_OK ? otr_strdup(text) : NULL;
    if (copy == NULL) {
        return rc == OTR_OK ? otr_fail_nomem(err) : rc;
    }
    for (char *c = copy; text[0] != '~' && *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    }
    s->names[s->n_names++] = (otr_server_name){ .text = copy, .server = (int)s->n - 1 };
    return OTR_OK;
}

/* $hostname: what the host of that NGINX calls itself. */
static void own_name(const otr_status_collect *c, char out[NAME_BYTES])
{
    out[0] = '\0';
    if (c->root.path[0] == '\0') {
        (void)gethostname(out, NAME_BYTES - 1);
    } else {
        otr_buf text;
        otr_buf_init(&text, NAME_BYTES - 1);
        if (otr_root_read(&c->root, "/etc/hostname", &text, NULL, NULL) == OTR_OK) {
            memcpy(out, otr_buf_text(&text), text.n + 1);
        }
        otr_buf_deinit(&text);
    }
    out[NAME_BYTES - 1] = '\0';
    out[strcspn(out, " \r\n\t")] = '\0';
}

static otr_code on_server_name(otr_status_collect *c, const otr_directive *d, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < d->n_args; i++) {
        char own[NAME_BYTES];
        const char *name = d->args[i];
        if (strcmp(name, "$hostname") == 0) {
            own_name(c, own);
            name = own;
        }
        rc = add_name(&c->servers, name, err);
    }
    server_of(c)->has_names = true;
    return rc;
}

/* ---- locations ---- */

static void parse_location(const otr_directive *d, otr_location *l, const char **ret_text,
                           otr_regex_case *ret_case)
{
    static const struct {
        const char *modifier;
        otr_location_kind kind;
    } kinds[] = { { "=", OTR_LOCATION_EXACT },
                  { "^~", OTR_LOCATION_PREFIX_ONLY },
                  { "~*", OTR_LOCATION_REGEX },
                  { "~", OTR_LOCATION_REGEX } };
    const char *first = d->n_args > 0 ? d->args[0] : "";
    *ret_case = OTR_REGEX_EXACT_CASE;
    *ret_text = first;
    l->kind = first[0] == '@' ? OTR_LOCATION_NAMED : OTR_LOCATION_PREFIX;
    for (size_t i = 0; i < OTR_COUNT(kinds); i++) {
        size_t n = strlen(kinds[i].modifier);
        bool alone = d->n_args > 1 && strcmp(first, kinds[i].modifier) == 0;
        if (alone || (d->n_args == 1 && strncmp(first, kinds[i].modifier, n) == 0)) {
            l->kind = kinds[i].kind; /* NGINX takes "=/s" for "= /s" */
            *ret_text = alone ? d->args[1] : first + n;
            *ret_case =
                n == 2 && l->kind == OTR_LOCATION_REGEX ? OTR_REGEX_ANY_CASE : OTR_REGEX_EXACT_CASE;
            return;
        }
    }
}

static otr_code add_location(otr_status_collect *c, const otr_directive *d, otr_err *err)
{
    otr_servers *s = &c->servers;
    otr_location l = { .server = (int)s->n - 1, .parent = top(c)->location };
    const char *text;
    otr_regex_case how;
    parse_location(d, &l, &text, &how);
    if (l.parent != OTR_NO_INDEX) {
        l.restricted = s->locations[l.parent].restricted;
        l.quiet = s->locations[l.parent].quiet;
        l.internal = s->locations[l.parent].internal;
    }
    otr_code rc =
        otr_scan_room(&s->locations, s->n_locations, &s->cap_locations, sizeof(*s->locations), err);
    l.text = rc == OTR_OK ? otr_strdup(text) : NULL;
    if (l.text == NULL) {
        return rc == OTR_OK ? otr_fail_nomem(err) : rc;
    }
    if (l.kind == OTR_LOCATION_REGEX) {
        rc = otr_regex_new(text, how, &l.regex, err);
        if (rc == OTR_ENOMEM) {
            otr_free(l.text);
            return rc;
        }
    }
    s->locations[s->n_locations++] = l;
    return OTR_OK;
}

/* A directive whose last argument may be a named location, or a URI inside. */
static otr_code on_fallback(otr_status_collect *c, const otr_directive *d, otr_err *err)
{
    otr_servers *s = &c->servers;
    const char *to = d->n_args > 1 ? d->args[d->n_args - 1] : "";
    if ((to[0] != '@' && to[0] != '/') || strchr(to, '$') != NULL) {
        return OTR_OK;
    }
    otr_code rc =
        otr_scan_room(&s->fallbacks, s->n_fallbacks, &s->cap_fallbacks, sizeof(*s->fallbacks), err);
    char *name = rc == OTR_OK ? otr_strdup(to) : NULL;
    if (name == NULL) {
        return rc == OTR_OK ? otr_fail_nomem(err) : rc;
    }
    s->fallbacks[s->n_fallbacks++] =
        (otr_fallback){ .name = name, .server = (int)s->n - 1, .location = top(c)->location };
    return OTR_OK;
}

/* ---- blocks ---- */

static void note_if(otr_status_collect *c, const otr_directive *d)
{
    for (size_t i = 0; i < d->n_args; i++) {
        server_of(c)->tests_host |= strstr(d->args[i], "host") != NULL;
    }
}

static otr_code push(otr_status_collect *c, const otr_directive *d, otr_err *err)
{
    block b = { .in = otr_context_of(top(c)->in, d->name),
                .location = top(c)->location,
                .locations = c->servers.n_locations,
                .fallbacks = c->servers.n_fallbacks };
    otr_code rc = OTR_OK;
    if (b.in == OTR_IN_LOCATION) {
        b.location = (int)c->servers.n_locations;
        rc = add_location(c, d, err);
    } else if (b.in == OTR_IN_SERVER) {
        otr_servers *s = &c->servers;
        rc = otr_scan_room(&s->items, s->n, &s->cap, sizeof(*s->items), err);
        if (rc == OTR_OK) {
            s->items[s->n++] = (otr_server){ 0 };
        }
    } else if (b.in == OTR_IN_HTTP_OTHER && top(c)->in == OTR_IN_SERVER &&
               strcmp(d->name, "if") == 0) {
        note_if(c, d);
    }
    if (rc == OTR_EQUOTA) {
        b.in = OTR_IN_OTHER; /* too many of them: this one is not looked at */
        rc = OTR_OK;
    }
    if (rc == OTR_OK) {
        c->blocks[++c->depth] = b;
    }
    return rc;
}

void otr_status_collect_leave(otr_status_collect *c)
{
    const block *b = top(c);
    if (b->in == OTR_IN_SERVER) {
        otr_code rc = OTR_OK;
        otr_server *server = server_of(c);
        if (!server->has_names) {
            rc = add_name(&c->servers, "", NULL);
        }
        if (rc == OTR_OK && !server->has_listens) {
            rc = otr_servers_listen_default(&c->servers, NULL);
        }
        if (server->stubs == 0 && !server->stub) { /* nobody asks for its locations */
            otr_servers_cut(&c->servers, b->locations, b->fallbacks);
        }
        c->failed = rc == OTR_ENOMEM ? rc : c->failed;
    }
    c->depth--;
}

/* ---- directives ---- */

static bool restricts(const char *name)
{
    static const char *const names[] = {
        "allow",    "deny",   "auth_basic", "auth_request",
        "auth_jwt", "return", "internal",   "access_by_lua_block"
    };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static otr_code on_server_directive(otr_status_collect *c, const otr_directive *d, otr_err *err)
{
    if (strcmp(d->name, "listen") == 0) {
        if (!c->hosts_read) {
            c->hosts_read = true;
            if (otr_root_read(&c->root, "/etc/hosts", &c->hosts, NULL, NULL) != OTR_OK) {
                otr_buf_clear(&c->hosts);
            }
        }
        return otr_servers_listen(&c->servers, d, otr_buf_bytes(&c->hosts), err);
    }
    if (strcmp(d->name, "server_name") == 0) {
        return on_server_name(c, d, err);
    }
    bool on = d->n_args == 1 && strcmp(d->args[0], "on") == 0;
    server_of(c)->ssl |= on && strcmp(d->name, "ssl") == 0;
    return OTR_OK;
}

static void on_stub(otr_status_collect *c)
{
    if (c->stubs >= STUBS_MOST) {
        return; /* more of them tell nothing new */
    }
    c->stubs++;
    if (top(c)->in == OTR_IN_LOCATION) {
        c->servers.locations[top(c)->location].stub = true;
        server_of(c)->stubs++;
    } else if (top(c)->in == OTR_IN_SERVER) {
        server_of(c)->stub = true;
    }
}

static void on_access(otr_status_collect *c, const otr_directive *d)
{
    bool off =
        strcmp(d->name, "access_log") == 0 && d->n_args > 0 && strcmp(d->args[0], "off") == 0;
    if (top(c)->in == OTR_IN_LOCATION) {
        otr_location *l = &c->servers.locations[top(c)->location];
        l->quiet |= off;
        l->restricted |= restricts(d->name);
        l->internal |= strcmp(d->name, "internal") == 0;
    } else if (top(c)->in == OTR_IN_SERVER) {
        server_of(c)->quiet |= off;
        server_of(c)->restricted |= restricts(d->name);
    }
}

static otr_code on_directive(otr_status_collect *c, const otr_directive *d, otr_err *err)
{
    otr_context in = top(c)->in;
    if (in == OTR_IN_MAIN || in == OTR_IN_HTTP || in == OTR_IN_OTHER) {
        return OTR_OK;
    }
    if (strcmp(d->name, "stub_status") == 0) {
        on_stub(c);
        return OTR_OK;
    }
    if (strcmp(d->name, "try_files") == 0 || strcmp(d->name, "error_page") == 0) {
        return on_fallback(c, d, err);
    }
    on_access(c, d);
    return in == OTR_IN_SERVER ? on_server_directive(c, d, err) : OTR_OK;
}

otr_code otr_status_collect_enter(otr_status_collect *c, const otr_directive *d, otr_err *err)
{
    otr_code rc = d->block ? push(c, d, err) : on_directive(c, d, err);
    return rc == OTR_EQUOTA ? OTR_OK : rc; /* past the ceiling nothing more is taken in */
}

otr_code otr_status_collect_urls(otr_status_collect *c, char ***ret, size_t *ret_n, otr_err *err)
{
    if (c->failed != OTR_OK) {
        return otr_fail(err, c->failed, "the servers could not be collected");
    }
    return otr_status_urls(&c->servers, c->root.path, ret, ret_n, err);
}
