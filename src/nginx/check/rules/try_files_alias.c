#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    if (otr_scope_first(l, spot->scope, OTR_D_ALIAS) == NULL) {
        return;
    }
    for (uint32_t i = 1; i + 1 < spot->node->n_words; i++) {
        if (otr_begins(otr_arg(l, spot->node, i), "$uri") ||
            otr_begins(otr_arg(l, spot->node, i), "${uri}")) {
            otr_find(l, spot->node, 0, "try_files with $uri in a location with alias");
            return;
        }
    }
}

const otr_rule otr_rule_try_files_alias = {
    .id = "try-files-alias",
    .level = OTR_CHECK_WARNING,
    .title = "try_files and alias in one location",
    .why = "What is looked for is put together from the alias and the whole URI where the location "
           "is a "
           "pattern, and its fallback gets the alias in front: files that are there are not found.",
    .mend = "Use root, or a location whose name is that of the folder.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#try_files",
    .on = { OTR_D_TRY_FILES },
    .look = look,
};
