#include "nginx/check/rules/rules.h"

static bool is_broken(otr_bytes text)
{
    return otr_find_byte(text, '\n') != NULL || otr_find_byte(text, '\r') != NULL;
}

static void look(otr_look *l, const otr_spot *spot)
{
    bool more = spot->id == OTR_D_MORE_SET_HEADERS; /* each of its words may be a header */
    for (uint32_t i = more ? 1 : 2; i < (more ? spot->node->n_words : 3); i++) {
        otr_bytes word = otr_arg(l, spot->node, i);
        if (more && (otr_is(word, "-t") || otr_is(word, "-s"))) { /* types, codes: a list */
            i++;
            continue;
        }
        if (is_broken(word)) {
            otr_bytes name = more ? otr_bytes_of("a header") : otr_arg(l, spot->node, 1);
            otr_find(l, spot->node, i, "the value of %.*s has a line break in it", OTR_S(name));
            return;
        }
    }
}

const otr_rule otr_rule_multiline_header = {
    .id = "multiline-header",
    .level = OTR_CHECK_WARNING,
    .title = "A header of several lines",
    .why =
        "Folded headers are obsolete (RFC 9112): clients refuse them, or take the second line for "
        "a header of its own.",
    .mend = "Write the value in one line.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_headers_module.html#add_header",
    .on = { OTR_D_ADD_HEADER, OTR_D_ADD_TRAILER, OTR_D_PROXY_SET_HEADER, OTR_D_GRPC_SET_HEADER,
            OTR_D_MORE_SET_HEADERS },
    .look = look,
};
