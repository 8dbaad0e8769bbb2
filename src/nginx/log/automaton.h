/*
 * A run of bytes against a list of positions, each a set of bytes, kept as sets of bits: every way
 * to read the bytes at once.
 *
 * A position may repeat, may be left out, and may take a backslash together with what follows it.
 * Private to this folder.
 *
 * Thread: a finished automaton may be shared; a run belongs to its owner.
 */
#ifndef OTR_NGINX_LOG_AUTOMATON_H
#define OTR_NGINX_LOG_AUTOMATON_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

enum { OTR_AUTOMATON_WORDS = 64, OTR_AUTOMATON_POSITIONS = 64 * OTR_AUTOMATON_WORDS - 1 };

enum {
    OTR_POSITION_REPEATS = 1,
    OTR_POSITION_OPTIONAL = 2,
    OTR_POSITION_ESCAPES = 4, /* takes a backslash and any byte from 0x20 on, too */
};

typedef struct otr_byte_set {
    uint64_t bits[4];
} otr_byte_set;

static inline void otr_byte_set_add(otr_byte_set *set, uint8_t byte)
{
    set->bits[byte / 64] |= (uint64_t)1 << (byte % 64);
}

static inline bool otr_byte_set_has(const otr_byte_set *set, uint8_t byte)
{
    return (set->bits[byte / 64] >> (byte % 64) & 1) != 0;
}

typedef struct otr_automaton otr_automaton;

typedef struct otr_automaton_run { /* live words only: [low, high) */
    unsigned low, high;
    uint64_t at[OTR_AUTOMATON_WORDS];      /* positions that may take the next byte */
    uint64_t escaped[OTR_AUTOMATON_WORDS]; /* those that have taken a backslash */
} otr_automaton_run;

otr_code otr_automaton_new(otr_automaton **ret, otr_err *err) OTR_MUST_CHECK;
void otr_automaton_free(otr_automaton *a); /* NULL is fine */

/* Adds a position with OTR_POSITION_ flags. OTR_EQUOTA past OTR_AUTOMATON_POSITIONS. */
otr_code otr_automaton_add(otr_automaton *a, const otr_byte_set *set, unsigned flags, otr_err *err)
    OTR_MUST_CHECK;
/* No position can be added any more; runs may begin. */
otr_code otr_automaton_finish(otr_automaton *a, otr_err *err) OTR_MUST_CHECK;

void otr_automaton_clear(otr_automaton_run *run); /* at no place */
/* Adds the place before the first position. */
void otr_automaton_enter(const otr_automaton *a, otr_automaton_run *run);
void otr_automaton_step(const otr_automaton *a, otr_automaton_run *run, uint8_t byte);
/* May the bytes so far be all? */
bool otr_automaton_accepts(const otr_automaton *a, const otr_automaton_run *run);

static inline bool otr_automaton_alive(const otr_automaton_run *run)
{
    return run->low < run->high;
}

#endif
