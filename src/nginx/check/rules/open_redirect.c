#include "nginx/check/aim.h"
#include "nginx/check/redirect.h"
#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes by, text;
    if (!otr_redirect_of(l, spot, &text)) {
        return;
    }
    const otr_node *rewrite = spot->id == OTR_D_REWRITE ? spot->node : NULL;
    /* A client that asks by a false name is sent there itself, and nobody else. */
    if (otr_aim_of(l, spot->scope, rewrite, text, &by) == OTR_AIM_OPEN &&
        !otr_is(by, "http_host")) {
        otr_find(l, spot->node, spot->id == OTR_D_REWRITE ? 2 : spot->node->n_words - 1,
                 "\"%.*s\" sends the client to a host that $%.*s names, which is part of the link",
                 OTR_S(text), OTR_S(by));
    }
}

const otr_rule otr_rule_open_redirect = {
    .id = "open-redirect",
    .level = OTR_CHECK_WARNING,
    .title = "A link to this server leads to any other one",
    .why = "Somebody who is shown a link with this server's name ends up where its author wants: "
           "on a copy of a login page, say.",
    .mend = "Redirect to a fixed host, or choose it by a map that lists those that are meant.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_rewrite_module.html#return",
    .on = { OTR_D_RETURN, OTR_D_REWRITE, OTR_D_ERROR_PAGE },
    .look = look,
};
