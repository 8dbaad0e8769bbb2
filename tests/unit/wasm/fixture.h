/* One engine, one module, one instance: what most tests of src/wasm need. */
#ifndef OTR_TESTS_UNIT_WASM_FIXTURE_H
#define OTR_TESTS_UNIT_WASM_FIXTURE_H

#include "base/clock.h"
#include "support/test.h"
#include "wasm/engine/engine.h"

#ifndef CHECK_TRACE /* on_wasmi.h: an engine whose traps name no functions */
#define CHECK_TRACE(text, trace) CHECK_HAS(text, trace)
#endif

typedef struct fixture {
    otr_engine *engine;
    otr_module *module;
    otr_instance *inst;
} fixture;

static inline void fixture_deinit(fixture *f)
{
    if (f->inst != NULL) {
        f->inst->ops->instance_free(f->inst);
    }
    if (f->module != NULL) {
        f->module->ops->module_free(f->module);
    }
    if (f->engine != NULL) {
        f->engine->ops->close(f->engine);
    }
    *f = (fixture){ 0 };
}

#define FIXTURE(name) OTR_CLEANUP(fixture_deinit) fixture name = { 0 }

static inline otr_code fixture_compile(fixture *f, const char *wat, otr_err *err)
{
    otr_code rc =
        f->engine != NULL ? OTR_OK : otr_engine_find("wasmtime")->open(NULL, &f->engine, err);
    return rc == OTR_OK ? f->engine->ops->compile(f->engine, otr_bytes_of(wat), &f->module, err)
                        : rc;
}

/* `spec` NULL: no imports, 1 MiB. */
static inline otr_code fixture_spawn(fixture *f, const char *wat, const otr_spawn *spec,
                                     otr_err *err)
{
    static const otr_spawn plain = { .max_memory_bytes = 1024 * 1024 };
    otr_code rc = fixture_compile(f, wat, err);
    return rc == OTR_OK
               ? f->engine->ops->spawn(f->module, spec != NULL ? spec : &plain, &f->inst, err)
               : rc;
}

/* Calls an exported function of one i32 or none; its result, if any, goes to `*ret`. */
static inline otr_code fixture_call(otr_instance *inst, const char *name, int32_t *ret,
                                    uint64_t deadline_ns, otr_err *err)
{
    otr_val vals[2] = { { .i64 = 0 }, { .i64 = 0 } };
    vals[0].i32 = ret != NULL ? *ret : 0;
    const otr_call call = { inst->ops->func(inst, OTR_MEM_GUEST, name), vals, deadline_ns };
    if (call.func == NULL) {
        return otr_fail(err, OTR_ENOTFOUND, "no export %s", name);
    }
    otr_code rc = inst->ops->call(inst, &call, err);
    if (ret != NULL) {
        *ret = vals[0].i32;
    }
    return rc;
}

static inline uint64_t in_ms(uint64_t ms)
{
    return otr_now_ns() + ms * OTR_NS_PER_MS;
}

#endif
