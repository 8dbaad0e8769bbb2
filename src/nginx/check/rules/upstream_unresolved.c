#include <netdb.h>
#include <stdio.h>

#include "nginx/check/facts.h"
#include "nginx/check/rules/rules.h"
#include "nginx/check/target.h"

/* What is known of a name, kept in `asked_names`. */
enum { RESOLVES, RESOLVES_NOT, CANNOT_BE_ASKED };

static uint32_t ask(otr_look *l, otr_bytes host)
{
    char name[256];
    const otr_table_item *known = otr_table_get(&l->facts->asked_names, host);
    if (known != NULL) {
        return known->value;
    }
    if (l->facts->asked_names.n >= OTR_LIMIT_NGINX_CHECK_NAMES || host.n >= sizeof(name)) {
        return CANNOT_BE_ASKED;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)host.n, (const char *)host.p);
    struct addrinfo want = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    int rc = getaddrinfo(name, NULL, &want, &found);
    uint32_t answer = rc == 0                                ? RESOLVES
                      : rc == EAI_NONAME || rc == EAI_NODATA ? RESOLVES_NOT
                                                             : CANNOT_BE_ASKED;
    if (rc == 0) {
        freeaddrinfo(found);
    }
    otr_look_fail(l, otr_table_add(&l->facts->asked_names, otr_keep(l, host), answer, l->err));
    return answer;
}

static void look(otr_look *l, const otr_spot *spot)
{
    bool in_upstream =
        spot->scope->place == OTR_AT_UPSTREAM || spot->scope->place == OTR_AT_STREAM_UPSTREAM;
    if (!l->options->resolve || (spot->id == OTR_D_SERVER && !in_upstream)) {
        return;
    }
    bool is_stream = otr_scope_in_stream(spot->scope);
    otr_target t = otr_target_of(otr_arg(l, spot->node, 1));
    if (t.is_unix || t.host.n == 0 || otr_has_variable(t.host) || otr_is_address(t.host) ||
        (!in_upstream && otr_facts_upstream(l->facts, t.host, is_stream) != NULL)) {
        return;
    }
    uint32_t answer = ask(l, t.host);
    if (answer == RESOLVES_NOT) {
        otr_find(l, spot->node, 1, "\"%.*s\" is neither an upstream nor a name that resolves here",
                 OTR_S(t.host));
    } else if (answer == CANNOT_BE_ASKED) {
        otr_find_unknown(l, spot->node, 1, "whether \"%.*s\" resolves could not be asked",
                         OTR_S(t.host));
    }
}

const otr_rule otr_rule_upstream_unresolved = {
    .id = "upstream-unresolved",
    .level = OTR_CHECK_ERROR,
    .title = "A host that does not resolve (with --resolve)",
    .why = "NGINX looks fixed names up when it starts, and does not start when one of them has no "
           "address.",
    .mend =
        "Correct the name, define an upstream for it, or look it up at requests (a variable and "
        "resolver).",
    .reference = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass",
    .on = { OTR_D_PROXY_PASS, OTR_D_FASTCGI_PASS, OTR_D_GRPC_PASS, OTR_D_UWSGI_PASS,
            OTR_D_SCGI_PASS, OTR_D_MEMCACHED_PASS, OTR_D_SERVER },
    .look = look,
};
