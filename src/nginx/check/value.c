#include "nginx/check/value.h"

#include "nginx/check/facts.h"
#include "nginx/check/location.h"
#include "nginx/check/target.h"

enum { DEPTH_MOST = 6 };

typedef struct tracer {
    otr_look *l;
    const otr_scope *scope;
    const otr_pattern *groups; /* of the entry of a map that is being read; NULL: none */
    const otr_value *source;   /* what that pattern is matched with */
    unsigned depth;
} tracer;

static otr_value trace_text(const tracer *t, otr_bytes text);
static otr_value trace_variable(const tracer *t, otr_bytes name);

static otr_value nothing(void)
{
    return (otr_value){ .shape = otr_shape_empty() };
}

static otr_value unknown(void)
{
    return (otr_value){ .shape = otr_shape_any() };
}

static otr_value literal(otr_bytes text)
{
    otr_value v = nothing();
    for (size_t i = 0; i < text.n; i++) {
        otr_shape c = otr_shape_byte(text.p[i]);
        v.shape = otr_shape_then(&v.shape, &c);
    }
    return v;
}

static void join(otr_value *a, const otr_value *b)
{
    a->client |= b->client;
    a->host |= b->host;
    a->raw |= b->raw;
}

static otr_value either(const otr_value *a, const otr_value *b)
{
    otr_value v = *a;
    if (!a->client && b->client) { /* what a client decides counts */
        v.shape = b->shape;
    } else if (a->client == b->client) {
        v.shape = otr_shape_either(&a->shape, &b->shape);
    }
    join(&v, b);
    return v;
}

/* ---- what NGINX itself sets ---- */

typedef enum origin { CLIENT, CLIENT_PATH, RAW_PATH, HOST, METHOD, QUERY_SIGN } origin;

static const struct builtin {
    const char *name; /* "arg_": all that begin with it */
    origin origin;
} builtins[] = {
    { "arg_", CLIENT },
    { "cookie_", CLIENT },
    { "http_", CLIENT },
    { "args", CLIENT },
    { "query_string", CLIENT },
    { "request", CLIENT },
    { "request_body", CLIENT },
    { "remote_user", CLIENT },
    { "content_type", CLIENT },
    { "ssl_server_name", CLIENT },
    { "ssl_preread_server_name", CLIENT },
    { "ssl_preread_alpn_protocols", CLIENT },
    { "request_uri", CLIENT_PATH },
    { "uri", RAW_PATH },
    { "document_uri", RAW_PATH },
    { "fastcgi_script_name", RAW_PATH },
    { "fastcgi_path_info", RAW_PATH },
    { "request_filename", RAW_PATH },
    { "host", HOST },
    { "request_method", METHOD },
    { "is_args", QUERY_SIGN },
};

static const struct builtin *find_builtin(otr_bytes name)
{
    for (size_t i = 0; i < OTR_COUNT(builtins); i++) {
        bool family = builtins[i].name[strlen(builtins[i].name) - 1] == '_';
        if (family ? otr_begins(name, builtins[i].name) : otr_is(name, builtins[i].name)) {
            return &builtins[i];
        }
    }
    return NULL;
}

/* The URI of a request that came to this location. */
static otr_value uri_here(const tracer *t)
{
    otr_value v = { .shape = otr_shape_any(), .client = true, .raw = true };
    const otr_scope *scope = otr_scope_within(t->scope, OTR_AT_LOCATION);
    v.shape.first = (otr_set){ 0 };
    otr_set_add(&v.shape.first, '/');
    v.shape.nullable = false;
    if (scope == NULL) {
        return v;
    }
    otr_location loc = otr_location_of(t->l, scope->node);
    if (loc.kind == OTR_LOCATION_EXACT) {
        return literal(loc.text);
    }
    if (otr_location_is_regex(&loc)) {
        otr_pattern pattern;
        otr_location_pattern(&loc, &pattern);
        if (pattern.known && pattern.shape.from_start && pattern.shape.to_end) {
            v.shape = pattern.shape;
            v.raw = otr_set_has(&v.shape.chars, '\n');
        }
    }
    return v;
}

static otr_value value_of_builtin(const tracer *t, otr_bytes name)
{
    const struct builtin *b = find_builtin(name);
    otr_value v = unknown();
    otr_set slash = { 0 };
    otr_set_add(&slash, '/');
    if (b == NULL) {
        return v;
    }
    switch (b->origin) {
    case CLIENT:
        v.client = true;
        break;
    case CLIENT_PATH:
        v.client = true;
        v.shape.first = slash;
        v.shape.nullable = false;
        break;
    case RAW_PATH:
        v = uri_here(t);
        break;
    case QUERY_SIGN: /* "?" or nothing */
        v.shape = otr_shape_byte('?');
        v.shape.nullable = true;
        break;
    case HOST:
        v.host = true;
        v.shape.chars = otr_set_and(v.shape.chars, otr_set_not(slash));
        break;
    default:
        break;
    }
    return v;
}

/* ---- groups of regular expressions ---- */

/* "^(.*)" and "(.*)…": what is matched is a path, which begins with "/", and so does the group. */
static bool begins_uri(const otr_group *g)
{
    bool takes_all = g->shape.nullable && g->shape.texts >= OTR_PATTERN_MANY &&
                     otr_set_count(&g->shape.first) >= 255;
    return g->at_start &&
           (otr_set_is_empty(g->before) || (takes_all && otr_set_count(&g->before) == 256));
}

/* Group `name` (or of that number) of a pattern that is matched with what is worth `of`. */
static otr_value group_of(const otr_pattern *pattern, otr_bytes name, const otr_value *of)
{
    otr_value v = { .shape = otr_shape_any(), .client = of->client, .host = of->host };
    bool numbered = name.n == 1 && name.p[0] >= '1' && name.p[0] <= '9';
    uint32_t number = numbered ? (uint32_t)(name.p[0] - '1') : 0;
    for (uint32_t i = 0; i < pattern->n_groups; i++) {
        if (numbered ? i == number : otr_same(pattern->groups[i].name, name)) {
            v.shape = pattern->groups[i].shape;
            v.raw = of->raw && otr_set_has(&v.shape.chars, '\n');
            if (of->raw && begins_uri(&pattern->groups[i])) {
                v.shape.first = (otr_set){ 0 };
                otr_set_add(&v.shape.first, '/');
            }
            return v;
        }
    }
    return pattern->known ? nothing() : v;
}

static otr_value any_uri(void)
{
    return (otr_value){ .shape = otr_shape_any(), .client = true, .raw = true };
}

static otr_value group_of_location(const tracer *t, const otr_node *node, otr_bytes name)
{
    otr_pattern pattern;
    otr_location loc = otr_location_of(t->l, node);
    otr_value uri = any_uri();
    if (!otr_location_is_regex(&loc)) {
        return nothing();
    }
    otr_location_pattern(&loc, &pattern);
    return group_of(&pattern, name, &uri);
}

static otr_value group_of_if(const tracer *t, const otr_node *node, otr_bytes name)
{
    otr_pattern pattern;
    otr_question q = otr_question_of(t->l, node);
    if (!otr_question_is_regex(&q) || otr_question_is_negated(&q)) {
        return nothing();
    }
    otr_value left = trace_text(t, q.left);
    otr_question_pattern(&q, &pattern);
    return group_of(&pattern, name, &left);
}

static otr_value group_of_rewrite(const tracer *t, const otr_node *node, otr_bytes name)
{
    otr_pattern pattern;
    otr_value uri = any_uri();
    otr_pattern_read(otr_arg(t->l, node, 1), OTR_PATTERN_EXACT_CASE, &pattern);
    return group_of(&pattern, name, &uri);
}

static otr_value group_of_name(const tracer *t, const otr_definition *d, otr_bytes name)
{
    otr_pattern pattern;
    otr_bytes text = otr_arg(t->l, d->node, d->word);
    otr_value host = { .shape = otr_shape_any(), .client = true };
    otr_set slash = { 0 };
    otr_set_add(&slash, '/');
    if (text.n == 0) {
        return nothing();
    }
    otr_pattern_read((otr_bytes){ text.p + 1, text.n - 1 }, OTR_PATTERN_ANY_CASE, &pattern);
    otr_value v = group_of(&pattern, name, &host);
    v.shape.chars = otr_set_and(v.shape.chars, otr_set_not(slash));
    return v;
}

/* $1 … $9: of any pattern that may have been matched last. */
static otr_value numbered_group(const tracer *t, otr_bytes name)
{
    if (t->groups != NULL) {
        return group_of(t->groups, name, t->source);
    }
    otr_value v = nothing();
    for (const otr_scope *s = t->scope; s != NULL; s = s->outer) {
        for (const otr_entry *e = otr_scope_first(t->l, s, OTR_D_REWRITE); e != NULL;
             e = otr_scope_next(t->l, s, e)) {
            otr_value one = group_of_rewrite(t, e->node, name);
            v = either(&v, &one);
        }
        if (s->place == OTR_AT_IF) {
            otr_value one = group_of_if(t, s->node, name);
            v = either(&v, &one);
        }
        if (s->place == OTR_AT_LOCATION) {
            otr_value one = group_of_location(t, s->node, name);
            v = either(&v, &one);
            break;
        }
    }
    return v;
}

/* ---- set and map ---- */

static bool is_map_option(otr_bytes key, uint32_t n_words)
{
    return n_words == 1 && (otr_is(key, "hostnames") || otr_is(key, "volatile"));
}

typedef struct map_reader {
    tracer t;
    otr_value source, all;
    otr_bytes source_text;
    bool plain; /* geo, split_clients: keys are no texts of the source */
} map_reader;

/* Does the pattern let through little enough that a value is one the operator meant? */
static bool is_tied(const otr_pattern *pattern)
{
    const otr_shape *s = &pattern->shape;
    return pattern->known && s->from_start && s->to_end &&
           (s->texts < OTR_PATTERN_MANY || s->tail >= 3);
}

/* The pattern of a key "~…" for what stands in its value; false: it is none. */
static bool take_groups(const map_reader *m, otr_bytes key, tracer *t, otr_pattern *pattern)
{
    if (m->plain || !otr_begins(key, "~")) {
        return false;
    }
    size_t skip = otr_begins(key, "~*") ? 2 : 1;
    otr_pattern_read((otr_bytes){ key.p + skip, key.n - skip },
                     skip == 2 ? OTR_PATTERN_ANY_CASE : OTR_PATTERN_EXACT_CASE, pattern);
    t->groups = pattern;
    t->source = &m->source;
    return true;
}

static otr_value value_of_entry(const map_reader *m, otr_bytes key, otr_bytes value)
{
    otr_pattern pattern;
    tracer t = m->t;
    bool is_regex = take_groups(m, key, &t, &pattern);
    bool is_source = !m->plain && otr_same(value, m->source_text);
    if (is_source && !otr_is(key, "default") && (!is_regex || is_tied(&pattern))) {
        return is_regex ? (otr_value){ .shape = pattern.shape } : literal(key);
    }
    return trace_text(&t, value);
}

static bool read_map_entry(otr_look *l, const otr_node *node, void *arg)
{
    map_reader *m = arg;
    otr_bytes key = otr_text(l, &node->words[0]);
    if (is_map_option(key, node->n_words) || node->n_words < 2) {
        return true;
    }
    otr_value v = value_of_entry(m, key, otr_arg(l, node, node->n_words - 1));
    m->all = either(&m->all, &v);
    return otr_look_step(l, node);
}

static void begin_map(map_reader *m, const tracer *t, const otr_node *node)
{
    *m = (map_reader){ .t = *t, .all = nothing(), .plain = !otr_node_is(node, "map") };
    m->t.groups = NULL;
    if (!m->plain) {
        m->source_text = otr_arg(t->l, node, 1);
        m->source = trace_text(&m->t, m->source_text);
    }
}

static otr_value value_of_map(const tracer *t, const otr_node *node)
{
    map_reader m;
    begin_map(&m, t, node);
    otr_look_inside(t->l, node, read_map_entry, &m);
    return m.all;
}

static otr_value value_by_definition(const tracer *t, const otr_definition *d, otr_bytes name)
{
    switch (d->source) {
    case OTR_SOURCE_SET:
        return trace_text(t, otr_arg(t->l, d->node, 2));
    case OTR_SOURCE_MAP:
        return value_of_map(t, d->node);
    case OTR_SOURCE_LOCATION:
        return group_of_location(t, d->node, name);
    case OTR_SOURCE_NAME:
        return group_of_name(t, d, name);
    case OTR_SOURCE_REWRITE:
        return group_of_rewrite(t, d->node, name);
    default:
        return group_of_if(t, d->node, name);
    }
}

/* Does it hold in this scope? A group of another location's pattern does not. */
static bool holds(const tracer *t, const otr_definition *d)
{
    if (d->source != OTR_SOURCE_LOCATION) {
        return true;
    }
    for (const otr_scope *s = t->scope; s != NULL; s = s->outer) {
        if (s->node == d->node) {
            return true;
        }
    }
    return false;
}

typedef struct definitions { /* of one variable, joined */
    const tracer *t;
    otr_bytes name;
    otr_value all;
    bool any;
} definitions;

static bool join_definition(otr_look *l, const otr_definition *d, void *arg)
{
    definitions *to = arg;
    if (holds(to->t, d)) {
        otr_value one = value_by_definition(to->t, d, to->name);
        to->all = to->any ? either(&to->all, &one) : one;
        to->any = true;
    }
    return l->rc == OTR_OK;
}

/* ---- guards ---- */

typedef struct guard {
    bool ends; /* the block of an `if` has a return */
} guard;

static bool look_for_end(otr_look *l, const otr_node *node, void *arg)
{
    (void)l;
    guard *g = arg;
    g->ends |= otr_node_is(node, "return");
    return !g->ends;
}

/* if ($name !~ …) { return 403; } */
static bool turns_away(otr_look *l, const otr_node *node, otr_bytes name)
{
    otr_question q = otr_question_of(l, node);
    guard g = { 0 };
    if (!otr_question_is_negated(&q) || !otr_same(otr_only_variable(q.left), name)) {
        return false;
    }
    if (otr_question_is_regex(&q)) {
        otr_pattern pattern;
        otr_question_pattern(&q, &pattern);
        if (!pattern.shape.from_start) {
            return false;
        }
    }
    otr_look_inside(l, node, look_for_end, &g);
    return g.ends;
}

/* We are in if ($name = …) or if ($name ~ ^…$). */
static bool lets_in(otr_look *l, const otr_node *node, otr_bytes name)
{
    otr_question q = otr_question_of(l, node);
    if (otr_question_is_negated(&q) || !otr_same(otr_only_variable(q.left), name)) {
        return false;
    }
    if (otr_is(q.op, "=")) {
        return !otr_has_variable(q.right);
    }
    otr_pattern pattern;
    otr_question_pattern(&q, &pattern);
    return otr_question_is_regex(&q) && is_tied(&pattern);
}

static bool is_guarded(const tracer *t, otr_bytes name)
{
    for (const otr_scope *s = t->scope; s != NULL; s = s->outer) {
        if (s->place == OTR_AT_IF && lets_in(t->l, s->node, name)) {
            return true;
        }
        for (const otr_entry *e = otr_scope_first(t->l, s, OTR_D_IF); e != NULL;
             e = otr_scope_next(t->l, s, e)) {
            if (turns_away(t->l, e->node, name)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- texts ---- */

static otr_value trace_variable(const tracer *t, otr_bytes name)
{
    if (t->depth >= DEPTH_MOST || !otr_look_step(t->l, t->scope != NULL ? t->scope->node : NULL)) {
        return unknown();
    }
    tracer inner = *t;
    inner.depth++;
    bool numbered = name.n == 1 && name.p[0] >= '0' && name.p[0] <= '9';
    if (numbered) {
        return numbered_group(&inner, name);
    }
    if (t->groups != NULL) {
        for (uint32_t i = 0; i < t->groups->n_groups; i++) {
            if (otr_same(t->groups->groups[i].name, name)) {
                return group_of(t->groups, name, t->source);
            }
        }
    }
    inner.groups = NULL;
    definitions found = { .t = &inner, .name = name, .all = nothing() };
    otr_facts_definitions(t->l, name, join_definition, &found);
    otr_value v = found.any ? found.all : value_of_builtin(&inner, name);
    if (v.client && is_guarded(&inner, name)) {
        v.client = v.raw = false;
    }
    return v;
}

static otr_value trace_text(const tracer *t, otr_bytes text)
{
    otr_value v = nothing();
    otr_part part;
    while (otr_part_next(&text, &part)) {
        otr_value one = part.is_variable ? trace_variable(t, part.text) : literal(part.text);
        v.shape = otr_shape_then(&v.shape, &one.shape);
        join(&v, &one);
    }
    return v;
}

otr_value otr_value_of(otr_look *l, const otr_scope *scope, otr_bytes text)
{
    tracer t = { .l = l, .scope = scope };
    return trace_text(&t, text);
}

otr_value otr_value_of_variable(otr_look *l, const otr_scope *scope, otr_bytes name)
{
    tracer t = { .l = l, .scope = scope };
    return trace_variable(&t, name);
}

otr_value otr_value_in_rewrite(otr_look *l, const otr_scope *scope, const otr_node *rewrite,
                               otr_bytes name)
{
    otr_pattern pattern;
    otr_value uri = any_uri();
    tracer t = { .l = l, .scope = scope, .groups = &pattern, .source = &uri };
    otr_pattern_read(otr_arg(l, rewrite, 1), OTR_PATTERN_EXACT_CASE, &pattern);
    return trace_variable(&t, name);
}

/* ---- single values ---- */

typedef struct each_setting {
    const tracer *t;
    otr_value_fn *fn;
    void *arg;
    const otr_node *map;
    bool any, others;
} each_setting;

static bool give_entry(otr_look *l, const otr_node *node, void *arg)
{
    const each_setting *e = arg;
    otr_bytes key = otr_text(l, &node->words[0]);
    if (!is_map_option(key, node->n_words) && node->n_words > 1) {
        otr_setting setting = { otr_arg(l, node, node->n_words - 1), e->map, node };
        e->fn(l, &setting, e->arg);
    }
    return otr_look_step(l, node);
}

static bool give_definition(otr_look *l, const otr_definition *d, void *arg)
{
    each_setting *e = arg;
    if (!holds(e->t, d)) {
        return true;
    }
    e->any = true;
    if (d->source == OTR_SOURCE_SET) {
        otr_setting setting = { .text = otr_arg(l, d->node, 2) };
        e->fn(l, &setting, e->arg);
    } else if (d->source == OTR_SOURCE_MAP) {
        e->map = d->node;
        otr_look_inside(l, d->node, give_entry, e);
    } else {
        e->others = true;
    }
    return l->rc == OTR_OK;
}

bool otr_value_each(otr_look *l, const otr_scope *scope, otr_bytes name, otr_value_fn *fn,
                    void *arg)
{
    tracer t = { .l = l, .scope = scope };
    each_setting e = { .t = &t, .fn = fn, .arg = arg };
    otr_facts_definitions(l, name, give_definition, &e);
    return e.any && !e.others && l->steps <= OTR_LIMIT_NGINX_CHECK_STEPS;
}

otr_value otr_value_in_text(otr_look *l, const otr_scope *scope, const otr_setting *setting,
                            otr_bytes name)
{
    map_reader m;
    tracer t = { .l = l, .scope = scope };
    if (setting->map == NULL) {
        return trace_variable(&t, name);
    }
    begin_map(&m, &t, setting->map);
    otr_bytes only = otr_only_variable(setting->text);
    if (otr_same(only, name)) { /* all of it: the key may limit it */
        return value_of_entry(&m, otr_text(l, &setting->entry->words[0]), setting->text);
    }
    otr_pattern pattern;
    take_groups(&m, otr_text(l, &setting->entry->words[0]), &m.t, &pattern);
    return trace_variable(&m.t, name);
}
