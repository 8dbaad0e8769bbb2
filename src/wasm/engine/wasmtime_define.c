/* A host function as Wasmtime takes it. */
#include "wasm/engine/wasmtime.h"

static wasm_valtype_t *new_type(uint8_t type)
{
    static const wasm_valkind_t kinds[] = { WASM_I32, WASM_I64, WASM_F32, WASM_F64 };
    return wasm_valtype_new(kinds[type]);
}

static void new_types(wasm_valtype_vec_t *v, const uint8_t *types, size_t n)
{
    wasm_valtype_t *list[OTR_WASM_MAX_ARGS];
    for (size_t i = 0; i < n; i++) {
        list[i] = new_type(types[i]);
    }
    wasm_valtype_vec_new(v, n, list);
}

otr_code otr_wasmtime_define(wasmtime_linker_t *linker, const otr_import *import,
                             wasmtime_func_unchecked_callback_t fn, otr_err *err)
{
    wasm_valtype_vec_t args, results;
    new_types(&args, import->sig.args, import->sig.n_args);
    new_types(&results, import->sig.results, import->sig.n_results);
    wasm_functype_t *type = wasm_functype_new(&args, &results);
    wasmtime_error_t *error = wasmtime_linker_define_func_unchecked(
        linker, import->module, strlen(import->module), import->name, strlen(import->name), type,
        fn, (void *)(uintptr_t)import, NULL);
    wasm_functype_delete(type);
    if (error != NULL) {
        return otr_wasmtime_fail(err, OTR_EINVAL, error, import->name);
    }
    return OTR_OK;
}
