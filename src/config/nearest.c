#include "config/config.h"

enum { WORD_BYTES = 96 };

typedef struct rows {
    unsigned before[WORD_BYTES + 1], above[WORD_BYTES + 1], now[WORD_BYTES + 1];
} rows;

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
static unsigned distance(const char *a, size_t a_n, const char *b, size_t b_n)
{
    rows r = { 0 };
    for (size_t j = 0; j <= b_n; j++) {
        r.above[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_n; i++) {
        r.now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_n; j++) {
            unsigned replace = r.above[j - 1] + (a[i - 1] != b[j - 1]);
            unsigned best = least(replace, least(r.above[j], r.now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = least(best, r.before[j - 2] + 1);
            }
            r.now[j] = best;
        }
        memcpy(r.before, r.above, sizeof(r.above));
        memcpy(r.above, r.now, sizeof(r.now));
    }
    return r.above[b_n];
}

const char *otr_nearest(const char *word, const char *const *names)
{
    size_t n = strlen(word);
    unsigned best_distance = WORD_BYTES;
    const char *best = NULL;
    if (n > WORD_BYTES) {
        return NULL;
    }
    for (; *names != NULL; names++) {
        size_t name_n = strlen(*names);
        size_t longer = name_n > n ? name_n : n;
        size_t apart = longer - (name_n > n ? n : name_n);
        if (longer > WORD_BYTES || apart > longer / 3) {
            continue;
        }
        unsigned d = distance(word, n, *names, name_n);
        if (d <= longer / 3 && d < best_distance) {
            best = *names;
            best_distance = d;
        }
    }
    return best;
}
