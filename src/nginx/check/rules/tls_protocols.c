#include <stdio.h>

#include "nginx/check/rules/rules.h"

enum { MODERN_DEFAULT = 1023004 }; /* since 1.23.4 the default is TLSv1.2 TLSv1.3 */

static bool is_ssl(otr_look *l, const otr_scope *server)
{
    const otr_entry *e = otr_scope_first(l, server, OTR_D_LISTEN);
    for (; e != NULL; e = otr_scope_next(l, server, e)) {
        for (uint32_t i = 2; i < e->node->n_words; i++) {
            if (otr_is(otr_arg(l, e->node, i), "ssl")) {
                return true;
            }
        }
    }
    return false;
}

static void look_at_default(otr_look *l, const otr_spot *spot)
{
    unsigned version = l->options->nginx_version;
    if (spot->inner == NULL || version >= MODERN_DEFAULT || !is_ssl(l, spot->inner) ||
        otr_scope_nearest(l, spot->inner, OTR_D_SSL_PROTOCOLS, NULL) != NULL) {
        return;
    }
    if (version == 0) {
        otr_find_unknown(
            l, spot->node, 0,
            "ssl_protocols is not set; whether TLSv1 and TLSv1.1 are on depends on the "
            "version (before 1.23.4 they are; --nginx-version tells)");
    } else {
        otr_find(
            l, spot->node, 0,
            "ssl_protocols is not set, and TLSv1 and TLSv1.1 are on by default in this version");
    }
}

static void look(otr_look *l, const otr_spot *spot)
{
    char weak[64] = "";
    size_t n = 0;
    if (spot->id == OTR_D_SERVER) {
        look_at_default(l, spot);
        return;
    }
    static const char *const names[] = { "SSLv2", "SSLv3", "TLSv1", "TLSv1.1" };
    for (uint32_t i = 1; i < spot->node->n_words; i++) {
        for (size_t k = 0; k < OTR_COUNT(names); k++) {
            if (otr_is_any_case(otr_arg(l, spot->node, i), names[k]) && n + 12 < sizeof(weak)) {
                n += (size_t)snprintf(weak + n, sizeof(weak) - n, "%s%s", n > 0 ? ", " : "",
                                      names[k]);
                l->level = k < 2 ? OTR_CHECK_ERROR : l->level;
            }
        }
    }
    if (n > 0) {
        otr_find(l, spot->node, 0, "%.*s turns on %s", (int)spot->node->words[0].n,
                 (const char *)spot->node->words[0].p, weak);
    }
}

const otr_rule otr_rule_tls_protocols = {
    .id = "tls-protocols",
    .level = OTR_CHECK_WARNING,
    .title = "TLS versions that are no longer safe",
    .why =
        "SSL 2 and 3 are broken; TLS 1.0 and 1.1 are deprecated (RFC 8996) and lack ciphers that "
        "are safe today.",
    .mend = "ssl_protocols TLSv1.2 TLSv1.3;",
    .reference = "https://nginx.org/en/docs/http/ngx_http_ssl_module.html#ssl_protocols",
    .on = { OTR_D_SSL_PROTOCOLS, OTR_D_PROXY_SSL_PROTOCOLS, OTR_D_SERVER },
    .look = look,
};
