#include "nginx/check/location.h"
#include "nginx/check/rules/rules.h"

enum { COMPARED_MOST = 400 };

/* A pattern that each URI matches. */
static bool is_for_all(otr_bytes text)
{
    static const char *const all[] = { "",      "^",      "/",    "^/",      ".",
                                       ".*",    "^.*",    "^.*$", ".*$",     "^/.*",
                                       "^/.*$", "^(.*)$", "(.*)", "^/(.*)$", "^/(.*)",
                                       "/(.*)", "^(.+)$", ".+",   "^.+$" };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        if (otr_is(text, all[i])) {
            return true;
        }
    }
    return false;
}

/* The words of "\.(a|b)$" or "\.a$"; false: it is not of this form. */
static bool endings_of(otr_bytes text, otr_bytes *ret)
{
    if (text.n < 4 || !otr_begins(text, "\\.") || text.p[text.n - 1] != '$') {
        return false;
    }
    otr_bytes words = { text.p + 2, text.n - 3 };
    if (words.p[0] == '(' && words.p[words.n - 1] == ')') {
        words = (otr_bytes){ words.p + 1, words.n - 2 };
        if (otr_begins(words, "?:")) {
            words = (otr_bytes){ words.p + 2, words.n - 2 };
        }
    }
    for (size_t i = 0; i < words.n; i++) {
        uint8_t c = words.p[i];
        if (c != '|' && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(c >= '0' && c <= '9')) {
            return false;
        }
    }
    *ret = words;
    return words.n > 0;
}

static bool next_word(otr_bytes *rest, otr_bytes *ret)
{
    if (rest->n == 0) {
        return false;
    }
    const uint8_t *bar = memchr(rest->p, '|', rest->n);
    size_t n = bar != NULL ? (size_t)(bar - rest->p) : rest->n;
    *ret = (otr_bytes){ rest->p, n };
    n += n < rest->n;
    *rest = (otr_bytes){ rest->p + n, rest->n - n };
    return true;
}

static bool has_word(otr_bytes list, otr_bytes word, bool any_case)
{
    otr_bytes one;
    while (next_word(&list, &one)) {
        if (any_case ? otr_same_any_case(one, word) : otr_same(one, word)) {
            return true;
        }
    }
    return false;
}

/* The fixed text that each URI begins with which the pattern matches. */
static otr_bytes fixed_start(otr_bytes pattern)
{
    size_t n = 1;
    if (pattern.n == 0 || pattern.p[0] != '^' || otr_find_byte(pattern, '|') != NULL) {
        return (otr_bytes){ 0 };
    }
    while (n < pattern.n && strchr("()[]{}.*+?|\\$^", pattern.p[n]) == NULL) {
        n++;
    }
    bool optional = n < pattern.n && strchr("*?{", pattern.p[n]) != NULL;
    return (otr_bytes){ pattern.p + 1, n - 1 - (optional && n > 1 ? 1 : 0) };
}

/* "^/a/b" and no more: all that begins so matches. */
static bool is_plain_start(otr_bytes pattern)
{
    for (size_t i = 1; i < pattern.n; i++) {
        if (strchr("()[]{}.*+?|\\$^", pattern.p[i]) != NULL) {
            return false;
        }
    }
    return pattern.n > 1 && pattern.p[0] == '^';
}

/* "/\\." and the like: fixed text that may stand anywhere. */
static bool is_plain_text(otr_bytes pattern)
{
    for (size_t i = 0; i < pattern.n; i++) {
        if (pattern.p[i] == '\\' && i + 1 < pattern.n && strchr("./-", pattern.p[i + 1]) != NULL) {
            i++;
        } else if (strchr("()[]{}.*+?|\\$^", pattern.p[i]) != NULL) {
            return false;
        }
    }
    return pattern.n > 0;
}

/* Does all that `pattern` matches hold `text`, with which it begins? */
static bool goes_on(otr_bytes pattern, otr_bytes text)
{
    return pattern.n > text.n && memcmp(pattern.p, text.p, text.n) == 0 &&
           strchr("*?{", pattern.p[text.n]) == NULL && otr_find_byte(pattern, '|') == NULL;
}

static bool begins_with(otr_bytes text, otr_bytes head)
{
    return text.n >= head.n && (head.n == 0 || memcmp(text.p, head.p, head.n) == 0);
}

static bool covers_endings(const otr_location *a, const otr_location *b)
{
    bool any_case = a->kind == OTR_LOCATION_ANY_CASE;
    otr_bytes of_a, of_b, word;
    if (!endings_of(a->text, &of_a) || !endings_of(b->text, &of_b) ||
        (!any_case && b->kind != a->kind)) {
        return false;
    }
    while (next_word(&of_b, &word)) {
        if (!has_word(of_a, word, any_case)) {
            return false;
        }
    }
    return true;
}

static bool covers(const otr_location *a, const otr_location *b)
{
    bool same_kind = b->kind == a->kind;
    if (is_for_all(a->text) ||
        (otr_same(a->text, b->text) && (a->kind == OTR_LOCATION_ANY_CASE || same_kind))) {
        return true;
    }
    otr_bytes start = { a->text.p + 1, a->text.n > 0 ? a->text.n - 1 : 0 };
    if (same_kind && is_plain_start(a->text) && begins_with(fixed_start(b->text), start)) {
        return true;
    }
    return (same_kind && is_plain_text(a->text) && goes_on(b->text, a->text)) ||
           covers_endings(a, b);
}

typedef struct list {
    otr_look *l;
    const otr_scope *scope;
} list;

/* Does another location below `prefix` let patterns be looked at? */
static bool is_opened(const list *in, otr_bytes prefix)
{
    unsigned n = 0;
    for (const otr_entry *e = otr_scope_first(in->l, in->scope, OTR_D_LOCATION); e != NULL;
         e = otr_scope_next(in->l, in->scope, e)) {
        otr_location loc = otr_location_of(in->l, e->node);
        if (n++ >= COMPARED_MOST) {
            return true; /* there may be one */
        }
        if (loc.kind == OTR_LOCATION_PREFIX && loc.text.n > prefix.n &&
            begins_with(loc.text, prefix)) {
            return true;
        }
    }
    return false;
}

static bool is_below_prefix(const list *in, const otr_node *node, const otr_location *loc)
{
    otr_bytes start = loc->kind == OTR_LOCATION_REGEX ? fixed_start(loc->text) : (otr_bytes){ 0 };
    unsigned n = 0;
    for (const otr_entry *e = otr_scope_first(in->l, in->scope, OTR_D_LOCATION);
         e != NULL && start.n > 0 && n++ < COMPARED_MOST; e = otr_scope_next(in->l, in->scope, e)) {
        otr_location other = otr_location_of(in->l, e->node);
        if (other.kind == OTR_LOCATION_NO_REGEX && other.text.n > 0 &&
            begins_with(start, other.text) && !is_opened(in, other.text)) {
            otr_find(
                in->l, node, 0,
                "location ~ \"%.*s\" is never looked at: location ^~ \"%.*s\" (line %u) takes all "
                "that it could match",
                OTR_S(loc->text), OTR_S(other.text), e->node->line);
            return true;
        }
    }
    return false;
}

static void look_behind(const list *in, const otr_entry *at, const otr_location *loc)
{
    unsigned n = 0;
    for (const otr_entry *e = otr_scope_first(in->l, in->scope, OTR_D_LOCATION);
         e != NULL && e->node != at->node && n++ < COMPARED_MOST;
         e = otr_scope_next(in->l, in->scope, e)) {
        otr_location earlier = otr_location_of(in->l, e->node);
        if (otr_location_is_regex(&earlier) && covers(&earlier, loc)) {
            otr_find(
                in->l, at->node, 0,
                "location \"%.*s\" is never reached: \"%.*s\" in line %u comes first and takes all "
                "that it could match",
                OTR_S(loc->text), OTR_S(earlier.text), e->node->line);
            return;
        }
    }
}

static void look(otr_look *l, const otr_spot *spot)
{
    if (spot->inner == NULL) {
        return;
    }
    list in = { l, spot->inner };
    unsigned n = 0;
    for (const otr_entry *e = otr_scope_first(l, spot->inner, OTR_D_LOCATION);
         e != NULL && n++ < COMPARED_MOST; e = otr_scope_next(l, spot->inner, e)) {
        otr_location loc = otr_location_of(l, e->node);
        if (otr_location_is_regex(&loc) && !is_below_prefix(&in, e->node, &loc)) {
            look_behind(&in, e, &loc);
        }
    }
}

const otr_rule otr_rule_shadowed_location = {
    .id = "shadowed-location",
    .level = OTR_CHECK_WARNING,
    .title = "A location that no request reaches",
    .why = "Patterns are tried in their order and the first that matches is taken; below a prefix "
           "with ^~ none is tried at all.",
    .mend = "Put the narrower pattern first, or take out the location that has no effect.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#location",
    .on = { OTR_D_SERVER, OTR_D_LOCATION },
    .look = look,
};
