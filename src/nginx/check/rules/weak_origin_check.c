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

static void look_at(otr_look *l, const otr_node *node, otr_bytes text, bool is_referer)
{
    otr_pattern pattern;
    otr_pattern_read(text, OTR_PATTERN_EXACT_CASE, &pattern);
    if (!pattern.known || otr_find_byte(text, '.') == NULL) {
        return;
    }
    bool to_end =
        pattern.shape.to_end || (is_referer && (pattern.shape.tail > 0 && otr_ends(text, "/")));
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

typedef struct map_of {
    bool is_referer;
} map_of;

static bool look_at_entry(otr_look *l, const otr_node *node, void *arg)
{
    const map_of *m = arg;
    otr_bytes key = otr_text(l, &node->words[0]);
    if (otr_begins(key, "~")) {
        size_t skip = otr_begins(key, "~*") ? 2 : 1;
        look_at(l, node, (otr_bytes){ key.p + skip, key.n - skip }, m->is_referer);
    }
    return l->rc == OTR_OK;
}

static void look(otr_look *l, const otr_spot *spot)
{
    if (spot->id == OTR_D_MAP) {
        otr_bytes name = otr_only_variable(otr_arg(l, spot->node, 1));
        map_of m = { otr_is(name, "http_referer") };
        if (is_origin(name)) {
            otr_look_inside(l, spot->node, look_at_entry, &m);
        }
        return;
    }
    otr_question q = otr_question_of(l, spot->node);
    otr_bytes name = otr_only_variable(q.left);
    if (is_origin(name) && otr_question_is_regex(&q)) {
        look_at(l, spot->node, q.right, otr_is(name, "http_referer"));
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
