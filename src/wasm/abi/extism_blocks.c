/* Blocks of Extism memory, from the host's side: what a handle stands for, and new ones. */
#include "wasm/abi/extism.h"

enum { ROOT = OTR_EXTISM_ROOT_BYTES, HEADER = OTR_EXTISM_HEADER_BYTES };

/* How a block's tag ends, see the kernel. */
enum { IN_USE = 1, KEPT = 3 };

static bool tagged(otr_bytes header, uint64_t handle, uint64_t key, uint64_t state)
{
    return otr_extism_load(header.p) == (handle ^ key) + state;
}

/* The block behind `handle`, if it is in use or ends in `also`. */
static bool find_block(otr_instance *inst, uint64_t handle, uint64_t also, otr_bytes *ret)
{
    uint8_t *root, *header, *data;
    if (inst->ops->memory(inst, OTR_EXTISM_KERNEL, 0, ROOT, &root, NULL) != OTR_OK) {
        return false;
    }
    uint64_t key = otr_extism_word(root, OTR_EXTISM_KEY);
    if (handle < ROOT + HEADER || handle >= otr_extism_word(root, OTR_EXTISM_TOP) ||
        inst->ops->memory(inst, OTR_EXTISM_KERNEL, handle - HEADER, HEADER, &header, NULL) !=
            OTR_OK) {
        return false;
    }
    const otr_bytes head = { header, HEADER };
    if (!tagged(head, handle, key, IN_USE) && !tagged(head, handle, key, also)) {
        return false;
    }
    uint64_t length = otr_extism_load(header + 8) & UINT32_MAX;
    if (inst->ops->memory(inst, OTR_EXTISM_KERNEL, handle, length, &data, NULL) != OTR_OK) {
        return false;
    }
    *ret = (otr_bytes){ data, (size_t)length };
    return true;
}

otr_code otr_extism_view(otr_instance *inst, uint64_t handle, const char *what, otr_bytes *ret,
                         otr_err *err)
{
    if (handle == 0) {
        *ret = (otr_bytes){ NULL, 0 };
        return OTR_OK;
    }
    return find_block(inst, handle, IN_USE, ret)
               ? OTR_OK
               : otr_fail(err, OTR_EINVAL, "%s: %llu is not a handle of Extism memory", what,
                          (unsigned long long)handle);
}

bool otr_extism_error_text(otr_instance *inst, uint64_t handle, otr_bytes *ret)
{
    return handle != 0 && find_block(inst, handle, KEPT, ret) && ret->n > 0;
}

otr_code otr_extism_take(otr_guest *g, otr_instance *inst, uint64_t handle, otr_err *err)
{
    otr_extism *x = g->state;
    otr_val vals[1] = { { .i64 = (int64_t)handle } };
    if (handle == 0) {
        return OTR_OK;
    }
    if (x->take == NULL) {
        x->take = inst->ops->func(inst, OTR_EXTISM_KERNEL, "outrider:take");
    }
    const otr_call call = { x->take, vals, x->deadline_ns };
    return call.func != NULL ? inst->ops->call(inst, &call, err) : otr_fail_nomem(err);
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
    uint64_t at;
    uint8_t *root;
    otr_code rc = otr_extism_give(g, inst, otr_bytes_of(text), &at, err);
    if (rc == OTR_OK) {
        rc = inst->ops->memory(inst, OTR_EXTISM_KERNEL, 0, ROOT, &root, err);
    }
    if (rc == OTR_OK) {
        otr_extism_store(root + 8 * OTR_EXTISM_ERROR, at);
    }
    return rc;
}
