#include "nginx/check/facts.h"
#include "nginx/check/rules/rules.h"
#include "nginx/check/target.h"

enum { KEEPS_BY_DEFAULT = 1029007 }; /* since 1.29.7 HTTP/1.1 is the default */

/* What is set for the Connection header; NULL: nothing. */
static const otr_node *connection_of(otr_look *l, const otr_scope *scope)
{
    const otr_scope *at = NULL;
    const otr_entry *e = otr_scope_nearest(l, scope, OTR_D_PROXY_SET_HEADER, &at);
    for (; e != NULL; e = otr_scope_next(l, at, e)) {
        if (otr_is_any_case(otr_arg(l, e->node, 1), "Connection")) {
            return e->node;
        }
    }
    return NULL;
}

static void look_at_proxy(otr_look *l, const otr_spot *spot, otr_bytes name)
{
    const otr_entry *e = otr_scope_nearest(l, spot->scope, OTR_D_PROXY_HTTP_VERSION, NULL);
    const otr_node *connection = connection_of(l, spot->scope);
    bool old = e == NULL || otr_is(otr_arg(l, e->node, 1), "1.0");
    bool closes = connection == NULL || otr_is_any_case(otr_arg(l, connection, 2), "close");
    if (l->options->nginx_version >= KEEPS_BY_DEFAULT && (e == NULL || !old) &&
        (connection == NULL || !closes)) {
        return;
    }
    if (old || closes) {
        otr_find(
            l, spot->node, 0,
            "upstream \"%.*s\" keeps connections, but here each request closes its own: %s%s%s",
            OTR_S(name), old ? "proxy_http_version is not 1.1" : "", old && closes ? ", " : "",
            closes ? "proxy_set_header Connection is not \"\"" : "");
    }
}

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes name = otr_target_of(otr_arg(l, spot->node, 1)).host;
    const otr_upstream *u = otr_facts_upstream(l->facts, name, false);
    if (u == NULL || !u->keeps || otr_scope_in_stream(spot->scope)) {
        return;
    }
    if (spot->id == OTR_D_PROXY_PASS) {
        look_at_proxy(l, spot, name);
        return;
    }
    const otr_entry *e = otr_scope_nearest(l, spot->scope, OTR_D_FASTCGI_KEEP_CONN, NULL);
    if (e == NULL || !otr_is_any_case(otr_arg(l, e->node, 1), "on")) {
        otr_find(l, spot->node, 0,
                 "upstream \"%.*s\" keeps connections, but here each request closes its own: "
                 "fastcgi_keep_conn is not on",
                 OTR_S(name));
    }
}

const otr_rule otr_rule_upstream_keepalive = {
    .id = "upstream-keepalive",
    .level = OTR_CHECK_WARNING,
    .title = "keepalive of an upstream that has no effect",
    .why = "NGINX speaks HTTP/1.0 with \"Connection: close\" to upstreams unless it is told "
           "otherwise, so that no connection is left to be kept.",
    .mend =
        "proxy_http_version 1.1; and proxy_set_header Connection \"\"; (fastcgi_keep_conn on; for "
        "FastCGI).",
    .reference = "https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
    .on = { OTR_D_PROXY_PASS, OTR_D_FASTCGI_PASS },
    .look = look,
};
