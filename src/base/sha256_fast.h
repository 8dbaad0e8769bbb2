/*
 * SHA-256 by the instructions that x86 processors have for it: about six times as fast as without.
 *
 * Users call base/digest.h, which asks whether there are such.
 *
 * Thread: any; a state belongs to its owner.
 */
#ifndef OTR_BASE_SHA256_FAST_H
#define OTR_BASE_SHA256_FAST_H

#include <stdbool.h>

#include "base/base.h"

typedef struct otr_sha256_fast {
    uint32_t state[8];
    uint64_t bytes; /* so far */
    uint8_t block[64];
} otr_sha256_fast;

bool otr_sha256_fast_has(void);
void otr_sha256_fast_init(otr_sha256_fast *sum);
void otr_sha256_fast_add(otr_sha256_fast *sum, otr_bytes data);
void otr_sha256_fast_end(otr_sha256_fast *sum, uint8_t out[32]);

#endif
