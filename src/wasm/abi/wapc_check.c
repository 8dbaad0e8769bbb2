/* What a module must have to be a waPC guest. */
#include "wasm/abi/start.h"
#include "wasm/abi/wapc.h"

static const otr_sig call_sig = { .n_args = 2, .n_results = 1 };

bool otr_wapc_match(const otr_module_info *info)
{
    for (size_t i = 0; i < info->n_imports; i++) {
        if (strcmp(info->imports[i].module, "wapc") == 0) {
            return true;
        }
    }
    return otr_module_export(info, "__guest_call") != NULL;
}

const char *const otr_wapc_starts[] = { "_initialize", "_start", "wapc_init", NULL };
static const otr_sig start_sig = { 0 };

otr_code otr_wapc_check(const otr_module_info *info, const char *const *operations,
                        otr_buf *missing, otr_err *err)
{
    (void)operations; /* their names are known to the guest only */
    char sig[200];
    otr_code rc = OTR_OK;
    const otr_extern_info *call = otr_module_export(info, "__guest_call");
    const otr_extern_info *memory = otr_module_export(info, "memory");
    if (call == NULL || call->kind != OTR_EXTERN_FUNC) {
        rc = otr_buf_adds(missing, "export __guest_call: function (i32, i32) -> i32 is missing\n",
                          err);
    } else if (!otr_sig_eq(&call->sig, &call_sig)) {
        rc = otr_buf_addf(missing, err,
                          "export __guest_call: wanted is (i32, i32) -> i32, it is %s\n",
                          otr_sig_text(&call->sig, sig, sizeof(sig)));
    }
    if (rc == OTR_OK && (memory == NULL || memory->kind != OTR_EXTERN_MEMORY)) {
        rc = otr_buf_adds(missing, "export memory: the guest's memory is missing\n", err);
    }
    for (size_t i = 0; rc == OTR_OK && otr_wapc_starts[i] != NULL; i++) {
        rc = otr_abi_check_start(info, otr_wapc_starts[i], &start_sig, missing, err);
    }
    return rc;
}

bool otr_wapc_has(const otr_module_info *info, const char *operation)
{
    (void)info;
    (void)operation;
    return true;
}
