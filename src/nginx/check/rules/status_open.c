#include "nginx/check/facts.h"
#include "nginx/check/location.h"
#include "nginx/check/rules/rules.h"

static bool denies_all(otr_look *l, const otr_scope *scope)
{
    for (const otr_entry *e = otr_scope_first(l, scope, OTR_D_DENY); e != NULL;
         e = otr_scope_next(l, scope, e)) {
        if (otr_is(otr_arg(l, e->node, 1), "all")) {
            return true;
        }
    }
    return false;
}

/* allow and deny of the innermost block that has any. */
static bool is_by_address(otr_look *l, const otr_scope *scope)
{
    const otr_scope *s = scope;
    while (s != NULL && otr_scope_first(l, s, OTR_D_DENY) == NULL &&
           otr_scope_first(l, s, OTR_D_ALLOW) == NULL) {
        s = s->outer;
    }
    return s != NULL && denies_all(l, s);
}

static bool is_by_login(otr_look *l, const otr_scope *scope)
{
    static const otr_d logins[] = { OTR_D_AUTH_BASIC, OTR_D_AUTH_REQUEST, OTR_D_AUTH_JWT,
                                    OTR_D_AUTH_OIDC };
    for (size_t i = 0; i < OTR_COUNT(logins); i++) {
        const otr_entry *e = otr_scope_nearest(l, scope, logins[i], NULL);
        if (e != NULL && !otr_is(otr_arg(l, e->node, 1), "off")) {
            return true;
        }
    }
    return false;
}

/* if ($remote_addr …) { return 403; } and the like: somebody thought of it. */
static bool is_by_question(otr_look *l, const otr_scope *scope)
{
    for (const otr_scope *s = scope; s != NULL; s = s->outer) {
        for (const otr_entry *e = otr_scope_first(l, s, OTR_D_IF); e != NULL;
             e = otr_scope_next(l, s, e)) {
            if (!otr_begins(otr_question_of(l, e->node).left, "$request_method")) {
                return true;
            }
        }
    }
    return false;
}

static bool is_loopback(otr_bytes socket)
{
    return otr_begins(socket, "127.") || otr_begins(socket, "[::1]") || otr_begins(socket, "unix:");
}

static bool is_local(const otr_look *l)
{
    const otr_facts *f = l->facts;
    bool any = false;
    for (const otr_table_item *i = otr_facts_listens(l); i != NULL;
         i = otr_table_next(&f->listens_by_server, i)) {
        any = true;
        if (!is_loopback(f->sockets[f->listens[i->value].socket].text)) {
            return false;
        }
    }
    return any;
}

static void look(otr_look *l, const otr_spot *spot)
{
    bool writes = spot->id == OTR_D_API && otr_is(otr_arg(l, spot->node, 1), "write=on");
    bool is_status = spot->id != OTR_D_STATUS || spot->node->n_words == 1;
    if (!is_status || (otr_scope_within(spot->scope, OTR_AT_SERVER) == NULL) ||
        otr_scope_nearest(l, spot->scope, OTR_D_INTERNAL, NULL) != NULL ||
        is_by_address(l, spot->scope) || is_by_login(l, spot->scope) ||
        is_by_question(l, spot->scope) || is_local(l)) {
        return;
    }
    otr_bytes name = { spot->node->words[0].p, spot->node->words[0].n };
    l->level = writes ? OTR_CHECK_ERROR : l->level;
    otr_find(l, spot->node, 0, "%.*s answers everybody%s", OTR_S(name),
             writes ? ", who may change upstreams and keys by it" : "");
}

const otr_rule otr_rule_status_open = {
    .id = "status-open",
    .level = OTR_CHECK_WARNING,
    .title = "A status page or API that is open to all",
    .why = "It tells who asks what of how many servers; the API of NGINX Plus with write=on lets "
           "anybody "
           "change them.",
    .mend = "allow the addresses that need it and deny all;, or listen on 127.0.0.1 for it.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_stub_status_module.html",
    .on = { OTR_D_STUB_STATUS, OTR_D_API, OTR_D_STATUS, OTR_D_VHOST_TRAFFIC_STATUS_DISPLAY },
    .look = look,
};
