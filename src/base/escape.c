#include "base/escape.h"

#include <stdio.h>

#include "base/utf8.h"

bool otr_escape_needs(uint32_t code)
{
    static const uint32_t ranges[][2] = {
        { 0x00, 0x1f },     { 0x7f, 0x9f },     { 0xad, 0xad },       { 0x61c, 0x61c },
        { 0x180e, 0x180e }, { 0x200b, 0x200f }, { 0x2028, 0x202e },   { 0x2060, 0x206f },
        { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe007f },
    };
    if (code >= ' ' && code < 0x7f) {
        return false;
    }
    for (size_t i = 0; i < OTR_COUNT(ranges); i++) {
        if (code >= ranges[i][0] && code <= ranges[i][1]) {
            return true;
        }
    }
    return false;
}

static size_t put_code(uint32_t code, char out[OTR_ESCAPE_BYTES])
{
    static const char shorts[] = "\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if ((unsigned char)shorts[i] == code) {
            out[0] = '\\';
            out[1] = shorts[i + 1];
            return 2;
        }
    }
    const char *format = code < 0x80 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x";
    return (size_t)snprintf(out, OTR_ESCAPE_BYTES, format, code);
}

size_t otr_escape_next(otr_bytes text, char out[OTR_ESCAPE_BYTES], size_t *ret_n)
{
    uint32_t code = 0;
    size_t len = otr_utf8_next(text, &code);
    if (len == 0) {
        *ret_n = (size_t)snprintf(out, OTR_ESCAPE_BYTES, "\\x%02x", text.p[0]);
        return 1;
    }
    if (otr_escape_needs(code)) {
        *ret_n = put_code(code, out);
    } else {
        memcpy(out, text.p, len);
        *ret_n = len;
    }
    return len;
}

const char *otr_escape_text(otr_bytes text, char *out, size_t cap)
{
    size_t n = 0, room = 0; /* `room`: the last place at which "..." still fits */
    while (text.n > 0) {
        char one[OTR_ESCAPE_BYTES];
        size_t wrote = 0, took = otr_escape_next(text, one, &wrote);
        if (n + wrote >= cap) {
            memcpy(out + room, "...", 4);
            return out;
        }
        memcpy(out + n, one, wrote);
        n += wrote;
        room = n + 4 <= cap ? n : room;
        text = (otr_bytes){ text.p + took, text.n - took };
    }
    out[n] = '\0';
    return out;
}
