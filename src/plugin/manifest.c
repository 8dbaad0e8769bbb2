#include "plugin/manifest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "bus/bus.h"
#include "wasm/engine.h"
#include "wasm/guest.h"

enum { NAME_BYTES = 64, WHERE_BYTES = 512, SHA256_DIGITS = 64, MAX_LIST = 256, MAX_JSON = 1 << 20 };

bool otr_plugin_name_ok(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > NAME_BYTES || !islower((unsigned char)name[0])) {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static void free_list(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        otr_free(list[i]);
    }
    otr_free(list);
}

void otr_manifest_free(otr_manifest *m)
{
    if (m == NULL) {
        return;
    }
    otr_free(m->name);
    otr_free(m->source);
    otr_free(m->abi);
    otr_free(m->engine);
    otr_free(m->sha256);
    otr_free(m->where);
    otr_free(m->config_json);
    free_list(m->config_pairs);
    free_list(m->subscribe);
    free_list(m->publish);
    otr_free(m->identity);
    otr_free(m->store);
    otr_free(m);
}

void otr_manifest_set_free(otr_manifest_set *set)
{
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < set->n; i++) {
        otr_manifest_free(set->items[i]);
    }
    otr_free(set->items);
    otr_free(set->cache_dir);
    otr_free(set->store);
    otr_free(set);
}

void otr_manifest_set_freep(void *slot)
{
    otr_manifest_set_free(otr_steal(slot));
}

static otr_code bad(const otr_node *node, otr_code code, const char *text, otr_err *err)
{
    char where[WHERE_BYTES];
    return otr_fail(err, code, "%s: %s", otr_node_where(node, where, sizeof(where)), text);
}

static otr_code need_kind(const otr_node *node, otr_node_type kind, const char *key, otr_err *err)
{
    static const char *const names[] = { "text", "a list", "a map" };
    if (otr_node_kind(node) == kind) {
        return OTR_OK;
    }
    char where[WHERE_BYTES];
    return otr_fail(err, OTR_EINVAL, "%s: %s: expected %s",
                    otr_node_where(node, where, sizeof(where)), key, names[kind]);
}

static otr_code read_text(const otr_node *map, const char *key, char **ret, otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    if (node == NULL) {
        return OTR_OK;
    }
    otr_code rc = need_kind(node, OTR_NODE_SCALAR, key, err);
    if (rc != OTR_OK) {
        return rc;
    }
    *ret = otr_strdup(otr_node_text(node));
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code read_patterns(const otr_node *node, const char *key, char ***ret, otr_err *err)
{
    otr_code rc = need_kind(node, OTR_NODE_LIST, key, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t n = otr_node_size(node);
    if (n > MAX_LIST) {
        return bad(node, OTR_EQUOTA, "more than 256 topic patterns", err);
    }
    char **list = otr_calloc(n + 1, sizeof(*list));
    if (list == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < n && rc == OTR_OK; i++) {
        const otr_node *item = otr_node_at(node, i);
        rc = need_kind(item, OTR_NODE_SCALAR, key, err);
        if (rc == OTR_OK) {
            rc = otr_topic_check(otr_node_text(item), true, err);
            if (rc != OTR_OK) {
                char where[WHERE_BYTES];
                rc = otr_wrap(err, rc, "%s: %s", otr_node_where(item, where, sizeof(where)), key);
            }
        }
        if (rc == OTR_OK && (list[i] = otr_strdup(otr_node_text(item))) == NULL) {
            rc = otr_fail_nomem(err);
        }
    }
    if (rc != OTR_OK) {
        free_list(list);
        return rc;
    }
    *ret = list;
    return OTR_OK;
}

static otr_code read_choice(const otr_node *map, const char *key, const char *const *choices,
                            size_t *ret, otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    if (node == NULL) {
        return OTR_OK;
    }
    otr_buf all;
    otr_buf_init(&all, WHERE_BYTES);
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
        char where[WHERE_BYTES];
        rc = otr_fail(err, OTR_EINVAL, "%s: %s: \"%s\" is not one of: %s",
                      otr_node_where(node, where, sizeof(where)), key, otr_node_text(node),
                      otr_buf_text(&all));
    }
    otr_buf_deinit(&all);
    return rc;
}

/* The text of a node as JSON, in memory of its own. */
static otr_code json_of(const otr_node *node, char **ret, otr_err *err)
{
    otr_buf out;
    otr_buf_init(&out, MAX_JSON);
    otr_code rc = otr_node_json(node, &out, err);
    if (rc == OTR_OK) {
        *ret = (char *)out.p;
        out = (otr_buf){ .max_bytes = MAX_JSON };
    }
    otr_buf_deinit(&out);
    return rc;
}

static otr_code read_config(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    const otr_node *node = otr_node_get(entry, "config");
    size_t n = node != NULL ? otr_node_size(node) : 0;
    otr_code rc = node != NULL ? need_kind(node, OTR_NODE_MAP, "config", err) : OTR_OK;
    if (rc != OTR_OK) {
        return rc;
    }
    m->config_pairs = otr_calloc(2 * n + 1, sizeof(*m->config_pairs));
    if (m->config_pairs == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < n && rc == OTR_OK; i++) {
        const otr_node *value = otr_node_at(node, i);
        m->config_pairs[2 * i] = otr_strdup(otr_node_key_at(node, i));
        if (m->config_pairs[2 * i] == NULL) {
            return otr_fail_nomem(err);
        }
        if (otr_node_kind(value) != OTR_NODE_SCALAR) {
            rc = json_of(value, &m->config_pairs[2 * i + 1], err);
        } else if ((m->config_pairs[2 * i + 1] = otr_strdup(otr_node_text(value))) == NULL) {
            rc = otr_fail_nomem(err);
        }
    }
    if (rc == OTR_OK && node != NULL) {
        rc = json_of(node, &m->config_json, err);
    } else if (rc == OTR_OK && (m->config_json = otr_strdup("{}")) == NULL) {
        rc = otr_fail_nomem(err);
    }
    return rc;
}

static otr_code read_grants(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    static const char *const known[] = { "publish", "kv_bytes", NULL };
    const otr_node *grants = otr_node_get(entry, "grants");
    const otr_node *publish = NULL;
    if (grants != NULL) {
        otr_code rc = need_kind(grants, OTR_NODE_MAP, "grants", err);
        if (rc == OTR_OK) {
            rc = otr_node_only(grants, known, err);
        }
        if (rc != OTR_OK) {
            return rc;
        }
        publish = otr_node_get(grants, "publish");
    }
    const otr_node *kv = otr_node_get(grants, "kv_bytes");
    if (kv != NULL) {
        otr_code rc = otr_node_as_bytes(kv, &m->kv_bytes, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    if (publish != NULL) {
        return read_patterns(publish, "grants.publish", &m->publish, err);
    }
    m->publish = otr_calloc(1, sizeof(*m->publish));
    return m->publish != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code read_duration(const otr_node *map, const char *key, uint64_t *slot, otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    if (node == NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_node_as_duration_ns(node, slot, err);
    if (rc == OTR_OK && *slot == 0) {
        return bad(node, OTR_EINVAL, "a time limit must be longer than 0", err);
    }
    return rc;
}

static otr_code read_bytes(const otr_node *map, const char *key, uint64_t *slot, otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    return node != NULL ? otr_node_as_bytes(node, slot, err) : OTR_OK;
}

static otr_code read_limits(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    static const char *const known[] = { "memory", "vars", "call", "init", "queue", NULL };
    m->memory_bytes = OTR_LIMIT_PLUGIN_MEMORY_BYTES;
    m->vars_bytes = OTR_LIMIT_PLUGIN_VARS_BYTES;
    m->call_ns = UINT64_C(1000000) * OTR_LIMIT_PLUGIN_CALL_MS;
    m->init_ns = UINT64_C(1000000) * OTR_LIMIT_PLUGIN_INIT_MS;
    m->queue = OTR_LIMIT_PLUGIN_QUEUE;
    const otr_node *limits = otr_node_get(entry, "limits");
    if (limits == NULL) {
        return OTR_OK;
    }
    otr_code rc = need_kind(limits, OTR_NODE_MAP, "limits", err);
    rc = rc == OTR_OK ? otr_node_only(limits, known, err) : rc;
    rc = rc == OTR_OK ? read_bytes(limits, "memory", &m->memory_bytes, err) : rc;
    rc = rc == OTR_OK ? read_bytes(limits, "vars", &m->vars_bytes, err) : rc;
    rc = rc == OTR_OK ? read_duration(limits, "call", &m->call_ns, err) : rc;
    rc = rc == OTR_OK ? read_duration(limits, "init", &m->init_ns, err) : rc;
    const otr_node *queue = otr_node_get(limits, "queue");
    if (rc == OTR_OK && queue != NULL) {
        int64_t n = 0;
        rc = otr_node_as_int(queue, 1, OTR_LIMIT_BUS_QUEUE, &n, err);
        m->queue = rc == OTR_OK ? (size_t)n : m->queue;
    }
    return rc;
}

static otr_code check_engine(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    char where[WHERE_BYTES];
    if (m->engine == NULL && (m->engine = otr_strdup("wasmtime")) == NULL) {
        return otr_fail_nomem(err);
    }
    if (otr_engine_find(m->engine) == NULL) {
        return otr_fail(err, OTR_EUNSUP, "%s: engine: \"%s\" is not built in; there are: %s",
                        otr_node_where(otr_node_get(entry, "engine"), where, sizeof(where)),
                        m->engine, otr_engine_names());
    }
    if (m->abi != NULL && otr_abi_find(m->abi) == NULL) {
        return otr_fail(err, OTR_EUNSUP, "%s: abi: \"%s\" is not built in; there are: extism, wapc",
                        otr_node_where(otr_node_get(entry, "abi"), where, sizeof(where)), m->abi);
    }
    if (m->sha256 != NULL && (strlen(m->sha256) != SHA256_DIGITS ||
                              strspn(m->sha256, "0123456789abcdef") != SHA256_DIGITS)) {
        return bad(otr_node_get(entry, "sha256"), OTR_EINVAL,
                   "sha256: expected 64 lower-case hex digits", err);
    }
    return OTR_OK;
}

static otr_code check_name(const otr_node *entry, const otr_manifest *m, otr_err *err)
{
    if (m->name == NULL || m->source == NULL) {
        return bad(entry, OTR_EINVAL, "a plugin needs `name` and `source`", err);
    }
    if (!otr_plugin_name_ok(m->name)) {
        return bad(otr_node_get(entry, "name"), OTR_EINVAL,
                   "name: expected 1 to 64 of a-z, 0-9 and '-', beginning with a letter", err);
    }
    return OTR_OK;
}

/* A relative source is looked for in `directory`, or beside the configuration file. */
static otr_code resolve_source(const char *directory, otr_manifest *m, otr_err *err)
{
    if (strncmp(m->source, "file:", 5) == 0) {
        memmove(m->source, m->source + 5, strlen(m->source + 5) + 1);
    }
    if (m->source[0] == '/') {
        return OTR_OK;
    }
    size_t cap = strlen(directory) + strlen(m->source) + 2;
    char *path = otr_alloc(cap);
    if (path == NULL) {
        return otr_fail_nomem(err);
    }
    (void)snprintf(path, cap, "%s/%s", directory, m->source);
    otr_free(m->source);
    m->source = path;
    return OTR_OK;
}

/* Everything that makes it another plugin: all members but `config`. */
static otr_code read_identity(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    otr_buf out;
    otr_buf_init(&out, MAX_JSON);
    otr_code rc = otr_buf_adds(&out, m->source, err);
    for (size_t i = 0; i < otr_node_size(entry) && rc == OTR_OK; i++) {
        const char *key = otr_node_key_at(entry, i);
        if (strcmp(key, "config") != 0) {
            rc = otr_buf_addf(&out, err, "\n%s=", key);
            rc = rc == OTR_OK ? otr_node_json(otr_node_at(entry, i), &out, err) : rc;
        }
    }
    if (rc == OTR_OK && (m->identity = otr_strdup(otr_buf_text(&out))) == NULL) {
        rc = otr_fail_nomem(err);
    }
    otr_buf_deinit(&out);
    return rc;
}

static otr_code read_entry(const otr_node *entry, const char *directory, otr_manifest *m,
                           otr_err *err)
{
    static const char *const known[] = { "name",   "source",     "abi",       "engine",
                                         "sha256", "config",     "subscribe", "grants",
                                         "limits", "on_failure", NULL };
    static const char *const outcomes[] = { "restart", "disable", NULL };
    otr_code rc = need_kind(entry, OTR_NODE_MAP, "plugins.load", err);
    rc = rc == OTR_OK ? otr_node_only(entry, known, err) : rc;
    rc = rc == OTR_OK ? read_text(entry, "name", &m->name, err) : rc;
    rc = rc == OTR_OK ? read_text(entry, "source", &m->source, err) : rc;
    rc = rc == OTR_OK ? read_text(entry, "abi", &m->abi, err) : rc;
    rc = rc == OTR_OK ? read_text(entry, "engine", &m->engine, err) : rc;
    rc = rc == OTR_OK ? read_text(entry, "sha256", &m->sha256, err) : rc;
    rc = rc == OTR_OK ? check_name(entry, m, err) : rc;
    rc = rc == OTR_OK ? check_engine(entry, m, err) : rc;
    rc = rc == OTR_OK ? read_config(entry, m, err) : rc;
    rc = rc == OTR_OK ? read_grants(entry, m, err) : rc;
    rc = rc == OTR_OK ? read_limits(entry, m, err) : rc;
    const otr_node *subscribe = otr_node_get(entry, "subscribe");
    if (rc == OTR_OK && subscribe != NULL) {
        rc = read_patterns(subscribe, "subscribe", &m->subscribe, err);
    }
    size_t outcome = 0;
    rc = rc == OTR_OK ? read_choice(entry, "on_failure", outcomes, &outcome, err) : rc;
    m->on_failure = (otr_on_failure)outcome;
    rc = rc == OTR_OK ? resolve_source(directory, m, err) : rc;
    rc = rc == OTR_OK ? read_identity(entry, m, err) : rc;
    char where[WHERE_BYTES];
    if (rc == OTR_OK &&
        (m->where = otr_strdup(otr_node_where(entry, where, sizeof(where)))) == NULL) {
        rc = otr_fail_nomem(err);
    }
    return rc;
}

static otr_code check_unique(const otr_manifest_set *set, const otr_manifest *m,
                             const otr_node *entry, otr_err *err)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->items[i]->name, m->name) == 0) {
            char where[WHERE_BYTES];
            return otr_fail(err, OTR_EINVAL, "%s: the name \"%s\" is taken by the plugin at %s",
                            otr_node_where(entry, where, sizeof(where)), m->name,
                            set->items[i]->where);
        }
    }
    return OTR_OK;
}

static otr_code read_load(const otr_node *load, const char *directory, otr_manifest_set *set,
                          otr_err *err)
{
    otr_code rc = need_kind(load, OTR_NODE_LIST, "plugins.load", err);
    size_t n = otr_node_size(load);
    if (rc == OTR_OK && n > OTR_LIMIT_PLUGINS) {
        rc = bad(load, OTR_EQUOTA, "more than 256 plugins", err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    set->items = otr_calloc(n, sizeof(otr_manifest *));
    if (set->items == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < n && rc == OTR_OK; i++) {
        otr_manifest *m = otr_zalloc(sizeof(*m));
        rc = m != NULL ? read_entry(otr_node_at(load, i), directory, m, err) : otr_fail_nomem(err);
        rc = rc == OTR_OK ? check_unique(set, m, otr_node_at(load, i), err) : rc;
        if (rc == OTR_OK && (m->store = otr_strdup(set->store)) == NULL) {
            rc = otr_fail_nomem(err);
        }
        if (rc != OTR_OK) {
            otr_manifest_free(m);
            return rc;
        }
        set->items[set->n++] = m;
    }
    return OTR_OK;
}

static otr_code default_directory(const otr_config *cfg, char **ret, otr_err *err)
{
    const char *file = otr_config_file(cfg);
    const char *slash = strrchr(file, '/');
    *ret = slash == NULL   ? otr_strdup(".")
           : slash == file ? otr_strdup("/")
                           : otr_strndup(file, (size_t)(slash - file));
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code below_lib_dir(const otr_config *cfg, const char *name, char **ret, otr_err *err)
{
    otr_buf path;
    otr_buf_init(&path, 4096);
    otr_code rc = otr_buf_addf(&path, err, "%s/%s", otr_config_str(cfg, "lib_dir"), name);
    if (rc == OTR_OK && (*ret = otr_strdup(otr_buf_text(&path))) == NULL) {
        rc = otr_fail_nomem(err);
    }
    otr_buf_deinit(&path);
    return rc;
}

static otr_code read_section(const otr_config *cfg, const otr_node *root, otr_manifest_set *set,
                             otr_err *err)
{
    static const char *const known[] = { "directory", "cache", "store", "load", NULL };
    OTR_CLEANUP(otr_freep) char *directory = NULL;
    otr_code rc = need_kind(root, OTR_NODE_MAP, "plugins", err);
    rc = rc == OTR_OK ? otr_node_only(root, known, err) : rc;
    rc = rc == OTR_OK ? read_text(root, "directory", &directory, err) : rc;
    rc = rc == OTR_OK ? read_text(root, "cache", &set->cache_dir, err) : rc;
    rc = rc == OTR_OK ? read_text(root, "store", &set->store, err) : rc;
    if (rc == OTR_OK && directory == NULL) {
        rc = default_directory(cfg, &directory, err);
    }
    if (rc == OTR_OK && set->cache_dir == NULL) {
        rc = below_lib_dir(cfg, "wasm-cache", &set->cache_dir, err);
    }
    if (rc == OTR_OK && set->store == NULL) {
        rc = below_lib_dir(cfg, "plugins.db", &set->store, err);
    }
    if (rc == OTR_OK && (set->cache_dir[0] == '\0' || strcmp(set->cache_dir, "off") == 0)) {
        otr_freep(&set->cache_dir);
    }
    const otr_node *load = otr_node_get(root, "load");
    return rc == OTR_OK && load != NULL ? read_load(load, directory, set, err) : rc;
}

otr_code otr_manifest_parse(const otr_config *cfg, otr_manifest_set **ret, otr_err *err)
{
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *set = otr_zalloc(sizeof(*set));
    if (set == NULL) {
        return otr_fail_nomem(err);
    }
    const otr_node *root = otr_config_tree(cfg, "plugins");
    if (root != NULL) {
        otr_code rc = read_section(cfg, root, set, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    *ret = otr_steal(&set);
    return OTR_OK;
}
