#include "nginx/check/location.h"
#include "nginx/check/rules/rules.h"
#include "nginx/check/target.h"

/* A "." that is meant as one and stands for any byte. */
static bool has_open_dot(otr_bytes p)
{
    bool in_class = false;
    for (size_t i = 0; i < p.n; i++) {
        if (p.p[i] == '\\') {
            i++;
        } else if (p.p[i] == '[') {
            in_class = true;
        } else if (p.p[i] == ']') {
            in_class = false;
        } else if (p.p[i] == '.' && !in_class && i > 0 && i + 1 < p.n &&
                   ((p.p[i - 1] | 0x20) >= 'a' && (p.p[i - 1] | 0x20) <= 'z') &&
                   ((p.p[i + 1] | 0x20) >= 'a' && (p.p[i + 1] | 0x20) <= 'z')) {
            return true;
        }
    }
    return false;
}

static bool is_origin(otr_bytes name)
{
    return otr_is(name, "http_origin") || otr_is(name, "http_referer");
}

/* What stands behind the "//" of a scheme; all of it where there is none. */
static otr_bytes behind_scheme(otr_bytes p)
{
    static const char *const ends[] = { "://", ":\\/\\/" };
    for (size_t k = 0; k < OTR_COUNT(ends); k++) {
        size_t n = strlen(ends[k]);
        for (size_t i = 0; i + n <= p.n; i++) {
            if (memcmp(p.p + i, ends[k], n) == 0) {
                return (otr_bytes){ p.p + i + n, p.n - i - n };
            }
        }
    }
    return p;
}

static bool repeats(otr_bytes p, size_t i)
{
    return i < p.n && strchr("*+?{", p.p[i]) != NULL;
}

static bool is_slash_or_end(otr_bytes p)
{
    return otr_begins(p, "(/|$)") || otr_begins(p, "($|/)") || otr_begins(p, "(?:/|$)") ||
           otr_begins(p, "(?:$|/)");
}

/* ".*", ".+" or "|" where the host is: it has no end that is known. */
static bool is_open(otr_bytes p, unsigned depth)
{
    return (p.p[0] == '.' && repeats(p, 1) && p.p[1] != '?') || (p.p[0] == '|' && depth == 0);
}

/* How many bytes one character or class takes. */
static size_t atom(otr_bytes p)
{
    size_t n = 1;
    if (p.p[0] == '\\') {
        return p.n > 1 ? 2 : 1;
    }
    while (p.p[0] == '[' && n < p.n && p.p[n] != ']') {
        n += p.p[n] == '\\' ? 2 : 1;
    }
    return n < p.n && p.p[0] == '[' ? n + 1 : n < p.n ? n : p.n;
}

/* Does a "/" end the host, which takes none itself, whatever comes behind it? */
static bool slash_ends_host(otr_bytes pattern)
{
    unsigned depth = 0;
    otr_bytes p = behind_scheme(pattern);
    while (p.n > 0) {
        size_t n = atom(p);
        if (p.p[n - 1] == '/' && p.p[0] != '[') {
            return depth == 0 && !repeats(p, n);
        }
        if (depth == 0 && is_slash_or_end(p)) {
            return true;
        }
        if (is_open(p, depth)) {
            return false;
        }
        depth += p.p[0] == '(';
        depth -= p.p[0] == ')' && depth > 0;
        p = (otr_bytes){ p.p + n, p.n - n };
    }
    return false;
}

/* "$" behind something that takes any text ties nothing. */
static bool is_tied_to_end(const otr_pattern *pattern, otr_bytes text)
{
    static const char *const open[] = { ".*$", ".+$", ".*)$", ".+)$", ".*)?$" };
    for (size_t i = 0; i < OTR_COUNT(open); i++) {
        if (otr_ends(text, open[i])) {
            return false;
        }
    }
    return pattern->shape.to_end;
}

static void look_at(otr_look *l, const otr_node *node, otr_bytes text)
{
    otr_pattern pattern;
    otr_pattern_read(text, OTR_PATTERN_EXACT_CASE, &pattern);
    if (!pattern.known || otr_find_byte(text, '.') == NULL) {
        return;
    }
    bool to_end = is_tied_to_end(&pattern, text) || slash_ends_host(text);
    if (!pattern.shape.from_start || !to_end) {
        otr_find(
            l, node, 0,
            "the pattern \"%.*s\" is not tied to the %s: a host of somebody else's can have a name "
            "that fits",
            OTR_S(text), pattern.shape.from_start ? "end" : "start");
    } else if (has_open_dot(text)) {
        otr_find(l, node, 0, "a \".\" in the pattern \"%.*s\" stands for any byte: write \"\\.\"",
                 OTR_S(text));
    }
}

static bool look_at_entry(otr_look *l, const otr_node *node, void *arg)
{
    (void)arg;
    otr_bytes key = otr_text(l, &node->words[0]);
    if (otr_begins(key, "~")) {
        size_t skip = otr_begins(key, "~*") ? 2 : 1;
        look_at(l, node, (otr_bytes){ key.p + skip, key.n - skip });
    }
    return l->rc == OTR_OK;
}

static void look(otr_look *l, const otr_spot *spot)
{
    if (spot->id == OTR_D_MAP) {
        otr_bytes name = otr_only_variable(otr_arg(l, spot->node, 1));
        if (is_origin(name)) {
            otr_look_inside(l, spot->node, look_at_entry, NULL);
        }
        return;
    }
    otr_question q = otr_question_of(l, spot->node);
    otr_bytes name = otr_only_variable(q.left);
    if (is_origin(name) && otr_question_is_regex(&q)) {
        look_at(l, spot->node, q.right);
    }
}

const otr_rule otr_rule_weak_origin_check = {
    .id = "weak-origin-check",
    .level = OTR_CHECK_WARNING,
    .title = "A check of Origin or Referer that other hosts pass",
    .why = "A pattern that is not tied to start and end, or has a bare \".\", fits names that "
           "anybody can "
           "register (example.com.evil.net, examplexcom.net).",
    .mend = "^https://([a-z0-9-]+\\.)?example\\.com$, or a map of the exact values.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_map_module.html#map",
    .on = { OTR_D_IF, OTR_D_MAP },
    .look = look,
};
