/*
 * minisign's keys and signatures: the files, and whether one signed what.
 *
 * A minisign signature file has four lines: an untrusted comment, the signature of the file, a
 * trusted comment, and a signature of both. "Ed" signs the file itself, "ED" its BLAKE2b-512 hash;
 * both are Ed25519.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_MANIFEST_MINISIGN_H
#define OTR_PLUGIN_MANIFEST_MINISIGN_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

enum {
    OTR_MINISIGN_ID_BYTES = 8,
    OTR_MINISIGN_KEY_BYTES = 32,
    OTR_MINISIGN_SIG_BYTES = 64,
    OTR_MINISIGN_KEY_TEXT = 56, /* base64 digits of a public key */
};

typedef struct otr_minisign_key {
    uint8_t id[OTR_MINISIGN_ID_BYTES];
    uint8_t key[OTR_MINISIGN_KEY_BYTES];
} otr_minisign_key;

typedef struct otr_minisign_sig {
    bool prehashed;
    uint8_t id[OTR_MINISIGN_ID_BYTES];
    uint8_t sig[OTR_MINISIGN_SIG_BYTES];
    uint8_t global[OTR_MINISIGN_SIG_BYTES];
    otr_bytes comment; /* the trusted one; borrowed from the text */
} otr_minisign_sig;

/* A public key: the base64 text alone, or a whole .pub file. */
otr_code otr_minisign_read_key(otr_bytes text, otr_minisign_key *ret, otr_err *err) OTR_MUST_CHECK;
/* A whole .minisig file. */
otr_code otr_minisign_read_sig(otr_bytes text, otr_minisign_sig *ret, otr_err *err) OTR_MUST_CHECK;
/* OTR_EDENIED when `key` did not sign these bytes and this trusted comment. */
otr_code otr_minisign_verify(const otr_minisign_key *key, const otr_minisign_sig *sig,
                             otr_bytes data, otr_err *err) OTR_MUST_CHECK;

#endif
