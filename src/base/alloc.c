#include "base/alloc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { FIRST_ITEMS = 8 };

#ifdef OTR_TESTING
#include <stdatomic.h>

static _Atomic long fail_after = -1;
static _Atomic long failed;
static _Atomic long live;

void otr_alloc_fail_after(long n)
{
    atomic_store(&failed, 0);
    atomic_store(&fail_after, n);
}

long otr_alloc_failed(void)
{
    return atomic_load(&failed);
}

long otr_alloc_live(void)
{
    return atomic_load(&live);
}

static bool may_allocate(void)
{
    long left = atomic_load(&fail_after);
    while (left >= 0) {
        if (left == 0) {
            /* One failure, then all is well again: cleanup paths may allocate. */
            if (atomic_compare_exchange_weak(&fail_after, &left, -1)) {
                atomic_fetch_add(&failed, 1);
                return false;
            }
        } else if (atomic_compare_exchange_weak(&fail_after, &left, left - 1)) {
            return true;
        }
    }
    return true;
}

static void *counted(void *p)
{
    if (p != NULL) {
        atomic_fetch_add(&live, 1);
    }
    return p;
}

static void forget(const void *p)
{
    if (p != NULL) {
        atomic_fetch_sub(&live, 1);
    }
}
#else
static bool may_allocate(void)
{
    return true;
}

static void *counted(void *p)
{
    return p;
}

static void forget(const void *p)
{
    (void)p;
}
#endif

void *otr_alloc(size_t bytes)
{
    return may_allocate() ? counted(malloc(bytes > 0 ? bytes : 1)) : NULL;
}

void *otr_zalloc(size_t bytes)
{
    return otr_calloc(1, bytes);
}

void *otr_calloc(size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size) {
        return NULL;
    }
    return may_allocate() ? counted(calloc(count > 0 ? count : 1, size > 0 ? size : 1)) : NULL;
}

void *otr_realloc(void *p, size_t bytes)
{
    if (p == NULL) {
        return otr_alloc(bytes);
    }
    return may_allocate() ? realloc(p, bytes > 0 ? bytes : 1) : NULL;
}

char *otr_strdup(const char *s)
{
    return otr_strndup(s, strlen(s));
}

char *otr_strndup(const char *s, size_t n)
{
    if (n == SIZE_MAX) {
        return NULL;
    }
    char *copy = otr_alloc(n + 1);
    if (copy != NULL) {
        if (n > 0) {
            memcpy(copy, s, n);
        }
        copy[n] = '\0';
    }
    return copy;
}

otr_code otr_grow(void *slot, size_t n, size_t *cap, size_t size, otr_err *err)
{
    if (n < *cap) {
        return OTR_OK;
    }
    size_t want = *cap > 0 ? *cap : FIRST_ITEMS / 2;
    void *items;
    memcpy(&items, slot, sizeof(items));
    items = want <= SIZE_MAX / 2 / size ? otr_realloc(items, 2 * want * size) : NULL;
    if (items == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(slot, &items, sizeof(items));
    *cap = 2 * want;
    return OTR_OK;
}

void otr_free(void *p)
{
    forget(p);
    free(p);
}

void otr_freep(void *slot)
{
    otr_free(otr_steal(slot));
}

void otr_alloc_large(void *p, size_t bytes)
{
    const uintptr_t page = 2 << 20;
    uintptr_t from = ((uintptr_t)p + page - 1) / page * page,
              end = ((uintptr_t)p + bytes) / page * page;
    if (bytes >= OTR_LARGE_BYTES && end > from) {
        (void)madvise((uint8_t *)p + (from - (uintptr_t)p), end - from, MADV_HUGEPAGE);
    }
}
