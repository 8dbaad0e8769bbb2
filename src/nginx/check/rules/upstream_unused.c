#include "nginx/check/facts.h" /* NOLINT(misc-include-cleaner): its members are used */
#include "nginx/check/rules/rules.h"

/* May a name come about in a way that is not seen? */
static bool is_opaque(const otr_facts *f)
{
    for (size_t i = 0; i < f->passed.n; i++) {
        if (otr_table_get(&f->variable_names, f->passed.items[i].key) == NULL) {
            return true;
        }
    }
    return f->opaque;
}

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes name = otr_arg(l, spot->node, 1);
    if (spot->inner == NULL || l->start != OTR_AT_MAIN || l->conf->n_errors > 0 ||
        otr_table_get(&l->facts->hosts, name) != NULL ||
        otr_table_get(&l->facts->hosts_of_values, name) != NULL || is_opaque(l->facts)) {
        return;
    }
    otr_find(l, spot->node, 0, "nothing passes requests to upstream \"%.*s\"", OTR_S(name));
}

const otr_rule otr_rule_upstream_unused = {
    .id = "upstream-unused",
    .level = OTR_CHECK_NOTE,
    .title = "An upstream that nothing uses",
    .why = "It is often a name that was misspelt in proxy_pass, which then is looked up in DNS.",
    .mend = "Use it, or take it out.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_upstream_module.html#upstream",
    .on = { OTR_D_UPSTREAM },
    .look = look,
};
