#include "nginx/check/pattern_class.h"

static otr_set digits(void)
{
    otr_set s = { 0 };
    otr_set_add_range(&s, '0', '9');
    return s;
}

static otr_set letters(void)
{
    otr_set s = { 0 };
    otr_set_add_range(&s, 'a', 'z');
    otr_set_add_range(&s, 'A', 'Z');
    return s;
}

static otr_set spaces(void)
{
    otr_set s = { 0 };
    otr_set_add_range(&s, '\t', '\r');
    otr_set_add(&s, ' ');
    return s;
}

static otr_set word(void)
{
    otr_set s = otr_set_or(digits(), letters());
    otr_set_add(&s, '_');
    return s;
}

static otr_set blanks(void)
{
    otr_set s = { 0 };
    otr_set_add(&s, ' ');
    otr_set_add(&s, '\t');
    otr_set_add(&s, 0xa0);
    return s;
}

static otr_set breaks(void)
{
    otr_set s = { 0 };
    otr_set_add_range(&s, '\n', '\r');
    otr_set_add(&s, 0x85);
    return s;
}

void otr_set_both_cases(otr_set *set)
{
    for (unsigned c = 'a'; c <= 'z'; c++) {
        uint8_t lower = (uint8_t)c, upper = (uint8_t)(c - 32U);
        if (otr_set_has(set, lower) || otr_set_has(set, upper)) {
            otr_set_add(set, lower);
            otr_set_add(set, upper);
        }
    }
}

static bool read_kind(uint8_t c, otr_set *to)
{
    otr_set s;
    switch (c | 0x20) {
    case 'd':
        s = digits();
        break;
    case 'w':
        s = word();
        break;
    case 's':
        s = spaces();
        break;
    case 'h':
        s = blanks();
        break;
    case 'v':
        s = breaks();
        break;
    default:
        if (c == 'N') {
            s = otr_set_all();
            s.w[0] &= ~(1ULL << '\n');
            *to = otr_set_or(*to, s);
            return true;
        }
        if (c == 'R') {
            *to = otr_set_or(*to, breaks());
            return true;
        }
        return false;
    }
    *to = otr_set_or(*to, (c & 0x20) != 0 ? s : otr_set_not(s));
    return true;
}

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

/* Behind "\x". */
static const uint8_t *read_hex(const uint8_t *p, const uint8_t *end, uint8_t *ret)
{
    unsigned value = 0;
    if (p < end && *p == '{') {
        for (p++; p < end && *p != '}'; p++) {
            value = (value << 4 | (unsigned)(hex(*p) & 15)) & 0xffffU;
        }
        *ret = value < 256 ? (uint8_t)value : 0xff;
        return p < end ? p + 1 : end;
    }
    for (unsigned i = 0; i < 2 && p < end && hex(*p) >= 0; i++, p++) {
        value = value << 4 | (unsigned)hex(*p);
    }
    *ret = (uint8_t)value;
    return p;
}

/* One byte that is written with a backslash. */
static const uint8_t *read_byte(const uint8_t *p, const uint8_t *end, uint8_t *ret)
{
    static const char from[] = "tnrfea", to[] = "\t\n\r\f\033\a";
    uint8_t c = *p++;
    const char *at = c != 0 ? strchr(from, c) : NULL;
    *ret = at != NULL ? (uint8_t)to[at - from] : c;
    if (c == 'x') {
        return read_hex(p, end, ret);
    }
    if (c == 'c' && p < end) {
        *ret = (uint8_t)(*p & 0x1f);
        return p + 1;
    }
    if (c >= '0' && c <= '7') {
        unsigned value = (unsigned)(c - '0');
        for (unsigned i = 0; i < 2 && p < end && *p >= '0' && *p <= '7'; i++, p++) {
            value = value * 8 + (unsigned)(*p - '0');
        }
        *ret = (uint8_t)value;
    }
    return p;
}

const uint8_t *otr_set_escape(const uint8_t *p, const uint8_t *end, otr_set *to)
{
    if (read_kind(*p, to)) {
        return p + 1;
    }
    uint8_t c;
    p = read_byte(p, end, &c);
    otr_set_add(to, c);
    return p;
}

/* "[:name:]" at `p`: where it ends, or NULL. */
static const uint8_t *read_posix(const uint8_t *p, const uint8_t *end, otr_set *to)
{
    static const struct {
        const char *name;
        unsigned from, to;
    } ranges[] = { { "alpha", 'a', 'z' },  { "alpha", 'A', 'Z' },   { "alnum", 'a', 'z' },
                   { "alnum", 'A', 'Z' },  { "alnum", '0', '9' },   { "digit", '0', '9' },
                   { "lower", 'a', 'z' },  { "upper", 'A', 'Z' },   { "xdigit", '0', '9' },
                   { "xdigit", 'a', 'f' }, { "xdigit", 'A', 'F' },  { "space", '\t', '\r' },
                   { "space", ' ', ' ' },  { "blank", '\t', '\t' }, { "blank", ' ', ' ' },
                   { "punct", '!', '/' },  { "punct", ':', '@' },   { "punct", '[', '`' },
                   { "punct", '{', '~' },  { "word", 'a', 'z' },    { "word", 'A', 'Z' },
                   { "word", '0', '9' },   { "word", '_', '_' },    { "cntrl", 0, 31 },
                   { "cntrl", 127, 127 },  { "print", 32, 126 },    { "graph", 33, 126 },
                   { "ascii", 0, 127 } };
    const uint8_t *name = p + 2;
    const uint8_t *stop = name;
    while (stop < end && ((*stop >= 'a' && *stop <= 'z') || *stop == '^')) {
        stop++;
    }
    if (end - p < 4 || p[1] != ':' || stop + 1 >= end || stop[0] != ':' || stop[1] != ']') {
        return NULL;
    }
    bool negated = *name == '^';
    name += negated;
    otr_set s = { 0 };
    for (size_t i = 0; i < OTR_COUNT(ranges); i++) {
        size_t n = strlen(ranges[i].name);
        if ((size_t)(stop - name) == n && memcmp(name, ranges[i].name, n) == 0) {
            otr_set_add_range(&s, ranges[i].from, ranges[i].to);
        }
    }
    if (otr_set_is_empty(s)) {
        s = otr_set_all();
        negated = false;
    }
    *to = otr_set_or(*to, negated ? otr_set_not(s) : s);
    return stop + 2;
}

/* One byte of a class, or a set of them (`*ret_one` false: it cannot begin a range). */
static const uint8_t *read_item(const uint8_t *p, const uint8_t *end, otr_set *to, uint8_t *ret,
                                bool *ret_one)
{
    *ret_one = true;
    if (*p == '[') {
        const uint8_t *after = read_posix(p, end, to);
        if (after != NULL) {
            *ret_one = false;
            return after;
        }
    }
    if (*p != '\\' || p + 1 == end) {
        *ret = *p;
        return p + 1;
    }
    if (read_kind(p[1], to)) {
        *ret_one = false;
        return p + 2;
    }
    if (p[1] == 'b') {
        *ret = '\b';
        return p + 2;
    }
    if (p[1] == 'p' || p[1] == 'P') { /* a property: anything */
        *to = otr_set_all();
    }
    return read_byte(p + 1, end, ret);
}

const uint8_t *otr_set_class(const uint8_t *p, const uint8_t *end, otr_set *to)
{
    otr_set s = { 0 };
    bool negated = p < end && *p == '^';
    p += negated;
    for (bool first = true; p < end && (first || *p != ']'); first = false) {
        uint8_t from, last;
        bool one;
        p = read_item(p, end, &s, &from, &one);
        if (!one) {
            continue;
        }
        last = from;
        if (end - p > 1 && p[0] == '-' && p[1] != ']') {
            p = read_item(p + 1, end, &s, &last, &one);
            if (!one) { /* "a-\d": the dash is one */
                otr_set_add(&s, '-');
                last = from;
            }
        }
        otr_set_add_range(&s, from, last);
    }
    if (p >= end) {
        return NULL;
    }
    bool all = otr_set_is_empty(otr_set_not(s)); /* also where a property stands in it */
    *to = negated && !all ? otr_set_not(s) : s;
    return p + 1;
}
