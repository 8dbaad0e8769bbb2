#include "nginx/check/location.h"
#include "nginx/check/rules/rules.h"
#include "nginx/check/target.h"
#include "nginx/check/value.h"

static bool only_slash(const otr_shape *s)
{
    otr_set slash = { 0 };
    otr_set_add(&slash, '/');
    return !s->nullable && !otr_set_is_empty(s->last) &&
           otr_set_is_empty(otr_set_and(s->last, otr_set_not(slash)));
}

/* Can the group hold "../…" right behind a byte that is no "/"? */
static bool climbs(const otr_group *g)
{
    otr_set slash = { 0 };
    otr_set_add(&slash, '/');
    return !otr_set_is_empty(otr_set_and(g->before, otr_set_not(slash))) &&
           otr_set_has(&g->shape.first, '.') && otr_set_has(&g->shape.chars, '/') &&
           g->shape.texts >= OTR_PATTERN_MANY;
}

static void look_at_groups(otr_look *l, const otr_spot *spot, const otr_location *loc)
{
    otr_pattern pattern;
    otr_bytes rest = otr_arg(l, spot->node, 1), text = rest;
    otr_part part;
    bool behind_slash = false;
    otr_location_pattern(loc, &pattern);
    while (otr_part_next(&rest, &part)) {
        for (uint32_t i = 0; part.is_variable && behind_slash && i < pattern.n_groups; i++) {
            const otr_group *g = &pattern.groups[i];
            bool is_it = (part.text.n == 1 && part.text.p[0] == '1' + i) ||
                         (g->name.n > 0 && otr_same(g->name, part.text));
            if (is_it && climbs(g)) {
                otr_find(
                    l, spot->node, 1,
                    "alias \"%.*s\" puts $%.*s behind a \"/\", and in the location \"%.*s\" it "
                    "need not stand behind one: it can be \"../\" and lead out of the folder",
                    OTR_S(text), OTR_S(part.text), OTR_S(loc->text));
                return;
            }
        }
        behind_slash = !part.is_variable && otr_ends(part.text, "/");
    }
}

static void look(otr_look *l, const otr_spot *spot)
{
    if (spot->scope->place != OTR_AT_LOCATION) {
        return;
    }
    otr_location loc = otr_location_of(l, spot->scope->node);
    if (otr_location_is_regex(&loc)) {
        look_at_groups(l, spot, &loc);
        return;
    }
    if (loc.kind != OTR_LOCATION_PREFIX && loc.kind != OTR_LOCATION_NO_REGEX) {
        return;
    }
    otr_bytes text = otr_arg(l, spot->node, 1);
    otr_value v = otr_value_of(l, spot->scope, text);
    if (loc.text.n > 0 && !otr_ends(loc.text, "/") && only_slash(&v.shape)) {
        otr_find(l, spot->node, 1,
                 "the location \"%.*s\" ends without \"/\" and its alias \"%.*s\" with one: "
                 "\"%.*s../\" is the folder above it",
                 OTR_S(loc.text), OTR_S(text), OTR_S(loc.text));
    }
}

const otr_rule otr_rule_alias_traversal = {
    .id = "alias-traversal",
    .level = OTR_CHECK_ERROR,
    .title = "An alias that lets requests out of its folder",
    .why = "What stands behind the location in the URI is put behind the alias. With \"/x\" and "
           "\"/data/x/\" a request for /x../secret becomes /data/x/../secret.",
    .mend = "End the location with \"/\" as well, or use root where the folder has the location's "
            "name.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#alias",
    .on = { OTR_D_ALIAS },
    .look = look,
};
