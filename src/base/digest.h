/*
 * SHA-256 (FIPS 180-4) and BLAKE2b-256 (RFC 7693), by libsodium, as hex or base64 (RFC 4648).
 * SHA-256 is computed by the processor's instructions for it where there are such.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_DIGEST_H
#define OTR_BASE_DIGEST_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#define OTR_SHA256_HEX_BYTES 65 /* 64 lower-case hex digits and a NUL */

/* The digest as hex into `out`; returns `out`. */
const char *otr_sha256_hex(otr_bytes data, char out[OTR_SHA256_HEX_BYTES]);
/* The same of data that come in pieces: init, any number of adds, end. Plain data; nothing to free.
 */
typedef struct otr_sha256 {
    uint64_t state[16];
    bool fast; /* by the processor's own instructions */
} otr_sha256;
void otr_sha256_init(otr_sha256 *sum);
void otr_sha256_add(otr_sha256 *sum, otr_bytes data);
const char *otr_sha256_end(otr_sha256 *sum, char out[OTR_SHA256_HEX_BYTES]);
/* SHA-256 as a Content-Security-Policy writes it: base64 with its '='. */
#define OTR_SHA256_BASE64_BYTES 45
const char *otr_sha256_base64(otr_bytes data, char out[OTR_SHA256_BASE64_BYTES]);
/* Hex of BLAKE2b: as strong and several times faster, for digests that stay among ourselves.
 */
const char *otr_blake2b_hex(otr_bytes data, char out[OTR_SHA256_HEX_BYTES]);

/* Appends `data` as base64 with its '='. */
otr_code otr_base64_add(otr_bytes data, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
