#include "wasm/abi/start.h"

otr_code otr_abi_check_start(const otr_module_info *info, const char *name, const otr_sig *wanted,
                             otr_buf *missing, otr_err *err)
{
    static const char *const kinds[] = { "", "a memory", "a table", "a global", "a tag" };
    char want[80], have[160];
    const otr_extern_info *x = otr_module_export(info, name);
    if (x == NULL || (x->kind == OTR_EXTERN_FUNC && otr_sig_eq(&x->sig, wanted))) {
        return OTR_OK;
    }
    return otr_buf_addf(missing, err, "export %s: wanted is %s, as of a start function, it is %s\n",
                        name, otr_sig_text(wanted, want, sizeof(want)),
                        x->kind == OTR_EXTERN_FUNC ? otr_sig_text(&x->sig, have, sizeof(have))
                                                   : kinds[x->kind]);
}
