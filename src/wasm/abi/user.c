/* What a function of the embedder may do with the guest. */
#include "wasm/abi/user.h"

#include "wasm/abi/extism.h"

static otr_code extism_only(const otr_user_call *call, otr_err *err)
{
    return call->guest->abi == &otr_abi_extism
               ? OTR_OK
               : otr_fail(err, OTR_EUNSUP, "guests of %s have no Extism memory",
                          call->guest->abi->name);
}

otr_code otr_user_view(const otr_user_call *call, uint64_t handle, uint8_t **ret, size_t *ret_n,
                       otr_err *err)
{
    otr_bytes found;
    otr_code rc = extism_only(call, err);
    rc = rc == OTR_OK ? otr_extism_view(call->inst, handle, call->name, &found, err) : rc;
    if (rc == OTR_OK) {
        *ret = (uint8_t *)(uintptr_t)found.p;
        *ret_n = found.n;
    }
    return rc;
}

otr_code otr_user_give(const otr_user_call *call, otr_bytes bytes, uint64_t *ret, otr_err *err)
{
    otr_code rc = extism_only(call, err);
    return rc == OTR_OK ? otr_extism_give(call->guest, call->inst, bytes, ret, err) : rc;
}

otr_code otr_user_release(const otr_user_call *call, uint64_t handle, otr_err *err)
{
    otr_val vals[1] = { { .i64 = (int64_t)handle } };
    otr_code rc = extism_only(call, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_call free_it = { call->inst->ops->func(call->inst, OTR_EXTISM_KERNEL, "free"), vals,
                               0 };
    return free_it.func != NULL ? call->inst->ops->call(call->inst, &free_it, err)
                                : otr_fail_nomem(err);
}

otr_code otr_user_memory(const otr_user_call *call, uint64_t at, uint64_t n, uint8_t **ret,
                         otr_err *err)
{
    return call->inst->ops->memory(call->inst, OTR_MEM_GUEST, at, n, ret, err);
}
