#include "nginx/check/facts.h"
#include "nginx/check/rules/rules.h"

static bool is_on(otr_look *l, const otr_scope *scope, otr_d id)
{
    const otr_entry *e = otr_scope_nearest(l, scope, id, NULL);
    return e != NULL && otr_is_any_case(otr_arg(l, e->node, 1), "on");
}

static void look(otr_look *l, const otr_spot *spot)
{
    const otr_facts *f = l->facts;
    if (spot->inner == NULL ||
        (spot->inner->place != OTR_AT_SERVER && spot->inner->place != OTR_AT_STREAM_SERVER)) {
        return;
    }
    if (otr_scope_nearest(l, spot->inner, OTR_D_SSL_CERTIFICATE, NULL) != NULL ||
        is_on(l, spot->inner, OTR_D_SSL_REJECT_HANDSHAKE)) {
        return;
    }
    for (const otr_table_item *i = otr_facts_listens(l); i != NULL;
         i = otr_table_next(&f->listens_by_server, i)) {
        const otr_listen *listen = &f->listens[i->value];
        const otr_socket *s = &f->sockets[listen->socket];
        uint32_t first = s->default_one != 0 ? s->default_one - 1 : s->first;
        if (!listen->ssl) {
            continue;
        }
        if (l->start != OTR_AT_MAIN || l->conf->n_errors > 0) {
            otr_find_unknown(l, listen->node, 0,
                             "%.*s takes TLS, and no ssl_certificate is seen for it; whether one "
                             "stands %s is not known",
                             OTR_S(s->text),
                             l->start != OTR_AT_MAIN ? "around this file"
                                                     : "in what could not be read");
            return;
        }
        bool is_default = f->listens[first].server == l->servers;
        l->level = is_default ? OTR_CHECK_ERROR : OTR_CHECK_WARNING;
        otr_find(l, listen->node, 0,
                 is_default ? "%.*s takes TLS, and neither this server nor http has an "
                              "ssl_certificate: NGINX does not start"
                            : "%.*s takes TLS, and neither this server nor http has an "
                              "ssl_certificate: clients are shown that of another server",
                 OTR_S(s->text));
        return;
    }
}

const otr_rule otr_rule_ssl_without_certificate = {
    .id = "ssl-without-certificate",
    .level = OTR_CHECK_ERROR,
    .title = "A server takes TLS and has no certificate",
    .why = "Its clients are answered with the certificate of the default server of this socket, "
           "which does not name it, or not at all.",
    .mend = "Set ssl_certificate and ssl_certificate_key, or ssl_reject_handshake on; for a server "
            "that is to refuse.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_ssl_module.html#ssl_certificate",
    .on = { OTR_D_SERVER },
    .look = look,
};
