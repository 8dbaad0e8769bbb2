/*
 * SHA-256 (FIPS 180-4), by libsodium.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_DIGEST_H
#define OTR_BASE_DIGEST_H

#include "base/base.h"

#define OTR_SHA256_HEX_BYTES 65 /* 64 lower-case hex digits and a NUL */

/* The digest as hex into `out`; returns `out`. */
const char *otr_sha256_hex(otr_bytes data, char out[OTR_SHA256_HEX_BYTES]);

#endif
