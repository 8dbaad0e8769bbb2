#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    uint32_t word = spot->id == OTR_D_MORE_SET_HEADERS ? 1 : 2;
    otr_bytes text = otr_arg(l, spot->node, word);
    if (otr_find_byte(text, '\n') != NULL || otr_find_byte(text, '\r') != NULL) {
        otr_bytes name = otr_arg(l, spot->node, 1);
        otr_find(l, spot->node, word, "the value of %.*s has a line break in it",
                 spot->id == OTR_D_MORE_SET_HEADERS ? 8 : otr_shown(name),
                 spot->id == OTR_D_MORE_SET_HEADERS ? "a header" : (const char *)name.p);
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
