#include "net/rpc/text.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/digest.h"

enum {
    MOST_DIGITS = 8,
    TEN = 10,
    HEX_TENS = 16,
    PRINTABLE_FIRST = 0x20,
    PRINTABLE_LAST = 0x7e,
    MASK_BITS = 6,
    BYTE_BITS = 8,
    QUAD = 4,
};

/* ---- timeouts ---- */

static const struct {
    char unit;
    uint64_t ns;
} units[] = {
    { 'n', 1 },
    { 'u', UINT64_C(1000) },
    { 'm', OTR_NS_PER_MS },
    { 'S', OTR_NS_PER_S },
    { 'M', UINT64_C(60) * OTR_NS_PER_S },
    { 'H', UINT64_C(3600) * OTR_NS_PER_S },
};

const char *otr_rpc_timeout_text(uint64_t ns, char out[OTR_RPC_TIMEOUT_BYTES])
{
    enum { MOST = 99999999 };
    for (size_t i = 0; i < OTR_COUNT(units); i++) {
        uint64_t n = ns / units[i].ns + (ns % units[i].ns != 0 ? 1 : 0);
        if (n <= MOST) {
            (void)snprintf(out, OTR_RPC_TIMEOUT_BYTES, "%llu%c", (unsigned long long)n,
                           units[i].unit);
            return out;
        }
    }
    (void)snprintf(out, OTR_RPC_TIMEOUT_BYTES, "%dH", MOST); /* not reached: 2^64 ns are 5e6 h */
    return out;
}

bool otr_rpc_timeout_parse(otr_bytes text, uint64_t *ret_ns)
{
    uint64_t n = 0;
    if (text.n < 2 || text.n > MOST_DIGITS + 1) {
        return false;
    }
    for (size_t i = 0; i + 1 < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            return false;
        }
        n = n * TEN + (uint64_t)(text.p[i] - '0');
    }
    for (size_t i = 0; i < OTR_COUNT(units); i++) {
        if (units[i].unit == (char)text.p[text.n - 1]) {
            *ret_ns = n <= UINT64_MAX / units[i].ns ? n * units[i].ns : UINT64_MAX;
            return true;
        }
    }
    return false;
}

/* ---- messages of a status ---- */

otr_code otr_rpc_percent_add(otr_bytes text, otr_buf *out, otr_err *err)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t before = out->n;
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < text.n && rc == OTR_OK; i++) {
        uint8_t c = text.p[i];
        if (c >= PRINTABLE_FIRST && c <= PRINTABLE_LAST && c != '%') {
            rc = otr_buf_addc(out, (char)c, err);
        } else {
            const uint8_t coded[] = { '%', (uint8_t)digits[c / HEX_TENS],
                                      (uint8_t)digits[c % HEX_TENS] };
            rc = otr_buf_add(out, (otr_bytes){ coded, sizeof(coded) }, err);
        }
    }
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + TEN;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + TEN : -1;
}

otr_code otr_rpc_percent_read(otr_bytes text, otr_buf *out, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < text.n && rc == OTR_OK; i++) {
        int high = i + 2 < text.n ? hex_value(text.p[i + 1]) : -1;
        int low = i + 2 < text.n ? hex_value(text.p[i + 2]) : -1;
        if (text.p[i] == '%' && high >= 0 && low >= 0) {
            rc = otr_buf_addc(out, (char)(high * HEX_TENS + low), err);
            i += 2;
        } else {
            rc = otr_buf_addc(out, (char)text.p[i], err);
        }
    }
    return rc;
}

/* ---- binary values ---- */

otr_code otr_rpc_binary_add(otr_bytes value, otr_buf *out, otr_err *err)
{
    size_t before = out->n;
    otr_code rc = otr_base64_add(value, out, err);
    while (rc == OTR_OK && out->n > before && out->p[out->n - 1] == '=') {
        otr_buf_cut(out, out->n - 1);
    }
    return rc;
}

static int base64_value(uint8_t c)
{
    enum { LOWER = 26, DIGITS = 52, PLUS = 62, SLASH = 63 };
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + LOWER;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + DIGITS;
    }
    if (c == '+') {
        return PLUS;
    }
    return c == '/' ? SLASH : -1;
}

otr_code otr_rpc_binary_read(otr_bytes text, otr_buf *out, otr_err *err)
{
    size_t n = text.n;
    size_t before = out->n;
    unsigned bits = 0, held = 0;
    while (text.n % QUAD == 0 && n > 0 && text.n - n < 2 && text.p[n - 1] == '=') {
        n--;
    }
    otr_code rc =
        n % QUAD == 1 ? otr_fail(err, OTR_EINVAL, "not base64: a digit is alone") : OTR_OK;
    for (size_t i = 0; i < n && rc == OTR_OK; i++) {
        int value = base64_value(text.p[i]);
        if (value < 0) {
            rc = otr_fail(err, OTR_EINVAL, "not base64: byte %zu", i);
            break;
        }
        bits = (bits << MASK_BITS) | (unsigned)value;
        held += MASK_BITS;
        if (held >= BYTE_BITS) {
            held -= BYTE_BITS;
            rc = otr_buf_addc(out, (char)((bits >> held) & 0xffU), err);
        }
    }
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}
