#include "config/scalar.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "base/utf8.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p)
{
    while (is_digit(*p)) {
        p++;
    }
    return p;
}

static const char *skip_sign(const char *p)
{
    return *p == '-' || *p == '+' ? p + 1 : p;
}

/* [0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)? or \.[0-9]+… */
static bool is_decimal(const char *p)
{
    const char *whole = skip_sign(p);
    const char *rest = skip_digits(whole);
    size_t digits = (size_t)(rest - whole);
    if (*rest == '.') {
        const char *fraction = rest + 1;
        rest = skip_digits(fraction);
        digits += (size_t)(rest - fraction);
    }
    if (digits == 0) {
        return false;
    }
    if (*rest == 'e' || *rest == 'E') {
        const char *power = skip_sign(rest + 1);
        rest = skip_digits(power);
        if (rest == power) {
            return false;
        }
    }
    return *rest == '\0';
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static int digit_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

static bool read_digits(const char *p, unsigned base, uint64_t *ret)
{
    uint64_t value = 0;
    if (*p == '\0') {
        return false;
    }
    for (; *p != '\0'; p++) {
        unsigned digit = (unsigned)digit_value(*p);
        if (digit >= base || value > (UINT64_MAX - digit) / base) {
            return false;
        }
        value = value * base + digit;
    }
    *ret = value;
    return true;
}

bool otr_scalar_int(const char *text, int64_t *ret)
{
    const char *p = skip_sign(text);
    unsigned base = 10;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'o')) {
        base = p[1] == 'x' ? 16 : 8;
        p += 2;
    }
    uint64_t value;
    if (!read_digits(p, base, &value)) {
        return false;
    }
    if (text[0] == '-') {
        if (value > (uint64_t)INT64_MAX + 1) {
            return false;
        }
        *ret = value > INT64_MAX ? INT64_MIN : -(int64_t)value;
        return true;
    }
    if (value > INT64_MAX) {
        return false;
    }
    *ret = (int64_t)value;
    return true;
}

bool otr_scalar_float(const char *text, double *ret)
{
    if (!is_decimal(text)) {
        return false;
    }
    double value = strtod(text, NULL);
    if (!isfinite(value)) {
        return false;
    }
    *ret = value;
    return true;
}

bool otr_scalar_bool(const char *text, bool *ret)
{
    static const char *const yes[] = { "true", "yes", "on", "t", "1", NULL };
    static const char *const no[] = { "false", "no", "off", "f", "0", NULL };
    for (size_t i = 0; yes[i] != NULL; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *ret = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

bool otr_scalar_bytes(const char *text, uint64_t *ret)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        { "", 1 },
        { "B", 1 },
        { "kB", 1000 },
        { "KB", 1000 },
        { "MB", 1000000 },
        { "GB", 1000000000 },
        { "KiB", UINT64_C(1) << 10 },
        { "MiB", UINT64_C(1) << 20 },
        { "GiB", UINT64_C(1) << 30 },
    };
    char digits[24];
    const char *unit = skip_digits(text);
    size_t n = (size_t)(unit - text);
    if (n >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, text, n);
    digits[n] = '\0';
    uint64_t value;
    if (!read_digits(digits, 10, &value)) {
        return false;
    }
    unit += *unit == ' ' && unit[1] != '\0';
    for (size_t i = 0; i < OTR_COUNT(units); i++) {
        if (strcmp(unit, units[i].name) == 0 && value <= UINT64_MAX / units[i].bytes) {
            *ret = value * units[i].bytes;
            return true;
        }
    }
    return false;
}

static bool is_core_int(const char *text)
{
    uint64_t ignored;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'o')) {
        return read_digits(text + 2, text[1] == 'x' ? 16 : 8, &ignored);
    }
    const char *p = skip_sign(text);
    return *p != '\0' && *skip_digits(p) == '\0';
}

otr_scalar_kind otr_scalar_kind_of(const char *text)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const bools[] = { "true", "True", "TRUE", "false", "False", "FALSE", NULL };
    static const char *const specials[] = { ".inf",  ".Inf",  ".INF",  "-.inf", "-.Inf",
                                            "-.INF", "+.inf", "+.Inf", "+.INF", ".nan",
                                            ".NaN",  ".NAN",  NULL };
    if (is_one_of(text, nulls)) {
        return OTR_SCALAR_NULL;
    }
    if (is_one_of(text, bools)) {
        return OTR_SCALAR_BOOL;
    }
    if (is_core_int(text)) {
        return OTR_SCALAR_INT;
    }
    return is_decimal(text) || is_one_of(text, specials) ? OTR_SCALAR_FLOAT : OTR_SCALAR_STRING;
}

const char *otr_scalar_show(const char *text, char out[OTR_SCALAR_SHOW_BYTES])
{
    size_t n = 0;
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code = 0;
        size_t len = otr_utf8_next((otr_bytes){ (const uint8_t *)text, left }, &code);
        bool plain = len > 0 && code >= 0x20 && (code < 0x7f || code > 0x9f);
        size_t step = len > 0 ? len : 1;
        size_t add = plain ? len : 1;
        if (n + add > OTR_SCALAR_SHOW_BYTES - 4) {
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        memcpy(out + n, plain ? text : "?", add);
        n += add;
        text += step;
        left -= step;
    }
    out[n] = '\0';
    return out;
}
