/* `operations:`, `version:`, `input:` and `publish:` of one plugin. */
#include "plugin/manifest/mapping.h"

#include <string.h>

#include "base/alloc.h"
#include "base/texts.h"
#include "bus/bus.h"
#include "plugin/encoding/pick.h"

enum { WHERE_BYTES = 512, NAME_BYTES = 128, VERSION_BYTES = 64 };

/* All of the contract. */
static const char *const operations[] = { "info", "subscriptions", "process",
                                          "init", "reconfigure",   "close" };
_Static_assert(OTR_COUNT(operations) == OTR_MAPPING_OPERATIONS, "as the header says");

typedef struct reader {
    const otr_node *entry;
    const char *plugin;
    otr_err *err;
} reader;

static otr_code bad(const reader *r, const otr_node *at, const char *key, const char *what)
{
    char where[WHERE_BYTES];
    return otr_fail(r->err, OTR_EINVAL, "%s: plugin \"%s\": %s: %s",
                    otr_node_where(at, where, sizeof(where)), r->plugin, key, what);
}

/* As `bad`, about what `err` says already. */
static otr_code bad_more(const reader *r, const otr_node *at, const char *key, otr_code rc)
{
    char where[WHERE_BYTES];
    return rc == OTR_ENOMEM ? rc
                            : otr_wrap(r->err, rc, "%s: plugin \"%s\": %s",
                                       otr_node_where(at, where, sizeof(where)), r->plugin, key);
}

/* A text of 1 to `most` bytes, without control characters; `*ret` stays NULL without the key. */
static otr_code read_text(const reader *r, const char *key, size_t most, char **ret)
{
    const otr_node *node = otr_node_get(r->entry, key);
    if (node == NULL) {
        return OTR_OK;
    }
    const char *text = otr_node_text(node);
    if (otr_node_kind(node) != OTR_NODE_SCALAR || text[0] == '\0') {
        return bad(r, node, key, "expected a text");
    }
    if (strlen(text) > most) {
        return bad(r, node, key, "the text is too long");
    }
    *ret = otr_strdup(text);
    return *ret != NULL ? OTR_OK : otr_fail_nomem(r->err);
}

/* ---- operations ---- */

static bool is_operation(const char *name)
{
    size_t i = 0;
    while (i < OTR_COUNT(operations) && strcmp(name, operations[i]) != 0) {
        i++;
    }
    return i < OTR_COUNT(operations);
}

static otr_code read_operation(const reader *r, const otr_node *map, size_t i, char **pair)
{
    const char *name = otr_node_key_at(map, i);
    const otr_node *node = otr_node_at(map, i);
    const char *own = otr_node_text(node);
    char where[WHERE_BYTES];
    if (!is_operation(name)) {
        return otr_fail(r->err, OTR_EINVAL,
                        "%s: plugin \"%s\": operations: a plugin is not asked \"%.40s\"; there "
                        "are: info, subscriptions, process, init, reconfigure, close",
                        otr_node_where(node, where, sizeof(where)), r->plugin, name);
    }
    if (otr_node_kind(node) != OTR_NODE_SCALAR || own[0] == '\0' || strlen(own) > NAME_BYTES) {
        return otr_fail(r->err, OTR_EINVAL,
                        "%s: plugin \"%s\": operations: %s: expected the guest's own name for it, "
                        "1 to %d bytes",
                        otr_node_where(node, where, sizeof(where)), r->plugin, name, NAME_BYTES);
    }
    pair[0] = otr_strdup(name);
    pair[1] = pair[0] != NULL ? otr_strdup(own) : NULL;
    return pair[1] != NULL ? OTR_OK : otr_fail_nomem(r->err);
}

static otr_code read_operations(const reader *r, otr_plugin_mapping *m)
{
    const otr_node *map = otr_node_get(r->entry, "operations");
    if (map == NULL) {
        return OTR_OK;
    }
    if (otr_node_kind(map) != OTR_NODE_MAP) {
        return bad(r, map, "operations",
                   "expected a map of the contract's names to the guest's own, as in "
                   "{process: count_vowels}");
    }
    size_t n = otr_node_size(map);
    m->names = otr_calloc(2 * n + 1, sizeof(*m->names));
    otr_code rc = m->names != NULL ? OTR_OK : otr_fail_nomem(r->err);
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        rc = read_operation(r, map, i, &m->names[2 * i]);
    }
    return rc;
}

const char *otr_mapping_find(const otr_plugin_mapping *m, const char *operation)
{
    for (char *const *pair = m->names; pair != NULL && *pair != NULL; pair += 2) {
        if (strcmp(pair[0], operation) == 0) {
            return pair[1];
        }
    }
    return NULL;
}

/* ---- the rest ---- */

static otr_code check_version(const reader *r, const otr_plugin_mapping *m)
{
    if (m->version == NULL || otr_mapping_find(m, "info") == NULL) {
        return OTR_OK;
    }
    return bad(r, otr_node_get(r->entry, "version"), "version",
               "it takes the place of the guest's `info`, which `operations` names: leave one out");
}

static otr_code read_input(const reader *r, otr_plugin_mapping *m)
{
    otr_code rc = read_text(r, "input", OTR_PICK_BYTES, &m->input_text);
    if (rc != OTR_OK || m->input_text == NULL) {
        return rc;
    }
    if (strcmp(m->input_text, "message") == 0) {
        m->input = OTR_INPUT_MESSAGE;
    } else if (strcmp(m->input_text, "data") == 0) {
        m->input = OTR_INPUT_DATA;
    } else {
        m->input = OTR_INPUT_FIELD;
        rc = otr_pick_path(m->input_text, &m->path, r->err);
    }
    return rc == OTR_OK ? OTR_OK : bad_more(r, otr_node_get(r->entry, "input"), "input", rc);
}

static otr_code read_publish(const reader *r, otr_plugin_mapping *m)
{
    otr_code rc = read_text(r, "publish", SIZE_MAX, &m->publish);
    if (rc == OTR_OK && m->publish != NULL) {
        rc = otr_topic_check(m->publish, false, r->err);
        rc = rc == OTR_OK ? OTR_OK : bad_more(r, otr_node_get(r->entry, "publish"), "publish", rc);
    }
    return rc;
}

otr_code otr_mapping_read(const otr_node *entry, const char *plugin, otr_plugin_mapping *ret,
                          otr_err *err)
{
    const reader r = { entry, plugin, err };
    *ret = (otr_plugin_mapping){ .input = OTR_INPUT_MESSAGE };
    ret->topics_given =
        otr_node_get(entry, "subscribe") != NULL || otr_node_get(entry, "hooks") != NULL;
    otr_code rc = read_operations(&r, ret);
    rc = rc == OTR_OK ? read_text(&r, "version", VERSION_BYTES, &ret->version) : rc;
    rc = rc == OTR_OK ? check_version(&r, ret) : rc;
    rc = rc == OTR_OK ? read_input(&r, ret) : rc;
    rc = rc == OTR_OK ? read_publish(&r, ret) : rc;
    ret->any = ret->names != NULL || ret->version != NULL || ret->input_text != NULL ||
               ret->publish != NULL;
    return rc;
}

void otr_mapping_deinit(otr_plugin_mapping *m)
{
    otr_texts_free(m->names);
    otr_texts_free(m->path);
    otr_free(m->version);
    otr_free(m->input_text);
    otr_free(m->publish);
    *m = (otr_plugin_mapping){ .input = OTR_INPUT_MESSAGE };
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* In whichever order: a map has none. */
static bool same_names(const otr_plugin_mapping *a, const otr_plugin_mapping *b)
{
    for (size_t i = 0; i < OTR_COUNT(operations); i++) {
        if (!same_text(otr_mapping_find(a, operations[i]), otr_mapping_find(b, operations[i]))) {
            return false;
        }
    }
    return true;
}

/* Whose `version:` was given was not asked for its topics as long as they were given, too. */
bool otr_mapping_asks_alike(const otr_plugin_mapping *a, const otr_plugin_mapping *b)
{
    bool asked_now = a->version != NULL && a->topics_given && !b->topics_given;
    return same_names(a, b) && !asked_now;
}

bool otr_mapping_gives_alike(const otr_plugin_mapping *a, const otr_plugin_mapping *b)
{
    return a->input == b->input &&
           (a->input != OTR_INPUT_FIELD || same_text(a->input_text, b->input_text));
}

static bool is_required(const otr_plugin_mapping *m, const char *operation)
{
    return (strcmp(operation, "info") == 0 && m->version == NULL) ||
           (strcmp(operation, "subscriptions") == 0 && !m->topics_given) ||
           strcmp(operation, "process") == 0 || otr_mapping_find(m, operation) != NULL;
}

void otr_mapping_required(const otr_plugin_mapping *m, const char *list[OTR_MAPPING_OPERATIONS + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < OTR_COUNT(operations); i++) {
        if (is_required(m, operations[i])) {
            list[n++] = otr_mapping_name(m, operations[i]);
        }
    }
    list[n] = NULL;
}

otr_code otr_mapping_text(const otr_plugin_mapping *m, otr_buf *out, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (char *const *pair = m->names; rc == OTR_OK && pair != NULL && *pair != NULL; pair += 2) {
        rc = otr_buf_addf(out, err, "%s%s → %s", pair == m->names ? "" : ", ", pair[0], pair[1]);
    }
    return rc;
}
