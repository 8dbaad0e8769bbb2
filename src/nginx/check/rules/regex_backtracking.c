#include "nginx/check/location.h"
#include "nginx/check/rules/rules.h"

static void look_at(otr_look *l, const otr_node *node, uint32_t word, otr_bytes text)
{
    otr_pattern pattern;
    otr_pattern_read(text, OTR_PATTERN_EXACT_CASE, &pattern);
    if (pattern.explodes) {
        otr_find(l, node, word,
                 "the pattern \"%.*s\" repeats a repetition: some texts take it time that doubles "
                 "with each byte",
                 OTR_S(text));
    }
}

static bool look_at_entry(otr_look *l, const otr_node *node, void *arg)
{
    (void)arg;
    otr_bytes key = otr_text(l, &node->words[0]);
    if (otr_begins(key, "~")) {
        size_t skip = otr_begins(key, "~*") ? 2 : 1;
        look_at(l, node, 0, (otr_bytes){ key.p + skip, key.n - skip });
    }
    return l->rc == OTR_OK;
}

static void look(otr_look *l, const otr_spot *spot)
{
    otr_location loc;
    otr_question q;
    switch (spot->id) {
    case OTR_D_LOCATION:
        loc = otr_location_of(l, spot->node);
        if (otr_location_is_regex(&loc)) {
            look_at(l, spot->node, 0, loc.text);
        }
        break;
    case OTR_D_REWRITE:
        look_at(l, spot->node, 1, otr_arg(l, spot->node, 1));
        break;
    case OTR_D_IF:
        q = otr_question_of(l, spot->node);
        if (otr_question_is_regex(&q)) {
            look_at(l, spot->node, 0, q.right);
        }
        break;
    case OTR_D_MAP:
        otr_look_inside(l, spot->node, look_at_entry, NULL);
        break;
    default:
        for (uint32_t i = 1; i < spot->node->n_words; i++) {
            otr_bytes name = otr_arg(l, spot->node, i);
            if (otr_begins(name, "~")) {
                look_at(l, spot->node, i, (otr_bytes){ name.p + 1, name.n - 1 });
            }
        }
    }
}

const otr_rule otr_rule_regex_backtracking = {
    .id = "regex-backtracking",
    .level = OTR_CHECK_NOTE,
    .title = "A pattern that a request can keep busy",
    .why = "A repetition inside a repetition can split one text in more ways than can be tried; "
           "each request "
           "with such a text takes a worker up to PCRE's limit.",
    .mend = "Let one of the two repetitions go: (a+)+ is a+, and ([a-z]+/?)* is ([a-z]+/)*[a-z]*.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#location",
    .on = { OTR_D_LOCATION, OTR_D_REWRITE, OTR_D_IF, OTR_D_SERVER_NAME, OTR_D_MAP },
    .look = look,
};
