#include "nginx/instance/id.h"

#include "base/buf.h"
#include "base/digest.h"

enum { BLOCK_BYTES = 64, LENGTH_BYTES = 8, PATHS_BYTES = 3 * 4096 + 3 };

/* floor(2^32 * |sin(i + 1)|), RFC 1321 section 3.4. */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const uint8_t shifts[4][4] = {
    { 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 }, { 6, 10, 15, 21 }
};

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

/* The round function of step i and the index of the word it takes. */
static uint32_t mix(unsigned i, const uint32_t s[4], unsigned *ret_word)
{
    switch (i / 16) {
    case 0:
        *ret_word = i;
        return (s[1] & s[2]) | (~s[1] & s[3]);
    case 1:
        *ret_word = (5 * i + 1) % 16;
        return (s[3] & s[1]) | (~s[3] & s[2]);
    case 2:
        *ret_word = (3 * i + 5) % 16;
        return s[1] ^ s[2] ^ s[3];
    default:
        *ret_word = (7 * i) % 16;
        return s[2] ^ (s[1] | ~s[3]);
    }
}

static void md5_block(uint32_t state[4], const uint8_t *block)
{
    uint32_t s[4] = { state[0], state[1], state[2], state[3] };
    for (unsigned i = 0; i < 64; i++) {
        unsigned word;
        uint32_t f = mix(i, s, &word) + s[0] + sines[i] + load32(block + (size_t)4 * word);
        unsigned by = shifts[i / 16][i % 4];
        uint32_t next = s[1] + (f << by | f >> (32 - by));
        s[0] = s[3];
        s[3] = s[2];
        s[2] = s[1];
        s[1] = next;
    }
    for (unsigned i = 0; i < 4; i++) {
        state[i] += s[i];
    }
}

void otr_nginx_md5(otr_bytes data, uint8_t ret[OTR_MD5_BYTES])
{
    uint32_t state[4] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 };
    size_t whole = data.n / BLOCK_BYTES * BLOCK_BYTES;
    for (size_t at = 0; at < whole; at += BLOCK_BYTES) {
        md5_block(state, data.p + at);
    }
    uint8_t tail[2 * BLOCK_BYTES] = { 0 };
    size_t left = data.n - whole;
    if (left > 0) {
        memcpy(tail, data.p + whole, left);
    }
    tail[left] = 0x80;
    size_t padded = left + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    uint64_t bits = (uint64_t)data.n * 8;
    store32(tail + padded - 8, (uint32_t)bits);
    store32(tail + padded - 4, (uint32_t)(bits >> 32));
    for (size_t at = 0; at < padded; at += BLOCK_BYTES) {
        md5_block(state, tail + at);
    }
    for (unsigned i = 0; i < 4; i++) {
        store32(ret + (size_t)4 * i, state[i]);
    }
}

const char *otr_nginx_uuid(otr_bytes name, char out[OTR_NGINX_ID_BYTES])
{
    enum { NAMESPACE_BYTES = 16 };
    uint8_t input[NAMESPACE_BYTES + OTR_SHA256_HEX_BYTES] = { 0 };
    char hex[OTR_SHA256_HEX_BYTES];
    otr_sha256_hex(name, hex);
    memcpy(input + NAMESPACE_BYTES, hex, sizeof(hex) - 1);
    uint8_t sum[OTR_MD5_BYTES];
    otr_nginx_md5((otr_bytes){ input, NAMESPACE_BYTES + sizeof(hex) - 1 }, sum);
    sum[6] = (uint8_t)((sum[6] & 0x0f) | 0x30); /* version 3 */
    sum[8] = (uint8_t)((sum[8] & 0x3f) | 0x80); /* RFC 4122 variant */

    static const char digits[] = "0123456789abcdef";
    char *to = out;
    for (unsigned i = 0; i < OTR_MD5_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *to++ = '-';
        }
        *to++ = digits[sum[i] >> 4];
        *to++ = digits[sum[i] & 0x0f];
    }
    *to = '\0';
    return out;
}

otr_code otr_nginx_instance_id(const char *binary, const char *config, const char *prefix,
                               char out[OTR_NGINX_ID_BYTES], otr_err *err)
{
    otr_buf name;
    otr_buf_init(&name, PATHS_BYTES);
    otr_code rc = otr_buf_addf(&name, err, "%s_%s_%s", binary, config, prefix);
    if (rc == OTR_OK) {
        otr_nginx_uuid(otr_buf_bytes(&name), out);
    }
    otr_buf_deinit(&name);
    return rc;
}
