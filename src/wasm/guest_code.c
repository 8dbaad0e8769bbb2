#include "wasm/guest_code.h"

#include <stdatomic.h>

#include "base/alloc.h"

otr_guest_code *otr_guest_code_ref(otr_guest_code *code)
{
    (void)atomic_fetch_add_explicit(&code->more_owners, 1, memory_order_relaxed);
    return code;
}

void otr_guest_code_deinit(otr_guest_code *code)
{
    if (code->module != NULL) {
        code->module->ops->module_free(code->module);
    }
    otr_guest_unlink(code);
    otr_guest_drop_functions(code); /* after the modules, which keep what they made of them */
    otr_extism_manifest_free(code->manifest);
}

void otr_guest_code_free(otr_guest_code *code)
{
    if (code != NULL &&
        atomic_fetch_sub_explicit(&code->more_owners, 1, memory_order_acq_rel) == 0) {
        otr_guest_code_deinit(code);
        otr_free(code);
    }
}

const otr_module_info *otr_guest_code_info(const otr_guest_code *code)
{
    return otr_module_info_of(code->module);
}

const otr_abi_ops *otr_guest_code_abi(const otr_guest_code *code)
{
    return code->abi;
}

const char *otr_guest_code_sha256(const otr_guest_code *code)
{
    return code->sha256;
}

bool otr_guest_code_has(const otr_guest_code *code, const char *operation)
{
    return code->abi->has(otr_module_info_of(code->module), operation);
}
