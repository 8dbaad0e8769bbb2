#include "nginx/check/aim.h"
#include "nginx/check/facts.h"
#include "nginx/check/internal.h"
#include "nginx/check/rules/rules.h"
#include "nginx/check/target.h"
#include "nginx/check/value.h"

/* Do requests with any name come to this server? */
static bool takes_any_name(const otr_look *l)
{
    const otr_facts *f = l->facts;
    for (const otr_table_item *i = otr_facts_listens(l); i != NULL;
         i = otr_table_next(&f->listens_by_server, i)) {
        const otr_socket *s = &f->sockets[f->listens[i->value].socket];
        uint32_t first = s->default_one != 0 ? s->default_one - 1 : s->first;
        if (f->listens[first].server == l->servers) {
            return true;
        }
    }
    return false;
}

/* The variable before "://" by which a client writes all of the target; false: there is none. */
static bool opens_scheme(otr_look *l, const otr_scope *scope, otr_bytes text, otr_bytes *ret)
{
    otr_bytes rest = otr_target_of(text).scheme;
    otr_part part;
    while (otr_part_next(&rest, &part)) {
        otr_value v = { 0 };
        if (part.is_variable) {
            v = otr_value_of_variable(l, scope, part.text);
        }
        if (v.client && v.shape.texts >= OTR_PATTERN_MANY && otr_set_has(&v.shape.chars, ':') &&
            otr_set_has(&v.shape.chars, '/')) {
            *ret = part.text;
            return true;
        }
    }
    return false;
}

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes text = otr_arg(l, spot->node, 1),
              name = { spot->node->words[0].p, spot->node->words[0].n }, by;
    if (!otr_has_variable(text) || otr_is_internal(l, spot->scope)) {
        return;
    }
    otr_aim aim = opens_scheme(l, spot->scope, text, &by)
                      ? OTR_AIM_OPEN
                      : otr_aim_of(l, spot->scope, NULL, text, &by);
    switch (aim) {
    case OTR_AIM_OPEN:
        l->level = otr_scope_in_stream(spot->scope) ? OTR_CHECK_WARNING : l->level;
        otr_find(l, spot->node, 1,
                 "%.*s \"%.*s\": whoever sends the request chooses by $%.*s which host is asked",
                 OTR_S(name), OTR_S(text), OTR_S(by));
        break;
    case OTR_AIM_PORT:
        l->level = OTR_CHECK_WARNING;
        otr_find(l, spot->node, 1,
                 "%.*s \"%.*s\": whoever sends the request chooses by $%.*s which port is asked",
                 OTR_S(name), OTR_S(text), OTR_S(by));
        break;
    case OTR_AIM_HOST:
        if (takes_any_name(l)) {
            l->level = OTR_CHECK_WARNING;
            otr_find(
                l, spot->node, 1,
                "%.*s \"%.*s\": this server takes requests for any name, so $%.*s leads to any "
                "host",
                OTR_S(name), OTR_S(text), OTR_S(by));
        }
        break;
    default:
        break;
    }
}

const otr_rule otr_rule_ssrf = {
    .id = "ssrf",
    .level = OTR_CHECK_ERROR,
    .title = "Clients choose which host NGINX asks",
    .why = "A part of the request decides where it goes, so that anybody reaches what only this "
           "machine can: services of the inner network, addresses of a cloud's metadata.",
    .mend =
        "Choose the upstream by a map that lists the values and has no default, or by a pattern "
        "that leaves no choice of the host.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass",
    .on = { OTR_D_PROXY_PASS, OTR_D_FASTCGI_PASS, OTR_D_GRPC_PASS, OTR_D_UWSGI_PASS,
            OTR_D_SCGI_PASS, OTR_D_MEMCACHED_PASS },
    .look = look,
};
