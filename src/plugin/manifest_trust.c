/* `plugins.trust` and what it demands of one plugin. */
#include <string.h>

#include "base/alloc.h"
#include "plugin/manifest_read.h"
#include "plugin/trust.h"

/* What begins like a key and is not named like a file is one. */
static bool looks_like_key(const char *text)
{
    return strncmp(text, "RW", 2) == 0 && strchr(text, '.') == NULL;
}

static otr_code read_keys(const otr_node *list, const char *directory, otr_trust *ret, otr_err *err)
{
    otr_code rc = otr_manifest_texts(list, "plugins.trust.keys", &ret->keys, err);
    for (size_t i = 0; rc == OTR_OK && ret->keys[i] != NULL; i++) {
        otr_minisign_key key;
        char where[OTR_MANIFEST_WHERE];
        if (!looks_like_key(ret->keys[i])) {
            rc = otr_manifest_resolve(directory, &ret->keys[i], err);
        } else if ((rc = otr_minisign_read_key(otr_bytes_of(ret->keys[i]), &key, err)) != OTR_OK) {
            rc = otr_wrap(err, rc, "%s: plugins.trust.keys",
                          otr_node_where(otr_node_at(list, i), where, sizeof(where)));
        }
    }
    return rc;
}

otr_code otr_manifest_trust(const otr_node *root, const char *directory, otr_trust *ret,
                            otr_err *err)
{
    static const char *const known[] = { "require", "keys", NULL };
    static const char *const choices[] = { "none", "digest", "signature", NULL };
    const otr_node *trust = otr_node_get(root, "trust");
    if (trust == NULL) {
        return OTR_OK;
    }
    size_t require = OTR_TRUST_NONE;
    const otr_node *keys = NULL;
    otr_code rc = otr_manifest_kind(trust, OTR_NODE_MAP, "plugins.trust", err);
    rc = rc == OTR_OK ? otr_node_only(trust, known, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_choice(trust, "require", choices, &require, err) : rc;
    if (rc == OTR_OK && (keys = otr_node_get(trust, "keys")) != NULL) {
        rc = read_keys(keys, directory, ret, err);
    }
    ret->require = (otr_trust_require)require;
    if (rc == OTR_OK && require == OTR_TRUST_SIGNATURE &&
        (ret->keys == NULL || ret->keys[0] == NULL)) {
        rc = otr_manifest_bad(trust, OTR_EINVAL,
                              "plugins.trust: `require: signature` needs `keys`: minisign public "
                              "keys or paths of them",
                              err);
    }
    return rc;
}

static otr_code copy_keys(const otr_trust *trust, otr_manifest *m, otr_err *err)
{
    size_t n = 0;
    while (trust->keys != NULL && trust->keys[n] != NULL) {
        n++;
    }
    m->trust_keys = otr_calloc(n + 1, sizeof(*m->trust_keys));
    if (m->trust_keys == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        if ((m->trust_keys[i] = otr_strdup(trust->keys[i])) == NULL) {
            return otr_fail_nomem(err);
        }
    }
    return OTR_OK;
}

otr_code otr_manifest_demand(const otr_node *entry, const otr_trust *trust, otr_manifest *m,
                             otr_err *err)
{
    otr_code rc = copy_keys(trust, m, err);
    if (rc != OTR_OK) {
        return rc;
    }
    m->signed_needed = trust->require == OTR_TRUST_SIGNATURE || m->signature != NULL;
    if (m->signed_needed && m->trust_keys[0] == NULL) {
        return otr_manifest_bad(otr_node_get(entry, "signature"), OTR_EINVAL,
                                "signature: there is no key to check it with in plugins.trust.keys",
                                err);
    }
    if (trust->require == OTR_TRUST_DIGEST && m->sha256 == NULL && !m->signed_needed) {
        return otr_manifest_bad(entry, OTR_EINVAL,
                                "the plugin needs `sha256` or `signature`: plugins.trust.require "
                                "is digest",
                                err);
    }
    return OTR_OK;
}
