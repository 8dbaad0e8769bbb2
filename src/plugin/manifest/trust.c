/* `plugins.trust` and what it demands of one plugin. */
#include <string.h>

#include "base/alloc.h"
#include "base/texts.h"
#include "plugin/manifest/minisign.h"
#include "plugin/manifest/read.h"
#include "plugin/manifest/url.h"

enum { SHA256_DIGITS = 64, KEY_ID_DIGITS = 16 };

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

static otr_code read_revoked(const otr_node *list, otr_trust *ret, otr_err *err)
{
    otr_code rc = otr_manifest_texts(list, "plugins.trust.revoked", &ret->revoked, err);
    for (size_t i = 0; rc == OTR_OK && ret->revoked[i] != NULL; i++) {
        size_t n = strlen(ret->revoked[i]);
        if (n == 0 || (n != SHA256_DIGITS && n > KEY_ID_DIGITS) ||
            strspn(ret->revoked[i], "0123456789abcdefABCDEF") != n) {
            rc = otr_manifest_bad(otr_node_at(list, i), OTR_EINVAL,
                                  "plugins.trust.revoked: expected the sha256 of a file (64 hex "
                                  "digits) or the id of a key (up to 16)",
                                  err);
        }
    }
    return rc;
}

static otr_code read_ca(const otr_node *trust, const char *directory, otr_trust *ret, otr_err *err)
{
    otr_code rc = otr_manifest_text(trust, "ca", &ret->ca, err);
    return rc == OTR_OK && ret->ca != NULL ? otr_manifest_resolve(directory, &ret->ca, err) : rc;
}

void otr_manifest_trust_deinit(otr_trust *trust)
{
    otr_texts_free(trust->keys);
    otr_texts_free(trust->revoked);
    otr_free(trust->ca);
}

otr_code otr_manifest_trust(const otr_node *root, const char *directory, otr_trust *ret,
                            otr_err *err)
{
    static const char *const known[] = { "require", "keys", "revoked", "ca", NULL };
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
    const otr_node *revoked = otr_node_get(trust, "revoked");
    rc = rc == OTR_OK && revoked != NULL ? read_revoked(revoked, ret, err) : rc;
    rc = rc == OTR_OK ? read_ca(trust, directory, ret, err) : rc;
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

/* What comes over the network is vouched for by more than the server's certificate. */
static otr_code check_remote(const otr_node *entry, otr_manifest *m, otr_err *err)
{
    char where[OTR_MANIFEST_WHERE];
    otr_code rc = otr_url_check(m->source, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "%s: source",
                        otr_node_where(otr_node_get(entry, "source"), where, sizeof(where)));
    }
    if (m->sha256 == NULL && m->trust_keys[0] == NULL) {
        return otr_manifest_bad(otr_node_get(entry, "source"), OTR_EINVAL,
                                "source: a plugin from https needs `sha256` here, or minisign "
                                "public keys in plugins.trust.keys and a signature (by default at "
                                "the URL with \".minisig\" added)",
                                err);
    }
    m->signed_needed = m->signed_needed || m->sha256 == NULL;
    return OTR_OK;
}

static otr_code check_signature_url(const otr_node *entry, const otr_manifest *m, otr_err *err)
{
    char where[OTR_MANIFEST_WHERE];
    otr_code rc = OTR_OK;
    if (m->signature != NULL && otr_url_is(m->signature) &&
        (rc = otr_url_check(m->signature, err)) != OTR_OK) {
        rc = otr_wrap(err, rc, "%s: signature",
                      otr_node_where(otr_node_get(entry, "signature"), where, sizeof(where)));
    }
    return rc;
}

otr_code otr_manifest_demand(const otr_node *entry, const otr_trust *trust, otr_manifest *m,
                             otr_err *err)
{
    otr_code rc = otr_texts_copy(trust->keys, &m->trust_keys, err);
    rc = rc == OTR_OK ? otr_texts_copy(trust->revoked, &m->revoked, err) : rc;
    if (rc == OTR_OK && trust->ca != NULL && (m->ca = otr_strdup(trust->ca)) == NULL) {
        rc = otr_fail_nomem(err);
    }
    rc = rc == OTR_OK ? check_signature_url(entry, m, err) : rc;
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
    return otr_url_is(m->source) ? check_remote(entry, m, err) : OTR_OK;
}
