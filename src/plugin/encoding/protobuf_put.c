/* Records in the wire format, and the text between the quotes of JSON as their content. */
#include "plugin/encoding/protobuf_wire.h"
#include "plugin/encoding/protobuf_writer.h"

enum { VARINT_BYTES = 10 };

/* ---- wire ---- */

otr_code otr_pb_put_varint(otr_pb_writer *w, uint64_t value)
{
    uint8_t bytes[VARINT_BYTES];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);
        value >>= 7;
    } while (value > 0);
    return otr_buf_add(w->out, (otr_bytes){ bytes, n }, w->err);
}

static otr_code put_tag(otr_pb_writer *w, uint32_t number, unsigned wire)
{
    return otr_pb_put_varint(w, (uint64_t)number << 3 | wire);
}

otr_code otr_pb_put_number(otr_pb_writer *w, uint32_t number, uint64_t value)
{
    otr_code rc = put_tag(w, number, OTR_WIRE_VARINT);
    return rc == OTR_OK ? otr_pb_put_varint(w, value) : rc;
}

otr_code otr_pb_put_bytes(otr_pb_writer *w, uint32_t number, otr_bytes bytes)
{
    otr_code rc = put_tag(w, number, OTR_WIRE_BYTES);
    rc = rc == OTR_OK ? otr_pb_put_varint(w, bytes.n) : rc;
    return rc == OTR_OK ? otr_buf_add(w->out, bytes, w->err) : rc;
}

otr_code otr_pb_open(otr_pb_writer *w, uint32_t number, size_t *ret_at)
{
    otr_code rc = put_tag(w, number, OTR_WIRE_BYTES);
    rc = rc == OTR_OK ? otr_buf_addc(w->out, '\0', w->err) : rc;
    *ret_at = w->out->n;
    return rc;
}

otr_code otr_pb_close(otr_pb_writer *w, size_t at)
{
    size_t n = w->out->n - at;
    uint8_t length[VARINT_BYTES];
    size_t used = 0;
    for (size_t left = n; used == 0 || left > 0; left >>= 7) {
        length[used++] = (uint8_t)(left & 0x7f) | (left > 0x7f ? 0x80 : 0);
    }
    if (used > 1) { /* one byte was kept free: the content moves */
        uint8_t *room;
        otr_code rc = otr_buf_reserve(w->out, used - 1, &room, w->err);
        if (rc != OTR_OK) {
            return rc;
        }
        otr_buf_grew(w->out, used - 1);
        memmove(w->out->p + at + used - 1, w->out->p + at, n);
    }
    memcpy(w->out->p + at - 1, length, used);
    return OTR_OK;
}

/* ---- strings ---- */

static unsigned hex4(const uint8_t *p)
{
    unsigned value = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = p[i];
        unsigned digit = c >= 'a'   ? (unsigned)(c - 'a') + 10
                         : c >= 'A' ? (unsigned)(c - 'A') + 10
                                    : (unsigned)(c - '0');
        value = value << 4 | (digit & 15);
    }
    return value;
}

static size_t utf8_of(uint32_t code, uint8_t out[4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t marks[] = { 0, 0xc0, 0xe0, 0xf0 };
    out[0] = (uint8_t)(marks[more] | code >> (6 * more));
    for (size_t i = 1; i <= more; i++) {
        out[i] = (uint8_t)(0x80 | (code >> (6 * (more - i)) & 0x3f));
    }
    return more + 1;
}

/* The character behind `\u` at p[2], two such escapes for one beyond 16 bits; half a pair becomes
 * U+FFFD. Returns how many bytes of the text it took. */
static size_t take_unicode(const uint8_t *p, const uint8_t *end, uint32_t *ret)
{
    if (end - p < 6) {
        *ret = 0xfffd;
        return (size_t)(end - p);
    }
    uint32_t code = hex4(p + 2);
    if (code < 0xd800 || code > 0xdfff) {
        *ret = code;
        return 6;
    }
    bool pair = code < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u';
    uint32_t low = pair ? hex4(p + 8) : 0;
    if (low < 0xdc00 || low > 0xdfff) {
        *ret = 0xfffd;
        return 6;
    }
    *ret = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

/* Appends one escape and returns its length in the text. */
static otr_code put_escape(otr_pb_writer *w, const uint8_t *p, const uint8_t *end, size_t *ret_n)
{
    static const char shorts[] = "b\bf\fn\nr\rt\t";
    uint8_t out[4] = { p[1] };
    size_t n = 1;
    *ret_n = 2;
    if (p[1] == 'u') {
        uint32_t code;
        *ret_n = take_unicode(p, end, &code);
        n = utf8_of(code, out);
    }
    for (size_t i = 0; p[1] != 'u' && i + 1 < sizeof(shorts); i += 2) {
        if ((uint8_t)shorts[i] == p[1]) {
            out[0] = (uint8_t)shorts[i + 1];
        }
    }
    return otr_buf_add(w->out, (otr_bytes){ out, n }, w->err);
}

static otr_code put_unescaped(otr_pb_writer *w, otr_bytes text)
{
    const uint8_t *p = text.p;
    const uint8_t *end = text.p + text.n;
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && p < end) {
        const uint8_t *slash = memchr(p, '\\', (size_t)(end - p));
        const uint8_t *stop = slash != NULL && end - slash > 1 ? slash : end;
        size_t n = 0;
        rc = otr_buf_add(w->out, (otr_bytes){ p, (size_t)(stop - p) }, w->err);
        rc = rc == OTR_OK && stop < end ? put_escape(w, stop, end, &n) : rc;
        p = stop + n;
    }
    return rc;
}

otr_code otr_pb_put_text(otr_pb_writer *w, uint32_t number, otr_bytes text)
{
    if (text.n == 0 || memchr(text.p, '\\', text.n) == NULL) {
        return otr_pb_put_bytes(w, number, text);
    }
    size_t at;
    otr_code rc = otr_pb_open(w, number, &at);
    rc = rc == OTR_OK ? put_unescaped(w, text) : rc;
    return rc == OTR_OK ? otr_pb_close(w, at) : rc;
}

otr_code otr_pb_put_double(otr_pb_writer *w, uint32_t number, uint64_t bits)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(bits >> (8 * i));
    }
    otr_code rc = put_tag(w, number, OTR_WIRE_FIXED64);
    return rc == OTR_OK ? otr_buf_add(w->out, (otr_bytes){ bytes, sizeof(bytes) }, w->err) : rc;
}
