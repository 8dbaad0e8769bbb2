#include "nginx/check/facts.h"

#include <stdio.h>

#include "base/alloc.h"
#include "nginx/check/location.h"
#include "nginx/check/target.h"

void otr_facts_deinit(otr_facts *facts)
{
    otr_table_deinit(&facts->sockets_by_text);
    otr_table_deinit(&facts->listens_by_server);
    otr_table_deinit(&facts->names);
    otr_table_deinit(&facts->upstreams_by_name);
    otr_table_deinit(&facts->hosts);
    otr_table_deinit(&facts->variables);
    otr_table_deinit(&facts->variable_names);
    otr_free(facts->sockets);
    otr_free(facts->listens);
    otr_free(facts->upstreams);
    otr_free(facts->definitions);
    otr_table_deinit(&facts->passed);
    otr_table_deinit(&facts->hosts_of_values);
    otr_table_deinit(&facts->material_by_path);
    otr_table_deinit(&facts->asked_names);
    otr_free(facts->material);
}

static void add(otr_look *l, otr_table *table, otr_bytes key, uint32_t value)
{
    if (l->rc == OTR_OK) {
        otr_look_fail(l, otr_table_add(table, key, value, l->err));
    }
}

static void add_once(otr_look *l, otr_table *table, otr_bytes key)
{
    if (otr_table_get(table, key) == NULL) {
        add(l, table, otr_keep(l, key), 0);
    }
}

/* ---- variables ---- */

enum { KEY_BYTES = 256 };

/* "<number of the server><name>" in `to`; a name that is longer than NGINX has any is cut. */
static otr_bytes variable_key(uint32_t server, otr_bytes name, uint8_t to[KEY_BYTES])
{
    size_t n = name.n < KEY_BYTES - sizeof(server) ? name.n : KEY_BYTES - sizeof(server);
    memcpy(to, &server, sizeof(server));
    if (n > 0) {
        memcpy(to + sizeof(server), name.p, n);
    }
    return (otr_bytes){ to, sizeof(server) + n };
}

static void define(otr_look *l, otr_bytes name, const otr_definition *made)
{
    otr_facts *f = l->facts;
    uint8_t key[KEY_BYTES];
    otr_code rc = otr_grow(&f->definitions, f->n_definitions, &f->cap_definitions,
                           sizeof(*f->definitions), l->err);
    if (rc != OTR_OK || l->rc != OTR_OK) {
        otr_look_fail(l, rc);
        return;
    }
    f->definitions[f->n_definitions] = *made;
    add_once(l, &f->variable_names, name);
    otr_bytes kept = otr_keep(l, variable_key(made->server, name, key));
    add(l, &f->variables, kept, (uint32_t)f->n_definitions++);
}

void otr_facts_definitions(otr_look *l, otr_bytes name, otr_definition_fn *fn, void *arg)
{
    const otr_facts *f = l->facts;
    uint8_t key[KEY_BYTES];
    for (int turn = 0; turn < 2; turn++) {
        uint32_t server = turn == 0 ? l->servers : 0;
        const otr_table_item *i = otr_table_get(&f->variables, variable_key(server, name, key));
        for (; i != NULL; i = otr_table_next(&f->variables, i)) {
            const otr_definition *d = &f->definitions[i->value];
            if (!otr_look_step(l, d->node) || !fn(l, d, arg)) {
                return;
            }
        }
        if (l->servers == 0) {
            return;
        }
    }
}

/* Names of groups; those of scratch texts are kept. */
static void define_groups(otr_look *l, const otr_pattern *pattern, const otr_definition *made)
{
    for (uint32_t i = 0; i < pattern->n_groups; i++) {
        if (pattern->groups[i].name.n > 0) {
            define(l, pattern->groups[i].name, made);
        }
    }
}

static bool has_names(otr_bytes pattern)
{
    for (const uint8_t *at = otr_find_byte(pattern, '?'); at != NULL;) {
        size_t left = (size_t)(pattern.p + pattern.n - at);
        if (left > 1 && (at[1] == '<' || at[1] == 'P' || at[1] == '\'')) {
            return true;
        }
        at = memchr(at + 1, '?', left - 1);
    }
    return false;
}

static void take_pattern(otr_look *l, otr_bytes text, const otr_definition *made)
{
    if (has_names(text)) {
        otr_pattern pattern;
        otr_pattern_read(text, OTR_PATTERN_EXACT_CASE, &pattern);
        define_groups(l, &pattern, made);
    }
}

static void take_variable(otr_look *l, otr_source source, const otr_node *node, uint32_t word)
{
    otr_bytes name = otr_arg(l, node, word);
    if (otr_begins(name, "$") && name.n > 1) {
        otr_bytes bare = { name.p + 1, name.n - 1 };
        otr_definition made = { .source = source,
                                .node = node,
                                .server = source == OTR_SOURCE_SET ? l->servers : 0 };
        define(l, bare, &made);
    }
}

/* ---- servers ---- */

typedef struct name_user {
    otr_name_fn *fn;
    void *arg;
} name_user;

static bool is_port_only(otr_bytes address)
{
    for (size_t i = 0; i < address.n; i++) {
        if (address.p[i] != '-' && (address.p[i] < '0' || address.p[i] > '9')) {
            return false;
        }
    }
    return address.n > 0;
}

static otr_bytes plain_host(otr_bytes host)
{
    static const struct {
        const char *name, *plain;
    } same[] = { { "", "*" },         { "0.0.0.0", "*" },   { "localhost", "127.0.0.1" },
                 { "[::0]", "[::]" }, { "[0::0]", "[::]" }, { "[0:0:0:0:0:0:0:0]", "[::]" } };
    for (size_t i = 0; i < OTR_COUNT(same); i++) {
        if (otr_is_any_case(host, same[i].name)) {
            return otr_bytes_of(same[i].plain);
        }
    }
    return host;
}

static void lower(char *text, int n)
{
    for (char *c = text; c < text + n; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    }
}

/* The address of a `listen` as its socket is called, in `to`. */
static otr_bytes socket_text(otr_bytes address, char *to, size_t n)
{
    int got;
    if (otr_begins(address, "unix:")) {
        return address;
    }
    if (is_port_only(address)) {
        got = snprintf(to, n, "*:%.*s", OTR_S(address));
    } else {
        otr_target t = otr_target_of(address);
        otr_bytes host = plain_host(t.host);
        otr_bytes port = t.port.n > 0 ? t.port : otr_bytes_of("80");
        got = snprintf(to, n, "%.*s:%.*s", OTR_S(host), OTR_S(port));
    }
    if (got < 0 || (size_t)got >= n) {
        return (otr_bytes){ 0 };
    }
    lower(to, got);
    return (otr_bytes){ (const uint8_t *)to, (size_t)got };
}

static uint32_t socket_of(otr_look *l, otr_bytes text)
{
    otr_facts *f = l->facts;
    const otr_table_item *known = otr_table_get(&f->sockets_by_text, text);
    if (known != NULL) {
        return known->value;
    }
    otr_look_fail(
        l, otr_grow(&f->sockets, f->n_sockets, &f->cap_sockets, sizeof(*f->sockets), l->err));
    if (l->rc != OTR_OK) {
        return 0;
    }
    otr_bytes kept = otr_keep(l, text);
    f->sockets[f->n_sockets] = (otr_socket){ .text = kept, .first = (uint32_t)f->n_listens };
    add(l, &f->sockets_by_text, kept, (uint32_t)f->n_sockets);
    return (uint32_t)f->n_sockets++;
}

static otr_bytes server_key(otr_look *l)
{
    return otr_keep(l, (otr_bytes){ (const uint8_t *)&l->servers, sizeof(l->servers) });
}

static void add_listen(otr_look *l, const otr_spot *spot, const otr_node *node, otr_bytes address)
{
    char text[256];
    otr_facts *f = l->facts;
    bool is_stream = spot->inner->place == OTR_AT_STREAM_SERVER;
    otr_listen made = {
        .node = node, .server_node = spot->node, .server = l->servers, .is_stream = is_stream
    };
    bool udp = false, quic = false;
    for (uint32_t i = 2; node != NULL && i < node->n_words; i++) {
        otr_bytes word = otr_arg(l, node, i);
        made.is_default |= otr_is(word, "default_server") || otr_is(word, "default");
        made.ssl |= otr_is(word, "ssl");
        quic |= otr_is(word, "quic");
        udp |= otr_is(word, "udp");
    }
    made.ssl |= quic;
    otr_bytes socket = socket_text(address, text, sizeof(text) - 8);
    char full[280];
    int n = snprintf(full, sizeof(full), "%s%s%.*s",
                     udp         ? "udp "
                     : is_stream ? "stream "
                                 : "",
                     quic ? "quic " : "", (int)socket.n, (const char *)socket.p);
    otr_bytes key = { (const uint8_t *)full, n > 0 && (size_t)n < sizeof(full) ? (size_t)n : 0 };
    made.socket = socket_of(l, key);
    otr_look_fail(
        l, otr_grow(&f->listens, f->n_listens, &f->cap_listens, sizeof(*f->listens), l->err));
    if (l->rc != OTR_OK) {
        return;
    }
    otr_socket *s = &f->sockets[made.socket];
    s->n_servers++;
    if (made.is_default && s->default_one == 0) {
        s->default_one = (uint32_t)f->n_listens + 1;
    }
    f->listens[f->n_listens] = made;
    add(l, &f->listens_by_server, server_key(l), (uint32_t)f->n_listens++);
}

/* "<socket> <name>": the names of one socket are apart from those of another one. */
static void give_key(otr_look *l, const char *sign, uint32_t socket, otr_bytes name,
                     const name_user *user)
{
    char text[300];
    int n = snprintf(text, sizeof(text), "%u %s%.*s", socket, sign,
                     (int)(name.n < 255 ? name.n : 255), name.n > 0 ? (const char *)name.p : "");
    lower(text, n);
    user->fn(l, (otr_bytes){ (const uint8_t *)text, (size_t)n }, user->arg);
}

void otr_name_keys(otr_look *l, uint32_t socket, otr_bytes name, otr_name_fn *fn, void *arg)
{
    name_user user = { fn, arg };
    if (otr_begins(name, ".")) {
        give_key(l, "*", socket, name, &user);
        name = (otr_bytes){ name.p + 1, name.n - 1 };
    }
    give_key(l, "", socket, name, &user);
}

static void add_key(otr_look *l, otr_bytes key, void *arg)
{
    (void)arg;
    add(l, &l->facts->names, otr_keep(l, key), l->servers);
}

static void add_name(otr_look *l, uint32_t socket, otr_bytes name)
{
    otr_name_keys(l, socket, name, add_key, NULL);
}

const otr_table_item *otr_facts_listens(const otr_look *l)
{
    otr_bytes key = { (const uint8_t *)&l->servers, sizeof(l->servers) };
    return otr_table_get(&l->facts->listens_by_server, key);
}

static void take_names(otr_look *l, const otr_spot *spot, uint32_t socket)
{
    const otr_entry *e = otr_scope_first(l, spot->inner, OTR_D_SERVER_NAME);
    if (e == NULL) {
        add_name(l, socket, (otr_bytes){ 0 });
    }
    for (; e != NULL; e = otr_scope_next(l, spot->inner, e)) {
        for (uint32_t i = 1; i < e->node->n_words; i++) {
            otr_bytes name = otr_arg(l, e->node, i);
            if (!otr_begins(name, "~")) {
                add_name(l, socket, name);
            }
        }
    }
}

static void take_server(otr_look *l, const otr_spot *spot)
{
    if (spot->inner == NULL) {
        return;
    }
    size_t first = l->facts->n_listens;
    const otr_entry *e = otr_scope_first(l, spot->inner, OTR_D_LISTEN);
    if (e == NULL && spot->inner->place == OTR_AT_SERVER) {
        add_listen(l, spot, NULL, otr_bytes_of("80"));
    }
    for (; e != NULL; e = otr_scope_next(l, spot->inner, e)) {
        add_listen(l, spot, e->node, otr_arg(l, e->node, 1));
    }
    for (size_t i = first; l->rc == OTR_OK && i < l->facts->n_listens; i++) {
        take_names(l, spot, l->facts->listens[i].socket);
    }
}

static void take_server_name(otr_look *l, const otr_spot *spot)
{
    for (uint32_t i = 1; i < spot->node->n_words; i++) {
        otr_bytes name = otr_arg(l, spot->node, i);
        if (otr_begins(name, "~")) {
            otr_definition made = {
                .source = OTR_SOURCE_NAME, .node = spot->node, .word = i, .server = l->servers
            };
            take_pattern(l, (otr_bytes){ name.p + 1, name.n - 1 }, &made);
        }
    }
}

/* ---- upstreams ---- */

bool otr_is_pass(otr_d id)
{
    return id == OTR_D_PROXY_PASS || id == OTR_D_FASTCGI_PASS || id == OTR_D_GRPC_PASS ||
           id == OTR_D_UWSGI_PASS || id == OTR_D_SCGI_PASS || id == OTR_D_MEMCACHED_PASS;
}

static void take_upstream(otr_look *l, const otr_spot *spot)
{
    otr_facts *f = l->facts;
    if (spot->inner == NULL) {
        return;
    }
    otr_look_fail(l, otr_grow(&f->upstreams, f->n_upstreams, &f->cap_upstreams,
                              sizeof(*f->upstreams), l->err));
    if (l->rc != OTR_OK) {
        return;
    }
    otr_upstream *u = &f->upstreams[f->n_upstreams];
    *u = (otr_upstream){ .name = otr_keep(l, otr_arg(l, spot->node, 1)),
                         .node = spot->node,
                         .is_stream = spot->inner->place == OTR_AT_STREAM_UPSTREAM,
                         .keeps = otr_scope_first(l, spot->inner, OTR_D_KEEPALIVE) != NULL };
    add(l, &f->upstreams_by_name, u->name, (uint32_t)f->n_upstreams++);
}

otr_upstream *otr_facts_upstream(const otr_facts *facts, otr_bytes name, bool is_stream)
{
    const otr_table_item *item = otr_table_get(&facts->upstreams_by_name, name);
    for (; item != NULL; item = otr_table_next(&facts->upstreams_by_name, item)) {
        if (facts->upstreams[item->value].is_stream == is_stream) {
            return &facts->upstreams[item->value];
        }
    }
    return NULL;
}

static void take_pass(otr_look *l, const otr_spot *spot)
{
    otr_bytes text = otr_arg(l, spot->node, 1);
    otr_target t = otr_target_of(text);
    otr_bytes only = otr_only_variable(t.host);
    if (!otr_has_variable(text)) {
        add_once(l, &l->facts->hosts, t.place);
    } else if (!otr_has_variable(t.host)) {
        add_once(l, &l->facts->hosts_of_values, t.host);
    } else if (only.n > 0) {
        add_once(l, &l->facts->passed, only);
    } else {
        l->facts->opaque = true;
    }
}

static bool take_entry(otr_look *l, const otr_node *node, void *arg)
{
    (void)arg;
    otr_bytes host = otr_target_of(otr_arg(l, node, node->n_words - 1)).host;
    if (host.n > 0) {
        add_once(l, &l->facts->hosts_of_values, host);
    }
    return l->rc == OTR_OK;
}

static void take_values(otr_look *l, const otr_spot *spot)
{
    if (spot->id == OTR_D_SET) {
        add_once(l, &l->facts->hosts_of_values, otr_target_of(otr_arg(l, spot->node, 2)).host);
    } else {
        otr_look_inside(l, spot->node, take_entry, NULL);
    }
}

/* ---- all ---- */

static void take_other(otr_look *l, const otr_spot *spot)
{
    otr_bytes name = { spot->node->words[0].p, spot->node->words[0].n };
    if (otr_begins(name, "js_") || otr_begins(name, "perl") || otr_ends(name, "_by_lua_block") ||
        otr_ends(name, "_by_lua") || otr_ends(name, "_by_lua_file") || otr_begins(name, "keyval") ||
        otr_begins(name, "set_by")) {
        l->facts->opaque = true;
    }
}

void otr_facts_take(otr_look *l, const otr_spot *spot)
{
    otr_definition made = { .node = spot->node, .server = l->servers };
    switch (spot->id) {
    case OTR_D_SERVER:
        take_server(l, spot);
        break;
    case OTR_D_SERVER_NAME:
        take_server_name(l, spot);
        break;
    case OTR_D_UPSTREAM:
        take_upstream(l, spot);
        break;
    case OTR_D_SET:
        take_variable(l, OTR_SOURCE_SET, spot->node, 1);
        take_values(l, spot);
        break;
    case OTR_D_MAP:
    case OTR_D_SPLIT_CLIENTS:
        take_variable(l, OTR_SOURCE_MAP, spot->node, 2);
        take_values(l, spot);
        break;
    case OTR_D_GEO:
        take_variable(l, OTR_SOURCE_MAP, spot->node, spot->node->n_words - 1);
        take_values(l, spot);
        break;
    case OTR_D_LOCATION:
        made.source = OTR_SOURCE_LOCATION;
        take_pattern(l, otr_location_of(l, spot->node).text, &made);
        break;
    case OTR_D_REWRITE:
        made.source = OTR_SOURCE_REWRITE;
        take_pattern(l, otr_arg(l, spot->node, 1), &made);
        break;
    case OTR_D_IF:
        made.source = OTR_SOURCE_IF;
        take_pattern(l, otr_question_of(l, spot->node).right, &made);
        break;
    case OTR_D_OTHER:
        take_other(l, spot);
        break;
    default:
        if (otr_is_pass(spot->id)) {
            take_pass(l, spot);
        }
    }
}
