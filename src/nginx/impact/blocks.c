/* What stands in http, stream or mail: servers, things with a name, and what servers inherit. */
#include "base/alloc.h"
#include "nginx/impact/labels.h"
#include "nginx/impact/match.h"
#include "nginx/impact/radius.h"

static bool is_server(const otr_node *node)
{
    return otr_node_is(node, "server") && node->has_block;
}

static bool is_location(const otr_node *node)
{
    return otr_node_is(node, "location") && node->has_block;
}

static bool is_own(const otr_node *node)
{
    return !is_location(node);
}

/* ---- servers ---- */

typedef struct server {
    otr_kid kid;
    otr_server_label label;
} server;

typedef struct servers {
    server *items;
    otr_match_item *match;
    size_t n;
} servers;

static void servers_deinit(servers *s)
{
    otr_free(s->items);
    otr_free(s->match);
}

static otr_code label(otr_radius *r, server *s, otr_when when, otr_err *err)
{
    otr_kids kids = { 0 };
    otr_code rc = otr_kid_expand(r->graph, when, s->kid, OTR_EXPAND_ALL, &kids, err);
    rc = rc == OTR_OK ? otr_label_server(&r->arena, &kids, &s->label, err) : rc;
    otr_kids_deinit(&kids);
    return rc;
}

static otr_code find_servers(otr_radius *r, const otr_kids *kids, otr_when when, servers *ret,
                             otr_err *err)
{
    otr_code rc = OTR_OK;
    ret->items = otr_calloc(kids->n + 1, sizeof(*ret->items));
    ret->match = otr_calloc(kids->n + 1, sizeof(*ret->match));
    if (ret->items == NULL || ret->match == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; rc == OTR_OK && i < kids->n; i++) {
        if (is_server(kids->items[i].node)) {
            server *s = &ret->items[ret->n];
            s->kid = kids->items[i];
            ret->match[ret->n++].mate = OTR_NO_MATE;
            rc = label(r, s, when, err);
        }
    }
    return rc;
}

typedef enum likeness { BY_KEY, BY_NAMES, BY_FIRST_NAME, BY_FILE, LIKENESSES } likeness;

static void set_keys(const otr_radius *r, servers *s, likeness how)
{
    for (size_t i = 0; i < s->n; i++) {
        const otr_server_label *l = &s->items[i].label;
        s->match[i].key = how == BY_KEY          ? l->key
                          : how == BY_FIRST_NAME ? l->first
                          : how == BY_NAMES      ? (l->names[0] != '\0' ? l->names : NULL)
                          : l->names[0] == '\0'  ? r->graph->parts[s->items[i].kid.part].path
                                                 : NULL;
    }
}

static otr_code match_servers(const otr_radius *r, servers *old, servers *new, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (likeness how = BY_KEY; rc == OTR_OK && how < LIKENESSES; how++) {
        set_keys(r, old, how);
        set_keys(r, new, how);
        rc = otr_match(&(otr_match_list){ old->match, old->n },
                       &(otr_match_list){ new->match, new->n }, err);
    }
    return rc;
}

static const char *name_of(const server *s)
{
    return s->label.names[0] != '\0'    ? s->label.names
           : s->label.listen[0] != '\0' ? s->label.listen
                                        : "(default)";
}

static otr_code tell_server(otr_radius *r, const char *block, const server *s, otr_effect_way way,
                            const char *why, otr_err *err)
{
    otr_effect effect = { .kind = OTR_EFFECT_SERVER,
                          .way = way,
                          .block = block,
                          .name = s->label.names,
                          .listen = s->label.listen,
                          .why = why };
    return otr_radius_add(r, &effect, s->kid, err);
}

typedef struct difference { /* of two servers */
    otr_names names;
    size_t locations;
    bool include; /* the text of the server is the same: files that it includes differ */
} difference;

static otr_code tell_difference(otr_radius *r, const char *block, const server *s, difference *d,
                                otr_err *err)
{
    const char *why = NULL;
    const char *from = d->names.n > 0 && d->names.items[0].at.part != s->kid.part
                           ? r->graph->parts[d->names.items[0].at.part].path
                           : "another text";
    if (d->locations > 0) {
        otr_named locations = { .name = "location", .at = s->kid };
        otr_code rc = otr_names_add(&d->names, &locations, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    otr_code rc = otr_names_text(&d->names, &r->arena, &why, err);
    if (rc == OTR_OK && d->include) {
        otr_buf text;
        otr_buf_init(&text, 65536);
        rc = otr_buf_addf(&text, err, "includes %.4000s: %s", from, why);
        why = rc == OTR_OK ? otr_arena_strdup(&r->arena, otr_buf_text(&text)) : NULL;
        rc = rc == OTR_OK && why == NULL ? otr_fail_nomem(err) : rc;
        otr_buf_deinit(&text);
    }
    rc = rc == OTR_OK ? tell_server(r, block, s,
                                    d->include ? OTR_EFFECT_TOUCHED : OTR_EFFECT_CHANGED, why, err)
                      : rc;
    return rc == OTR_OK ? otr_radius_know(r, s->kid.node, NULL, &d->names, err) : rc;
}

static otr_code compare_pair(otr_radius *r, const char *block, const server *a, const server *b,
                             otr_err *err)
{
    bool same;
    otr_code rc = otr_kid_same(r->graph, a->kid, b->kid, &same, err);
    if (rc != OTR_OK || same) {
        return rc;
    }
    otr_kids old = { 0 }, new = { 0 };
    difference d = { .include = otr_kid_same_bytes(r->graph, a->kid, b->kid) };
    otr_scene scene = { block, name_of(b), b->kid.node };
    rc = otr_kid_expand(r->graph, OTR_BEFORE, a->kid, OTR_EXPAND_ALL, &old, err);
    rc = rc == OTR_OK ? otr_kid_expand(r->graph, OTR_AFTER, b->kid, OTR_EXPAND_ALL, &new, err) : rc;
    rc = rc == OTR_OK ? otr_groups_compare(r->graph, &old, &new, is_own, &r->arena, &d.names, err)
                      : rc;
    rc = rc == OTR_OK ? otr_radius_locations(r, &scene, &old, &new, &d.locations, err) : rc;
    if (rc == OTR_OK && d.names.n + d.locations > 0) {
        rc = tell_difference(r, block, b, &d, err);
    }
    otr_names_deinit(&d.names);
    otr_kids_deinit(&old);
    otr_kids_deinit(&new);
    return rc;
}

/* The first server of an address is its default: which one that is depends on their order. */
static otr_code tell_order(otr_radius *r, const char *block, const servers *old, const servers *new,
                           otr_err *err)
{
    otr_code rc = OTR_OK;
    uint32_t last = 0;
    for (size_t i = 0; rc == OTR_OK && i < new->n; i++) {
        uint32_t mate = new->match[i].mate;
        if (mate == OTR_NO_MATE) {
            continue;
        }
        if (mate < last) {
            bool same;
            rc = otr_kid_same(r->graph, old->items[mate].kid, new->items[i].kid, &same, err);
            rc = rc == OTR_OK && same ? tell_server(r, block, &new->items[i], OTR_EFFECT_TOUCHED,
                                                    "order of servers", err)
                                      : rc;
        }
        last = mate > last ? mate : last;
    }
    return rc;
}

static otr_code compare_matched(otr_radius *r, const char *block, const servers *old,
                                const servers *new, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < new->n; i++) {
        uint32_t mate = new->match[i].mate;
        if (mate == OTR_NO_MATE) {
            rc = tell_server(r, block, &new->items[i], OTR_EFFECT_ADDED, NULL, err);
            rc = rc == OTR_OK ? otr_radius_know(r, new->items[i].kid.node, NULL, NULL, err) : rc;
        } else {
            rc = compare_pair(r, block, &old->items[mate], &new->items[i], err);
        }
    }
    for (size_t i = 0; rc == OTR_OK && i < old->n; i++) {
        if (old->match[i].mate == OTR_NO_MATE) {
            rc = tell_server(r, block, &old->items[i], OTR_EFFECT_REMOVED, NULL, err);
        }
    }
    return rc == OTR_OK ? tell_order(r, block, old, new, err) : rc;
}

static otr_code compare_servers(otr_radius *r, const char *block, const otr_kids *old,
                                const otr_kids *new, otr_err *err)
{
    servers a = { 0 }, b = { 0 };
    otr_code rc = find_servers(r, old, OTR_BEFORE, &a, err);
    rc = rc == OTR_OK ? find_servers(r, new, OTR_AFTER, &b, err) : rc;
    rc = rc == OTR_OK ? match_servers(r, &a, &b, err) : rc;
    rc = rc == OTR_OK ? compare_matched(r, block, &a, &b, err) : rc;
    servers_deinit(&a);
    servers_deinit(&b);
    return rc;
}

/* ---- things with a name ---- */

typedef struct thing {
    otr_kid kid;
    otr_mark_kind kind;
    const char *name;  /* alone */
    const char *label; /* "map $x" */
} thing;

typedef struct things {
    thing *items;
    otr_match_item *match;
    size_t n;
} things;

static void things_deinit(things *t)
{
    otr_free(t->items);
    otr_free(t->match);
}

static otr_code make_thing(otr_radius *r, const otr_buf *name, thing *t, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, name->n + 4096);
    const otr_word *word = &t->kid.node->words[0];
    otr_code rc = otr_buf_addf(&text, err, "%.*s %s%s", word->n < 200 ? (int)word->n : 200,
                               (const char *)word->p, t->kind == OTR_MARK_VARIABLE ? "$" : "",
                               otr_buf_text(name));
    if (rc == OTR_OK) {
        t->label = otr_arena_strdup(&r->arena, otr_buf_text(&text));
        t->name = otr_arena_strdup(&r->arena, otr_buf_text(name));
        rc = t->label != NULL && t->name != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&text);
    return rc;
}

static otr_code find_things(otr_radius *r, const otr_kids *kids, things *ret, otr_err *err)
{
    otr_buf name;
    otr_code rc = OTR_OK;
    otr_buf_init(&name, 64U << 20);
    ret->items = otr_calloc(kids->n + 1, sizeof(*ret->items));
    ret->match = otr_calloc(kids->n + 1, sizeof(*ret->match));
    if (ret->items == NULL || ret->match == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; rc == OTR_OK && i < kids->n; i++) {
        bool found;
        thing *t = &ret->items[ret->n];
        otr_buf_clear(&name);
        rc = otr_mark_of(kids->items[i], &found, &t->kind, &name, err);
        if (rc == OTR_OK && found) {
            t->kid = kids->items[i];
            rc = make_thing(r, &name, t, err);
            ret->match[ret->n++] = (otr_match_item){ t->label, OTR_NO_MATE };
        }
    }
    otr_buf_deinit(&name);
    return rc;
}

static otr_code tell_thing(otr_radius *r, const char *block, const thing *t, otr_effect_way way,
                           otr_err *err)
{
    bool upstream = t->kind == OTR_MARK_UPSTREAM;
    otr_effect effect = { .kind = upstream ? OTR_EFFECT_UPSTREAM : OTR_EFFECT_OTHER,
                          .way = way,
                          .block = block,
                          .name = upstream ? t->name : t->label };
    otr_code rc = otr_radius_add(r, &effect, t->kid, err);
    return rc == OTR_OK ? otr_marks_add(&r->marks, t->kind, t->name, err) : rc;
}

static otr_code compare_things(otr_radius *r, const char *block, const otr_kids *old,
                               const otr_kids *new, otr_err *err)
{
    things a = { 0 }, b = { 0 };
    otr_code rc = find_things(r, old, &a, err);
    rc = rc == OTR_OK ? find_things(r, new, &b, err) : rc;
    rc = rc == OTR_OK
             ? otr_match(&(otr_match_list){ a.match, a.n }, &(otr_match_list){ b.match, b.n }, err)
             : rc;
    for (size_t i = 0; rc == OTR_OK && i < b.n; i++) {
        bool same = false;
        if (b.match[i].mate == OTR_NO_MATE) {
            rc = tell_thing(r, block, &b.items[i], OTR_EFFECT_ADDED, err);
            continue;
        }
        rc = otr_kid_same(r->graph, a.items[b.match[i].mate].kid, b.items[i].kid, &same, err);
        rc =
            rc == OTR_OK && !same ? tell_thing(r, block, &b.items[i], OTR_EFFECT_CHANGED, err) : rc;
    }
    for (size_t i = 0; rc == OTR_OK && i < a.n; i++) {
        if (a.match[i].mate == OTR_NO_MATE) {
            rc = tell_thing(r, block, &a.items[i], OTR_EFFECT_REMOVED, err);
        }
    }
    things_deinit(&a);
    things_deinit(&b);
    return rc;
}

/* ---- the block ---- */

static bool is_inherited(const otr_node *node)
{
    otr_mark_kind kind;
    otr_buf name;
    bool found = false;
    otr_err err;
    otr_buf_init(&name, 64U << 20);
    otr_code rc = is_server(node)
                      ? OTR_OK
                      : otr_mark_of((otr_kid){ .node = node }, &found, &kind, &name, &err);
    otr_buf_deinit(&name);
    return !is_server(node) && (rc != OTR_OK || !found);
}

otr_code otr_radius_block(otr_radius *r, size_t block, const otr_both *pair, otr_err *err)
{
    const char *name = otr_radius_block_names[block];
    otr_kids old = { 0 }, new = { 0 };
    otr_code rc = otr_radius_expand(r, pair, &old, &new, err);
    rc = rc == OTR_OK ? otr_groups_compare(r->graph, &old, &new, is_inherited, &r->arena,
                                           &r->inherited[block], err)
                      : rc;
    rc = rc == OTR_OK ? compare_things(r, name, &old, &new, err) : rc;
    rc = rc == OTR_OK ? compare_servers(r, name, &old, &new, err) : rc;
    otr_kids_deinit(&old);
    otr_kids_deinit(&new);
    return rc;
}
