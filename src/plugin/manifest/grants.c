/* `grants:` of one plugin: all that it may ask of the agent. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/texts.h"
#include "plugin/manifest/read.h"

enum { MAX_DIRS = 32, MAX_SERIES = 1000 };

static otr_code read_publish(const otr_node *node, otr_manifest *m, otr_err *err)
{
    otr_free(m->publish);
    m->publish = NULL;
    return otr_manifest_patterns(node, "grants.publish", &m->publish, err);
}

static otr_code read_kv(const otr_node *node, otr_manifest *m, otr_err *err)
{
    return otr_node_as_bytes(node, &m->kv_bytes, err);
}

static otr_code read_metrics(const otr_node *node, otr_manifest *m, otr_err *err)
{
    int64_t n = 0;
    otr_code rc = otr_node_as_int(node, 1, MAX_SERIES, &n, err);
    m->metrics = rc == OTR_OK ? (size_t)n : 0;
    return rc;
}

static otr_code read_instances(const otr_node *node, otr_manifest *m, otr_err *err)
{
    return otr_node_as_bool(node, &m->see_instances, err);
}

static otr_code read_nginx_config(const otr_node *node, otr_manifest *m, otr_err *err)
{
    return otr_node_as_bool(node, &m->see_config, err);
}

static otr_code read_http(const otr_node *node, otr_manifest *m, otr_err *err)
{
    return otr_http_grants_read(node, &m->http, err);
}

/* ---- environment ---- */

static bool variable_ok(const char *name)
{
    return name[0] != '\0' && strchr(name, '=') == NULL;
}

/* "NAME=value" of the agent's own environment; NULL: not set. */
static const char *find_variable(const char *name)
{
    size_t n = strlen(name);
    for (char *const *at = environ; at != NULL && *at != NULL; at++) {
        if (strncmp(*at, name, n) == 0 && (*at)[n] == '=') {
            return *at;
        }
    }
    return NULL;
}

static otr_code read_env(const otr_node *node, otr_manifest *m, otr_err *err)
{
    otr_code rc = otr_manifest_texts(node, "grants.env", &m->env_names, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t n = 0;
    m->env = otr_calloc(otr_node_size(node) + 1, sizeof(*m->env));
    if (m->env == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; m->env_names[i] != NULL; i++) {
        if (!variable_ok(m->env_names[i])) {
            return otr_manifest_bad(otr_node_at(node, i), OTR_EINVAL,
                                    "grants.env: expected the name of a variable", err);
        }
        const char *pair = find_variable(m->env_names[i]);
        if (pair != NULL && (m->env[n++] = otr_strdup(pair)) == NULL) {
            return otr_fail_nomem(err);
        }
    }
    m->wasi.env = (const char *const *)m->env;
    return OTR_OK;
}

/* ---- folders ---- */

static otr_code read_dir(const otr_node *node, struct otr_wasi_dir *ret, otr_err *err)
{
    static const char *const known[] = { "host", "guest", "write", NULL };
    char *host = NULL, *guest = NULL;
    otr_code rc = otr_manifest_kind(node, OTR_NODE_MAP, "grants.paths", err);
    rc = rc == OTR_OK ? otr_node_only(node, known, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_text(node, "host", &host, err) : rc;
    ret->host = host;
    rc = rc == OTR_OK ? otr_manifest_text(node, "guest", &guest, err) : rc;
    ret->guest = guest;
    if (rc == OTR_OK && (host == NULL || host[0] != '/')) {
        rc = otr_manifest_bad(node, OTR_EINVAL, "grants.paths: `host` is a folder's absolute path",
                              err);
    }
    if (rc == OTR_OK && guest == NULL && (ret->guest = guest = otr_strdup(host)) == NULL) {
        rc = otr_fail_nomem(err);
    }
    if (rc == OTR_OK && guest[0] == '\0') {
        rc = otr_manifest_bad(node, OTR_EINVAL, "grants.paths: `guest` is empty", err);
    }
    const otr_node *write = otr_node_get(node, "write");
    return rc == OTR_OK && write != NULL ? otr_node_as_bool(write, &ret->writable, err) : rc;
}

static otr_code read_paths(const otr_node *node, otr_manifest *m, otr_err *err)
{
    otr_code rc = otr_manifest_kind(node, OTR_NODE_LIST, "grants.paths", err);
    size_t n = otr_node_size(node);
    if (rc == OTR_OK && n > MAX_DIRS) {
        rc = otr_manifest_bad(node, OTR_EQUOTA, "grants.paths: more than 32 folders", err);
    }
    if (rc != OTR_OK || n == 0) {
        return rc;
    }
    if ((m->dirs = otr_calloc(n, sizeof(*m->dirs))) == NULL) {
        return otr_fail_nomem(err);
    }
    m->wasi.dirs = m->dirs;
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        m->wasi.n_dirs = i + 1;
        rc = read_dir(otr_node_at(node, i), &m->dirs[i], err);
    }
    return rc;
}

/* ---- secrets ---- */

static otr_code read_secrets(const otr_node *node, otr_manifest *m, otr_err *err)
{
    otr_code rc = otr_manifest_kind(node, OTR_NODE_MAP, "grants.secrets", err);
    size_t n = otr_node_size(node);
    if (rc == OTR_OK && n > OTR_SECRETS) {
        rc = otr_manifest_bad(node, OTR_EQUOTA, "grants.secrets: more than 16 secrets", err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    if ((m->secrets = otr_calloc(2 * n + 1, sizeof(*m->secrets))) == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        const char *path = otr_node_text(otr_node_at(node, i));
        if (path[0] != '/') {
            return otr_manifest_bad(otr_node_at(node, i), OTR_EINVAL,
                                    "grants.secrets: expected the absolute path of a file", err);
        }
        if ((m->secrets[2 * i] = otr_strdup(otr_node_key_at(node, i))) == NULL ||
            (m->secrets[2 * i + 1] = otr_strdup(path)) == NULL) {
            return otr_fail_nomem(err);
        }
    }
    return OTR_OK;
}

void otr_manifest_free_grants(otr_manifest *m)
{
    otr_texts_free(m->env_names);
    otr_texts_free(m->env);
    otr_texts_free(m->secrets);
    for (size_t i = 0; i < m->wasi.n_dirs; i++) {
        otr_free((char *)(uintptr_t)m->dirs[i].host);
        otr_free((char *)(uintptr_t)m->dirs[i].guest);
    }
    otr_free(m->dirs);
}

otr_code otr_manifest_grants(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    static const char *const known[] = { "publish", "kv_bytes", "http",      "metrics",      "env",
                                         "paths",   "secrets",  "instances", "nginx_config", NULL };
    static otr_code (*const readers[])(const otr_node *, otr_manifest *, otr_err *) = {
        read_publish, read_kv,      read_http,      read_metrics,     read_env,
        read_paths,   read_secrets, read_instances, read_nginx_config
    };
    _Static_assert(OTR_COUNT(readers) + 1 == OTR_COUNT(known), "a reader for each key");
    const otr_node *grants = otr_node_get(entry, "grants");
    otr_code rc = OTR_OK;
    if ((m->publish = otr_calloc(1, sizeof(*m->publish))) == NULL) {
        return otr_fail_nomem(err);
    }
    if (grants == NULL) {
        return OTR_OK;
    }
    rc = otr_manifest_kind(grants, OTR_NODE_MAP, "grants", err);
    rc = rc == OTR_OK ? otr_node_only(grants, known, err) : rc;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(readers); i++) {
        const otr_node *node = otr_node_get(grants, known[i]);
        rc = node != NULL ? readers[i](node, m, err) : OTR_OK;
    }
    return rc;
}
