/*
 * Memory: malloc with a name that tests can make fail.
 *
 * Only src/base may call malloc itself. Every function returns NULL when memory is out; callers
 * turn that into OTR_ENOMEM. With OTR_TESTING the n-th allocation from now on can be made to fail.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_ALLOC_H
#define OTR_BASE_ALLOC_H

#include "base/base.h"
#include "base/err.h"

void *otr_alloc(size_t bytes) OTR_MUST_CHECK;
void *otr_zalloc(size_t bytes) OTR_MUST_CHECK; /* zeroed */
/* Zeroed array; NULL also when count * size overflows. */
void *otr_calloc(size_t count, size_t size) OTR_MUST_CHECK;
void *otr_realloc(void *p, size_t bytes) OTR_MUST_CHECK; /* `p` stays valid on failure */
char *otr_strdup(const char *s) OTR_MUST_CHECK;
char *otr_strndup(const char *s, size_t n) OTR_MUST_CHECK; /* copies exactly n bytes + NUL */
/* Makes room for one more item of an array that grows: `slot` is the address of the pointer to it,
 * `n` items of `size` bytes are in use and `*cap` are there. Doubles what is there, from 8 on.
 * The array stays as it was on failure. */
otr_code otr_grow(void *slot, size_t n, size_t *cap, size_t size, otr_err *err) OTR_MUST_CHECK;

/* A hint: what is written to these bytes from now on is for large pages (2 MiB where there are
 * such), which a copy of megabytes crosses with few look-ups of addresses. For memory that will be
 * filled: a large page is taken as a whole. Runs of fewer than OTR_LARGE_BYTES are left alone. */
enum { OTR_LARGE_BYTES = 4 << 20 };
void otr_alloc_large(void *p, size_t bytes);

void otr_free(void *p);

/* For OTR_CLEANUP on a pointer of any type from this header. */
void otr_freep(void *slot);

#ifdef OTR_TESTING
/* Lets `n` more allocations succeed and fails the next one; negative: never fail (the start). */
void otr_alloc_fail_after(long n);
/* How many allocations were made to fail since the last otr_alloc_fail_after(). */
long otr_alloc_failed(void);
/* Blocks that are allocated and not yet freed: tests compare it before and after. */
long otr_alloc_live(void);
#endif

#endif
