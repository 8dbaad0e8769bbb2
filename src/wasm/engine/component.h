/*
 * The engine for WIT components: Wasmtime's typed API through the shim of engines/.
 *
 * It stands beside the Wasmtime engine, which opens it with the first component, and serves the
 * same vtable, but for func, call and memory: a component has no memory to look into, it is called
 * with bytes by name. Only wasm/abi/wit.c calls it so.
 *
 * Thread: as engine.h says.
 */
#ifndef OTR_WASM_ENGINE_COMPONENT_H
#define OTR_WASM_ENGINE_COMPONENT_H

#include "wasm/engine/codecache.h"
#include "wasm/engine/engine.h"

/* `cache` is borrowed and may be NULL. OTR_EUNSUP when the engines were built without the shim. */
otr_code otr_component_engine_open(otr_codecache *cache, otr_engine **ret, otr_err *err)
    OTR_MUST_CHECK;

bool otr_component_has(const otr_module_info *info, const char *operation);
/* Calls `op` of the lifecycle interface, or of the world itself. As otr_abi_ops.invoke. */
otr_code otr_component_invoke(otr_instance *base, const char *op, otr_bytes in,
                              uint64_t deadline_ns, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
