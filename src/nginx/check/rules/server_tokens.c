#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes text = otr_arg(l, spot->node, 1);
    if (otr_is_any_case(text, "on") || otr_is_any_case(text, "build")) {
        otr_find(l, spot->node, 0, "server_tokens %.*s shows the version to everybody",
                 OTR_S(text));
    }
}

const otr_rule otr_rule_server_tokens = {
    .id = "server-tokens",
    .level = OTR_CHECK_NOTE,
    .title = "The version of NGINX is shown",
    .why = "It tells which weaknesses to try first.",
    .mend = "server_tokens off;",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#server_tokens",
    .on = { OTR_D_SERVER_TOKENS },
    .look = look,
};
