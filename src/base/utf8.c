#include "base/utf8.h"

#include <stdbool.h>

#include "base/json.h"

/* Length and lowest code point of a sequence by its first byte; 0 for a byte that begins none. */
static size_t sequence_length(uint8_t first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0;
    }
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

size_t otr_utf8_next(otr_bytes text, uint32_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t len = text.n > 0 ? sequence_length(text.p[0]) : 0;
    if (len == 0 || len > text.n) {
        return 0;
    }
    uint32_t code = len == 1 ? text.p[0] : text.p[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.p[i] & 0xc0U) != 0x80U) {
            return 0;
        }
        code = (code << 6) | (text.p[i] & 0x3fU);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    if (code < least[len] || code > 0x10ffff || surrogate) {
        return 0;
    }
    if (ret != NULL) {
        *ret = code;
    }
    return len;
}

bool otr_utf8_ok(otr_bytes text)
{
    for (size_t i = 0; i < text.n;) {
        size_t len = otr_utf8_next((otr_bytes){ text.p + i, text.n - i }, NULL);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}
