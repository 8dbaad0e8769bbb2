/* A JSON checker without recursion or allocation: one bit of a stack per open bracket. */
#include "base/json.h"
#include "base/limits.h"

typedef struct wanted { /* members of the outermost object */
    const char *const *keys;
    size_t n;
    otr_bytes *found;
    size_t at;            /* whose value is being read; n: none that is wanted */
    const uint8_t *begin; /* of that value */
    bool unclear; /* a name has an escape, so that it may be any key, or a key comes twice */
} wanted;

typedef struct cursor {
    const uint8_t *p, *end;
    uint64_t objects; /* bit d: the bracket at depth d is '{' */
    unsigned depth;
    wanted *wanted; /* or NULL */
} cursor;

static void skip_space(cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r')) {
        c->p++;
    }
}

static bool is_digit(uint8_t ch)
{
    return ch >= '0' && ch <= '9';
}

static bool is_hex(uint8_t ch)
{
    return is_digit(ch) || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

static bool take(cursor *c, char ch)
{
    if (c->p < c->end && *c->p == (uint8_t)ch) {
        c->p++;
        return true;
    }
    return false;
}

static bool digits(cursor *c)
{
    const uint8_t *from = c->p;
    while (c->p < c->end && is_digit(*c->p)) {
        c->p++;
    }
    return c->p > from;
}

static bool number(cursor *c)
{
    (void)take(c, '-');
    if (!take(c, '0') && !digits(c)) {
        return false;
    }
    if (take(c, '.') && !digits(c)) {
        return false;
    }
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+')) {
            (void)take(c, '-');
        }
        return digits(c);
    }
    return true;
}

static bool escape(cursor *c)
{
    if (c->p >= c->end) {
        return false;
    }
    uint8_t ch = *c->p++;
    if (ch != 'u') {
        return strchr("\"\\/bfnrt", ch) != NULL && ch != 0;
    }
    for (int i = 0; i < 4; i++) {
        if (c->p >= c->end || !is_hex(*c->p++)) {
            return false;
        }
    }
    return true;
}

static bool string(cursor *c)
{
    if (!take(c, '"')) {
        return false;
    }
    const uint8_t *from = c->p;
    while (c->p < c->end) {
        uint8_t ch = *c->p++;
        if (ch == '"') {
            return otr_utf8_ok((otr_bytes){ from, (size_t)(c->p - from) - 1 });
        }
        if (ch < 0x20 || (ch == '\\' && !escape(c))) {
            return false;
        }
    }
    return false;
}

static bool word(cursor *c, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, text, n) != 0) {
        return false;
    }
    c->p += n;
    return true;
}

static bool scalar(cursor *c)
{
    switch (*c->p) {
    case '"':
        return string(c);
    case 't':
        return word(c, "true");
    case 'f':
        return word(c, "false");
    case 'n':
        return word(c, "null");
    default:
        return number(c);
    }
}

static bool in_object(const cursor *c)
{
    return c->depth > 0 && (c->objects >> (c->depth - 1) & 1U) != 0;
}

static void name_read(wanted *w, otr_bytes name)
{
    w->unclear = w->unclear || memchr(name.p, '\\', name.n) != NULL;
    for (w->at = 0; w->at < w->n; w->at++) {
        const char *key = w->keys[w->at];
        if (strlen(key) == name.n && memcmp(key, name.p, name.n) == 0) {
            return;
        }
    }
}

static bool member_name(cursor *c)
{
    skip_space(c);
    const uint8_t *from = c->p;
    if (!string(c)) {
        return false;
    }
    if (c->wanted != NULL && c->depth == 1) {
        name_read(c->wanted, (otr_bytes){ from + 1, (size_t)(c->p - from) - 2 });
    }
    skip_space(c);
    if (!take(c, ':')) {
        return false;
    }
    skip_space(c);
    if (c->wanted != NULL && c->depth == 1) {
        c->wanted->begin = c->p;
    }
    return true;
}

static void value_read(const cursor *c)
{
    wanted *w = c->wanted;
    if (w != NULL && c->depth == 1 && w->at < w->n) {
        w->unclear = w->unclear || w->found[w->at].p != NULL;
        w->found[w->at] = (otr_bytes){ w->begin, (size_t)(c->p - w->begin) };
        w->at = w->n;
    }
}

/* Opens a bracket; `*ret_empty` when it closes at once. */
static bool enter(cursor *c, bool *ret_empty)
{
    bool object = *c->p++ == '{';
    if (c->depth >= OTR_LIMIT_JSON_DEPTH) {
        return false;
    }
    uint64_t bit = UINT64_C(1) << c->depth++;
    c->objects = object ? c->objects | bit : c->objects & ~bit;
    skip_space(c);
    *ret_empty = take(c, object ? '}' : ']');
    if (*ret_empty) {
        c->depth--;
        return true;
    }
    return !object || member_name(c);
}

/* Behind a value: closes what ends here. `*ret_more` when another value follows. */
static bool leave(cursor *c, bool *ret_more)
{
    *ret_more = false;
    while (c->depth > 0) {
        value_read(c);
        skip_space(c);
        if (take(c, ',')) {
            *ret_more = true;
            return !in_object(c) || member_name(c);
        }
        if (!take(c, in_object(c) ? '}' : ']')) {
            return false;
        }
        c->depth--;
    }
    return true;
}

static bool walk(otr_bytes text, wanted *w)
{
    cursor c = { .p = text.p, .end = text.p + text.n, .wanted = w };
    bool more = text.n > 0;
    if (!more) {
        return false;
    }
    while (more) {
        skip_space(&c);
        if (c.p >= c.end) {
            return false;
        }
        bool closed = true;
        if (*c.p == '{' || *c.p == '[') {
            if (!enter(&c, &closed)) {
                return false;
            }
        } else if (!scalar(&c)) {
            return false;
        }
        if (closed && !leave(&c, &more)) {
            return false;
        }
    }
    skip_space(&c);
    return c.p == c.end;
}

bool otr_json_valid(otr_bytes text)
{
    return walk(text, NULL);
}

bool otr_json_members(otr_bytes object, const char *const *keys, size_t n, otr_bytes *ret)
{
    wanted w = { .keys = keys, .n = n, .found = ret, .at = n };
    cursor c = { .p = object.p, .end = object.p + object.n };
    for (size_t i = 0; i < n; i++) {
        ret[i] = (otr_bytes){ NULL, 0 };
    }
    skip_space(&c);
    return c.p < c.end && *c.p == '{' && walk(object, &w) && !w.unclear;
}
