#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes text = otr_arg(l, spot->node, 1);
    bool is_grpc = spot->id == OTR_D_GRPC_PASS;
    bool is_tls = spot->id == OTR_D_PROXY_SSL ? otr_is_any_case(text, "on")
                                              : otr_begins(text, is_grpc ? "grpcs://" : "https://");
    otr_d by = is_grpc ? OTR_D_GRPC_SSL_VERIFY : OTR_D_PROXY_SSL_VERIFY;
    const otr_entry *e = otr_scope_nearest(l, spot->scope, by, NULL);
    if (is_tls && (e == NULL || !otr_is_any_case(otr_arg(l, e->node, 1), "on"))) {
        otr_find(l, spot->node, 0, "\"%.*s\" is asked by TLS and its certificate is not looked at",
                 OTR_S(text));
    }
}

const otr_rule otr_rule_proxy_ssl_verify = {
    .id = "proxy-ssl-verify",
    .level = OTR_CHECK_NOTE,
    .title = "The certificate of an upstream is not verified",
    .why = "Without that, whoever stands between NGINX and the upstream can answer in its place.",
    .mend = "proxy_ssl_verify on; with proxy_ssl_trusted_certificate and, where the names differ, "
            "proxy_ssl_name.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_ssl_verify",
    .on = { OTR_D_PROXY_PASS, OTR_D_GRPC_PASS, OTR_D_PROXY_SSL },
    .look = look,
};
