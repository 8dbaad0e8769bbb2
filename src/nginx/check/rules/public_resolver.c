#include "nginx/check/rules/rules.h"
#include "nginx/check/target.h"

static bool octets_of(otr_bytes host, unsigned octet[4])
{
    unsigned n = 0, value = 0;
    for (size_t i = 0; i <= host.n; i++) {
        if (i == host.n || host.p[i] == '.') {
            if (n == 4) {
                return false;
            }
            octet[n++] = value;
            value = 0;
        } else {
            value = value < 1000 ? value * 10 + (unsigned)(host.p[i] - '0') : value;
        }
    }
    return n == 4;
}

/* Networks that are not of the internet: address and mask. */
static const struct {
    uint32_t network, mask;
} own[] = { { 0x00000000, 0xff000000 }, { 0x0a000000, 0xff000000 }, { 0x64400000, 0xffc00000 },
            { 0x7f000000, 0xff000000 }, { 0xa9fe0000, 0xffff0000 }, { 0xac100000, 0xfff00000 },
            { 0xc0a80000, 0xffff0000 }, { 0xe0000000, 0xe0000000 } };

static bool is_public(otr_bytes host)
{
    unsigned o[4];
    if (otr_begins(host, "[")) {
        return otr_begins(host, "[2") || otr_begins(host, "[3");
    }
    if (!otr_is_address(host) || !octets_of(host, o)) {
        return false;
    }
    uint32_t address = o[0] << 24 | (o[1] & 255U) << 16 | (o[2] & 255U) << 8 | (o[3] & 255U);
    for (size_t i = 0; i < OTR_COUNT(own); i++) {
        if ((address & own[i].mask) == own[i].network) {
            return false;
        }
    }
    return true;
}

static void look(otr_look *l, const otr_spot *spot)
{
    for (uint32_t i = 1; i < spot->node->n_words; i++) {
        otr_bytes word = otr_arg(l, spot->node, i);
        if (otr_find_byte(word, '=') == NULL && is_public(otr_target_of(word).host)) {
            otr_find(l, spot->node, i, "resolver %.*s is a server on the internet", OTR_S(word));
            return;
        }
    }
}

const otr_rule otr_rule_public_resolver = {
    .id = "public-resolver",
    .level = OTR_CHECK_NOTE,
    .title = "Names are looked up at a stranger's",
    .why = "Answers come in plain UDP over the internet, and whoever can forge one decides where "
           "requests "
           "go; names of the inner network are shown to others.",
    .mend = "Use a resolver on this machine or in its network.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#resolver",
    .on = { OTR_D_RESOLVER },
    .look = look,
};
