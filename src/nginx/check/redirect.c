#include "nginx/check/redirect.h"

static bool is_url(otr_bytes text)
{
    return otr_begins(text, "http://") || otr_begins(text, "https://") ||
           otr_begins(text, "$scheme");
}

static bool is_redirect_code(otr_bytes code)
{
    return otr_is(code, "301") || otr_is(code, "302") || otr_is(code, "303") ||
           otr_is(code, "307") || otr_is(code, "308");
}

static bool of_return(otr_look *l, const otr_node *node, otr_bytes *ret)
{
    otr_bytes first = otr_arg(l, node, 1);
    *ret = node->n_words > 2 ? otr_arg(l, node, 2) : first;
    return node->n_words > 2 ? is_redirect_code(first) : is_url(first);
}

static bool of_rewrite(otr_look *l, const otr_node *node, otr_bytes *ret)
{
    otr_bytes flag = otr_arg(l, node, 3);
    *ret = otr_arg(l, node, 2);
    return otr_is(flag, "redirect") || otr_is(flag, "permanent") || is_url(*ret);
}

/* error_page 404 =301 URL; error_page 404 http://… */
static bool of_error_page(otr_look *l, const otr_node *node, otr_bytes *ret)
{
    *ret = otr_arg(l, node, node->n_words - 1);
    for (uint32_t i = 1; i + 1 < node->n_words; i++) {
        otr_bytes word = otr_arg(l, node, i);
        if (otr_begins(word, "=") && is_redirect_code((otr_bytes){ word.p + 1, word.n - 1 })) {
            return true;
        }
    }
    return is_url(*ret);
}

bool otr_redirect_of(otr_look *l, const otr_spot *spot, otr_bytes *ret)
{
    if (spot->node->n_words < 2) {
        return false;
    }
    return spot->id == OTR_D_RETURN    ? of_return(l, spot->node, ret)
           : spot->id == OTR_D_REWRITE ? of_rewrite(l, spot->node, ret)
                                       : of_error_page(l, spot->node, ret);
}
