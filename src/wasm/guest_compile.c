/* What a file is compiled by, and from what. */
#include <stdatomic.h>

#include "wasm/guest_code.h"

enum { WHY_BYTES = 4096 };

bool otr_is_component(otr_bytes wasm)
{
    static const uint8_t head[8] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };
    static const char text[] = "(component";
    if (wasm.n >= sizeof(head) && memcmp(wasm.p, head, sizeof(head)) == 0) {
        return true;
    }
    size_t i = 0;
    while (i < wasm.n &&
           (wasm.p[i] == ' ' || wasm.p[i] == '\n' || wasm.p[i] == '\t' || wasm.p[i] == '\r')) {
        i++;
    }
    return wasm.n - i >= sizeof(text) && memcmp(wasm.p + i, text, sizeof(text) - 1) == 0;
}

/* What runs components beside `engine`. Two threads may open it at once: one is then closed. */
static otr_code components_of(otr_engine *engine, otr_engine **ret, otr_err *err)
{
    otr_engine *found = atomic_load(&engine->components), *none = NULL;
    if (found == NULL) {
        if (engine->ops->open_components == NULL) {
            return otr_fail(err, OTR_EUNSUP,
                            "is a WIT component, which the engine %s cannot run; wasmtime can",
                            engine->ops->name);
        }
        otr_code rc = engine->ops->open_components(engine, &found, err);
        if (rc != OTR_OK) {
            return rc;
        }
        found->compiler = engine->compiler;
        if (!atomic_compare_exchange_strong(&engine->components, &none, found)) {
            found->ops->close(found);
            found = none;
        }
    }
    *ret = found;
    return OTR_OK;
}

otr_code otr_guest_engine_for(otr_engine *engine, otr_bytes wasm, otr_engine **ret, otr_err *err)
{
    *ret = engine;
    return otr_is_component(wasm) ? components_of(engine, ret, err) : OTR_OK;
}

/* Two threads may compile it at once: one is then dropped. */
otr_code otr_guest_kernel(otr_engine *engine, const otr_abi_ops *abi, otr_module **ret,
                          otr_err *err)
{
    if (abi->kernel == NULL) {
        *ret = NULL;
        return OTR_OK;
    }
    _Atomic(otr_module *) *slot = &engine->kernels[otr_abi_index(abi)];
    otr_module *kernel = atomic_load(slot), *none = NULL;
    if (kernel == NULL) {
        otr_code rc = engine->ops->compile(engine, *abi->kernel->wasm, &kernel, err);
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "kernel of %s", abi->name);
        }
        if (!atomic_compare_exchange_strong(slot, &none, kernel)) {
            engine->ops->module_free(kernel);
            kernel = none;
        }
    }
    *ret = kernel;
    return OTR_OK;
}

static otr_code make_faster(const void *arg, otr_bytes wasm, otr_buf *ret, otr_err *err)
{
    const otr_abi_ops *abi = arg;
    otr_buf why;
    otr_buf_init(&why, WHY_BYTES);
    otr_code rc = abi->rewrite(wasm, ret, &why, err);
    otr_buf_deinit(&why);
    return rc;
}

otr_code otr_guest_compile_one(otr_engine *engine, const otr_load_spec *spec, otr_bytes wasm,
                               otr_module **ret, otr_err *err)
{
    const otr_abi_ops *wanted = spec->abi != NULL ? otr_abi_find(spec->abi) : NULL;
    const otr_abi_ops *abi = spec->rewrite ? otr_abi_rewriter(wanted) : NULL;
    if (abi == NULL || engine->ops->compile_made == NULL) {
        return engine->ops->compile(engine, wasm, ret, err);
    }
    otr_recipe recipe = { .name = abi->rewriter, .make = make_faster, .arg = abi };
    return engine->ops->compile_made(engine, &recipe, wasm, ret, err);
}
