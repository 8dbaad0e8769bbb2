#include "config/node.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "config/scalar.h"

enum { WHERE_BYTES = 256, PHRASE_BYTES = 320 };

otr_node_type otr_node_kind(const otr_node *node)
{
    return node->kind;
}

const char *otr_node_text(const otr_node *node)
{
    return node->text;
}

size_t otr_node_size(const otr_node *node)
{
    return node->n;
}

const otr_node *otr_node_at(const otr_node *node, size_t i)
{
    return i < node->n ? node->members[i].value : NULL;
}

const char *otr_node_key_at(const otr_node *node, size_t i)
{
    return i < node->n && node->members[i].key != NULL ? node->members[i].key->text : "";
}

const otr_node *otr_node_get(const otr_node *map, const char *key)
{
    if (map == NULL || map->kind != OTR_NODE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->n; i++) {
        if (strcmp(map->members[i].key->text, key) == 0) {
            return map->members[i].value;
        }
    }
    return NULL;
}

const char *otr_node_where(const otr_node *node, char *out, size_t cap)
{
    (void)snprintf(out, cap, "%s:%" PRIu32 ":%" PRIu32, node->file, node->line, node->column);
    return out;
}

bool otr_node_is_null(const otr_node *node)
{
    return node->kind == OTR_NODE_SCALAR && node->plain &&
           otr_scalar_kind_of(node->text) == OTR_SCALAR_NULL;
}

otr_code otr_node_fail(const otr_node *at, otr_err *err, const char *format, ...)
{
    char phrase[PHRASE_BYTES];
    char where[WHERE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(phrase, sizeof(phrase), format, args);
    va_end(args);
    return otr_fail(err, OTR_EINVAL, "%s: %s", otr_node_where(at, where, sizeof(where)), phrase);
}

otr_code otr_node_expected(const otr_node *node, otr_err *err, const char *what)
{
    char show[OTR_SCALAR_SHOW_BYTES];
    char name[OTR_SCALAR_SHOW_BYTES];
    const char *colon = node->name[0] != '\0' ? ": " : "";
    (void)otr_scalar_show(node->name, name);
    if (node->kind == OTR_NODE_SCALAR) {
        return otr_node_fail(node, err, "%s%sexpected %s, got \"%s\"", name, colon, what,
                             otr_scalar_show(node->text, show));
    }
    return otr_node_fail(node, err, "%s%sexpected %s, got a %s", name, colon, what,
                         node->kind == OTR_NODE_LIST ? "list" : "map");
}

otr_code otr_node_as_int(const otr_node *node, int64_t min, int64_t max, int64_t *ret, otr_err *err)
{
    int64_t value;
    if (node->kind == OTR_NODE_SCALAR && otr_scalar_int(node->text, &value) && value >= min &&
        value <= max) {
        *ret = value;
        return OTR_OK;
    }
    char what[80];
    (void)snprintf(what, sizeof(what), "a whole number from %" PRId64 " to %" PRId64, min, max);
    return otr_node_expected(node, err, what);
}

otr_code otr_node_as_bool(const otr_node *node, bool *ret, otr_err *err)
{
    if (node->kind == OTR_NODE_SCALAR && otr_scalar_bool(node->text, ret)) {
        return OTR_OK;
    }
    return otr_node_expected(node, err, "true or false");
}

otr_code otr_node_as_duration_ns(const otr_node *node, uint64_t *ret, otr_err *err)
{
    if (node->kind == OTR_NODE_SCALAR && otr_duration_parse(node->text, ret, NULL) == OTR_OK) {
        return OTR_OK;
    }
    return otr_node_expected(node, err, "a duration such as \"5s\", \"1m30s\" or \"500ms\"");
}

otr_code otr_node_as_bytes(const otr_node *node, uint64_t *ret, otr_err *err)
{
    if (node->kind == OTR_NODE_SCALAR && otr_scalar_bytes(node->text, ret)) {
        return OTR_OK;
    }
    return otr_node_expected(node, err, "a size such as \"64MiB\", \"1MB\" or \"65536\"");
}

otr_code otr_node_only(const otr_node *map, const char *const *known, otr_err *err)
{
    if (map->kind != OTR_NODE_MAP) {
        return otr_node_expected(map, err, "a map");
    }
    for (size_t i = 0; i < map->n; i++) {
        const otr_node *key = map->members[i].key;
        size_t k = 0;
        while (known[k] != NULL && strcmp(known[k], key->text) != 0) {
            k++;
        }
        if (known[k] != NULL) {
            continue;
        }
        char show[OTR_SCALAR_SHOW_BYTES];
        const char *near = otr_nearest(key->text, known);
        return otr_node_fail(key, err, "unknown key \"%s\"%s%s%s", otr_scalar_show(key->text, show),
                             near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
                             near != NULL ? "\"?" : "");
    }
    return OTR_OK;
}
