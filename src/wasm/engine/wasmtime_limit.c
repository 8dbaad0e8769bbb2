#include "base/limits.h" /* NOLINT(misc-include-cleaner): where there is no account */
#include "wasm/engine/wasmtime.h"

#ifdef OTR_ENGINES_OURS

void otr_wasmtime_limit(wt_instance *i, size_t n_links)
{
    if (i->n_parts == 0) {
        i->limiter = otr_account_new(i->max_memory_bytes, n_links);
        otr_limiter_attach(i->store, &i->limiter);
    }
}

bool otr_wasmtime_over_limit(wt_instance *i)
{
    (void)i;
    return false; /* nothing is allocated that is not accounted for */
}

bool otr_wasmtime_denied(wt_instance *i)
{
    return i->limiter.refused_bytes != 0;
}

otr_code otr_wasmtime_limit_refused(const wt_instance *i, const wt_module *m, otr_err *err)
{
    return otr_account_refused(&i->limiter, &m->info, err);
}

uint64_t otr_wasmtime_memory_bytes(otr_instance *base)
{
    return ((wt_instance *)base)->limiter.used_bytes;
}

#else

/* The C API bounds each memory by itself, not their sum. Where there are several, each may grow by
 * what the smallest leaves; the sum is looked at on each tick. What has no export is not seen. */
void otr_wasmtime_limit(wt_instance *i, size_t n_links)
{
    uint64_t most = i->max_memory_bytes;
    uint64_t least = i->n_parts > n_links ? UINT64_MAX : 0;
    int64_t parts = (int64_t)n_links + 1;
    for (size_t p = 0; p < i->n_parts && least > 0; p++) {
        uint64_t bytes = i->parts[p].owns_memory
                             ? wasmtime_memory_data_size(i->context, &i->parts[p].memory)
                             : 0;
        least = bytes < least ? bytes : least;
    }
    most = n_links > 0 && most > least ? most - least : most;
    wasmtime_store_limiter(i->store, most > INT64_MAX ? INT64_MAX : (int64_t)most,
                           OTR_LIMIT_WASM_TABLE_ELEMENTS, parts, OTR_LIMIT_WASM_TABLES * parts,
                           OTR_LIMIT_WASM_MEMORIES * parts);
}

bool otr_wasmtime_over_limit(wt_instance *i)
{
    return i->n_parts > 1 && otr_wasmtime_memory_bytes(&i->base) > i->max_memory_bytes;
}

bool otr_wasmtime_denied(wt_instance *i)
{
    return otr_wasmtime_memory_bytes(&i->base) >= i->max_memory_bytes - i->max_memory_bytes / 16;
}

otr_code otr_wasmtime_limit_refused(const wt_instance *i, const wt_module *m, otr_err *err)
{
    return m->info.memory_min_bytes <= i->max_memory_bytes
               ? OTR_OK
               : otr_fail(err, OTR_EQUOTA,
                          "the module starts with %llu KiB of memory; its limit is %llu KiB",
                          (unsigned long long)(m->info.memory_min_bytes / 1024),
                          (unsigned long long)(i->max_memory_bytes / 1024));
}

uint64_t otr_wasmtime_memory_bytes(otr_instance *base)
{
    wt_instance *i = (wt_instance *)base;
    uint64_t sum = 0;
    for (size_t p = 0; p < i->n_parts; p++) {
        if (i->parts[p].owns_memory) {
            sum += wasmtime_memory_data_size(i->context, &i->parts[p].memory);
        }
    }
    return sum;
}

#endif
