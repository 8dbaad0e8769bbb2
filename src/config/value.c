#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "config/scalar.h"
#include "config/settings.h"

enum { PHRASE_BYTES = 96, WHERE_BYTES = 256 };

static const char *expected(const otr_key *key, char out[PHRASE_BYTES])
{
    switch (key->type) {
    case OTR_KEY_BOOL:
        return "true or false";
    case OTR_KEY_INT:
        if (key->min == 0 && key->max == 0) {
            return "a whole number";
        }
        (void)snprintf(out, PHRASE_BYTES, "a whole number from %" PRId64 " to %" PRId64, key->min,
                       key->max);
        return out;
    case OTR_KEY_FLOAT:
        return "a number";
    case OTR_KEY_DURATION:
        return "a duration such as \"5s\", \"1m30s\" or \"500ms\"";
    case OTR_KEY_STRINGS:
        return "a list of texts";
    case OTR_KEY_LABELS:
        return "a map of names to single values";
    case OTR_KEY_END:
    case OTR_KEY_STRING:
    case OTR_KEY_TREE:
        break;
    }
    return "a text";
}

static const char *kind_of_place(const otr_place *place)
{
    return place->origin == OTR_FROM_ENV    ? "environment variable "
           : place->origin == OTR_FROM_FLAG ? "flag "
                                            : "default of ";
}

static bool is_in_range(const otr_key *key, int64_t value)
{
    return (key->min == 0 && key->max == 0) || (value >= key->min && value <= key->max);
}

/* Types that are one scalar. False: `text` is not of the key's type. */
static bool read_scalar(otr_setting *s, const char *text)
{
    switch (s->key->type) {
    case OTR_KEY_BOOL:
        return otr_scalar_bool(text, &s->yes);
    case OTR_KEY_INT:
        return otr_scalar_int(text, &s->whole) && is_in_range(s->key, s->whole);
    case OTR_KEY_FLOAT:
        return otr_scalar_float(text, &s->number);
    case OTR_KEY_DURATION:
        return otr_duration_parse(text, &s->ns, NULL) == OTR_OK;
    case OTR_KEY_STRING:
        return true;
    case OTR_KEY_END:
    case OTR_KEY_STRINGS:
    case OTR_KEY_LABELS:
    case OTR_KEY_TREE:
        break;
    }
    return false;
}

static size_t list_length(const char *const *list)
{
    size_t n = 0;
    while (list[n] != NULL) {
        n++;
    }
    return n;
}

/* A copy of `old` with room for `more` strings and the end mark. */
static const char **extend(otr_config *cfg, const char *const *old, size_t more)
{
    size_t n = list_length(old);
    const char **list = otr_arena_alloc(&cfg->arena, n + more + 1, sizeof(*list));
    for (size_t i = 0; list != NULL && old[i] != NULL; i++) {
        list[i] = old[i];
    }
    return list;
}

static bool is_separator(char c)
{
    return c == ',' || isspace((unsigned char)c);
}

/* Appends the parts of `text` between commas and white space. */
static otr_code split(otr_config *cfg, const char *text, const char *const **list, otr_err *err)
{
    size_t most = 1;
    for (const char *p = text; *p != '\0'; p++) {
        most += is_separator(*p);
    }
    size_t n = list_length(*list);
    const char **parts = extend(cfg, *list, most);
    if (parts == NULL) {
        return otr_fail_nomem(err);
    }
    for (const char *p = text; *p != '\0';) {
        const char *end = p;
        while (*end != '\0' && !is_separator(*end)) {
            end++;
        }
        if (end > p) {
            parts[n] = otr_arena_strndup(&cfg->arena, p, (size_t)(end - p));
            if (parts[n++] == NULL) {
                return otr_fail_nomem(err);
            }
        }
        p = *end != '\0' ? end + 1 : end;
    }
    *list = parts;
    return OTR_OK;
}

static const char *trimmed(otr_config *cfg, const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from)) {
        from++;
    }
    while (to > from && isspace((unsigned char)to[-1])) {
        to--;
    }
    return otr_arena_strndup(&cfg->arena, from, (size_t)(to - from));
}

/* Sets a pair, in place when the key is there already. */
static void put_pair(const char **pairs, const char *key, const char *value)
{
    size_t i = 0;
    while (pairs[i] != NULL && strcmp(pairs[i], key) != 0) {
        i += 2;
    }
    pairs[i] = key;
    pairs[i + 1] = value;
}

/* Appends the pairs of "k=v,k2=v2". */
static otr_code split_labels(otr_config *cfg, const otr_place *place, const char *text,
                             const char *const **list, otr_err *err)
{
    size_t most = 2;
    for (const char *p = text; *p != '\0'; p++) {
        most += *p == ',' ? 2 : 0;
    }
    const char **pairs = extend(cfg, *list, most);
    if (pairs == NULL) {
        return otr_fail_nomem(err);
    }
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, ",");
        const char *equals = memchr(p, '=', n);
        if (equals == NULL) {
            char show[OTR_SCALAR_SHOW_BYTES];
            return otr_fail(err, OTR_EINVAL, "%s%s: expected \"name=value,name=value\", got \"%s\"",
                            kind_of_place(place), place->from, otr_scalar_show(text, show));
        }
        const char *key = trimmed(cfg, p, equals);
        const char *value = trimmed(cfg, equals + 1, p + n);
        if (key == NULL || value == NULL) {
            return otr_fail_nomem(err);
        }
        put_pair(pairs, key, value);
        p += n + (p[n] == ',');
    }
    *list = pairs;
    return OTR_OK;
}

static otr_code read_text(otr_config *cfg, otr_setting *s, const otr_place *place, const char *text,
                          otr_err *err)
{
    static const char *const none[] = { NULL };
    char phrase[PHRASE_BYTES];
    char show[OTR_SCALAR_SHOW_BYTES];
    bool adds = place->origin == OTR_FROM_FLAG && s->origin == OTR_FROM_FLAG;
    if (s->key->type == OTR_KEY_STRINGS || s->key->type == OTR_KEY_LABELS) {
        const char *const *list = adds ? s->list : none;
        otr_code rc = s->key->type == OTR_KEY_STRINGS ? split(cfg, text, &list, err)
                                                      : split_labels(cfg, place, text, &list, err);
        if (rc == OTR_OK) {
            s->list = list;
        }
        return rc;
    }
    if (read_scalar(s, text)) {
        s->text = otr_arena_strdup(&cfg->arena, text);
        return s->text != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    return otr_fail(err, OTR_EINVAL, "%s%s: expected %s, got \"%s\"", kind_of_place(place),
                    place->from, expected(s->key, phrase), otr_scalar_show(text, show));
}

otr_code otr_setting_take_text(otr_config *cfg, otr_setting *s, const otr_place *place,
                               const char *text, otr_err *err)
{
    if (!otr_utf8_ok(otr_bytes_of(text))) {
        return otr_fail(err, OTR_EINVAL, "%s%s: the value is not UTF-8", kind_of_place(place),
                        place->from);
    }
    otr_code rc = read_text(cfg, s, place, text, err);
    if (rc != OTR_OK) {
        return rc;
    }
    s->from = otr_arena_strdup(&cfg->arena, place->from);
    if (s->from == NULL) {
        return otr_fail_nomem(err);
    }
    s->origin = place->origin;
    return OTR_OK;
}

static otr_code fail_expected(const otr_key *key, const otr_node *node, otr_err *err)
{
    char phrase[PHRASE_BYTES];
    char show[OTR_SCALAR_SHOW_BYTES];
    const char *what = expected(key, phrase);
    if (node->kind != OTR_NODE_SCALAR) {
        return otr_node_fail(node, err, "%s: expected %s, got a %s", key->path, what,
                             node->kind == OTR_NODE_LIST ? "list" : "map");
    }
    return otr_node_fail(node, err, "%s: expected %s, got \"%s\"", key->path, what,
                         otr_scalar_show(node->text, show));
}

static otr_code read_list(otr_config *cfg, otr_setting *s, const otr_node *node, otr_err *err)
{
    static const char *const none[] = { NULL };
    if (node->kind == OTR_NODE_SCALAR) {
        const char *const *list = none;
        otr_code rc = split(cfg, node->text, &list, err);
        if (rc == OTR_OK) {
            s->list = list;
        }
        return rc;
    }
    const char **list = otr_arena_alloc(&cfg->arena, node->n + 1, sizeof(*list));
    if (list == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < node->n; i++) {
        const otr_node *item = node->members[i].value;
        if (node->kind != OTR_NODE_LIST || item->kind != OTR_NODE_SCALAR ||
            otr_node_is_null(item)) {
            return fail_expected(s->key, node->kind == OTR_NODE_LIST ? item : node, err);
        }
        list[i] = item->text;
    }
    s->list = list;
    return OTR_OK;
}

static otr_code read_labels(otr_config *cfg, otr_setting *s, const otr_node *node, otr_err *err)
{
    if (node->kind != OTR_NODE_MAP) {
        return fail_expected(s->key, node, err);
    }
    const char **pairs = otr_arena_alloc(&cfg->arena, (size_t)node->n * 2 + 1, sizeof(*pairs));
    if (pairs == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < node->n; i++) {
        const otr_member *m = &node->members[i];
        if (m->value->kind != OTR_NODE_SCALAR) {
            return otr_node_fail(m->value, err, "%s.%s: expected one value, got a %s", s->key->path,
                                 m->key->text, m->value->kind == OTR_NODE_LIST ? "list" : "map");
        }
        const char *key = m->key->text;
        const char *value = otr_node_is_null(m->value) ? "" : m->value->text;
        pairs[2 * i] = trimmed(cfg, key, key + strlen(key));
        pairs[2 * i + 1] = trimmed(cfg, value, value + strlen(value));
        if (pairs[2 * i] == NULL || pairs[2 * i + 1] == NULL) {
            return otr_fail_nomem(err);
        }
    }
    s->list = pairs;
    return OTR_OK;
}

static otr_code read_node(otr_config *cfg, otr_setting *s, const otr_node *node, otr_err *err)
{
    switch (s->key->type) {
    case OTR_KEY_TREE:
        s->tree = node;
        return OTR_OK;
    case OTR_KEY_STRINGS:
        return read_list(cfg, s, node, err);
    case OTR_KEY_LABELS:
        return read_labels(cfg, s, node, err);
    default:
        break;
    }
    if ((s->key->flags & OTR_KEY_PRESENCE) && node->kind == OTR_NODE_MAP) {
        s->yes = true;
        return OTR_OK;
    }
    if (node->kind != OTR_NODE_SCALAR || !read_scalar(s, node->text)) {
        return fail_expected(s->key, node, err);
    }
    s->text = node->text;
    return OTR_OK;
}

otr_code otr_setting_take_node(otr_config *cfg, otr_setting *s, const otr_node *node, otr_err *err)
{
    if (otr_node_is_null(node)) {
        return OTR_OK;
    }
    otr_code rc = read_node(cfg, s, node, err);
    if (rc != OTR_OK) {
        return rc;
    }
    char where[WHERE_BYTES];
    s->from = otr_arena_strdup(&cfg->arena, otr_node_where(node, where, sizeof(where)));
    if (s->from == NULL) {
        return otr_fail_nomem(err);
    }
    s->origin = OTR_FROM_FILE;
    return OTR_OK;
}
