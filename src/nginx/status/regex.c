/*
 * The pattern is compiled to a program of steps whose jumps are relative, so that a part of it can
 * be moved and copied. Matching follows all paths at once.
 */
#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/status/regex_steps.h"

enum { STEPS = OTR_LIMIT_NGINX_REGEX, DEPTH = 32 };

typedef struct parser {
    const char *p;
    otr_regex *regex;
    bool any_case;
    unsigned depth;
    otr_err *err;
} parser;

static otr_code parse_either(parser *p);

/* ---- steps ---- */

static otr_code unsupported(parser *p)
{
    return otr_fail(p->err, OTR_EUNSUP, "the regular expression is not a simple one");
}

/* Room for `n` steps at `at`; what was there moves behind them. */
static otr_code insert(parser *p, size_t at, size_t n)
{
    otr_regex *r = p->regex;
    if (r->n + n > STEPS) {
        return otr_fail(p->err, OTR_EQUOTA, "the regular expression is too long");
    }
    memmove(&r->steps[at + n], &r->steps[at], (r->n - at) * sizeof(*r->steps));
    memset(&r->steps[at], 0, n * sizeof(*r->steps));
    r->n += n;
    return OTR_OK;
}

static otr_code append(parser *p, otr_regex_op what)
{
    otr_code rc = insert(p, p->regex->n, 1);
    if (rc == OTR_OK) {
        p->regex->steps[p->regex->n - 1].op = what;
    }
    return rc;
}

static unsigned other_case(unsigned byte)
{
    bool upper = byte >= 'A' && byte <= 'Z', lower = byte >= 'a' && byte <= 'z';
    return upper ? byte + 32 : lower ? byte - 32 : byte;
}

static otr_code append_set(parser *p, const uint8_t *set)
{
    otr_code rc = append(p, OTR_STEP_SET);
    if (rc != OTR_OK) {
        return rc;
    }
    uint8_t *to = p->regex->steps[p->regex->n - 1].set;
    for (unsigned i = 0; i < 256; i++) {
        if (otr_regex_has(set, i) || (p->any_case && otr_regex_has(set, other_case(i)))) {
            otr_regex_put(to, i);
        }
    }
    return OTR_OK;
}

static otr_code append_byte(parser *p, char c)
{
    uint8_t set[32] = { 0 };
    otr_regex_put(set, (unsigned char)c);
    return append_set(p, set);
}

/* ---- sets ---- */

static bool in_class(char class, unsigned c)
{
    bool digit = c >= '0' && c <= '9';
    switch (class) {
    case 'd':
        return digit;
    case 'w':
        return digit || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    default:
        return c == ' ' || (c >= '\t' && c <= '\r');
    }
}

/* \d \w \s and their opposites. False: `c` is none of them. */
static bool put_class(uint8_t *set, char c)
{
    char class = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    if (c == '\0' || strchr("dws", class) == NULL) {
        return false;
    }
    for (unsigned i = 0; i < 256; i++) {
        if (in_class(class, i) == (class == c)) {
            otr_regex_put(set, i);
        }
    }
    return true;
}

/* The byte that `\c` stands for; -1: something else. */
static int escaped(char c)
{
    static const char from[] = "tnrf", to[] = "\t\n\r\f";
    const char *at = c != '\0' ? strchr(from, c) : NULL;
    if (at != NULL) {
        return to[at - from];
    }
    bool word = in_class('w', (unsigned char)c) && c != '_';
    return word || c == '\0' ? -1 : (unsigned char)c;
}

/* One member of a bracket expression: a byte, or a class that is put in at once (-2). -1: no. */
static int member(parser *p, uint8_t *set)
{
    if (*p->p == '\0' || (p->p[0] == '[' && p->p[1] != '\0' && strchr(":.=", p->p[1]) != NULL)) {
        return -1;
    }
    if (*p->p != '\\') {
        return (unsigned char)*p->p++;
    }
    char c = *++p->p;
    int byte = put_class(set, c) ? -2 : escaped(c);
    p->p += byte != -1;
    return byte;
}

static otr_code parse_set(parser *p)
{
    uint8_t set[32] = { 0 };
    bool negated = *p->p == '^';
    p->p += negated;
    for (bool first = true; first || *p->p != ']'; first = false) {
        int from = member(p, set), to = from;
        if (from >= 0 && p->p[0] == '-' && p->p[1] != ']') {
            p->p++;
            to = member(p, set);
        }
        if (from == -1 || to == -1 || to < from) {
            return unsupported(p);
        }
        for (int i = from; i >= 0 && i <= to; i++) {
            otr_regex_put(set, (unsigned)i);
        }
    }
    p->p++;
    for (size_t i = 0; negated && i < sizeof(set); i++) {
        set[i] = (uint8_t)~set[i];
    }
    return append_set(p, set);
}

/* ---- grammar ---- */

static otr_code parse_escape(parser *p)
{
    uint8_t set[32] = { 0 };
    char c = *p->p;
    if (c == 'A' || c == 'z' || c == 'Z') {
        p->p++;
        return append(p, c == 'A' ? OTR_STEP_BEGIN : OTR_STEP_END);
    }
    if (put_class(set, c)) {
        p->p++;
        return append_set(p, set);
    }
    int byte = escaped(c);
    if (byte < 0) {
        return unsupported(p);
    }
    p->p++;
    return append_byte(p, (char)byte);
}

/* Behind "(?": what kind of group? */
static bool skip_group_kind(parser *p)
{
    if (*p->p == ':') {
        p->p++;
        return true;
    }
    p->p += *p->p == 'P';
    char close = *p->p == '<' ? '>' : *p->p == '\'' ? '\'' : '\0';
    const char *name = p->p + 1;
    if (close == '\0' || !in_class('w', (unsigned char)*name)) {
        return false;
    }
    const char *end = strchr(name, close);
    p->p = end != NULL ? end + 1 : p->p;
    return end != NULL;
}

static otr_code parse_group(parser *p)
{
    if (*p->p == '*') {
        return unsupported(p);
    }
    if (*p->p == '?') {
        p->p++;
        if (!skip_group_kind(p)) {
            return unsupported(p);
        }
    }
    if (++p->depth > DEPTH) {
        return unsupported(p);
    }
    otr_code rc = parse_either(p);
    p->depth--;
    if (rc == OTR_OK && *p->p != ')') {
        return unsupported(p);
    }
    p->p += rc == OTR_OK;
    return rc;
}

static otr_code parse_atom(parser *p)
{
    uint8_t all[32];
    char c = *p->p++;
    switch (c) {
    case '(':
        return parse_group(p);
    case '[':
        return parse_set(p);
    case '\\':
        return parse_escape(p);
    case '^':
        return append(p, OTR_STEP_BEGIN);
    case '$':
        return append(p, OTR_STEP_END);
    case '.':
        memset(all, 0xff, sizeof(all));
        all['\n' / 8] &= (uint8_t)~(1U << ('\n' % 8));
        return append_set(p, all);
    case '*':
    case '+':
    case '?':
        return unsupported(p);
    default:
        return append_byte(p, c);
    }
}

/* "{m}", "{m,}", "{m,n}"; anything else in braces is text. `*most` is -1 without an end. */
static bool braces(parser *p, int *least, int *most)
{
    const char *at = p->p + 1;
    int n[2] = { -1, -1 };
    size_t i = 0;
    for (; *at != '\0' && *at != '}'; at++) {
        if (*at == ',' && i == 0) {
            i = 1;
        } else if (*at >= '0' && *at <= '9' && n[i] < STEPS) {
            n[i] = 10 * (n[i] > 0 ? n[i] : 0) + (*at - '0');
        } else {
            return false;
        }
    }
    if (*at != '}' || n[0] < 0) {
        return false;
    }
    p->p = at + 1;
    *least = n[0];
    *most = i == 0 ? n[0] : n[1];
    return true;
}

static bool quantifier(parser *p, int *least, int *most)
{
    *least = *p->p == '+';
    *most = *p->p == '?' ? 1 : -1;
    if (*p->p == '{') {
        return braces(p, least, most);
    }
    bool is = *p->p == '*' || *p->p == '+' || *p->p == '?';
    p->p += is;
    return is;
}

static otr_code copy_part(parser *p, size_t from, size_t n)
{
    size_t at = p->regex->n;
    otr_code rc = insert(p, at, n);
    if (rc == OTR_OK) {
        memcpy(&p->regex->steps[at], &p->regex->steps[from], n * sizeof(otr_regex_step));
    }
    return rc;
}

/* One more copy of the part that may be left out, or repeated for ever. */
static otr_code optional(parser *p, size_t from, size_t n, bool loops)
{
    size_t at = p->regex->n;
    otr_code rc = append(p, OTR_STEP_EITHER);
    rc = rc == OTR_OK ? copy_part(p, from, n) : rc;
    rc = rc == OTR_OK && loops ? append(p, OTR_STEP_JUMP) : rc;
    if (rc == OTR_OK) {
        otr_regex_step *s = &p->regex->steps[at];
        s->late = true;
        s->a = 1;
        s->b = (int)n + 1 + loops;
        if (loops) {
            p->regex->steps[at + n + 1].a = -(int)n - 1;
        }
    }
    return rc;
}

static otr_code repeat(parser *p, size_t from, int least, int most)
{
    size_t n = p->regex->n - from;
    otr_code rc = OTR_OK;
    for (int i = 1; rc == OTR_OK && i < least; i++) {
        rc = copy_part(p, from, n);
    }
    if (rc == OTR_OK && most < 0) {
        rc = optional(p, from, n, true);
    }
    for (int i = least > 0 ? least : 0; rc == OTR_OK && i < most; i++) {
        rc = optional(p, from, n, false);
    }
    if (rc == OTR_OK && least == 0) { /* the first copy was only the model */
        memmove(&p->regex->steps[from], &p->regex->steps[from + n],
                (p->regex->n - from - n) * sizeof(otr_regex_step));
        p->regex->n -= n;
    }
    return rc;
}

static otr_code parse_sequence(parser *p)
{
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && *p->p != '\0' && *p->p != '|' && *p->p != ')') {
        size_t from = p->regex->n;
        int least, most;
        rc = parse_atom(p);
        if (rc != OTR_OK || !quantifier(p, &least, &most)) {
            continue;
        }
        p->p += *p->p == '?'; /* lazy: matches the same texts */
        if (*p->p == '+' || *p->p == '*' || (most >= 0 && most < least)) {
            return unsupported(p);
        }
        rc = repeat(p, from, least, most);
    }
    return rc;
}

static otr_code parse_either(parser *p)
{
    size_t from = p->regex->n;
    otr_code rc = parse_sequence(p);
    if (rc != OTR_OK || *p->p != '|') {
        return rc;
    }
    p->p++;
    if (++p->depth > DEPTH) {
        return unsupported(p);
    }
    size_t n = p->regex->n - from;
    rc = insert(p, from, 1);
    rc = rc == OTR_OK ? append(p, OTR_STEP_JUMP) : rc;
    rc = rc == OTR_OK ? parse_either(p) : rc;
    p->depth--;
    if (rc == OTR_OK) {
        otr_regex_step *s = &p->regex->steps[from];
        *s = (otr_regex_step){ .op = OTR_STEP_EITHER, .a = 1, .b = (int)n + 2 };
        p->regex->steps[from + n + 1].a = (int)(p->regex->n - (from + n + 1));
    }
    return rc;
}

otr_code otr_regex_new(const char *pattern, otr_regex_case how, otr_regex **ret, otr_err *err)
{
    otr_regex *r = otr_zalloc(sizeof(*r));
    if (r != NULL) {
        r->steps = otr_calloc(STEPS + 1, sizeof(*r->steps));
    }
    if (r == NULL || r->steps == NULL) {
        otr_regex_free(r);
        return otr_fail_nomem(err);
    }
    parser p = { .p = pattern, .regex = r, .any_case = how == OTR_REGEX_ANY_CASE, .err = err };
    if (strncmp(p.p, "(?i)", 4) == 0) {
        p.p += 4;
        p.any_case = true;
    }
    otr_code rc = parse_either(&p);
    if (rc == OTR_OK && *p.p != '\0') {
        rc = unsupported(&p);
    }
    if (rc != OTR_OK) {
        otr_regex_free(r);
        return rc;
    }
    r->steps[r->n++] = (otr_regex_step){ .op = OTR_STEP_DONE };
    otr_regex_step *fit = otr_realloc(r->steps, r->n * sizeof(*fit));
    r->steps = fit != NULL ? fit : r->steps;
    *ret = r;
    return OTR_OK;
}

void otr_regex_free(otr_regex *regex)
{
    if (regex != NULL) {
        otr_free(regex->steps);
        otr_free(regex);
    }
}
