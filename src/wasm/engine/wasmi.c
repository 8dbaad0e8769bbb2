/* wasmi behind engine.h; the parts are in wasmi_<part>.c. */
#include "wasm/engine/wasmi.h"

#ifdef OTR_HAVE_WASMI

static void close_engine(otr_engine *base)
{
    wi_engine *e = (wi_engine *)base;
    if (e == NULL) {
        return;
    }
    for (size_t i = 0; i < OTR_ENGINE_KERNELS; i++) {
        otr_wasmi_engine_module_free(atomic_load(&e->base.kernels[i]));
    }
    otr_wasmi_close(e->engine);
    otr_free(e);
}

/* wasmi's code is made in microseconds and cannot be stored: no use for `cache_dir`. */
static otr_code open_engine(const char *cache_dir, otr_engine **ret, otr_err *err)
{
    (void)cache_dir;
    wi_engine *e = otr_zalloc(sizeof(*e));
    if (e == NULL) {
        return otr_fail_nomem(err);
    }
    e->base.ops = &otr_engine_wasmi;
    e->engine = otr_wasmi_open();
    *ret = &e->base;
    return OTR_OK;
}

const otr_engine_ops otr_engine_wasmi = {
    .name = "wasmi",
    .offers = OTR_WASM_CORE | OTR_WASM_DEADLINE | OTR_WASM_MULTI_MEMORY,
    .open = open_engine,
    .close = close_engine,
    .compile = otr_wasmi_engine_compile,
    .compile_made = otr_wasmi_engine_compile_made,
    .inspect = otr_wasmi_engine_inspect,
    .module_free = otr_wasmi_engine_module_free,
    .spawn = otr_wasmi_engine_spawn,
    .func = otr_wasmi_engine_func,
    .call = otr_wasmi_engine_call,
    .memory = otr_wasmi_engine_memory,
    .memory_bytes = otr_wasmi_engine_memory_bytes,
    .interrupt = otr_wasmi_engine_interrupt,
    .exit_code = otr_wasmi_engine_exit_code,
    .instance_free = otr_wasmi_engine_instance_free,
};

#endif
