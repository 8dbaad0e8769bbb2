#include "nginx/check/words.h"

typedef struct word {
    const char *name;
    uint8_t n;
} word;

#define WORD(id, text) { text, sizeof(text) - 1 },
static const word words[] = { { "", 0 }, OTR_CHECK_WORDS(WORD) };
#undef WORD

/* The table is sorted by name. */
otr_d otr_d_of(otr_bytes name)
{
    size_t low = 1, high = OTR_COUNT(words);
    while (low < high) {
        size_t mid = (low + high) / 2;
        size_t n = name.n < words[mid].n ? name.n : words[mid].n;
        int order = memcmp(words[mid].name, name.p, n);
        if (order == 0) {
            order = words[mid].n < name.n ? -1 : words[mid].n > name.n;
        }
        if (order == 0) {
            return (otr_d)mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return OTR_D_OTHER;
}
