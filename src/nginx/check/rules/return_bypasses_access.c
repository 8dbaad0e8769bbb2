#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes code = otr_arg(l, spot->node, 1);
    bool answers = spot->node->n_words > 2 && otr_is(code, "200");
    const otr_scope *s = spot->scope;
    if (!answers || s->place != OTR_AT_LOCATION) {
        return;
    }
    static const otr_d access[] = { OTR_D_DENY, OTR_D_ALLOW, OTR_D_AUTH_BASIC, OTR_D_AUTH_REQUEST,
                                    OTR_D_AUTH_JWT };
    for (size_t i = 0; i < OTR_COUNT(access); i++) {
        const otr_entry *e = otr_scope_first(l, s, access[i]);
        if (e != NULL) {
            otr_bytes name = { e->node->words[0].p, e->node->words[0].n };
            otr_find(l, spot->node, 0,
                     "this return answers everybody: the %.*s beside it (line %u) is not asked",
                     OTR_S(name), e->node->line);
            return;
        }
    }
}

const otr_rule otr_rule_return_bypasses_access = {
    .id = "return-bypasses-access",
    .level = OTR_CHECK_WARNING,
    .title = "A return answers before access is checked",
    .why = "return ends a request where rewriting happens, which is before allow, deny and "
           "authentication.",
    .mend = "Put what is to be answered into a file, or the return into a location that is reached "
            "behind the check (by try_files or error_page).",
    .reference = "https://nginx.org/en/docs/http/ngx_http_rewrite_module.html#return",
    .on = { OTR_D_RETURN },
    .look = look,
};
