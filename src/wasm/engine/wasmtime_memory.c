/* Windows into the memories of an instance. */
#include <sys/mman.h>

#include "wasm/engine/wasmtime.h"

wt_part *otr_wasmtime_part(wt_instance *i, int link)
{
    size_t n = i->n_parts + (i->starting ? 1 : 0);
    size_t at = link == OTR_MEM_GUEST ? n - 1 : (size_t)link;
    return link >= OTR_MEM_GUEST && at < n ? &i->parts[at] : NULL;
}

static otr_code look_up_memory(wt_instance *i, wt_part *part, uint64_t at, uint64_t len,
                               uint8_t **ret, otr_err *err)
{
    if (part == NULL || !part->has_memory) {
        return otr_fail(err, OTR_EINVAL, "no memory is exported as \"memory\"");
    }
    uint64_t size = wasmtime_memory_data_size(i->context, &part->memory);
    if (at > size || len > size - at) {
        return otr_fail(err, OTR_EINVAL,
                        "%llu bytes at %llu are outside the guest's memory of %llu bytes",
                        (unsigned long long)len, (unsigned long long)at, (unsigned long long)size);
    }
    uint8_t *base = wasmtime_memory_data(i->context, &part->memory);
    if (i->engine->memories_stay) {
        part->base = base;
        part->known_bytes = size;
    }
    *ret = base + at;
    return OTR_OK;
}

/* Megabytes go in, or the answer to some: so much again may follow behind them. The address space
 * is reserved, so that also what the memory does not have yet can be spoken of. */
static void prepare_large(wt_part *part, uint64_t at, uint64_t len)
{
    const uint64_t slot = UINT64_C(1) << 32;
    if (part->base != NULL) { /* else memories move */
        uint64_t end = at + len > slot / 2 ? slot : (at + len) * 2;
        otr_alloc_large(part->base, (size_t)end);
        part->large_bytes = end;
    }
}

otr_code otr_wasmtime_memory(otr_instance *base, int link, uint64_t at, uint64_t len, uint8_t **ret,
                             otr_err *err)
{
    wt_instance *i = (wt_instance *)base;
    wt_part *part = otr_wasmtime_part(i, link);
    if (OTR_LIKELY(part != NULL && at <= part->known_bytes && len <= part->known_bytes - at &&
                   part->base != NULL && len < OTR_LARGE_BYTES)) {
        *ret = part->base + at;
        return OTR_OK;
    }
    otr_code rc = look_up_memory(i, part, at, len, ret, err);
    if (rc == OTR_OK && len >= OTR_LARGE_BYTES && at + len > part->large_bytes) {
        prepare_large(part, at, len);
    }
    return rc;
}

void otr_wasmtime_release(otr_instance *base, int link, uint64_t at)
{
    wt_instance *i = (wt_instance *)base;
    const wt_part *part = otr_wasmtime_part(i, link);
    if (part == NULL || !part->has_memory || !i->engine->memories_stay || i->dead) {
        return;
    }
    uint64_t size = wasmtime_memory_data_size(i->context, &part->memory);
    if (at < size) { /* anonymous memory, private to the process: the next look finds zeroes */
        (void)madvise(wasmtime_memory_data(i->context, &part->memory) + at, (size_t)(size - at),
                      MADV_DONTNEED);
    }
}
