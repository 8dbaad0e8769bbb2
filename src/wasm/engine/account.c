#include "wasm/engine/account.h" /* NOLINT(misc-include-cleaner): only with engines/ */

#ifdef OTR_ENGINES_OURS

#include "base/limits.h"

otr_limiter otr_account_new(uint64_t max_bytes, size_t n_links)
{
    size_t parts = n_links + 1;
    return (otr_limiter){ .max_bytes = max_bytes > SIZE_MAX ? SIZE_MAX : (size_t)max_bytes,
                          .max_elements = OTR_LIMIT_WASM_TABLE_ELEMENTS,
                          .max_instances = parts,
                          .max_memories = OTR_LIMIT_WASM_MEMORIES * parts,
                          .max_tables = OTR_LIMIT_WASM_TABLES * parts };
}

otr_code otr_account_refused(const otr_limiter *l, const otr_module_info *info, otr_err *err)
{
    unsigned long long limit = l->max_bytes / 1024;
    if (info->memory_min_bytes > l->max_bytes) {
        return otr_fail(err, OTR_EQUOTA,
                        "the module starts with %llu KiB of memory; its limit is %llu KiB",
                        (unsigned long long)(info->memory_min_bytes / 1024), limit);
    }
    if (l->refused_bytes > l->max_bytes) {
        return otr_fail(err, OTR_EQUOTA,
                        "its memories and tables would start with %llu KiB, all modules together; "
                        "the limit is %llu KiB",
                        (unsigned long long)(l->refused_bytes / 1024), limit);
    }
    return OTR_OK;
}

#endif
