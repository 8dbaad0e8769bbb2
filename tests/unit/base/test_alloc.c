#include <stdint.h>

#include "support/test.h"

T_NO_OOM(the_nth_allocation_fails_once) /* it counts the injected failures itself */
{
    otr_alloc_fail_after(1);
    OTR_CLEANUP(otr_freep) char *first = otr_alloc(1);
    char *second = otr_alloc(1);
    OTR_CLEANUP(otr_freep) char *third = otr_alloc(1);
    long failed = otr_alloc_failed();
    otr_alloc_fail_after(-1);
    CHECK(first != NULL);
    CHECK(second == NULL);
    CHECK(third != NULL);
    CHECK_INT(failed, 1);
    CHECK_INT(otr_alloc_failed(), 0);
    otr_free(second);
}

T_NO_OOM(a_block_survives_a_failed_realloc)
{
    OTR_CLEANUP(otr_freep) char *p = otr_strdup("keep");
    REQUIRE(p != NULL);
    otr_alloc_fail_after(0);
    void *grown = otr_realloc(p, 4096);
    otr_alloc_fail_after(-1);
    CHECK(grown == NULL);
    CHECK_STR(p, "keep");
}

T(a_product_that_overflows_gives_no_memory)
{
    /* Through a volatile, so that the compiler does not see the size and warn. */
    volatile size_t huge = SIZE_MAX / 2;
    void *p = otr_calloc(huge, 3);
    CHECK(p == NULL);
    otr_free(p);
    char *s = otr_strndup("x", SIZE_MAX);
    CHECK(s == NULL);
    otr_free(s);
}

T(nothing_can_be_freed)
{
    otr_free(NULL);
    void *none = NULL;
    otr_freep(&none);
    CHECK(none == NULL);
}

T(zero_bytes_is_a_block_like_any_other)
{
    OTR_CLEANUP(otr_freep) void *a = otr_alloc(0);
    OTR_CLEANUP(otr_freep) void *b = otr_calloc(0, 8);
    OTR_CLEANUP(otr_freep) void *c = otr_zalloc(0);
    OTR_CLEANUP(otr_freep) char *d = otr_strndup(NULL, 0);
    REQUIRE(a != NULL && b != NULL && c != NULL && d != NULL);
    CHECK_STR(d, "");
    void *e = otr_realloc(a, 0);
    REQUIRE(e != NULL);
    a = e;
}

T(live_blocks_are_counted)
{
    long before = otr_alloc_live();
    void *p = otr_alloc(8);
    REQUIRE(p != NULL);
    CHECK_INT(otr_alloc_live(), before + 1);
    void *q = otr_realloc(p, 4096);
    CHECK_INT(otr_alloc_live(), before + 1);
    otr_free(q != NULL ? q : p);
    CHECK_INT(otr_alloc_live(), before);
    q = otr_realloc(NULL, 8);
    CHECK_INT(otr_alloc_live(), before + 1);
    otr_free(q);
}

T(zeroed_memory_is_zero_and_copies_are_exact)
{
    OTR_CLEANUP(otr_freep) uint8_t *p = otr_calloc(16, 4);
    OTR_CLEANUP(otr_freep) char *s = otr_strndup("abcdef", 3);
    REQUIRE(p != NULL && s != NULL);
    for (size_t i = 0; i < 64; i++) {
        CHECK_INT(p[i], 0);
    }
    CHECK_STR(s, "abc");
    char *stolen = otr_steal(&s);
    CHECK(s == NULL);
    otr_free(stolen);
}

T(an_array_grows_by_doubling_and_keeps_what_it_holds)
{
    OTR_CLEANUP(otr_freep) uint32_t *items = NULL;
    otr_err err;
    size_t cap = 0, grown = 0;
    for (uint32_t n = 0; n < 100; n++) {
        const size_t before = cap;
        REQUIRE_OK(otr_grow(&items, n, &cap, sizeof(*items), &err), err);
        REQUIRE(cap > n);
        grown += cap != before ? 1 : 0;
        items[n] = n;
    }
    CHECK_INT(cap, 128);
    CHECK_INT(grown, 5); /* 8, 16, 32, 64, 128 */
    for (uint32_t n = 0; n < 100; n++) {
        CHECK_INT(items[n], n);
    }
}

T_NO_OOM(an_array_that_cannot_grow_stays_as_it_was)
{
    otr_err err;
    size_t cap = 0;
    OTR_CLEANUP(otr_freep) char *items = NULL;
    otr_alloc_fail_after(0);
    CHECK_INT(otr_grow(&items, 0, &cap, 1, &err), OTR_ENOMEM);
    otr_alloc_fail_after(-1);
    CHECK(items == NULL && cap == 0);
    REQUIRE(otr_grow(&items, 0, &cap, 1, &err) == OTR_OK);
    const char *same = items;
    otr_alloc_fail_after(0);
    CHECK_INT(otr_grow(&items, cap, &cap, 1, &err), OTR_ENOMEM);
    otr_alloc_fail_after(-1);
    CHECK(items == same && cap == 8);
}

T(an_array_larger_than_memory_does_not_grow)
{
    otr_err err;
    void *items = NULL;
    size_t cap = SIZE_MAX / 8;
    CHECK_INT(otr_grow(&items, cap, &cap, 8, &err), OTR_ENOMEM);
    CHECK(items == NULL && cap == SIZE_MAX / 8);
}

T(the_hint_for_large_pages_changes_no_byte)
{
    size_t n = 2 * OTR_LARGE_BYTES + 77;
    OTR_CLEANUP(otr_freep) uint8_t *p = otr_alloc(n);
    REQUIRE(p != NULL);
    memset(p, 0x5a, n);
    otr_alloc_large(p, n);
    otr_alloc_large(p, 100); /* too few bytes to do anything */
    otr_alloc_large(NULL, 0);
    for (size_t i = 0; i < n; i++) {
        REQUIRE(p[i] == 0x5a);
    }
}
