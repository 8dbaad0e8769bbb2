/* Blocks of Extism memory, from the host's side: what a handle stands for, and new ones. */
#include "wasm/abi/extism.h"

enum { ROOT = OTR_EXTISM_ROOT_BYTES, HEADER = OTR_EXTISM_HEADER_BYTES };

otr_code otr_extism_view(otr_instance *inst, uint64_t handle, const char *what, otr_bytes *ret,
                         otr_err *err)
{
    uint8_t *root, *header, *data;
    if (handle == 0) {
        *ret = (otr_bytes){ NULL, 0 };
        return OTR_OK;
    }
    otr_code rc = inst->ops->memory(inst, OTR_EXTISM_KERNEL, 0, ROOT, &root, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (handle >= ROOT + HEADER && handle < otr_extism_word(root, OTR_EXTISM_TOP) &&
        inst->ops->memory(inst, OTR_EXTISM_KERNEL, handle - HEADER, HEADER, &header, NULL) ==
            OTR_OK &&
        otr_extism_load(header) == (handle ^ otr_extism_word(root, OTR_EXTISM_KEY)) + 1) {
        uint64_t length = otr_extism_load(header + 8) & UINT32_MAX;
        if (inst->ops->memory(inst, OTR_EXTISM_KERNEL, handle, length, &data, NULL) == OTR_OK) {
            *ret = (otr_bytes){ data, (size_t)length };
            return OTR_OK;
        }
    }
    return otr_fail(err, OTR_EINVAL, "%s: %llu is not a handle of Extism memory", what,
                    (unsigned long long)handle);
}

const otr_func *otr_extism_alloc(otr_extism *x, otr_instance *inst)
{
    if (x->alloc == NULL) { /* a module's own start function may ask before attach() */
        x->alloc = inst->ops->func(inst, OTR_EXTISM_KERNEL, "alloc");
    }
    return x->alloc;
}

otr_code otr_extism_give(otr_guest *g, otr_instance *inst, otr_bytes bytes, uint64_t *ret,
                         otr_err *err)
{
    otr_extism *x = g->state;
    otr_val vals[1] = { { .i64 = (int64_t)bytes.n } };
    uint8_t *data;
    if (bytes.n == 0) {
        *ret = 0;
        return OTR_OK;
    }
    const otr_call call = { otr_extism_alloc(x, inst), vals, x->deadline_ns };
    if (call.func == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = inst->ops->call(inst, &call, err);
    if (rc != OTR_OK) {
        return rc;
    }
    uint64_t at = (uint64_t)vals[0].i64;
    if (at == 0) {
        return otr_fail(err, OTR_EQUOTA, "no room for %zu bytes in the guest's memory", bytes.n);
    }
    rc = inst->ops->memory(inst, OTR_EXTISM_KERNEL, at, bytes.n, &data, err);
    if (rc == OTR_OK) {
        memcpy(data, bytes.p, bytes.n);
        *ret = at;
    }
    return rc;
}

otr_code otr_extism_set_error(otr_guest *g, otr_instance *inst, const char *text, otr_err *err)
{
    otr_extism *x = g->state;
    uint64_t at;
    uint8_t *root;
    otr_code rc = otr_extism_give(g, inst, otr_bytes_of(text), &at, err);
    if (rc == OTR_OK) {
        rc = inst->ops->memory(inst, OTR_EXTISM_KERNEL, 0, ROOT, &root, err);
    }
    if (rc == OTR_OK) {
        otr_extism_store(root + 8 * OTR_EXTISM_ERROR, at);
        x->refused = at;
        x->refused_key = x->key;
    }
    return rc;
}
