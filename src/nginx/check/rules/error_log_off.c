#include "nginx/check/rules/rules.h"

static void look(otr_look *l, const otr_spot *spot)
{
    if (otr_is(otr_arg(l, spot->node, 1), "off")) {
        otr_find(l, spot->node, 0, "error_log off writes a file whose name is \"off\"");
    }
}

const otr_rule otr_rule_error_log_off = {
    .id = "error-log-off",
    .level = OTR_CHECK_WARNING,
    .title = "An error log that is called \"off\"",
    .why = "error_log has no off, unlike access_log: the log goes on, into a file that nothing "
           "rotates.",
    .mend = "error_log /dev/null crit;, or a level such as emerg.",
    .reference = "https://nginx.org/en/docs/ngx_core_module.html#error_log",
    .on = { OTR_D_ERROR_LOG },
    .look = look,
};
