#include "plugin/source/trust.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/limits.h"
#include "plugin/manifest/minisign.h"

enum { ID_HEX_BYTES = 2 * OTR_MINISIGN_ID_BYTES + 1 };

/* As minisign shows it: the id is a little-endian number. */
static const char *id_text(const otr_minisign_sig *sig, char hex[ID_HEX_BYTES])
{
    uint8_t id[OTR_MINISIGN_ID_BYTES];
    for (size_t i = 0; i < sizeof(id); i++) {
        id[i] = sig->id[sizeof(id) - 1 - i];
    }
    return sodium_bin2hex(hex, ID_HEX_BYTES, id, sizeof(id));
}

/* minisign shows the id of a key without zeros in front. */
static const char *without_zeros(const char *hex)
{
    return hex + strspn(hex, "0");
}

static bool revoked(const otr_manifest *m, const char *hex)
{
    bool key = strlen(hex) < ID_HEX_BYTES;
    for (char *const *one = m->revoked; one != NULL && *one != NULL; one++) {
        if (key == (strlen(*one) < ID_HEX_BYTES) &&
            strcasecmp(without_zeros(*one), without_zeros(hex)) == 0) {
            return true;
        }
    }
    return false;
}

/* The first of the configured keys that has this id. */
static otr_code find_key(const otr_manifest *m, const otr_minisign_sig *sig, otr_minisign_key *ret,
                         otr_err *err)
{
    for (char *const *text = m->trust_keys; text != NULL && *text != NULL; text++) {
        otr_minisign_key key;
        otr_buf file;
        otr_buf_init(&file, OTR_LIMIT_PLUGIN_SIG_BYTES);
        otr_code rc = OTR_OK;
        otr_bytes from = otr_bytes_of(*text);
        if ((*text)[0] == '/') {
            rc = otr_buf_read_file(&file, *text, err);
            from = otr_buf_bytes(&file);
        }
        if (rc == OTR_OK && (rc = otr_minisign_read_key(from, &key, err)) != OTR_OK) {
            rc = otr_wrap(err, rc, "%s", *text);
        }
        otr_buf_deinit(&file);
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "plugins.trust.keys");
        }
        if (memcmp(key.id, sig->id, sizeof(key.id)) == 0) {
            *ret = key;
            return OTR_OK;
        }
    }
    char hex[ID_HEX_BYTES];
    return otr_fail(err, OTR_EDENIED, "signed by key %s, which is not in plugins.trust.keys",
                    id_text(sig, hex));
}

static otr_code check_key(const otr_manifest *m, otr_bytes signature, otr_bytes wasm, otr_err *err)
{
    otr_minisign_sig sig;
    otr_minisign_key key;
    char hex[ID_HEX_BYTES];
    otr_code rc = otr_minisign_read_sig(signature, &sig, err);
    if (rc == OTR_OK && revoked(m, id_text(&sig, hex))) {
        return otr_fail(err, OTR_EDENIED, "signed by key %s, which plugins.trust.revoked names",
                        hex);
    }
    rc = rc == OTR_OK ? find_key(m, &sig, &key, err) : rc;
    return rc == OTR_OK ? otr_minisign_verify(&key, &sig, wasm, err) : rc;
}

otr_code otr_trust_signature(const otr_manifest *m, const char *label, otr_bytes signature,
                             otr_bytes wasm, otr_err *err)
{
    otr_code rc = check_key(m, signature, wasm, err);
    rc = rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "%s", label);
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "the plugin at %s must be signed", m->where);
}

otr_code otr_trust_digest(const otr_manifest *m, const char *label, const char *sha256,
                          otr_bytes wasm, otr_err *err)
{
    char have[OTR_SHA256_HEX_BYTES];
    bool asked = sha256 != NULL || (m->revoked != NULL && m->revoked[0] != NULL);
    if (!asked) {
        return OTR_OK;
    }
    (void)otr_sha256_hex(wasm, have);
    if (revoked(m, have)) {
        return otr_fail(err, OTR_EDENIED, "%s has sha256 %s, which plugins.trust.revoked names",
                        label, have);
    }
    if (sha256 != NULL && strcmp(sha256, have) != 0) {
        return otr_fail(err, OTR_EDENIED, "%s has sha256 %s, the configuration at %s wants %s",
                        label, have, m->where, sha256);
    }
    return OTR_OK;
}
