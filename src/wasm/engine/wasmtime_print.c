/*
 * What a guest prints, line by line, on the guest's own thread.
 *
 * Wasmtime writes to a custom stream from a thread of its own, at any time, even after the store is
 * gone. So a guest gets our fd_write, which needs no stream: this one, or with folders that of
 * wasi/files.h.
 */
#include "base/limits.h"
#include "base/little_endian.h"
#include "wasm/engine/wasmtime.h"
#include "wasm/wasi/errno.h"

enum { MOST_PIECES = 1024 };
enum { MOST_BYTES = OTR_LIMIT_WASI_PRINT_BYTES };

void otr_wasmtime_take_text(otr_instance *inst, int fd, const uint8_t *p, size_t n)
{
    otr_lines_take(&((wt_instance *)inst)->lines, fd, (otr_bytes){ p, n });
}

/* ---- our fd_write ---- */

typedef struct memory {
    uint8_t *p;
    size_t n;
} memory;

static bool inside(const memory *m, uint32_t at, uint32_t n)
{
    return at <= m->n && n <= m->n - at;
}

static uint32_t load(const memory *m, size_t at)
{
    return (uint32_t)otr_le_load(m->p + at, 4);
}

typedef struct pieces {
    uint32_t at, n;
} pieces;

/* Takes the pieces in order, up to a ceiling that keeps the call short: a write may be partial. */
static int32_t write_pieces(otr_instance *to, int fd, const memory *m, pieces all, uint32_t *ret)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < all.n; i++) {
        size_t at = all.at + (size_t)i * 8;
        uint32_t from = load(m, at), len = load(m, at + 4);
        if (!inside(m, from, len)) {
            return WASI_FAULT;
        }
        len = len < MOST_BYTES - sum ? len : MOST_BYTES - sum;
        otr_wasmtime_take_text(to, fd, m->p + from, len);
        sum += len;
    }
    *ret = sum;
    return WASI_OK;
}

/* (fd, pieces, n, ret_written) -> errno */
wasm_trap_t *otr_wasmtime_fd_write(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *vals,
                                   size_t n_vals)
{
    (void)env;
    (void)n_vals;
    wasmtime_context_t *context = wasmtime_caller_context(caller);
    wt_instance *i = wasmtime_context_get_data(context);
    uint32_t fd = (uint32_t)vals[0].i32, at = (uint32_t)vals[1].i32;
    uint32_t n = (uint32_t)vals[2].i32, ret = (uint32_t)vals[3].i32;
    wasmtime_extern_t item;
    if (fd != 1 && fd != 2) {
        vals[0].i32 = WASI_BADF;
        return NULL;
    }
    vals[0].i32 = WASI_INVAL;
    if (n > MOST_PIECES || !wasmtime_caller_export_get(caller, "memory", 6, &item) ||
        item.kind != WASMTIME_EXTERN_MEMORY) {
        return NULL;
    }
    const memory m = { wasmtime_memory_data(context, &item.of.memory),
                       wasmtime_memory_data_size(context, &item.of.memory) };
    vals[0].i32 = WASI_FAULT;
    if (!inside(&m, at, n * 8) || !inside(&m, ret, 4)) {
        return NULL;
    }
    uint32_t written = 0;
    vals[0].i32 = write_pieces(&i->base, (int)fd, &m, (pieces){ at, n }, &written);
    if (vals[0].i32 == WASI_OK) {
        otr_le_store(m.p + ret, 4, written);
    }
    return NULL;
}
