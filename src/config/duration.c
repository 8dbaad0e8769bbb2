#include "base/clock.h"
#include "config/config.h"
#include "config/scalar.h"

/* Go's time.Duration is a signed 64-bit count of nanoseconds. */
#define MOST_NS ((uint64_t)INT64_MAX)

typedef struct unit {
    const char *name;
    uint64_t ns;
} unit;

/* A longer name stands before its own beginning ("ms" before "m"). */
static const unit units[] = {
    { "ns", 1 },
    { "us", 1000 },
    { "\xc2\xb5s", 1000 }, /* U+00B5 micro sign */
    { "\xce\xbcs", 1000 }, /* U+03BC Greek mu */
    { "ms", OTR_NS_PER_MS },
    { "s", OTR_NS_PER_S },
    { "m", 60 * OTR_NS_PER_S },
    { "h", 3600 * OTR_NS_PER_S },
};

/* One "1.5h": the digits before and behind the point and the size of the last digit. */
typedef struct part {
    uint64_t whole;
    uint64_t fraction, scale;
    const unit *unit;
} part;

static const unit *find_unit(const char *p)
{
    for (size_t i = 0; i < OTR_COUNT(units); i++) {
        if (strncmp(p, units[i].name, strlen(units[i].name)) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

static const char *read_whole(const char *p, part *ret)
{
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (ret->whole > (MOST_NS - digit) / 10) {
            return NULL;
        }
        ret->whole = ret->whole * 10 + digit;
    }
    return p;
}

static const char *read_fraction(const char *p, part *ret)
{
    for (; *p >= '0' && *p <= '9'; p++) {
        if (ret->scale < UINT64_C(100000000000000)) { /* digits beyond a nanosecond count nothing */
            ret->fraction = ret->fraction * 10 + (uint64_t)(*p - '0');
            ret->scale *= 10;
        }
    }
    return p;
}

/* Where the next part begins, or NULL when this is none. */
static const char *read_part(const char *p, part *ret)
{
    *ret = (part){ .scale = 1 };
    const char *rest = read_whole(p, ret);
    if (rest == NULL) {
        return NULL;
    }
    size_t digits = (size_t)(rest - p);
    if (*rest == '.') {
        const char *fraction = rest + 1;
        rest = read_fraction(fraction, ret);
        digits += (size_t)(rest - fraction);
    }
    ret->unit = digits > 0 ? find_unit(rest) : NULL;
    return ret->unit != NULL ? rest + strlen(ret->unit->name) : NULL;
}

static otr_code not_a_duration(const char *text, otr_err *err)
{
    char show[OTR_SCALAR_SHOW_BYTES];
    return otr_fail(err, OTR_EINVAL,
                    "expected a duration such as \"5s\", \"1m30s\" or \"500ms\", got \"%s\"",
                    otr_scalar_show(text, show));
}

otr_code otr_duration_parse(const char *text, uint64_t *ret_ns, otr_err *err)
{
    const char *p = *text == '+' ? text + 1 : text;
    if (strcmp(p, "0") == 0) {
        *ret_ns = 0;
        return OTR_OK;
    }
    if (*p == '\0') {
        return not_a_duration(text, err);
    }
    uint64_t total = 0;
    while (*p != '\0') {
        part next;
        p = read_part(p, &next);
        if (p == NULL || next.whole > MOST_NS / next.unit->ns) {
            return not_a_duration(text, err);
        }
        uint64_t ns = next.whole * next.unit->ns;
        ns += (uint64_t)((double)next.fraction * ((double)next.unit->ns / (double)next.scale));
        if (ns > MOST_NS - total) {
            return not_a_duration(text, err);
        }
        total += ns;
    }
    *ret_ns = total;
    return OTR_OK;
}
