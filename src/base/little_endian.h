/*
 * Numbers as they lie in a guest's memory and in our own files: little-endian, at any address, of
 * 1 to 8 bytes.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_LITTLE_ENDIAN_H
#define OTR_BASE_LITTLE_ENDIAN_H

#include <stdint.h>

static inline uint64_t otr_le_load(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = bytes; i > 0; i--) {
        v = v << 8 | p[i - 1];
    }
    return v;
}

static inline void otr_le_store(uint8_t *p, unsigned bytes, uint64_t v)
{
    for (unsigned i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

#endif
