#include "base/digest.h"

#include <sodium.h>

#include "base/sha256_fast.h"

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(((otr_sha256 *)0)->state), "it fits");
_Static_assert(sizeof(otr_sha256_fast) <= sizeof(((otr_sha256 *)0)->state), "so does ours");

void otr_sha256_init(otr_sha256 *sum)
{
    sum->fast = otr_sha256_fast_has();
    if (sum->fast) {
        otr_sha256_fast_init((otr_sha256_fast *)(void *)sum->state);
    } else {
        crypto_hash_sha256_init((crypto_hash_sha256_state *)(void *)sum->state);
    }
}

void otr_sha256_add(otr_sha256 *sum, otr_bytes data)
{
    if (sum->fast) {
        otr_sha256_fast_add((otr_sha256_fast *)(void *)sum->state, data);
    } else if (data.n > 0) {
        crypto_hash_sha256_update((crypto_hash_sha256_state *)(void *)sum->state, data.p, data.n);
    }
}

static void end(otr_sha256 *sum, unsigned char out[crypto_hash_sha256_BYTES])
{
    if (sum->fast) {
        otr_sha256_fast_end((otr_sha256_fast *)(void *)sum->state, out);
    } else {
        crypto_hash_sha256_final((crypto_hash_sha256_state *)(void *)sum->state, out);
    }
}

static void sha256(otr_bytes data, unsigned char sum[crypto_hash_sha256_BYTES])
{
    otr_sha256 state;
    otr_sha256_init(&state);
    otr_sha256_add(&state, data);
    end(&state, sum);
}

const char *otr_sha256_hex(otr_bytes data, char out[OTR_SHA256_HEX_BYTES])
{
    unsigned char sum[crypto_hash_sha256_BYTES];
    sha256(data, sum);
    return sodium_bin2hex(out, OTR_SHA256_HEX_BYTES, sum, sizeof(sum));
}

const char *otr_sha256_end(otr_sha256 *sum, char out[OTR_SHA256_HEX_BYTES])
{
    unsigned char bytes[crypto_hash_sha256_BYTES];
    end(sum, bytes);
    return sodium_bin2hex(out, OTR_SHA256_HEX_BYTES, bytes, sizeof(bytes));
}

const char *otr_sha256_base64(otr_bytes data, char out[OTR_SHA256_BASE64_BYTES])
{
    unsigned char sum[crypto_hash_sha256_BYTES];
    _Static_assert(sodium_base64_ENCODED_LEN(sizeof(sum), sodium_base64_VARIANT_ORIGINAL) ==
                       OTR_SHA256_BASE64_BYTES,
                   "its digits, the padding and a NUL");
    sha256(data, sum);
    return sodium_bin2base64(out, OTR_SHA256_BASE64_BYTES, sum, sizeof(sum),
                             sodium_base64_VARIANT_ORIGINAL);
}

const char *otr_blake2b_hex(otr_bytes data, char out[OTR_SHA256_HEX_BYTES])
{
    unsigned char sum[crypto_generichash_BYTES];
    _Static_assert(sizeof(sum) * 2 + 1 == OTR_SHA256_HEX_BYTES, "as long as the other one");
    int ready =
        sodium_init(); /* finds the processor's fastest way; without it the digest is slow */
    (void)ready;
    (void)crypto_generichash(sum, sizeof(sum), data.n > 0 ? data.p : (const uint8_t *)"", data.n,
                             NULL, 0);
    return sodium_bin2hex(out, OTR_SHA256_HEX_BYTES, sum, sizeof(sum));
}

otr_code otr_base64_add(otr_bytes data, otr_buf *out, otr_err *err)
{
    uint8_t *to;
    size_t cap = sodium_base64_encoded_len(data.n, sodium_base64_VARIANT_ORIGINAL); /* and a NUL */
    otr_code rc = otr_buf_reserve(out, cap, &to, err);
    if (rc == OTR_OK) {
        (void)sodium_bin2base64((char *)to, cap, data.n > 0 ? data.p : (const uint8_t *)"", data.n,
                                sodium_base64_VARIANT_ORIGINAL);
        otr_buf_grew(out, cap - 1);
    }
    return rc;
}
