#include "nginx/check/look.h"

#include <stdio.h>

#include "base/alloc.h"

void otr_look_deinit(otr_look *l)
{
    otr_free(l->entries);
    otr_arena_deinit(&l->keep);
    otr_arena_deinit(&l->scratch);
}

void otr_look_fail(otr_look *l, otr_code rc)
{
    if (l->rc == OTR_OK) {
        l->rc = rc;
    }
}

bool otr_look_step(otr_look *l, const otr_node *at)
{
    l->all_steps++;
    if (++l->steps <= OTR_LIMIT_NGINX_CHECK_STEPS &&
        l->all_steps <= OTR_LIMIT_NGINX_CHECK_ALL_STEPS) {
        return l->rc == OTR_OK;
    }
    if (!l->gave_up && at != NULL) {
        l->gave_up = true;
        otr_find_unknown(l, at, 0,
                         "variables lead further than is followed: nothing is known of some");
    }
    return false;
}

/* ---- scopes ---- */

static otr_place in_http(otr_place outer, otr_d id)
{
    if (id == OTR_D_LOCATION && (outer == OTR_AT_SERVER || outer == OTR_AT_LOCATION)) {
        return OTR_AT_LOCATION;
    }
    if (id == OTR_D_IF && (outer == OTR_AT_SERVER || outer == OTR_AT_LOCATION)) {
        return OTR_AT_IF;
    }
    if (id == OTR_D_LIMIT_EXCEPT && outer == OTR_AT_LOCATION) {
        return OTR_AT_LIMIT_EXCEPT;
    }
    if (outer == OTR_AT_HTTP) {
        return id == OTR_D_SERVER     ? OTR_AT_SERVER
               : id == OTR_D_UPSTREAM ? OTR_AT_UPSTREAM
                                      : OTR_AT_OTHER;
    }
    return OTR_AT_OTHER;
}

static otr_place place_in(otr_place outer, otr_d id)
{
    switch (outer) {
    case OTR_AT_MAIN:
        return id == OTR_D_HTTP     ? OTR_AT_HTTP
               : id == OTR_D_EVENTS ? OTR_AT_EVENTS
               : id == OTR_D_STREAM ? OTR_AT_STREAM
               : id == OTR_D_MAIL   ? OTR_AT_MAIL
                                    : OTR_AT_OTHER;
    case OTR_AT_STREAM:
        return id == OTR_D_SERVER     ? OTR_AT_STREAM_SERVER
               : id == OTR_D_UPSTREAM ? OTR_AT_STREAM_UPSTREAM
                                      : OTR_AT_OTHER;
    case OTR_AT_MAIL:
        return id == OTR_D_SERVER ? OTR_AT_MAIL_SERVER : OTR_AT_OTHER;
    default:
        return in_http(outer, id);
    }
}

static void add_entry(otr_look *l, otr_scope *s, const otr_node *node)
{
    otr_code rc = otr_grow(&l->entries, l->n_entries, &l->cap_entries, sizeof(*l->entries), l->err);
    if (rc == OTR_OK && ++l->n_seen > OTR_LIMIT_NGINX_CHECKED) {
        rc = otr_fail(
            l->err, OTR_EQUOTA,
            "%s:%u: more than %d directives, includes counted as often as they stand there",
            l->conf->files[node->file].path, node->line, OTR_LIMIT_NGINX_CHECKED);
    }
    if (rc != OTR_OK) {
        otr_look_fail(l, rc);
        return;
    }
    otr_d id = otr_d_of((otr_bytes){ node->words[0].p, node->words[0].n });
    l->entries[l->n_entries++] = (otr_entry){ .node = node, .id = id };
    s->n++;
    if (s->last[id] != 0) {
        l->entries[s->base + s->last[id] - 1].next = s->n;
    } else {
        s->first[id] = s->n;
    }
    s->last[id] = s->n;
}

static void add_list(otr_look *l, otr_scope *s, const otr_node *first, unsigned depth)
{
    for (const otr_node *node = first; node != NULL && l->rc == OTR_OK; node = node->next) {
        if (node->is_comment) {
            continue;
        }
        if (!node->is_include) {
            add_entry(l, s, node);
            continue;
        }
        for (uint32_t i = 0; depth < OTR_LIMIT_NGINX_INCLUDE_DEPTH && i < node->n_includes; i++) {
            add_list(l, s, l->conf->files[node->includes[i]].first, depth + 1);
        }
    }
}

static void open_scope(otr_look *l, otr_scope *s, const otr_scope *outer, const otr_node *node)
{
    s->outer = outer;
    s->node = node;
    s->base = (uint32_t)l->n_entries;
    s->n = 0;
    memset(s->first, 0, sizeof(s->first));
    memset(s->last, 0, sizeof(s->last));
    add_list(l, s, node != NULL ? node->block : l->conf->files[0].first, 0);
}

static void walk_scope(otr_look *l, unsigned depth, otr_look_fn *see);

static void see_entry(otr_look *l, unsigned depth, const otr_entry *e, otr_look_fn *see)
{
    otr_scope *scope = &l->scopes[depth], *inner = NULL;
    otr_spot spot = { .scope = scope, .node = e->node, .id = e->id };
    otr_place place = e->node->has_block ? place_in(scope->place, e->id) : OTR_AT_OTHER;
    size_t n_entries = l->n_entries;
    if (place != OTR_AT_OTHER && depth < OTR_LIMIT_NGINX_BLOCK_DEPTH) {
        inner = &l->scopes[depth + 1];
        inner->place = place;
        open_scope(l, inner, scope, e->node);
        l->servers += place == OTR_AT_SERVER || place == OTR_AT_STREAM_SERVER;
    }
    spot.inner = inner;
    l->steps = 0;
    if (l->rc == OTR_OK) {
        see(l, &spot);
    }
    if (l->used_scratch) {
        otr_arena_deinit(&l->scratch);
        l->used_scratch = false;
    }
    if (inner != NULL) {
        walk_scope(l, depth + 1, see);
        l->n_entries = n_entries;
    }
}

static void walk_scope(otr_look *l, unsigned depth, otr_look_fn *see)
{
    for (uint32_t i = 0; i < l->scopes[depth].n && l->rc == OTR_OK; i++) {
        otr_entry e = l->entries[l->scopes[depth].base + i];
        see_entry(l, depth, &e, see);
    }
}

void otr_look_walk(otr_look *l, otr_look_fn *see)
{
    l->n_entries = 0;
    l->n_seen = 0;
    l->servers = 0;
    l->scopes[0].place = l->start;
    open_scope(l, &l->scopes[0], NULL, NULL);
    walk_scope(l, 0, see);
}

const otr_entry *otr_scope_at(const otr_look *l, const otr_scope *scope, uint32_t i)
{
    return i < scope->n ? &l->entries[scope->base + i] : NULL;
}

const otr_entry *otr_scope_first(const otr_look *l, const otr_scope *scope, otr_d id)
{
    return scope->first[id] != 0 ? &l->entries[scope->base + scope->first[id] - 1] : NULL;
}

const otr_entry *otr_scope_next(const otr_look *l, const otr_scope *scope, const otr_entry *entry)
{
    return entry->next != 0 ? &l->entries[scope->base + entry->next - 1] : NULL;
}

const otr_entry *otr_scope_nearest(const otr_look *l, const otr_scope *scope, otr_d id,
                                   const otr_scope **ret)
{
    for (const otr_scope *s = scope; s != NULL; s = s->outer) {
        if (s->first[id] != 0) {
            if (ret != NULL) {
                *ret = s;
            }
            return otr_scope_first(l, s, id);
        }
    }
    return NULL;
}

const otr_scope *otr_scope_within(const otr_scope *scope, otr_place place)
{
    while (scope != NULL && scope->place != place) {
        scope = scope->outer;
    }
    return scope;
}

bool otr_scope_in_stream(const otr_scope *scope)
{
    while (scope->outer != NULL && scope->place != OTR_AT_STREAM) {
        scope = scope->outer;
    }
    return scope->place == OTR_AT_STREAM || scope->place == OTR_AT_STREAM_SERVER;
}

static bool inside(otr_look *l, const otr_node *first, unsigned depth, otr_inside_fn *fn, void *arg)
{
    for (const otr_node *node = first; node != NULL; node = node->next) {
        if (node->is_comment) {
            continue;
        }
        if (!node->is_include) {
            if (!fn(l, node, arg)) {
                return false;
            }
            continue;
        }
        for (uint32_t i = 0; depth < OTR_LIMIT_NGINX_INCLUDE_DEPTH && i < node->n_includes; i++) {
            if (!inside(l, l->conf->files[node->includes[i]].first, depth + 1, fn, arg)) {
                return false;
            }
        }
    }
    return true;
}

void otr_look_inside(otr_look *l, const otr_node *block, otr_inside_fn *fn, void *arg)
{
    (void)inside(l, block->block, 0, fn, arg);
}

/* ---- findings ---- */

enum { MESSAGE_BYTES = 600 };

static void say(otr_look *l, otr_place_of at, const otr_finding *made, const char *format,
                va_list values)
{
    char text[MESSAGE_BYTES];
    if (l->rc != OTR_OK) {
        return;
    }
    (void)vsnprintf(text, sizeof(text), format, values);
    otr_look_fail(l, otr_report_add(l->report, l->conf, at, made, text, l->err));
}

void otr_find(otr_look *l, const otr_node *node, uint32_t i, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    otr_place_of at = { .node = node, .word = i > 0 && i < node->n_words ? &node->words[i] : NULL };
    say(l, at, &(otr_finding){ .rule = l->rule, .level = l->level }, format, values);
    va_end(values);
}

void otr_find_unknown(otr_look *l, const otr_node *node, uint32_t i, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    otr_place_of at = { .node = node, .word = i > 0 && i < node->n_words ? &node->words[i] : NULL };
    say(l, at, &(otr_finding){ .rule = l->rule, .level = OTR_CHECK_NOTE, .unknown = true }, format,
        values);
    va_end(values);
}
