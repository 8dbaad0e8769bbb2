#include "nginx/check/location.h"

static otr_bytes behind(otr_bytes text, size_t n)
{
    return (otr_bytes){ text.p + n, text.n - n };
}

otr_location otr_location_of(otr_look *l, const otr_node *node)
{
    static const struct {
        const char *sign;
        otr_location_kind kind;
    } signs[] = { { "=", OTR_LOCATION_EXACT },
                  { "^~", OTR_LOCATION_NO_REGEX },
                  { "~*", OTR_LOCATION_ANY_CASE },
                  { "~", OTR_LOCATION_REGEX } };
    if (node == NULL) { /* it stands around the file, and is not known */
        return (otr_location){ .kind = OTR_LOCATION_NAMED };
    }
    otr_bytes first = otr_arg(l, node, 1);
    for (size_t i = 0; i < OTR_COUNT(signs); i++) {
        if (node->n_words > 2 ? otr_is(first, signs[i].sign) : otr_begins(first, signs[i].sign)) {
            otr_bytes text =
                node->n_words > 2 ? otr_arg(l, node, 2) : behind(first, strlen(signs[i].sign));
            return (otr_location){ signs[i].kind, text };
        }
    }
    return (otr_location){ otr_begins(first, "@") ? OTR_LOCATION_NAMED : OTR_LOCATION_PREFIX,
                           first };
}

bool otr_location_is_regex(const otr_location *location)
{
    return location->kind == OTR_LOCATION_REGEX || location->kind == OTR_LOCATION_ANY_CASE;
}

void otr_location_pattern(const otr_location *location, otr_pattern *ret)
{
    otr_pattern_read(location->text,
                     location->kind == OTR_LOCATION_ANY_CASE ? OTR_PATTERN_ANY_CASE
                                                             : OTR_PATTERN_EXACT_CASE,
                     ret);
}

/* ---- if ---- */

static otr_bytes trim(otr_bytes text)
{
    while (text.n > 0 && (text.p[0] == ' ' || text.p[0] == '\t' || text.p[0] == '\n')) {
        text = behind(text, 1);
    }
    while (text.n > 0 && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t' ||
                          text.p[text.n - 1] == '\n')) {
        text.n--;
    }
    return text;
}

/* A directive `if` as its words stand in a text: "($a", "=", "b)", or "(", "$a", … */
otr_question otr_question_of(otr_look *l, const otr_node *node)
{
    otr_args args;
    otr_word word;
    otr_bytes words[3] = { { 0 } };
    size_t n = 0;
    for (otr_args_begin(&args, node); n < 3 && otr_args_next(&args, &word);) {
        words[n++] = trim(otr_text(l, &word));
    }
    return (otr_question){ .left = words[0], .op = words[1], .right = words[2] };
}

bool otr_question_is_regex(const otr_question *question)
{
    return otr_is(question->op, "~") || otr_is(question->op, "~*") || otr_is(question->op, "!~") ||
           otr_is(question->op, "!~*");
}

bool otr_question_is_negated(const otr_question *question)
{
    return otr_begins(question->op, "!");
}

void otr_question_pattern(const otr_question *question, otr_pattern *ret)
{
    otr_pattern_read(question->right,
                     otr_ends(question->op, "*") ? OTR_PATTERN_ANY_CASE : OTR_PATTERN_EXACT_CASE,
                     ret);
}
