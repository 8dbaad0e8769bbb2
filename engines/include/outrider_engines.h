/*
 * What engines/ adds to the engines' own C APIs.
 *
 * Thread: any.
 */
#ifndef OUTRIDER_ENGINES_H
#define OUTRIDER_ENGINES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Turns the calls of an Extism guest (a binary module) to load_*, store_*, input_load_*,
 * input_length and input_offset into plain memory instructions on the kernel's memory, which the
 * new module imports beside its own. Every result, trap and bound stays the same.
 *
 * Returns 1 and the new module in `*ret`, to be released with otr_engines_free(); or 0 and, in
 * `why` (`cap` bytes, NUL-terminated, cut to fit), the reason why this one stays as it is. Any
 * bytes are fine as input. */
int otr_engines_rewrite_extism(const uint8_t *wasm, size_t n, uint8_t **ret, size_t *ret_n,
                               char *why, size_t cap);

/* `p` and `n` as they were returned; NULL is fine. */
void otr_engines_free(uint8_t *p, size_t n);

#ifdef __cplusplus
}
#endif

#endif
