#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    if (otr_is_any_case(otr_arg(l, spot->node, 1), "on")) {
        otr_find(l, spot->node, 0, "headers with \"_\" in their names are taken");
    }
}

const otr_rule otr_rule_underscores_in_headers = {
    .id = "underscores-in-headers",
    .level = OTR_CHECK_WARNING,
    .title = "Headers can be forged by an underscore",
    .why =
        "Applications behind CGI, FastCGI, uWSGI and WSGI see X_Forwarded_For and X-Forwarded-For "
        "as one: a client can set what NGINX is trusted to set.",
    .mend = "Take it out, or set it only where the application needs it.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#underscores_in_headers",
    .on = { OTR_D_UNDERSCORES_IN_HEADERS },
    .look = look,
};
