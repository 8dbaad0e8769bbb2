#include "nginx/check/aim.h"
#include "nginx/check/facts.h"
#include "nginx/check/rules/rules.h"
#include "nginx/check/target.h"

typedef struct need {
    const otr_scope *scope;
    otr_bytes name; /* that has to be looked up; none: it is not known which */
    unsigned depth;
    bool found, is_stream;
    bool unknown; /* it may be an address as well */
    bool port;    /* one stands behind the variable that is looked at */
} need;

static void ask(otr_look *l, need *n, otr_bytes text);

static void ask_each(otr_look *l, const otr_setting *setting, void *arg)
{
    ask(l, arg, setting->text);
}

/* Could an upstream be called so? */
static bool may_be_upstream(const otr_look *l, otr_bytes host)
{
    const uint8_t *dollar = otr_find_byte(host, '$');
    size_t n = dollar != NULL ? (size_t)(dollar - host.p) : host.n;
    for (size_t i = 0; i < l->facts->n_upstreams; i++) {
        otr_bytes name = l->facts->upstreams[i].name;
        if (n > 0 && name.n >= n && memcmp(name.p, host.p, n) == 0) {
            return true;
        }
    }
    return false;
}

static void need_name(need *n, otr_bytes name)
{
    if (!n->found) {
        n->found = true;
        n->name = name;
    }
}

static void ask_fixed(otr_look *l, need *n, const otr_target *t)
{
    bool is_upstream =
        t->port.n == 0 && !n->port && otr_facts_upstream(l->facts, t->host, n->is_stream) != NULL;
    if (t->host.n > 0 && !otr_is_address(t->host) && !is_upstream &&
        otr_table_get(&l->facts->hosts, t->place) == NULL) {
        need_name(n, t->host);
    }
}

static void ask(otr_look *l, need *n, otr_bytes text)
{
    otr_target t = otr_target_of(text);
    if (t.is_unix || n->found || n->depth > 3) {
        return;
    }
    otr_bytes place = otr_place_text(l, n->scope, text);
    if (place.n < t.place.n) {
        t = otr_target_of(place);
    }
    if (!otr_has_variable(t.host)) {
        ask_fixed(l, n, &t);
        return;
    }
    otr_bytes only = otr_only_variable(t.host);
    bool port = n->port;
    n->port |= t.port.n > 0;
    n->depth++;
    bool all = only.n > 0 && otr_value_each(l, n->scope, only, ask_each, n);
    n->depth--;
    n->port = port;
    if (all || n->found) {
        return;
    }
    otr_value v = otr_value_of(l, n->scope, t.host);
    bool chosen = v.client || v.host;
    if (chosen ? !may_be_upstream(l, t.host) : l->facts->n_upstreams == 0) {
        need_name(n, t.host);
        n->unknown = only.n > 0 && !chosen;
    }
}

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes text = otr_arg(l, spot->node, 1),
              name = { spot->node->words[0].p, spot->node->words[0].n };
    need n = { .scope = spot->scope };
    n.is_stream = otr_scope_in_stream(spot->scope);
    if (!otr_has_variable(text) ||
        otr_scope_nearest(l, spot->scope, OTR_D_RESOLVER, NULL) != NULL) {
        return;
    }
    ask(l, &n, text);
    if (n.found && l->start != OTR_AT_MAIN) {
        otr_find_unknown(l, spot->node, 1,
                         "%.*s \"%.*s\": \"%.*s\" has to be looked up for each request; whether a "
                         "resolver or an upstream stands around this file is not known",
                         OTR_S(name), OTR_S(text), OTR_S(n.name));
    } else if (n.found && n.unknown) {
        otr_find_unknown(l, spot->node, 1,
                         "%.*s \"%.*s\": what \"%.*s\" holds is not known; if it is a name, it has "
                         "to be looked up for each request, and no resolver is set",
                         OTR_S(name), OTR_S(text), OTR_S(n.name));
    } else if (n.found) {
        otr_find(
            l, spot->node, 1,
            "%.*s \"%.*s\": \"%.*s\" has to be looked up for each request, and no resolver is set",
            OTR_S(name), OTR_S(text), OTR_S(n.name));
    }
}

const otr_rule otr_rule_missing_resolver = {
    .id = "missing-resolver",
    .level = OTR_CHECK_ERROR,
    .title = "A name that is known only at a request, and nobody to ask for it",
    .why = "With a variable in it, a target is looked up when the request comes, by the servers of "
           "resolver and not by those of the system. Without resolver the answer is 502.",
    .mend = "Set resolver, or define an upstream of this name (without a port behind the name).",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#resolver",
    .on = { OTR_D_PROXY_PASS, OTR_D_FASTCGI_PASS, OTR_D_GRPC_PASS, OTR_D_UWSGI_PASS,
            OTR_D_SCGI_PASS },
    .look = look,
};
