/* What is not another text, but inherits or names something that is. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/impact/labels.h"
#include "nginx/impact/radius.h"

typedef struct hunt hunt;
typedef otr_code touch_fn(hunt *h, otr_kid kid, otr_err *err);

struct hunt {
    otr_radius *r;
    size_t block;
    size_t found; /* in this round */
    bool servers;
    touch_fn *fn;
};

/* ---- where to look ---- */

static bool mentions(otr_radius *r, uint32_t index)
{
    otr_part *part = &r->graph->parts[index];
    if (part->mentions >= 0) {
        return part->mentions != 0;
    }
    part->mentions = 0; /* in a ring */
    const otr_part_side *side = &part->side[OTR_AFTER];
    bool found = side->text.n > 0 && otr_marks_may_be_in(&r->marks, side->text);
    for (size_t i = 0; !found && i < side->n_includes; i++) {
        for (size_t k = 0; !found && k < side->includes[i].n; k++) {
            found = mentions(r, side->includes[i].parts[k]);
        }
    }
    part->mentions = found;
    return found;
}

/* Marks the parts that need not be opened. */
static void look_where(otr_radius *r)
{
    bool all = false;
    for (size_t i = 0; i < OTR_RADIUS_BLOCKS; i++) {
        all = all || r->inherited[i].n > 0;
    }
    for (size_t i = 0; i < r->graph->n; i++) {
        r->graph->parts[i].mentions = -1;
    }
    for (size_t i = 0; i < r->graph->n; i++) {
        otr_part *part = &r->graph->parts[i];
        part->skip = !all && part->side[OTR_AFTER].used &&
                     !otr_part_is_dirty(r->graph, (uint32_t)i) && !mentions(r, (uint32_t)i);
    }
}

/* ---- why ---- */

/* Adds `text` and a name to a list of directives that mean something else now. */
static otr_code add_name(otr_names *to, const otr_node *node, otr_arena *arena, otr_err *err)
{
    otr_named name = { .at = { node, 0 }, .when = OTR_AFTER };
    if (otr_names_have(to, node)) {
        return OTR_OK;
    }
    name.name = otr_arena_strndup(arena, (const char *)node->words[0].p, node->words[0].n);
    return name.name != NULL ? otr_names_add(to, &name, err) : otr_fail_nomem(err);
}

/* Are there enough of them, so that the next one is only counted? */
static bool is_full(const hunt *h, otr_effect_kind kind)
{
    return h->r->out->counts[kind][OTR_EFFECT_TOUCHED] >= OTR_LIMIT_IMPACT_ITEMS;
}

static otr_code say(hunt *h, const char *how, const char *what, const char **ret, otr_err *err)
{
    if (is_full(h, OTR_EFFECT_SERVER) && is_full(h, OTR_EFFECT_LOCATION)) {
        *ret = "";
        return OTR_OK;
    }
    otr_buf text;
    otr_buf_init(&text, 65536);
    otr_code rc = otr_buf_addf(&text, err, "%s %.4000s", how, what);
    *ret = rc == OTR_OK ? otr_arena_strdup(&h->r->arena, otr_buf_text(&text)) : NULL;
    otr_buf_deinit(&text);
    return rc != OTR_OK || *ret != NULL ? rc : otr_fail_nomem(err);
}

static otr_code say_mark(hunt *h, const otr_mark *mark, const char **ret, otr_err *err)
{
    static const char *const kinds[] = { "uses upstream", "uses $", "uses", "uses file" };
    return mark->kind == OTR_MARK_VARIABLE ? say(h, "uses variable", mark->text, ret, err)
                                           : say(h, kinds[mark->kind], mark->text, ret, err);
}

/* ---- in a block: which of its directives mean something else ---- */

static bool is_location(const otr_node *node)
{
    return otr_node_is(node, "location") && node->has_block;
}

/* May this directive stand in a location, so that one inherits it? */
static bool reaches_locations(const otr_radius *r, const otr_named *name)
{
    otr_use use = { .name = otr_bytes_of(name->name),
                    .where = OTR_WHERE_HTTP_LOC | OTR_WHERE_IN_HTTP,
                    .end = OTR_USE_SEMICOLON,
                    .any_args = true };
    return otr_rules_check(r->rules, &use) != OTR_USE_NOT_HERE;
}

typedef struct inside { /* what a block inherits, and what of its own is touched */
    otr_names names;
    const char *why; /* of the first; NULL: nothing */
} inside;

static void inside_deinit(inside *in)
{
    otr_names_deinit(&in->names);
}

static bool sets_itself(const otr_kids *kids, const char *name)
{
    for (size_t i = 0; i < kids->n; i++) {
        if (otr_node_is(kids->items[i].node, name)) {
            return true;
        }
    }
    return false;
}

static otr_code take_inherited(hunt *h, const otr_names *outer, const otr_kids *kids, bool location,
                               inside *ret, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < outer->n; i++) {
        const otr_named *name = &outer->items[i];
        if (sets_itself(kids, name->name) || (location && !reaches_locations(h->r, name))) {
            continue;
        }
        rc = otr_names_add(&ret->names, name, err);
        if (rc == OTR_OK && ret->why == NULL) {
            rc = say(h, "inherits", name->name, &ret->why, err);
        }
    }
    return rc;
}

static otr_code take_named(hunt *h, const otr_kids *kids, inside *ret, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < kids->n; i++) {
        const otr_node *node = kids->items[i].node;
        const otr_mark *mark = NULL;
        rc = is_location(node) ? OTR_OK : otr_marks_named_by(&h->r->marks, node, &mark, err);
        if (rc != OTR_OK || mark == NULL) {
            continue;
        }
        rc = add_name(&ret->names, node, &h->r->arena, err);
        if (rc == OTR_OK && ret->why == NULL) {
            rc = say_mark(h, mark, &ret->why, err);
        }
    }
    return rc;
}

/* ---- servers ---- */

static const otr_known_server *known(const otr_radius *r, const otr_node *server,
                                     const otr_node *location)
{
    otr_known_server key = { .node = server, .location = location };
    return r->n_known > 0 ? bsearch(&key, r->known, r->n_known, sizeof(key), otr_radius_by_node)
                          : NULL;
}

typedef struct scenery { /* where a location is looked at */
    const otr_node *server;
    const char *name;
    const otr_names *outer;
} scenery;

static otr_code touch_location(hunt *h, const scenery *s, otr_kid kid, otr_err *err);

static otr_code touch_locations(hunt *h, const scenery *s, const otr_kids *kids, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < kids->n; i++) {
        rc = is_location(kids->items[i].node) ? touch_location(h, s, kids->items[i], err) : OTR_OK;
    }
    return rc;
}

static otr_code tell_location(hunt *h, const scenery *s, otr_kid kid, const char *why, otr_err *err)
{
    otr_effect effect = { .kind = OTR_EFFECT_LOCATION,
                          .way = OTR_EFFECT_TOUCHED,
                          .block = otr_radius_block_names[h->block],
                          .server = s->name,
                          .why = why };
    otr_code rc = is_full(h, OTR_EFFECT_LOCATION)
                      ? OTR_OK
                      : otr_label_words(&h->r->arena, kid, 1, &effect.name, err);
    return rc == OTR_OK ? otr_radius_add(h->r, &effect, kid, err) : rc;
}

static otr_code touch_location(hunt *h, const scenery *s, otr_kid kid, otr_err *err)
{
    otr_kids kids = { 0 };
    inside in = { 0 };
    otr_code rc = otr_kid_expand(h->r->graph, OTR_AFTER, kid, OTR_EXPAND_ALL, &kids, err);
    rc = rc == OTR_OK ? take_inherited(h, s->outer, &kids, true, &in, err) : rc;
    rc = rc == OTR_OK ? take_named(h, &kids, &in, err) : rc;
    if (rc == OTR_OK && in.why != NULL && known(h->r, s->server, kid.node) == NULL) {
        rc = tell_location(h, s, kid, in.why, err);
    }
    scenery inner = { s->server, s->name, &in.names };
    rc = rc == OTR_OK ? touch_locations(h, &inner, &kids, err) : rc;
    inside_deinit(&in);
    otr_kids_deinit(&kids);
    return rc;
}

/* Of one whose own text differs: what its locations inherit from that. */
static otr_code take_own(const otr_known_server *k, inside *in, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; k != NULL && rc == OTR_OK && i < k->names.n; i++) {
        if (strcmp(k->names.items[i].name, "location") != 0) {
            rc = otr_names_add(&in->names, &k->names.items[i], err);
        }
    }
    return rc;
}

static otr_code touch_server(hunt *h, otr_kid kid, otr_err *err)
{
    otr_kids kids = { 0 };
    inside in = { 0 };
    otr_server_label label = { .names = "", .listen = "" };
    otr_radius *r = h->r;
    const otr_known_server *k = known(r, kid.node, NULL);
    otr_code rc = otr_kid_expand(r->graph, OTR_AFTER, kid, OTR_EXPAND_ALL, &kids, err);
    rc = rc == OTR_OK ? take_inherited(h, &r->inherited[h->block], &kids, false, &in, err) : rc;
    rc = rc == OTR_OK ? take_named(h, &kids, &in, err) : rc;
    const char *why = in.why;
    rc = rc == OTR_OK ? take_own(k, &in, err) : rc;
    bool shown = !is_full(h, OTR_EFFECT_SERVER) || !is_full(h, OTR_EFFECT_LOCATION);
    rc = rc == OTR_OK && shown ? otr_label_server(&r->arena, &kids, &label, err) : rc;
    if (rc == OTR_OK && k == NULL && why != NULL) {
        otr_effect effect = { .kind = OTR_EFFECT_SERVER,
                              .way = OTR_EFFECT_TOUCHED,
                              .block = otr_radius_block_names[h->block],
                              .name = label.names,
                              .listen = label.listen,
                              .why = why };
        rc = otr_radius_add(r, &effect, kid, err);
    }
    bool added = k != NULL && k->names.n == 0; /* all of it is new */
    if (rc == OTR_OK && !added) {
        scenery s = { kid.node, label.names[0] != '\0' ? label.names : label.listen, &in.names };
        rc = touch_locations(h, &s, &kids, err);
    }
    inside_deinit(&in);
    otr_kids_deinit(&kids);
    return rc;
}

/* ---- what stands beside the servers ---- */

static bool has_mark(const otr_radius *r, otr_mark_kind kind, const char *text)
{
    for (size_t i = 0; i < r->marks.n; i++) {
        if (r->marks.items[i].kind == kind && strcmp(r->marks.items[i].text, text) == 0) {
            return true;
        }
    }
    return false;
}

/* A thing that names one of the marks becomes one itself. */
static otr_code touch_thing(hunt *h, otr_kid kid, const otr_mark *mark, otr_mark_kind kind,
                            const char *name, otr_err *err)
{
    otr_effect effect = { .kind =
                              kind == OTR_MARK_UPSTREAM ? OTR_EFFECT_UPSTREAM : OTR_EFFECT_OTHER,
                          .way = OTR_EFFECT_TOUCHED,
                          .block = otr_radius_block_names[h->block],
                          .name = name };
    if (has_mark(h->r, kind, name)) {
        return OTR_OK;
    }
    otr_code rc = say_mark(h, mark, &effect.why, err);
    if (rc == OTR_OK && kind != OTR_MARK_UPSTREAM) {
        const otr_word *word = &kid.node->words[0];
        OTR_CLEANUP(otr_freep) char *directive = otr_strndup((const char *)word->p, word->n);
        rc = directive != NULL ? OTR_OK : otr_fail_nomem(err);
        char how[128];
        (void)snprintf(how, sizeof(how), "%s%s", directive != NULL ? directive : "",
                       kind == OTR_MARK_VARIABLE ? " variable" : "");
        rc = rc == OTR_OK ? say(h, how, name, &effect.name, err) : rc;
    }
    rc = rc == OTR_OK ? otr_radius_add(h->r, &effect, kid, err) : rc;
    h->found++;
    return rc == OTR_OK ? otr_marks_add(&h->r->marks, kind, name, err) : rc;
}

static otr_code touch_other(hunt *h, otr_kid kid, otr_err *err)
{
    const otr_mark *mark;
    otr_code rc = otr_marks_named_by(&h->r->marks, kid.node, &mark, err);
    if (rc != OTR_OK || mark == NULL) {
        return rc;
    }
    bool thing;
    otr_mark_kind kind;
    otr_buf name;
    otr_buf_init(&name, 64U << 20);
    rc = otr_mark_of(kid, &thing, &kind, &name, err);
    if (rc == OTR_OK && thing) {
        rc = touch_thing(h, kid, mark, kind, otr_buf_text(&name), err);
        otr_marks_sort(&h->r->marks);
    } else if (rc == OTR_OK && !otr_names_have(&h->r->inherited[h->block], kid.node)) {
        rc = add_name(&h->r->inherited[h->block], kid.node, &h->r->arena, err);
        h->found++;
    }
    otr_buf_deinit(&name);
    return rc;
}

/* ---- all of it ---- */

static otr_code on_kid(void *arg, otr_kid kid, otr_err *err)
{
    hunt *h = arg;
    bool server = kid.node != NULL && otr_node_is(kid.node, "server") && kid.node->has_block;
    return kid.node != NULL && server == h->servers ? h->fn(h, kid, err) : OTR_OK;
}

static otr_code each_block(otr_radius *r, const otr_kids *top, bool servers, touch_fn *fn,
                           size_t *ret_found, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t b = 0; b < OTR_RADIUS_BLOCKS; b++) {
        for (size_t i = 0; rc == OTR_OK && i < top->n; i++) {
            hunt h = { .r = r, .block = b, .servers = servers, .fn = fn };
            const otr_node *node = top->items[i].node;
            if (node != NULL && otr_node_is(node, otr_radius_block_names[b])) {
                rc = otr_kid_each(r->graph, OTR_AFTER, top->items[i], on_kid, &h, err);
                *ret_found += h.found;
            }
        }
    }
    return rc;
}

static bool anything(const otr_radius *r)
{
    bool any = r->marks.n > 0 || r->n_known > 0;
    for (size_t i = 0; i < OTR_RADIUS_BLOCKS; i++) {
        any = any || r->inherited[i].n > 0;
    }
    return any;
}

otr_code otr_radius_touch(otr_radius *r, otr_err *err)
{
    otr_kids top = { 0 };
    otr_code rc = OTR_OK;
    if (!anything(r)) {
        return OTR_OK;
    }
    otr_marks_sort(&r->marks);
    look_where(r);
    rc = otr_kid_expand(r->graph, OTR_AFTER, (otr_kid){ 0 }, OTR_EXPAND_SKIP, &top, err);
    for (size_t found = 1; rc == OTR_OK && found > 0 && r->marks.n > 0;) {
        found = 0;
        rc = each_block(r, &top, false, touch_other, &found, err);
        if (found > 0) {
            look_where(r);
        }
    }
    size_t ignored = 0;
    rc = rc == OTR_OK ? each_block(r, &top, true, touch_server, &ignored, err) : rc;
    otr_kids_deinit(&top);
    return rc;
}
