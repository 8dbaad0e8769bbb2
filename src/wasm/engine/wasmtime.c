/* Wasmtime behind engine.h; the parts are in wasmtime_<part>.c. */
#include "wasm/engine/wasmtime.h"

#include <stdio.h>

#include "wasm/engine/component.h"

static void tick(void *arg)
{
    wasmtime_engine_increment_epoch(arg);
}

static void close_engine(otr_engine *base)
{
    wt_engine *e = (wt_engine *)base;
    if (e == NULL) {
        return;
    }
    for (size_t i = 0; i < OTR_ENGINE_KERNELS; i++) {
        otr_wasmtime_module_free(atomic_load(&e->base.kernels[i]));
    }
    otr_engine *components = atomic_load(&e->base.components);
    if (components != NULL) {
        components->ops->close(components);
    }
    otr_ticker_deinit(&e->ticker); /* before the engine whose epoch it moves */
    otr_codecache_close(e->cache);
    wasm_engine_delete(e->engine);
    otr_free(e);
}

/* A cache that cannot be used costs time, not function: the owner is told and may log it. */
static void open_cache(wt_engine *e, const char *dir)
{
    otr_err err = { 0 };
    if (dir != NULL && otr_codecache_open(dir, 0, &e->cache, &err) != OTR_OK) {
        (void)snprintf(e->cache_error, sizeof(e->cache_error), "%.*s",
                       (int)sizeof(e->cache_error) - 1, err.msg);
        e->base.cache_problem = e->cache_error;
    }
}

static otr_code open_engine(const char *cache_dir, otr_engine **ret, otr_err *err)
{
    wt_engine *e = otr_zalloc(sizeof(*e));
    if (e == NULL) {
        return otr_fail_nomem(err);
    }
    e->base.ops = &otr_engine_wasmtime;
    e->engine = otr_wasmtime_new_engine(e, err);
    if (e->engine == NULL) {
        otr_free(e);
        return OTR_ENOMEM;
    }
    otr_code rc = otr_ticker_init(&e->ticker, tick, e->engine, err);
    if (rc != OTR_OK) {
        wasm_engine_delete(e->engine);
        otr_free(e);
        return rc;
    }
    open_cache(e, cache_dir);
    *ret = &e->base;
    return OTR_OK;
}

static otr_code open_components(otr_engine *base, otr_engine **ret, otr_err *err)
{
    return otr_component_engine_open(((wt_engine *)base)->cache, ret, err);
}

const otr_engine_ops otr_engine_wasmtime = {
    .name = "wasmtime",
    .offers = OTR_WASM_CORE | OTR_WASM_DEADLINE | OTR_WASM_MULTI_MEMORY,
    .open = open_engine,
    .close = close_engine,
    .open_components = open_components,
    .compile = otr_wasmtime_compile,
    .compile_made = otr_wasmtime_compile_made,
    .inspect = otr_wasmtime_inspect,
    .module_free = otr_wasmtime_module_free,
    .spawn = otr_wasmtime_spawn,
    .func = otr_wasmtime_func,
    .call = otr_wasmtime_call,
    .memory = otr_wasmtime_memory,
    .memory_bytes = otr_wasmtime_memory_bytes,
    .release = otr_wasmtime_release,
    .interrupt = otr_wasmtime_interrupt,
    .exit_code = otr_wasmtime_exit_code,
    .instance_free = otr_wasmtime_instance_free,
};
