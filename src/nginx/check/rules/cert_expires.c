#include <stdio.h>
#include <time.h>

#include "nginx/check/material.h"
#include "nginx/check/rules/rules.h"

enum { DAY_S = 86400, DATE_BYTES = 24 };

static const char *date_of(int64_t seconds, char text[DATE_BYTES])
{
    time_t t = (time_t)seconds;
    struct tm parts;
    if (gmtime_r(&t, &parts) == NULL || strftime(text, DATE_BYTES, "%Y-%m-%d", &parts) == 0) {
        (void)snprintf(text, DATE_BYTES, "?");
    }
    return text;
}

static void look(otr_look *l, const otr_spot *spot)
{
    char date[DATE_BYTES];
    otr_bytes path = otr_arg(l, spot->node, 1);
    const otr_material *m = otr_material_of(l, path);
    if (m == NULL) {
        return;
    }
    if (m->certs_rc != OTR_OK) {
        otr_find_unknown(l, spot->node, 1, "until when %.*s is good is not known: %s", OTR_S(path),
                         m->why_no_certs.msg);
        return;
    }
    int64_t left = m->certs.not_after - l->options->now_s;
    if (left < 0) {
        otr_find(l, spot->node, 1, "certificate %zu of %zu in %.*s expired on %s, %lld days ago",
                 m->certs.soonest, m->certs.n, OTR_S(path), date_of(m->certs.not_after, date),
                 (long long)(-left / DAY_S));
    } else if (left <= (int64_t)l->options->expires_days * DAY_S) {
        l->level = OTR_CHECK_WARNING;
        otr_find(l, spot->node, 1, "certificate %zu of %zu in %.*s expires on %s, in %lld days",
                 m->certs.soonest, m->certs.n, OTR_S(path), date_of(m->certs.not_after, date),
                 (long long)(left / DAY_S));
    } else if (m->certs.not_before > l->options->now_s) {
        l->level = OTR_CHECK_WARNING;
        otr_find(l, spot->node, 1, "a certificate in %.*s is good from %s on, not yet", OTR_S(path),
                 date_of(m->certs.not_before, date));
    }
}

const otr_rule otr_rule_cert_expires = {
    .id = "cert-expires",
    .level = OTR_CHECK_ERROR,
    .title = "A certificate that has expired or soon will (--expires-within DAYS)",
    .why =
        "Clients refuse it from that day on. NGINX starts with it all the same and says nothing. "
        "An intermediate one in the same file counts as well.",
    .mend = "Renew it and reload; if it renews itself, look why it has not.",
    .reference = "https://nginx.org/en/docs/http/configuring_https_servers.html",
    .on = { OTR_D_SSL_CERTIFICATE },
    .look = look,
};
