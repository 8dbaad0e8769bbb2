#include "nginx/check/rules/rules.h"
#include "nginx/check/value.h"

enum { TAIL_BYTES = 3 };

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes name = otr_arg(l, spot->node, 1), text = otr_arg(l, spot->node, 2);
    bool is_host = spot->id == OTR_D_FASTCGI_PARAM || spot->id == OTR_D_UWSGI_PARAM ||
                           spot->id == OTR_D_SCGI_PARAM
                       ? otr_is(name, "SERVER_NAME")
                       : otr_is_any_case(name, "Host");
    if (!is_host) {
        return;
    }
    otr_value v = otr_value_of(l, spot->scope, text);
    if (v.client && v.shape.texts >= OTR_PATTERN_MANY && v.shape.tail < TAIL_BYTES) {
        otr_find(l, spot->node, 2,
                 "%.*s is set to \"%.*s\", which whoever sends the request chooses: it need not be "
                 "the name that this server was chosen by",
                 OTR_S(name), OTR_S(text));
    }
}

const otr_rule otr_rule_host_spoofing = {
    .id = "host-spoofing",
    .level = OTR_CHECK_WARNING,
    .title = "The application is told a host name that a client makes up",
    .why = "NGINX chooses the server by the name in the request line where one is there, and hands "
           "on another one in the Host header: links, caches and access rules of the application "
           "follow the false one.",
    .mend = "Use $host, or a fixed name.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_set_header",
    .on = { OTR_D_PROXY_SET_HEADER, OTR_D_GRPC_SET_HEADER, OTR_D_FASTCGI_PARAM, OTR_D_UWSGI_PARAM,
            OTR_D_SCGI_PARAM },
    .look = look,
};
