/* What a module must have to be an Extism guest. */
#include "wasm/abi/extism.h"
#include "wasm/abi/start.h"

static bool operation_sig_ok(const otr_sig *sig)
{
    return sig->n_args == 0 &&
           (sig->n_results == 0 || (sig->n_results == 1 && sig->results[0] == OTR_WASM_I32));
}

bool otr_extism_match(const otr_module_info *info)
{
    for (size_t i = 0; i < info->n_imports; i++) {
        const otr_extern_info *x = &info->imports[i];
        if (strcmp(x->module, "extism:host/env") == 0 ||
            strcmp(x->module, "extism:host/user") == 0 ||
            (strcmp(x->module, "env") == 0 && strncmp(x->name, "extism_", 7) == 0)) {
            return true;
        }
    }
    return false;
}

bool otr_extism_has(const otr_module_info *info, const char *operation)
{
    const otr_extern_info *x = otr_module_export(info, operation);
    return x != NULL && x->kind == OTR_EXTERN_FUNC && operation_sig_ok(&x->sig);
}

static otr_code check_operations(const otr_module_info *info, const char *const *operations,
                                 otr_buf *missing, otr_err *err)
{
    otr_code rc = OTR_OK;
    char sig[160];
    for (; rc == OTR_OK && operations != NULL && *operations != NULL; operations++) {
        const otr_extern_info *x = otr_module_export(info, *operations);
        if (x == NULL) {
            rc = otr_buf_addf(missing, err, "export %s: function () -> i32 is missing\n",
                              *operations);
        } else if (x->kind != OTR_EXTERN_FUNC) {
            rc = otr_buf_addf(missing, err, "export %s: wanted is a function () -> i32\n",
                              *operations);
        } else if (!operation_sig_ok(&x->sig)) {
            rc = otr_buf_addf(missing, err, "export %s: wanted is () -> i32, it is %s\n",
                              *operations, otr_sig_text(&x->sig, sig, sizeof(sig)));
        }
    }
    return rc;
}

/* Its results are dropped, as elsewhere. */
static otr_code check_hs_init(const otr_module_info *info, otr_buf *missing, otr_err *err)
{
    otr_sig wanted = { .n_args = 2, .args = { OTR_WASM_I32, OTR_WASM_I32 } };
    const otr_extern_info *x = otr_module_export(info, "hs_init");
    if (x != NULL && x->kind == OTR_EXTERN_FUNC && x->sig.n_results <= OTR_WASM_MAX_RESULTS) {
        wanted.n_results = x->sig.n_results;
        memcpy(wanted.results, x->sig.results, sizeof(wanted.results));
    }
    return otr_abi_check_start(info, "hs_init", &wanted, missing, err);
}

otr_code otr_extism_check(const otr_module_info *info, const char *const *operations,
                          otr_buf *missing, otr_err *err)
{
    static const otr_sig none = { 0 };
    const otr_extern_info *start = otr_module_export(info, "_start");
    otr_code rc = check_operations(info, operations, missing, err);
    if (rc == OTR_OK) {
        rc = otr_abi_check_start(info, "_initialize", &none, missing, err);
    }
    if (rc == OTR_OK) {
        rc = otr_abi_check_start(info, "__wasm_call_ctors", &none, missing, err);
    }
    if (rc == OTR_OK && start != NULL && start->kind != OTR_EXTERN_FUNC) {
        rc = otr_abi_check_start(info, "_start", &none, missing, err); /* else an operation */
    }
    return rc == OTR_OK ? check_hs_init(info, missing, err) : rc;
}
