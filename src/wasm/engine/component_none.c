/* In place of component.c when the engines were not built by us (WASMTIME_DIR). */
#include "wasm/engine/component.h" /* NOLINT(misc-include-cleaner): only without engines/ */

#ifndef OTR_ENGINES_OURS

otr_code otr_component_engine_open(otr_codecache *cache, otr_engine **ret, otr_err *err)
{
    (void)cache;
    (void)ret;
    return otr_fail(err, OTR_EUNSUP,
                    "is a WIT component; this build uses an installed Wasmtime, which lacks what "
                    "components need");
}

bool otr_component_has(const otr_module_info *info, const char *operation)
{
    (void)info;
    (void)operation;
    return false;
}

otr_code otr_component_invoke(otr_instance *i, const char *op, otr_bytes in, uint64_t deadline_ns,
                              otr_buf *out, otr_err *err)
{
    (void)i;
    (void)op;
    (void)in;
    (void)deadline_ns;
    (void)out;
    return otr_fail(err, OTR_EUNSUP, "components are not built in");
}

#endif
