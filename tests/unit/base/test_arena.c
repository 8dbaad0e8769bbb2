#include <stdalign.h>

#include "base/arena.h"
#include "support/test.h"

static void free_arena(otr_arena *arena)
{
    otr_arena_deinit(arena);
}

T(pieces_are_aligned_zeroed_and_apart)
{
    static const size_t sizes[] = { 0, 1, 15, 16, 17, 63, 64, 65, 1000, 100000, 3 };
    OTR_CLEANUP(free_arena) otr_arena arena = { 0 };
    uint8_t *pieces[OTR_COUNT(sizes)];
    for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
        pieces[i] = otr_arena_alloc(&arena, 1, sizes[i]);
        REQUIRE(pieces[i] != NULL);
        CHECK_INT((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        for (size_t k = 0; k < sizes[i]; k++) {
            REQUIRE(pieces[i][k] == 0);
        }
        memset(pieces[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
        for (size_t k = 0; k < sizes[i]; k++) {
            REQUIRE(pieces[i][k] == i + 1);
        }
    }
}

T(a_count_that_overflows_is_refused)
{
    OTR_CLEANUP(free_arena) otr_arena arena = { 0 };
    CHECK(otr_arena_alloc(&arena, SIZE_MAX / 8 + 1, 8) == NULL);
    CHECK(otr_arena_alloc(&arena, SIZE_MAX, 1) == NULL);
    CHECK(otr_arena_strndup(&arena, "x", SIZE_MAX) == NULL);
    CHECK(arena.chunks == NULL);
}

T(a_copy_of_a_text_ends_where_it_was_cut)
{
    OTR_CLEANUP(free_arena) otr_arena arena = { 0 };
    const char *cut = otr_arena_strndup(&arena, "abcdef", 3);
    const char *none = otr_arena_strndup(&arena, NULL, 0);
    const char *whole = otr_arena_strdup(&arena, "abcdef");
    REQUIRE(cut != NULL && none != NULL && whole != NULL);
    CHECK_STR(cut, "abc");
    CHECK_STR(none, "");
    CHECK_STR(whole, "abcdef");
}

T(what_comes_after_a_reset_is_zeroed_and_takes_the_same_memory)
{
    OTR_CLEANUP(free_arena) otr_arena arena = { 0 };
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 200; i++) {
            uint8_t *p = otr_arena_alloc(&arena, 1, 32);
            REQUIRE(p != NULL);
            CHECK(p[0] == 0 && memcmp(p, p + 1, 31) == 0);
            memset(p, 0xff, 32);
        }
        otr_arena_reset(&arena);
    }
}
