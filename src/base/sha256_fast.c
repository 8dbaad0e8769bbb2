#include "base/sha256_fast.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

enum { BLOCK = 64, WORDS = 8, LENGTH_BYTES = 8 };

#if defined(__x86_64__)

/* FIPS 180-4, 4.2.2 */
static const uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

bool otr_sha256_fast_has(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_1) != 0 && (c & bit_SSSE3) != 0 &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

/* The words of four rounds from those before: FIPS 180-4, 6.2.2, step 1. */
OTR_TARGET("sha,sse4.1,ssse3")
static inline __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    return _mm_sha256msg2_epu32(sum, w3);
}

/* The instructions keep the eight words in two registers, as a b e f and c d g h. */
OTR_TARGET("sha,sse4.1,ssse3")
static void take_blocks(uint32_t state[WORDS], const uint8_t *p, size_t n)
{
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i abef = _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]);
    __m128i cdgh = _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7]);
    for (; n > 0; n--, p += BLOCK) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (unsigned i = 0; i < 16; i++) {
            if (i < 4) {
                w[i] = _mm_shuffle_epi8(
                    _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), swap);
            } else {
                w[i % 4] = next_words(w[i % 4], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
            }
            __m128i x = _mm_add_epi32(
                w[i % 4], _mm_loadu_si128((const __m128i *)(const void *)(k + 4 * (size_t)i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, x);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(x, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    state[0] = (uint32_t)_mm_extract_epi32(abef, 3);
    state[1] = (uint32_t)_mm_extract_epi32(abef, 2);
    state[2] = (uint32_t)_mm_extract_epi32(cdgh, 3);
    state[3] = (uint32_t)_mm_extract_epi32(cdgh, 2);
    state[4] = (uint32_t)_mm_extract_epi32(abef, 1);
    state[5] = (uint32_t)_mm_extract_epi32(abef, 0);
    state[6] = (uint32_t)_mm_extract_epi32(cdgh, 1);
    state[7] = (uint32_t)_mm_extract_epi32(cdgh, 0);
}

#else

bool otr_sha256_fast_has(void)
{
    return false;
}

static void take_blocks(uint32_t state[WORDS], const uint8_t *p, size_t n)
{
    (void)state;
    (void)p;
    (void)n;
}

#endif

void otr_sha256_fast_init(otr_sha256_fast *sum)
{
    *sum = (otr_sha256_fast){ .state = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                         0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void otr_sha256_fast_add(otr_sha256_fast *sum, otr_bytes data)
{
    size_t have = (size_t)(sum->bytes % BLOCK);
    sum->bytes += data.n;
    if (have > 0 && data.n > 0) {
        size_t n = BLOCK - have < data.n ? BLOCK - have : data.n;
        memcpy(sum->block + have, data.p, n);
        data.p += n;
        data.n -= n;
        if (have + n < BLOCK) {
            return;
        }
        take_blocks(sum->state, sum->block, 1);
    }
    take_blocks(sum->state, data.p, data.n / BLOCK);
    size_t rest = data.n % BLOCK;
    if (rest > 0) {
        memcpy(sum->block, data.p + (data.n - rest), rest);
    }
}

void otr_sha256_fast_end(otr_sha256_fast *sum, uint8_t out[32])
{
    static const uint8_t pad[BLOCK] = { 0x80 };
    uint64_t bits = sum->bytes * 8;
    size_t have = (size_t)(sum->bytes % BLOCK), room = BLOCK - LENGTH_BYTES;
    uint8_t length[LENGTH_BYTES];
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    otr_sha256_fast_add(sum, (otr_bytes){ pad, (have < room ? room : BLOCK + room) - have });
    otr_sha256_fast_add(sum, (otr_bytes){ length, sizeof(length) });
    for (size_t i = 0; i < WORDS; i++) {
        for (size_t j = 0; j < 4; j++) {
            out[4 * i + j] = (uint8_t)(sum->state[i] >> (24 - 8 * j));
        }
    }
}
