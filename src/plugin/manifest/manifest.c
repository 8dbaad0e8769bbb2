#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/texts.h"
#include "plugin/manifest/read.h"
#include "plugin/manifest/url.h"
#include "wasm/abi/abi.h"
#include "wasm/engine/engine.h"

#define SIGNATURE_SUFFIX ".minisig"

enum { NAME_BYTES = 64 };

/* 1 to 64 of [a-z0-9-], beginning with a letter. */
static bool is_good_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > NAME_BYTES || !islower((unsigned char)name[0])) {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

otr_manifest *otr_manifest_ref(otr_manifest *m)
{
    m->more_owners++;
    return m;
}

static void free_one(otr_manifest *m)
{
    otr_free(m->name);
    otr_free(m->source);
    otr_free(m->label);
    otr_free(m->abi);
    otr_free(m->engine);
    otr_free(m->sha256);
    otr_free(m->signature);
    otr_texts_free(m->trust_keys);
    otr_texts_free(m->revoked);
    otr_free(m->ca);
    otr_free(m->downloads);
    otr_free(m->where);
    otr_free(m->config_json);
    otr_texts_free(m->config_pairs);
    otr_texts_free(m->subscribe);
    otr_manifest_free_life(m);
    otr_mapping_deinit(&m->mapping);
    otr_manifest_free_modules(m);
    otr_texts_free(m->publish);
    otr_http_grants_deinit(&m->http);
    otr_manifest_free_grants(m);
    otr_free(m->identity);
    otr_free(m->store);
    otr_free(m);
}

void otr_manifest_free(otr_manifest *m)
{
    for (otr_manifest *newer; m != NULL; m = newer) {
        if (m->more_owners > 0) {
            m->more_owners--;
            return;
        }
        newer = m->newer;
        free_one(m);
    }
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
    otr_free(set->downloads);
    otr_free(set);
}

void otr_manifest_set_freep(void *slot)
{
    otr_manifest_set_free(otr_steal(slot));
}

static otr_code read_config(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    const otr_node *node = otr_node_get(entry, "config");
    size_t n = node != NULL ? otr_node_size(node) : 0;
    otr_code rc = node != NULL ? otr_manifest_kind(node, OTR_NODE_MAP, "config", err) : OTR_OK;
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
            rc = otr_manifest_json(value, &m->config_pairs[2 * i + 1], err);
        } else if ((m->config_pairs[2 * i + 1] = otr_strdup(otr_node_text(value))) == NULL) {
            rc = otr_fail_nomem(err);
        }
    }
    if (rc == OTR_OK && node != NULL) {
        rc = otr_manifest_json(node, &m->config_json, err);
    } else if (rc == OTR_OK && (m->config_json = otr_strdup("{}")) == NULL) {
        rc = otr_fail_nomem(err);
    }
    return rc;
}

static otr_code read_bytes(const otr_node *map, const char *key, uint64_t *slot, otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    return node != NULL ? otr_node_as_bytes(node, slot, err) : OTR_OK;
}

static otr_code read_count(const otr_node *map, const char *key, int64_t most, int64_t *slot,
                           otr_err *err)
{
    const otr_node *node = otr_node_get(map, key);
    return node != NULL ? otr_node_as_int(node, 1, most, slot, err) : OTR_OK;
}

static otr_code read_memory(const otr_node *limits, otr_manifest *m, otr_err *err)
{
    otr_code rc = read_bytes(limits, "memory", &m->memory_bytes, err);
    m->recycle_bytes = m->memory_bytes / 4 * 3;
    rc = rc == OTR_OK ? read_bytes(limits, "recycle", &m->recycle_bytes, err) : rc;
    return rc == OTR_OK ? read_bytes(limits, "vars", &m->vars_bytes, err) : rc;
}

static otr_code read_limits(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    static const char *const known[] = { "memory", "recycle", "vars",    "zero", "call",
                                         "init",   "queue",   "publish", NULL };
    m->memory_bytes = OTR_LIMIT_PLUGIN_MEMORY_BYTES;
    m->vars_bytes = OTR_LIMIT_PLUGIN_VARS_BYTES;
    m->call_ns = UINT64_C(1000000) * OTR_LIMIT_PLUGIN_CALL_MS;
    m->init_ns = UINT64_C(1000000) * OTR_LIMIT_PLUGIN_INIT_MS;
    m->queue = OTR_LIMIT_PLUGIN_QUEUE;
    m->publish_per_s = OTR_LIMIT_PLUGIN_PUBLISH_S;
    m->recycle_bytes = m->memory_bytes / 4 * 3;
    const otr_node *limits = otr_node_get(entry, "limits");
    if (limits == NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_manifest_kind(limits, OTR_NODE_MAP, "limits", err);
    rc = rc == OTR_OK ? otr_node_only(limits, known, err) : rc;
    rc = rc == OTR_OK ? read_memory(limits, m, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_zeroing(limits, m, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_duration(limits, "call", &m->call_ns, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_duration(limits, "init", &m->init_ns, err) : rc;
    int64_t queue = (int64_t)m->queue, publish = m->publish_per_s;
    rc = rc == OTR_OK ? read_count(limits, "queue", OTR_LIMIT_BUS_QUEUE, &queue, err) : rc;
    rc = rc == OTR_OK
             ? read_count(limits, "publish", OTR_LIMIT_PLUGIN_PUBLISH_MOST_S, &publish, err)
             : rc;
    m->queue = (size_t)queue;
    m->publish_per_s = (unsigned)publish;
    return rc;
}

static otr_code check_engine(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    char where[OTR_MANIFEST_WHERE];
    if (m->engine == NULL && (m->engine = otr_strdup("wasmtime")) == NULL) {
        return otr_fail_nomem(err);
    }
    if (otr_engine_find(m->engine) == NULL) {
        return otr_fail(err, OTR_EUNSUP, "%s: engine: \"%s\" is not built in; there are: %s",
                        otr_node_where(otr_node_get(entry, "engine"), where, sizeof(where)),
                        m->engine, otr_engine_names());
    }
    if (m->abi != NULL && otr_abi_find(m->abi) == NULL) {
        return otr_fail(err, OTR_EUNSUP, "%s: abi: \"%s\" is not built in; there are: %s",
                        otr_node_where(otr_node_get(entry, "abi"), where, sizeof(where)), m->abi,
                        otr_abi_names());
    }
    if (m->sha256 != NULL && !otr_manifest_sha256_ok(m->sha256)) {
        return otr_manifest_bad(otr_node_get(entry, "sha256"), OTR_EINVAL,
                                "sha256: expected 64 lower-case hex digits", err);
    }
    return OTR_OK;
}

static otr_code check_name(const otr_node *entry, const otr_manifest *m, otr_err *err)
{
    if (m->name == NULL || m->source == NULL) {
        return otr_manifest_bad(entry, OTR_EINVAL, "a plugin needs `name` and `source`", err);
    }
    if (!is_good_name(m->name)) {
        return otr_manifest_bad(
            otr_node_get(entry, "name"), OTR_EINVAL,
            "name: expected 1 to 64 of a-z, 0-9 and '-', beginning with a letter", err);
    }
    return OTR_OK;
}

/* `source` with the suffix of a signature; a query stays at the end. */
static otr_code default_signature(otr_manifest *m, otr_err *err)
{
    size_t cap = strlen(m->source) + sizeof(SIGNATURE_SUFFIX);
    size_t n = otr_url_is(m->source) ? strcspn(m->source, "?") : strlen(m->source);
    if ((m->signature = otr_alloc(cap)) == NULL) {
        return otr_fail_nomem(err);
    }
    (void)snprintf(m->signature, cap, "%.*s" SIGNATURE_SUFFIX "%s", (int)n, m->source,
                   m->source + n);
    return OTR_OK;
}

/* A relative source is looked for in `directory`, or beside the configuration file. */
static otr_code resolve_source(const char *directory, otr_manifest *m, otr_err *err)
{
    char label[OTR_URL_LABEL_BYTES];
    otr_code rc = OTR_OK;
    if (strncmp(m->source, "file:", 5) == 0) {
        memmove(m->source, m->source + 5, strlen(m->source + 5) + 1);
    }
    if (!otr_url_is(m->source)) {
        rc = otr_manifest_resolve(directory, &m->source, err);
    }
    if (rc == OTR_OK && (m->label = otr_strdup(otr_url_label(m->source, label))) == NULL) {
        rc = otr_fail_nomem(err);
    }
    if (rc == OTR_OK && m->signature == NULL) {
        return default_signature(m, err);
    }
    return rc == OTR_OK && !otr_url_is(m->signature)
               ? otr_manifest_resolve(directory, &m->signature, err)
               : rc;
}

/* What changes.c compares setting by setting. */
static bool compared(const char *key)
{
    static const char *const keys[] = { "name",       "source",    "abi",        "engine",
                                        "sha256",     "signature", "config",     "subscribe",
                                        "grants",     "limits",    "hooks",      "after",
                                        "on_failure", "restart",   "instances",  "modules",
                                        "encoding",   "off",       "operations", "version",
                                        "input",      "publish" };
    size_t i = 0;
    while (i < OTR_COUNT(keys) && strcmp(key, keys[i]) != 0) {
        i++;
    }
    return i < OTR_COUNT(keys);
}

/* All other members. */
static otr_code read_identity(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    otr_buf out;
    otr_buf_init(&out, OTR_MANIFEST_JSON);
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < otr_node_size(entry) && rc == OTR_OK; i++) {
        const char *key = otr_node_key_at(entry, i);
        if (!compared(key)) {
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

typedef struct text_key {
    const char *key;
    char **slot;
} text_key;

static otr_code read_texts(const otr_node *map, const text_key *texts, size_t n, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < n && rc == OTR_OK; i++) {
        rc = otr_manifest_text(map, texts[i].key, texts[i].slot, err);
    }
    return rc;
}

/* Which messages it gets, what they look like, and by which names it is asked. */
static otr_code read_messages(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    size_t encoding = 0;
    otr_code rc = otr_manifest_choice(entry, "encoding", otr_encoding_names, &encoding, err);
    m->encoding = (otr_encoding)encoding;
    rc = rc == OTR_OK ? otr_mapping_read(entry, m->name, &m->mapping, err) : rc;
    const otr_node *node = otr_node_get(entry, "subscribe");
    return rc == OTR_OK && node != NULL
               ? otr_manifest_patterns(node, "subscribe", &m->subscribe, err)
               : rc;
}

static otr_code note_where(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    char where[OTR_MANIFEST_WHERE];
    m->where = otr_strdup(otr_node_where(entry, where, sizeof(where)));
    return m->where != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code read_entry(const otr_node *entry, const char *directory, const otr_trust *trust,
                           otr_manifest *m, otr_err *err)
{
    static const char *const known[] = { "name",       "source",     "abi",       "engine",
                                         "sha256",     "signature",  "config",    "subscribe",
                                         "grants",     "limits",     "hooks",     "after",
                                         "on_failure", "restart",    "instances", "modules",
                                         "encoding",   "operations", "version",   "input",
                                         "publish",    "off",        NULL };
    const text_key texts[] = { { "name", &m->name },     { "source", &m->source },
                               { "abi", &m->abi },       { "engine", &m->engine },
                               { "sha256", &m->sha256 }, { "signature", &m->signature } };
    otr_code rc = otr_manifest_kind(entry, OTR_NODE_MAP, "plugins.load", err);
    rc = rc == OTR_OK ? otr_node_only(entry, known, err) : rc;
    rc = rc == OTR_OK ? read_texts(entry, texts, OTR_COUNT(texts), err) : rc;
    rc = rc == OTR_OK ? note_where(entry, m, err) : rc;
    rc = rc == OTR_OK ? check_name(entry, m, err) : rc;
    rc = rc == OTR_OK ? check_engine(entry, m, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_demand(entry, trust, m, err) : rc;
    rc = rc == OTR_OK ? read_config(entry, m, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_grants(entry, m, err) : rc;
    rc = rc == OTR_OK ? read_limits(entry, m, err) : rc;
    rc = rc == OTR_OK ? read_messages(entry, m, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_life(entry, m, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_modules(entry, directory, trust, m, err) : rc;
    rc = rc == OTR_OK ? resolve_source(directory, m, err) : rc;
    return rc == OTR_OK ? read_identity(entry, m, err) : rc;
}

static otr_code check_unique(const otr_manifest_set *set, const otr_manifest *m,
                             const otr_node *entry, otr_err *err)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->items[i]->name, m->name) == 0) {
            char where[OTR_MANIFEST_WHERE];
            return otr_fail(err, OTR_EINVAL, "%s: the name \"%s\" is taken by the plugin at %s",
                            otr_node_where(entry, where, sizeof(where)), m->name,
                            set->items[i]->where);
        }
    }
    return OTR_OK;
}

static otr_code share_settings(const otr_manifest_set *set, otr_manifest *m, otr_err *err)
{
    m->fetch_ns = set->fetch_ns;
    m->watch = set->watch;
    m->store = otr_strdup(set->store);
    m->downloads = set->downloads != NULL ? otr_strdup(set->downloads) : NULL;
    return m->store != NULL && (m->downloads != NULL || set->downloads == NULL)
               ? OTR_OK
               : otr_fail_nomem(err);
}

static otr_code read_load(const otr_node *load, const char *directory, const otr_trust *trust,
                          otr_manifest_set *set, otr_err *err)
{
    otr_code rc = otr_manifest_kind(load, OTR_NODE_LIST, "plugins.load", err);
    size_t n = otr_node_size(load);
    if (rc == OTR_OK && n > OTR_LIMIT_PLUGINS) {
        rc = otr_manifest_bad(load, OTR_EQUOTA, "more than 256 plugins", err);
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
        rc = m != NULL ? read_entry(otr_node_at(load, i), directory, trust, m, err)
                       : otr_fail_nomem(err);
        rc = rc == OTR_OK ? check_unique(set, m, otr_node_at(load, i), err) : rc;
        rc = rc == OTR_OK ? share_settings(set, m, err) : rc;
        if (rc != OTR_OK) {
            otr_manifest_free(m);
            return rc;
        }
        set->items[set->n++] = m;
    }
    return rc == OTR_OK ? otr_manifest_check_order(set, err) : rc;
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

static void off_is_none(char **slot)
{
    if ((*slot)[0] == '\0' || strcmp(*slot, "off") == 0) {
        otr_freep(slot);
    }
}

/* Where things are that the section does not place. */
static otr_code fill_places(const otr_config *cfg, otr_manifest_set *set, char **directory,
                            otr_err *err)
{
    otr_code rc = *directory == NULL ? default_directory(cfg, directory, err) : OTR_OK;
    if (rc == OTR_OK && set->cache_dir == NULL) {
        rc = below_lib_dir(cfg, "wasm-cache", &set->cache_dir, err);
    }
    if (rc == OTR_OK && set->store == NULL) {
        rc = below_lib_dir(cfg, "plugins.db", &set->store, err);
    }
    if (rc == OTR_OK && set->downloads == NULL) {
        rc = below_lib_dir(cfg, "plugins", &set->downloads, err);
    }
    if (rc == OTR_OK) {
        off_is_none(&set->cache_dir);
        off_is_none(&set->downloads);
    }
    return rc;
}

static otr_code read_switches(const otr_node *root, otr_manifest_set *set, otr_err *err)
{
    set->fetch_ns = UINT64_C(1000000) * OTR_LIMIT_PLUGIN_FETCH_MS;
    set->watch = true;
    const otr_node *watch = otr_node_get(root, "watch");
    otr_code rc = otr_manifest_duration(root, "download_timeout", &set->fetch_ns, err);
    rc = rc == OTR_OK ? otr_manifest_duration(root, "compile_limit", &set->compile_ns, err) : rc;
    return rc == OTR_OK && watch != NULL ? otr_node_as_bool(watch, &set->watch, err) : rc;
}

static otr_code read_section(const otr_config *cfg, const otr_node *root, otr_manifest_set *set,
                             otr_err *err)
{
    static const char *const known[] = { "directory", "cache",     "compile_limit",
                                         "store",     "downloads", "download_timeout",
                                         "watch",     "trust",     "load",
                                         NULL };
    otr_trust trust = { .require = OTR_TRUST_NONE };
    OTR_CLEANUP(otr_freep) char *directory = NULL;
    otr_code rc = otr_manifest_kind(root, OTR_NODE_MAP, "plugins", err);
    rc = rc == OTR_OK ? otr_node_only(root, known, err) : rc;
    const text_key texts[] = { { "directory", &directory },
                               { "cache", &set->cache_dir },
                               { "store", &set->store },
                               { "downloads", &set->downloads } };
    rc = rc == OTR_OK ? read_texts(root, texts, OTR_COUNT(texts), err) : rc;
    rc = rc == OTR_OK ? fill_places(cfg, set, &directory, err) : rc;
    rc = rc == OTR_OK ? read_switches(root, set, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_trust(root, directory, &trust, err) : rc;
    const otr_node *load = otr_node_get(root, "load");
    rc = rc == OTR_OK && load != NULL ? read_load(load, directory, &trust, set, err) : rc;
    otr_manifest_trust_deinit(&trust);
    return rc;
}

otr_code otr_manifest_parse(const otr_config *cfg, otr_manifest_set **ret, otr_err *err)
{
    OTR_CLEANUP(otr_manifest_set_freep) otr_manifest_set *set = otr_zalloc(sizeof(*set));
    if (set == NULL) {
        return otr_fail_nomem(err);
    }
    set->compile_ns = UINT64_C(1000000) * OTR_LIMIT_WASM_COMPILE_MS;
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
