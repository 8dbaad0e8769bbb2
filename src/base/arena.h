/*
 * Memory that is released all at once: for trees that are built once and dropped whole.
 *
 * Thread: one at a time.
 */
#ifndef OTR_BASE_ARENA_H
#define OTR_BASE_ARENA_H

#include "base/base.h"

typedef struct otr_arena_chunk otr_arena_chunk;

typedef struct otr_arena { /* all zero: empty */
    otr_arena_chunk *chunks;
    otr_arena_chunk *spare; /* of otr_arena_reset(), for what comes next */
    uint8_t *at;
    size_t left;
    size_t next_bytes;
} otr_arena;

void otr_arena_deinit(otr_arena *arena);
/* Forgets all that was allocated; what comes next takes its memory. */
void otr_arena_reset(otr_arena *arena);
/* Zeroed and aligned for any object; NULL when memory is out or count * size overflows. */
void *otr_arena_alloc(otr_arena *arena, size_t count, size_t size) OTR_MUST_CHECK;
char *otr_arena_strndup(otr_arena *arena, const char *s, size_t n) OTR_MUST_CHECK;
char *otr_arena_strdup(otr_arena *arena, const char *s) OTR_MUST_CHECK;

#endif
