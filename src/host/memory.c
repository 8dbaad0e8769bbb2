#include "host/sections.h"
#include "host/text.h"

enum { KIB = 1024 };

static uint64_t less(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

void otr_host_memory_parse(otr_bytes meminfo, otr_host_memory *ret)
{
    const struct {
        const char *key;
        uint64_t *to;
    } rows[] = {
        { "MemTotal:", &ret->total },
        { "MemAvailable:", &ret->available },
        { "MemFree:", &ret->free },
        { "Buffers:", &ret->buffered },
        { "Cached:", &ret->cached },
        { "SReclaimable:", &ret->slab_reclaimable },
        { "SUnreclaim:", &ret->slab_unreclaimable },
        { "SwapTotal:", &ret->swap_total },
        { "SwapFree:", &ret->swap_free },
    };
    otr_bytes line, word;
    bool total = false;
    while (otr_host_line(&meminfo, &line)) {
        uint64_t value;
        if (!otr_host_word(&line, &word) || !otr_host_next_u64(&line, &value) ||
            value > UINT64_MAX / KIB) {
            continue;
        }
        for (size_t i = 0; i < OTR_COUNT(rows); i++) {
            if (otr_host_is(word, rows[i].key)) {
                *rows[i].to = value * KIB;
                total |= i == 0;
            }
        }
    }
    ret->known = total && ret->total > 0;
    ret->cached += ret->slab_reclaimable; /* as the collector's library has it */
    ret->used = less(less(less(ret->total, ret->free), ret->buffered), ret->cached);
}

void otr_host_files_parse(otr_bytes file_nr, otr_host_files *ret)
{
    uint64_t used, unused, most;
    otr_bytes line;
    if (otr_host_line(&file_nr, &line) && otr_host_next_u64(&line, &used) &&
        otr_host_next_u64(&line, &unused) && otr_host_next_u64(&line, &most)) {
        *ret = (otr_host_files){ .known = true, .used = less(used, unused), .most = most };
    }
}

void otr_host_load_parse(otr_bytes loadavg, otr_host_load *ret)
{
    otr_host_load load = { .known = true };
    otr_bytes word;
    for (size_t i = 0; i < OTR_COUNT(load.minutes); i++) {
        if (!otr_host_word(&loadavg, &word) || !otr_host_f64(word, &load.minutes[i])) {
            return;
        }
    }
    *ret = load;
}
