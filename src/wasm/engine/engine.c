#include "wasm/engine/engine.h"

#include "wasm/engine/wasmi.h"

static const otr_engine_ops *const engines[] = {
    &otr_engine_wasmtime,
#ifdef OTR_HAVE_WASMI
    &otr_engine_wasmi,
#endif
};

const otr_engine_ops *otr_engine_find(const char *name)
{
    for (size_t i = 0; i < OTR_COUNT(engines); i++) {
        if (strcmp(engines[i]->name, name) == 0) {
            return engines[i];
        }
    }
    return NULL;
}

const char *otr_engine_names(void)
{
    return OTR_COUNT(engines) > 1 ? "wasmtime, wasmi" : "wasmtime";
}
