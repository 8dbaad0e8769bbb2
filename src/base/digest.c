#include "base/digest.h"

#include <sodium.h>

const char *otr_sha256_hex(otr_bytes data, char out[OTR_SHA256_HEX_BYTES])
{
    unsigned char sum[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(sum, data.n > 0 ? data.p : (const uint8_t *)"", data.n);
    return sodium_bin2hex(out, OTR_SHA256_HEX_BYTES, sum, sizeof(sum));
}
