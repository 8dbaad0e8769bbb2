#include "nginx/check/redirect.h"
#include "nginx/check/rules/rules.h"
#include "nginx/check/target.h"
#include "nginx/check/value.h"

static bool is_number(otr_bytes name)
{
    return name.n == 1 && name.p[0] >= '0' && name.p[0] <= '9';
}

/* What goes into a header or a request line, and its word. */
static otr_bytes text_of(otr_look *l, const otr_spot *spot, uint32_t *ret_word)
{
    otr_bytes text = { 0 };
    switch (spot->id) {
    case OTR_D_RETURN:
    case OTR_D_REWRITE:
    case OTR_D_ERROR_PAGE:
        *ret_word = spot->id == OTR_D_REWRITE ? 2 : spot->node->n_words - 1;
        return otr_redirect_of(l, spot, &text) ? text : (otr_bytes){ 0 };
    case OTR_D_PROXY_PASS:
        *ret_word = 1;
        return otr_scope_in_stream(spot->scope) ? text : otr_arg(l, spot->node, 1);
    default:
        *ret_word = 2;
        return otr_arg(l, spot->node, 2);
    }
}

static bool look_at(otr_look *l, const otr_spot *spot, otr_bytes text, uint32_t word)
{
    otr_bytes rest = text;
    otr_part part;
    while (otr_part_next(&rest, &part)) {
        /* NGINX escapes the groups of a rewrite's own pattern where it redirects. */
        if (!part.is_variable || (spot->id == OTR_D_REWRITE && is_number(part.text))) {
            continue;
        }
        otr_value v = spot->id == OTR_D_REWRITE
                          ? otr_value_in_rewrite(l, spot->scope, spot->node, part.text)
                          : otr_value_of_variable(l, spot->scope, part.text);
        if (v.raw) {
            otr_find(l, spot->node, word,
                     "$%.*s in \"%.*s\" is decoded: %%0a in a request becomes a line feed there",
                     OTR_S(part.text), OTR_S(text));
            return true;
        }
    }
    return false;
}

static void look(otr_look *l, const otr_spot *spot)
{
    uint32_t word = 1;
    if (spot->id != OTR_D_MORE_SET_HEADERS) {
        otr_bytes text = text_of(l, spot, &word);
        (void)look_at(l, spot, text, word);
        return;
    }
    while (word < spot->node->n_words && !look_at(l, spot, otr_arg(l, spot->node, word), word)) {
        word++;
    }
}

const otr_rule otr_rule_http_splitting = {
    .id = "http-splitting",
    .level = OTR_CHECK_ERROR,
    .title = "A request can add headers of its own",
    .why =
        "$uri, $document_uri and groups of patterns hold the decoded path. A line feed in it ends "
        "the header or the request line, and what follows is read as the next one.",
    .mend = "Use $request_uri, which is not decoded, or a pattern that takes no line feed "
            "([^/\\s]+ in place of [^/]+).",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#var_uri",
    .on = { OTR_D_RETURN, OTR_D_REWRITE, OTR_D_ERROR_PAGE, OTR_D_ADD_HEADER, OTR_D_ADD_TRAILER,
            OTR_D_PROXY_SET_HEADER, OTR_D_GRPC_SET_HEADER, OTR_D_PROXY_PASS,
            OTR_D_MORE_SET_HEADERS },
    .look = look,
};
