#include "plugin/manifest/minisign.h"

#include <sodium.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

#define UNTRUSTED "untrusted comment: "
#define TRUSTED   "trusted comment: "

enum { ALG_BYTES = 2, HEAD_BYTES = ALG_BYTES + OTR_MINISIGN_ID_BYTES };

/* Cuts the first line off `text`, without its line break. */
static otr_bytes take_line(otr_bytes *text)
{
    const uint8_t *end = text->n > 0 ? memchr(text->p, '\n', text->n) : NULL;
    otr_bytes line = { text->p, end != NULL ? (size_t)(end - text->p) : text->n };
    size_t used = line.n + (end != NULL ? 1 : 0);
    text->p += used;
    text->n -= used;
    if (line.n > 0 && line.p[line.n - 1] == '\r') {
        line.n--;
    }
    return line;
}

static bool begins(otr_bytes line, const char *prefix)
{
    size_t n = strlen(prefix);
    return line.n >= n && memcmp(line.p, prefix, n) == 0;
}

/* Exactly `n` bytes in base64. */
static bool decode(otr_bytes text, uint8_t *out, size_t n)
{
    size_t have = 0;
    const char *end = NULL;
    const char *from = (const char *)text.p;
    return text.n > 0 &&
           sodium_base642bin(out, n, from, text.n, NULL, &have, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           have == n && end == from + text.n;
}

otr_code otr_minisign_read_key(otr_bytes text, otr_minisign_key *ret, otr_err *err)
{
    uint8_t raw[HEAD_BYTES + OTR_MINISIGN_KEY_BYTES];
    otr_bytes line = take_line(&text);
    if (begins(line, UNTRUSTED)) {
        line = take_line(&text);
    }
    if (!decode(line, raw, sizeof(raw)) || text.n > 0) {
        return otr_fail(err, OTR_EINVAL,
                        "not a minisign public key (%d base64 digits, beginning with \"RW\")",
                        OTR_MINISIGN_KEY_TEXT);
    }
    if (memcmp(raw, "Ed", ALG_BYTES) != 0) {
        return otr_fail(err, OTR_EINVAL, "a minisign key of an unknown kind: Ed25519 is known");
    }
    memcpy(ret->id, raw + ALG_BYTES, sizeof(ret->id));
    memcpy(ret->key, raw + HEAD_BYTES, sizeof(ret->key));
    return OTR_OK;
}

otr_code otr_minisign_read_sig(otr_bytes text, otr_minisign_sig *ret, otr_err *err)
{
    uint8_t raw[HEAD_BYTES + OTR_MINISIGN_SIG_BYTES];
    if (!begins(take_line(&text), UNTRUSTED)) {
        return otr_fail(err, OTR_EINVAL, "line 1 does not begin with \"" UNTRUSTED "\"");
    }
    if (!decode(take_line(&text), raw, sizeof(raw))) {
        return otr_fail(err, OTR_EINVAL, "line 2 is not a minisign signature in base64");
    }
    bool prehashed = memcmp(raw, "ED", ALG_BYTES) == 0;
    if (!prehashed && memcmp(raw, "Ed", ALG_BYTES) != 0) {
        return otr_fail(err, OTR_EINVAL, "line 2 is a signature of an unknown kind");
    }
    otr_bytes comment = take_line(&text);
    if (!begins(comment, TRUSTED)) {
        return otr_fail(err, OTR_EINVAL, "line 3 does not begin with \"" TRUSTED "\"");
    }
    uint8_t global[OTR_MINISIGN_SIG_BYTES];
    if (!decode(take_line(&text), global, sizeof(global)) || text.n > 0) {
        return otr_fail(err, OTR_EINVAL, "line 4 is not the signature of the trusted comment");
    }
    ret->prehashed = prehashed;
    memcpy(ret->id, raw + ALG_BYTES, sizeof(ret->id));
    memcpy(ret->sig, raw + HEAD_BYTES, sizeof(ret->sig));
    memcpy(ret->global, global, sizeof(ret->global));
    ret->comment = (otr_bytes){ comment.p + strlen(TRUSTED), comment.n - strlen(TRUSTED) };
    return OTR_OK;
}

static bool signed_by(const otr_minisign_key *key, const uint8_t *sig, otr_bytes data)
{
    const uint8_t *p = data.n > 0 ? data.p : (const uint8_t *)"";
    return crypto_sign_verify_detached(sig, p, data.n, key->key) == 0;
}

otr_code otr_minisign_verify(const otr_minisign_key *key, const otr_minisign_sig *sig,
                             otr_bytes data, otr_err *err)
{
    if (memcmp(key->id, sig->id, sizeof(key->id)) != 0) {
        return otr_fail(err, OTR_EDENIED, "signed by another key");
    }
    uint8_t hash[crypto_generichash_BYTES_MAX];
    otr_bytes what = data;
    if (sig->prehashed) {
        (void)crypto_generichash(hash, sizeof(hash), data.n > 0 ? data.p : hash, data.n, NULL, 0);
        what = (otr_bytes){ hash, sizeof(hash) };
    }
    if (!signed_by(key, sig->sig, what)) {
        return otr_fail(err, OTR_EDENIED, "the file is not the one that was signed");
    }
    otr_buf both;
    otr_buf_init(&both, OTR_MINISIGN_SIG_BYTES + OTR_LIMIT_PLUGIN_SIG_BYTES);
    otr_code rc = otr_buf_add(&both, (otr_bytes){ sig->sig, sizeof(sig->sig) }, err);
    rc = rc == OTR_OK ? otr_buf_add(&both, sig->comment, err) : rc;
    if (rc == OTR_OK && !signed_by(key, sig->global, otr_buf_bytes(&both))) {
        rc = otr_fail(err, OTR_EDENIED, "the trusted comment is not the one that was signed");
    }
    otr_buf_deinit(&both);
    return rc;
}
