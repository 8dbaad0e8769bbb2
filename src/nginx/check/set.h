/*
 * A set of bytes.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHECK_SET_H
#define OTR_NGINX_CHECK_SET_H

#include <stdbool.h>

#include "base/base.h"

typedef struct otr_set {
    uint64_t w[4];
} otr_set;

static inline void otr_set_add(otr_set *s, uint8_t c)
{
    s->w[c >> 6] |= 1ULL << (c & 63U);
}

static inline bool otr_set_has(const otr_set *s, uint8_t c)
{
    return (s->w[c >> 6] >> (c & 63U) & 1U) != 0;
}

static inline uint32_t otr_set_count(const otr_set *s)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < 4; i++) {
        for (uint64_t left = s->w[i]; left != 0; left &= left - 1) {
            n++;
        }
    }
    return n;
}

static inline void otr_set_add_range(otr_set *s, unsigned from, unsigned to)
{
    for (unsigned c = from; c <= to && c < 256; c++) {
        otr_set_add(s, (uint8_t)c);
    }
}

static inline otr_set otr_set_all(void)
{
    return (otr_set){ { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX } };
}

static inline otr_set otr_set_or(otr_set a, otr_set b)
{
    for (unsigned i = 0; i < 4; i++) {
        a.w[i] |= b.w[i];
    }
    return a;
}

static inline otr_set otr_set_and(otr_set a, otr_set b)
{
    for (unsigned i = 0; i < 4; i++) {
        a.w[i] &= b.w[i];
    }
    return a;
}

static inline otr_set otr_set_not(otr_set a)
{
    for (unsigned i = 0; i < 4; i++) {
        a.w[i] = ~a.w[i];
    }
    return a;
}

static inline bool otr_set_is_empty(otr_set a)
{
    return (a.w[0] | a.w[1] | a.w[2] | a.w[3]) == 0;
}

/* Has it one of the bytes of `text`? */
static inline bool otr_set_has_any(const otr_set *s, const char *text)
{
    for (; *text != '\0'; text++) {
        if (otr_set_has(s, (uint8_t)*text)) {
            return true;
        }
    }
    return false;
}

#endif
