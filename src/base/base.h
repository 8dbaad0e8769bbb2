/*
 * What every file may use: attributes, byte views, cleanup helpers.
 *
 * The only place where compiler extensions are spelled out.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_BASE_H
#define OTR_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define OTR_MUST_CHECK   __attribute__((warn_unused_result))
#define OTR_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define OTR_CLEANUP(fn)  __attribute__((cleanup(fn)))
#define OTR_SENTINEL     __attribute__((sentinel))
#define OTR_TARGET(cpu)  __attribute__((target(cpu))) /* may use these instructions */
#define OTR_LIKELY(x)    __builtin_expect(!!(x), 1)
#define OTR_UNLIKELY(x)  __builtin_expect(!!(x), 0)

#define OTR_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A borrowed run of bytes, not NUL-terminated. `p` may be NULL when `n` is 0. */
typedef struct otr_bytes {
    const uint8_t *p;
    size_t n;
} otr_bytes;

/* The bytes of a NUL-terminated string, without the NUL. NULL gives an empty view. */
static inline otr_bytes otr_bytes_of(const char *s)
{
    return (otr_bytes){ (const uint8_t *)s, s != NULL ? strlen(s) : 0 };
}

/* For names that are short and mostly equal, on a path of nanoseconds: a call of strcmp() costs
 * more than it does. */
static inline bool otr_same_text(const char *a, const char *b)
{
    while (*a == *b && *a != '\0') {
        a++;
        b++;
    }
    return *a == *b;
}

/* Gives away what `*slot` (any object pointer) holds and leaves NULL: `*ret = otr_steal(&p)`. */
static inline void *otr_steal(void *slot)
{
    void *value;
    memcpy(&value, slot, sizeof(value));
    memset(slot, 0, sizeof(value));
    return value;
}

#endif
