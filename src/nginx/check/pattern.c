#include "nginx/check/pattern.h"

#include <string.h>

#include "nginx/check/pattern_class.h"

typedef struct reader {
    const uint8_t *p, *end;
    otr_pattern *to;
    unsigned depth;
    bool any_case, dot_all, extended;
    const uint8_t *loop_end; /* behind a repetition that many ways lead through; NULL: none yet */
} reader;

static otr_shape read_either(reader *r, const otr_group *before);

static bool more(const reader *r)
{
    return r->p < r->end;
}

static bool take(reader *r, char c)
{
    if (more(r) && *r->p == (uint8_t)c) {
        r->p++;
        return true;
    }
    return false;
}

static otr_shape give_up(reader *r)
{
    r->to->known = false;
    r->p = r->end;
    return otr_shape_any();
}

static otr_shape of_set(const reader *r, otr_set set)
{
    if (r->any_case) {
        otr_set_both_cases(&set);
    }
    otr_shape s = { .chars = set, .first = set, .last = set, .single = true };
    s.texts = otr_set_count(&set);
    s.fixed = s.texts == 1;
    s.head = s.tail = s.fixed ? 1 : 0;
    return s;
}

/* ---- groups ---- */

static otr_shape zero_width(void)
{
    return otr_shape_empty();
}

/* "(?i)", "(?i:…)", "(?-i)": true when it opens a group. */
static bool read_flags(reader *r)
{
    bool on = true;
    for (; more(r) && *r->p != ')' && *r->p != ':'; r->p++) {
        switch (*r->p) {
        case '-':
            on = false;
            break;
        case 'i':
            r->any_case = on;
            break;
        case 's':
            r->dot_all = on;
            break;
        case 'x':
            r->extended = on;
            break;
        case 'm':
        case 'U':
        case 'J':
        case 'n':
            break;
        default:
            (void)give_up(r);
            return false;
        }
    }
    return take(r, ':');
}

static otr_bytes read_name(reader *r, char close)
{
    otr_bytes name = { r->p, 0 };
    while (more(r) && *r->p != (uint8_t)close) {
        r->p++;
        name.n++;
    }
    (void)take(r, close);
    return name;
}

static otr_shape capture(reader *r, otr_bytes name, const otr_group *before)
{
    uint32_t at = r->to->n_groups;
    if (at >= OTR_PATTERN_GROUPS) {
        return give_up(r);
    }
    r->to->n_groups++;
    otr_shape s = read_either(r, before);
    r->to->groups[at] = (otr_group){
        .name = name, .shape = s, .before = before->before, .at_start = before->at_start
    };
    return s;
}

/* Behind "(?<" or "(?P<": a name, or a look behind. */
static otr_shape read_angle(reader *r, const otr_group *before)
{
    if (take(r, '=') || take(r, '!')) {
        (void)read_either(r, before);
        return zero_width();
    }
    otr_bytes name = read_name(r, '>');
    return capture(r, name, before);
}

static otr_shape read_comment(reader *r)
{
    while (more(r) && *r->p != ')') {
        r->p++;
    }
    return zero_width();
}

static otr_shape read_options(reader *r, const otr_group *before)
{
    static const char letters[] = "-ismxUJn";
    if (!more(r) || *r->p == '\0' || strchr(letters, *r->p) == NULL) {
        return give_up(r);
    }
    bool any_case = r->any_case, dot_all = r->dot_all, extended = r->extended;
    if (!read_flags(r)) {
        return zero_width(); /* the caller takes the ")" */
    }
    otr_shape s = read_either(r, before);
    r->any_case = any_case;
    r->dot_all = dot_all;
    r->extended = extended;
    return s;
}

/* Behind "(?". */
static otr_shape read_special(reader *r, const otr_group *before)
{
    uint8_t c = more(r) ? *r->p : 0;
    switch (c) {
    case ':':
    case '|':
    case '>':
        r->p++;
        return read_either(r, before);
    case '#':
        return read_comment(r);
    case '=':
    case '!':
        r->p++;
        (void)read_either(r, before);
        return zero_width();
    case 'P':
        r->p++;
        return take(r, '<') ? read_angle(r, before) : give_up(r);
    case '<':
        r->p++;
        return read_angle(r, before);
    case '\'':
        r->p++;
        return capture(r, read_name(r, '\''), before);
    default:
        return read_options(r, before);
    }
}

static otr_shape read_group(reader *r, const otr_group *before)
{
    if (r->depth >= OTR_PATTERN_DEPTH) {
        return give_up(r);
    }
    r->depth++;
    otr_bytes none = { 0 };
    otr_shape s = take(r, '?') ? read_special(r, before) : capture(r, none, before);
    r->depth--;
    if (!take(r, ')')) {
        return give_up(r);
    }
    return s;
}

/* ---- atoms ---- */

static otr_shape read_escape(reader *r)
{
    static const char references[] = "123456789kgpPXQE", places[] = "bBAGKzZ";
    uint8_t c = more(r) ? *r->p : 0;
    otr_set set = { 0 };
    if (c == 0 || strchr(references, c) != NULL) {
        return give_up(r);
    }
    if (strchr(places, c) != NULL) {
        r->p++;
        otr_shape s = zero_width();
        s.from_start = c == 'A';
        s.to_end = c == 'z' || c == 'Z';
        return s;
    }
    r->p = otr_set_escape(r->p, r->end, &set);
    return of_set(r, set);
}

static otr_shape read_atom(reader *r, const otr_group *before)
{
    otr_set set = { 0 };
    otr_shape s;
    uint8_t c = *r->p++;
    switch (c) {
    case '(':
        return read_group(r, before);
    case '[':
        r->p = otr_set_class(r->p, r->end, &set);
        return r->p == NULL ? (r->p = r->end, give_up(r)) : of_set(r, set);
    case '\\':
        return read_escape(r);
    case '.':
        set = otr_set_all();
        if (!r->dot_all) {
            otr_set line = { 0 };
            otr_set_add(&line, '\n');
            set = otr_set_and(set, otr_set_not(line));
        }
        return of_set(r, set);
    case '^':
    case '$':
        s = zero_width();
        s.from_start = c == '^';
        s.to_end = c == '$';
        return s;
    default:
        otr_set_add(&set, c);
        return of_set(r, set);
    }
}

/* ---- repetition ---- */

typedef struct bounds {
    uint32_t min, max; /* max UINT32_MAX: no bound */
} bounds;

static uint32_t read_number(const uint8_t **p, const uint8_t *end)
{
    uint32_t n = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        n = n < 100000 ? n * 10 + (uint32_t)(**p - '0') : n;
    }
    return n;
}

/* False: no repetition stands there. */
static bool read_bounds(reader *r, bounds *ret)
{
    if (take(r, '*')) {
        *ret = (bounds){ 0, UINT32_MAX };
        return true;
    }
    if (take(r, '+')) {
        *ret = (bounds){ 1, UINT32_MAX };
        return true;
    }
    if (take(r, '?')) {
        *ret = (bounds){ 0, 1 };
        return true;
    }
    if (!more(r) || *r->p != '{' || r->p + 1 == r->end || r->p[1] < '0' || r->p[1] > '9') {
        return false;
    }
    const uint8_t *p = r->p + 1;
    ret->min = ret->max = read_number(&p, r->end);
    if (p < r->end && *p == ',') {
        p++;
        ret->max = p < r->end && *p == '}' ? UINT32_MAX : read_number(&p, r->end);
    }
    if (p == r->end || *p != '}') {
        return false;
    }
    r->p = p + 1;
    return true;
}

static void repeat(otr_shape *s, bounds b)
{
    if (b.min == 1 && b.max == 1) {
        return;
    }
    if (b.max == UINT32_MAX && s->single) {
        s->pump = s->chars;
    }
    s->single = false;
    s->fixed = false;
    s->from_start = s->from_start && b.min > 0;
    s->to_end = s->to_end && b.min > 0;
    if (b.min == 0) {
        s->nullable = true;
        s->head = s->tail = 0;
    }
    if (b.max == UINT32_MAX) {
        s->texts = OTR_PATTERN_MANY;
        s->pumps = !otr_set_is_empty(s->chars);
        return;
    }
    uint64_t texts = 1, sum = b.min == 0;
    for (uint32_t i = 1; i <= b.max && sum < OTR_PATTERN_MANY; i++) {
        texts *= s->texts;
        texts = texts < OTR_PATTERN_MANY ? texts : OTR_PATTERN_MANY;
        sum += i >= b.min ? texts : 0;
    }
    s->texts = sum < OTR_PATTERN_MANY ? (uint32_t)sum : OTR_PATTERN_MANY;
}

static void read_repetition(reader *r, otr_shape *s)
{
    bounds b;
    while (read_bounds(r, &b)) {
        bool possessive = false;
        if (!take(r, '?')) {
            possessive = take(r, '+');
        }
        if (b.max == UINT32_MAX && s->pumps && !possessive && r->loop_end == NULL) {
            r->loop_end = r->p;
        }
        repeat(s, b);
        if (possessive) {
            s->pumps = false;
            s->pump = (otr_set){ 0 };
        }
    }
}

/* ---- sequences ---- */

/* What stands before the next atom. */
static otr_group behind(const otr_shape *s, const otr_group *before)
{
    otr_group g = { .before = s->last };
    if (s->nullable) {
        g.before = otr_set_or(g.before, before->before);
        g.at_start = before->at_start;
    }
    if (s->from_start && s->nullable) { /* "^" alone: nothing stands before */
        g.before = s->last;
        g.at_start = true;
    }
    return g;
}

static bool skip_extended(reader *r)
{
    if (!r->extended) {
        return false;
    }
    if (*r->p == '#') {
        while (more(r) && *r->p != '\n') {
            r->p++;
        }
        return true;
    }
    if (*r->p == ' ' || *r->p == '\t' || *r->p == '\n') {
        r->p++;
        return true;
    }
    return false;
}

static otr_shape read_sequence(reader *r, const otr_group *before)
{
    otr_shape s = otr_shape_empty();
    while (more(r) && *r->p != '|' && *r->p != ')') {
        if (skip_extended(r)) {
            continue;
        }
        const uint8_t *start = r->p;
        otr_group next = behind(&s, before);
        otr_shape a = read_atom(r, &next);
        bool must = !a.nullable || a.to_end;
        if (r->loop_end != NULL && start >= r->loop_end && must) {
            r->to->explodes = true;
        }
        read_repetition(r, &a);
        s = otr_shape_then(&s, &a);
    }
    return s;
}

static otr_shape read_either(reader *r, const otr_group *before)
{
    otr_shape s = read_sequence(r, before);
    while (take(r, '|')) {
        otr_shape other = read_sequence(r, before);
        s = otr_shape_either(&s, &other);
    }
    return s;
}

void otr_pattern_read(otr_bytes text, otr_pattern_case how, otr_pattern *ret)
{
    *ret = (otr_pattern){ .known = true };
    reader r = {
        .p = text.p, .end = text.p + text.n, .to = ret, .any_case = how == OTR_PATTERN_ANY_CASE
    };
    otr_group before = { .before = otr_set_all(), .at_start = true };
    if (text.n == 0) {
        ret->shape = otr_shape_empty();
        return;
    }
    ret->shape = read_either(&r, &before);
    if (r.p < r.end) { /* a ")" too many */
        ret->known = false;
    }
    if (!ret->known) {
        ret->shape = otr_shape_any();
        ret->explodes = false;
        for (uint32_t i = 0; i < ret->n_groups; i++) {
            ret->groups[i].shape = otr_shape_any();
            ret->groups[i].before = otr_set_all();
            ret->groups[i].at_start = true;
        }
    }
}
