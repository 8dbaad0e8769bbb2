#include "base/arena.h"

#include <stdalign.h>

#include "base/alloc.h"

#ifdef OTR_TESTING /* nearly each piece is a block, so that sanitizers and failing allocation see \
                      it */
enum { FIRST_CHUNK_BYTES = 16, LARGEST_CHUNK_BYTES = 64 };
#else
enum { FIRST_CHUNK_BYTES = 512, LARGEST_CHUNK_BYTES = 65536 };
#endif

struct otr_arena_chunk {
    otr_arena_chunk *next;
    size_t n;
    alignas(max_align_t) uint8_t bytes[];
};

static void free_chunks(otr_arena_chunk *chunk)
{
    while (chunk != NULL) {
        otr_arena_chunk *next = chunk->next;
        otr_free(chunk);
        chunk = next;
    }
}

void otr_arena_deinit(otr_arena *arena)
{
    free_chunks(arena->chunks);
    free_chunks(arena->spare);
    *arena = (otr_arena){ 0 };
}

void otr_arena_reset(otr_arena *arena)
{
    otr_arena_chunk *spare = arena->spare, *chunk = arena->chunks;
    while (chunk != NULL) {
        otr_arena_chunk *next = chunk->next;
        if (chunk->n == LARGEST_CHUNK_BYTES) {
            chunk->next = spare;
            spare = chunk;
        } else {
            otr_free(chunk);
        }
        chunk = next;
    }
    *arena = (otr_arena){ .spare = spare, .next_bytes = spare != NULL ? LARGEST_CHUNK_BYTES : 0 };
}

static otr_arena_chunk *add_chunk(otr_arena *arena, size_t bytes)
{
    otr_arena_chunk *chunk = bytes == LARGEST_CHUNK_BYTES ? arena->spare : NULL;
    if (bytes > SIZE_MAX - sizeof(otr_arena_chunk)) {
        return NULL;
    }
    if (chunk != NULL) {
        arena->spare = chunk->next;
        memset(chunk->bytes, 0, bytes);
    } else {
        chunk = otr_zalloc(sizeof(*chunk) + bytes);
    }
    if (chunk != NULL) {
        chunk->n = bytes;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    return chunk;
}

void *otr_arena_alloc(otr_arena *arena, size_t count, size_t size)
{
    const size_t align = alignof(max_align_t);
    if (size > 0 && count > (SIZE_MAX - align) / size) {
        return NULL;
    }
    size_t bytes = (count * size + align - 1) / align * align;
    if (bytes > LARGEST_CHUNK_BYTES / 4) { /* its own chunk; the current one stays in use */
        otr_arena_chunk *chunk = add_chunk(arena, bytes);
        return chunk != NULL ? chunk->bytes : NULL;
    }
    if (bytes > arena->left || arena->at == NULL) {
        size_t want = arena->next_bytes > 0 ? arena->next_bytes : FIRST_CHUNK_BYTES;
        want = want < bytes ? bytes : want;
        otr_arena_chunk *chunk = add_chunk(arena, want);
        if (chunk == NULL) {
            return NULL;
        }
        arena->at = chunk->bytes;
        arena->left = want;
        arena->next_bytes = want < LARGEST_CHUNK_BYTES ? want * 2 : LARGEST_CHUNK_BYTES;
    }
    void *p = arena->at;
    arena->at += bytes;
    arena->left -= bytes;
    return p;
}

char *otr_arena_strndup(otr_arena *arena, const char *s, size_t n)
{
    char *copy = n < SIZE_MAX ? otr_arena_alloc(arena, n + 1, 1) : NULL;
    if (copy != NULL && n > 0) {
        memcpy(copy, s, n);
    }
    return copy;
}

char *otr_arena_strdup(otr_arena *arena, const char *s)
{
    return otr_arena_strndup(arena, s, strlen(s));
}
