/* Pieces of the configuration's tree, read with errors that name place and key. */
#include "plugin/manifest/read.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/texts.h"
#include "bus/bus.h"

enum { MAX_LIST = 256 };

otr_code otr_manifest_bad(const otr_node *node, otr_code code, const char *text, otr_err *err)
{
    char where[OTR_MANIFEST_WHERE];
    return otr_fail(err, code, "%s: %s", otr_node_where(node, where, sizeof(where)), text);
}

otr_code otr_manifest_kind(const otr_node *node, otr_node_type kind, const char *key, otr_err *err)
{
    static const char *const names[] = { "text", "a list", "a map" };
    if (otr_node_kind(node) == kind) {
        return OTR_OK;
    }
    char where[OTR_MANIFEST_WHERE];
    return otr_fail(err, OTR_EINVAL, "%s: %s: expected %s",
                    otr_node_where(node, where, sizeof(where)), key, names[kind]);
}

otr_code otr_manifest_text(const otr_node *map, const char *key, char **ret, otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    if (node == NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_manifest_kind(node, OTR_NODE_SCALAR, key, err);
    if (rc != OTR_OK) {
        return rc;
    }
    *ret = otr_strdup(otr_node_text(node));
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_manifest_texts(const otr_node *node, const char *key, char ***ret, otr_err *err)
{
    otr_code rc = otr_manifest_kind(node, OTR_NODE_LIST, key, err);
    if (rc != OTR_OK) {
        return rc;
    }
    char where[OTR_MANIFEST_WHERE];
    size_t n = otr_node_size(node);
    if (n > MAX_LIST) {
        return otr_fail(err, OTR_EQUOTA, "%s: %s: more than %d entries",
                        otr_node_where(node, where, sizeof(where)), key, MAX_LIST);
    }
    char **list = otr_calloc(n + 1, sizeof(*list));
    if (list == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < n && rc == OTR_OK; i++) {
        const otr_node *item = otr_node_at(node, i);
        rc = otr_manifest_kind(item, OTR_NODE_SCALAR, key, err);
        if (rc == OTR_OK && (list[i] = otr_strdup(otr_node_text(item))) == NULL) {
            rc = otr_fail_nomem(err);
        }
    }
    if (rc != OTR_OK) {
        otr_texts_free(list);
        return rc;
    }
    *ret = list;
    return OTR_OK;
}

otr_code otr_manifest_patterns(const otr_node *node, const char *key, char ***ret, otr_err *err)
{
    char **list = NULL;
    otr_code rc = otr_manifest_texts(node, key, &list, err);
    for (size_t i = 0; rc == OTR_OK && list[i] != NULL; i++) {
        rc = otr_topic_check(list[i], true, err);
        if (rc != OTR_OK) {
            char where[OTR_MANIFEST_WHERE];
            rc = otr_wrap(err, rc, "%s: %s",
                          otr_node_where(otr_node_at(node, i), where, sizeof(where)), key);
        }
    }
    if (rc != OTR_OK) {
        otr_texts_free(list);
        return rc;
    }
    *ret = list;
    return OTR_OK;
}

otr_code otr_manifest_choice(const otr_node *map, const char *key, const char *const *choices,
                             size_t *ret, otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    if (node == NULL) {
        return OTR_OK;
    }
    otr_buf all;
    otr_buf_init(&all, OTR_MANIFEST_WHERE);
    otr_code rc = OTR_OK;
    for (size_t i = 0; choices[i] != NULL && rc == OTR_OK; i++) {
        if (otr_node_kind(node) == OTR_NODE_SCALAR &&
            strcmp(otr_node_text(node), choices[i]) == 0) {
            *ret = i;
            otr_buf_deinit(&all);
            return OTR_OK;
        }
        rc = otr_buf_addf(&all, err, "%s%s", i > 0 ? ", " : "", choices[i]);
    }
    if (rc == OTR_OK) {
        char where[OTR_MANIFEST_WHERE];
        rc = otr_fail(err, OTR_EINVAL, "%s: %s: \"%s\" is not one of: %s",
                      otr_node_where(node, where, sizeof(where)), key, otr_node_text(node),
                      otr_buf_text(&all));
    }
    otr_buf_deinit(&all);
    return rc;
}

otr_code otr_manifest_json(const otr_node *node, char **ret, otr_err *err)
{
    otr_buf out;
    otr_buf_init(&out, OTR_MANIFEST_JSON);
    otr_code rc = otr_node_json(node, &out, err);
    if (rc == OTR_OK) {
        *ret = (char *)out.p;
        out = (otr_buf){ .max_bytes = OTR_MANIFEST_JSON };
    }
    otr_buf_deinit(&out);
    return rc;
}

otr_code otr_manifest_resolve(const char *directory, char **path, otr_err *err)
{
    if ((*path)[0] == '/') {
        return OTR_OK;
    }
    size_t cap = strlen(directory) + strlen(*path) + 2;
    char *whole = otr_alloc(cap);
    if (whole == NULL) {
        return otr_fail_nomem(err);
    }
    (void)snprintf(whole, cap, "%s/%s", directory, *path);
    otr_free(*path);
    *path = whole;
    return OTR_OK;
}

otr_code otr_manifest_duration(const otr_node *map, const char *key, uint64_t *slot, otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    if (node == NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_node_as_duration_ns(node, slot, err);
    if (rc == OTR_OK && *slot == 0) {
        return otr_manifest_bad(node, OTR_EINVAL, "a time limit must be longer than 0", err);
    }
    return rc;
}
