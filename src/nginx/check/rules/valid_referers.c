#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    for (uint32_t i = 1; i < spot->node->n_words; i++) {
        otr_bytes word = otr_arg(l, spot->node, i);
        if (otr_is(word, "none")) {
            otr_find(l, spot->node, i, "requests without a Referer count as valid");
            return;
        }
    }
}

const otr_rule otr_rule_valid_referers = {
    .id = "valid-referers",
    .level = OTR_CHECK_WARNING,
    .title = "A check of the Referer that is gone around by sending none",
    .why = "A page keeps its browser from sending a Referer by one line (Referrer-Policy: "
           "no-referrer), so that \"none\" lets every page in.",
    .mend = "Take none out where the check protects something.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_referer_module.html#valid_referers",
    .on = { OTR_D_VALID_REFERERS },
    .look = look,
};
