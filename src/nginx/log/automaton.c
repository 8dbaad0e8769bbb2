#include "nginx/log/automaton.h"

#include "base/alloc.h"

enum { BYTES = 256, BITS = 64 };

typedef struct position {
    otr_byte_set set;
    unsigned flags;
} position;

struct otr_automaton {
    position *positions; /* until it is finished */
    size_t n, cap;
    size_t words;   /* of a set of positions, with the place behind the last */
    unsigned chain; /* longest run of positions that may be left out */
    bool escapes;
    uint8_t column[BYTES]; /* of a byte in `takes` */
    uint64_t *takes;       /* [column][word] */
    uint64_t repeats[OTR_AUTOMATON_WORDS];
    uint64_t optional[OTR_AUTOMATON_WORDS];
    uint64_t escaping[OTR_AUTOMATON_WORDS];
};

otr_code otr_automaton_new(otr_automaton **ret, otr_err *err)
{
    *ret = otr_zalloc(sizeof(**ret));
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

void otr_automaton_free(otr_automaton *a)
{
    if (a != NULL) {
        otr_free(a->positions);
        otr_free(a->takes);
        otr_free(a);
    }
}

otr_code otr_automaton_add(otr_automaton *a, const otr_byte_set *set, unsigned flags, otr_err *err)
{
    if (a->n == OTR_AUTOMATON_POSITIONS) {
        return otr_fail(err, OTR_EQUOTA, "a log format of more than %d bytes",
                        OTR_AUTOMATON_POSITIONS);
    }
    if (a->n == a->cap) {
        size_t cap = a->cap > 0 ? 2 * a->cap : 64;
        position *p = otr_realloc(a->positions, cap * sizeof(*p));
        if (p == NULL) {
            return otr_fail_nomem(err);
        }
        a->positions = p;
        a->cap = cap;
    }
    a->positions[a->n++] = (position){ .set = *set, .flags = flags };
    return OTR_OK;
}

static void take_flags(otr_automaton *a)
{
    unsigned chain = 0;
    for (size_t i = 0; i < a->n; i++) {
        unsigned flags = a->positions[i].flags;
        uint64_t bit = (uint64_t)1 << (i % BITS);
        chain = (flags & OTR_POSITION_OPTIONAL) != 0 ? chain + 1 : 0;
        a->chain = chain > a->chain ? chain : a->chain;
        a->repeats[i / BITS] |= (flags & OTR_POSITION_REPEATS) != 0 ? bit : 0;
        a->optional[i / BITS] |= (flags & OTR_POSITION_OPTIONAL) != 0 ? bit : 0;
        a->escaping[i / BITS] |= (flags & OTR_POSITION_ESCAPES) != 0 ? bit : 0;
        a->escapes |= (flags & OTR_POSITION_ESCAPES) != 0;
    }
}

/* Which positions take `byte`, into `row`. */
static void fill_row(const otr_automaton *a, uint8_t byte, uint64_t *row)
{
    memset(row, 0, a->words * sizeof(*row));
    for (size_t i = 0; i < a->n; i++) {
        if (otr_byte_set_has(&a->positions[i].set, byte)) {
            row[i / BITS] |= (uint64_t)1 << (i % BITS);
        }
    }
}

otr_code otr_automaton_finish(otr_automaton *a, otr_err *err)
{
    a->words = a->n / BITS + 1;
    take_flags(a);
    uint64_t *rows = otr_calloc(BYTES * a->words, sizeof(*rows));
    if (rows == NULL) {
        return otr_fail_nomem(err);
    }
    size_t columns = 0;
    for (unsigned byte = 0; byte < BYTES; byte++) { /* bytes that all take alike share a column */
        uint64_t *row = rows + columns * a->words;
        fill_row(a, (uint8_t)byte, row);
        size_t same = 0;
        while (memcmp(rows + same * a->words, row, a->words * sizeof(*row)) != 0) {
            same++;
        }
        a->column[byte] = (uint8_t)same;
        columns += same == columns;
    }
    a->takes = otr_realloc(rows, columns * a->words * sizeof(*rows));
    if (a->takes == NULL) {
        a->takes = rows; /* larger than it had to be */
    }
    otr_free(a->positions);
    a->positions = NULL;
    return OTR_OK;
}

void otr_automaton_clear(otr_automaton_run *run)
{
    run->low = run->high = 0;
}

/* What a place gives beside itself: the places behind it that need nothing. */
static inline uint64_t skip_optional(const otr_automaton *a, size_t word, uint64_t at)
{
    for (unsigned i = 0; i < a->chain; i++) {
        at |= (at & a->optional[word]) << 1;
    }
    return at;
}

void otr_automaton_enter(const otr_automaton *a, otr_automaton_run *run)
{
    uint64_t carry = 1;
    for (unsigned w = 0; w < a->words && (carry != 0 || w < run->low); w++) {
        bool live = w >= run->low && w < run->high;
        if (!live) {
            run->at[w] = run->escaped[w] = 0;
        }
        run->at[w] = skip_optional(a, w, run->at[w] | carry);
        carry = (run->at[w] & a->optional[w]) >> (BITS - 1);
        run->high = w + 1 > run->high ? w + 1 : run->high;
    }
    run->low = 0;
}

void otr_automaton_step(const otr_automaton *a, otr_automaton_run *run, uint8_t byte)
{
    const uint64_t *takes = a->takes + a->column[byte] * a->words;
    uint64_t carry = 0;
    unsigned low = 0, high = 0, w = run->low, end = run->high;
    for (; w < end || (carry != 0 && w < a->words); w++) {
        uint64_t at = w < end ? run->at[w] : 0;
        uint64_t hit = at & takes[w];
        uint64_t next = hit << 1 | carry | (hit & a->repeats[w]);
        uint64_t escaped = 0;
        if (a->escapes) {
            next |= w < end && byte >= ' ' ? run->escaped[w] : 0;
            escaped = byte == '\\' ? at & a->escaping[w] : 0;
        }
        next = skip_optional(a, w, next);
        carry = hit >> (BITS - 1) | (next & a->optional[w]) >> (BITS - 1);
        run->at[w] = next;
        run->escaped[w] = escaped;
        if ((next | escaped) != 0) {
            low = high == 0 ? w : low;
            high = w + 1;
        }
    }
    run->low = low;
    run->high = high;
}

bool otr_automaton_accepts(const otr_automaton *a, const otr_automaton_run *run)
{
    size_t w = a->n / BITS;
    return w >= run->low && w < run->high && (run->at[w] >> (a->n % BITS) & 1) != 0;
}
