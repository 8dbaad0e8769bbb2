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

static void give_line(wt_line *l)
{
    l->instance->line(l->instance->base.user, l->fd, (otr_bytes){ (uint8_t *)l->text, l->n });
    l->n = 0;
}

static void take_text(wt_line *l, const uint8_t *p, size_t n)
{
    if (l->instance == NULL || l->instance->line == NULL) {
        return;
    }
    if (l->text == NULL) {
        l->text = otr_alloc(OTR_LIMIT_PLUGIN_LOG_BYTES);
        if (l->text == NULL) {
            return; /* a lost log line is better than a guest that fails because it prints */
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\n') {
            give_line(l);
        } else {
            l->text[l->n++] = (char)p[i];
            if (l->n == OTR_LIMIT_PLUGIN_LOG_BYTES) {
                give_line(l);
            }
        }
    }
}

void otr_wasmtime_take_text(otr_instance *inst, int fd, const uint8_t *p, size_t n)
{
    take_text(&((wt_instance *)inst)->lines[fd - 1], p, n);
}

void otr_wasmtime_open_lines(wt_instance *i, const otr_wasi *wasi)
{
    i->line = wasi->line;
    for (int n = 0; n < 2; n++) {
        i->lines[n] = (wt_line){ .instance = i, .fd = n + 1 };
    }
}

void otr_wasmtime_flush_lines(wt_instance *i)
{
    for (size_t n = 0; n < OTR_COUNT(i->lines); n++) {
        if (i->lines[n].n > 0) {
            give_line(&i->lines[n]);
        }
    }
}

void otr_wasmtime_close_lines(wt_instance *i)
{
    for (size_t n = 0; n < OTR_COUNT(i->lines); n++) {
        otr_free(i->lines[n].text);
    }
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

/* Takes the pieces in order, up to a ceiling that keeps the call short: a write may be partial. */
static int32_t write_pieces(wt_line *l, const memory *m, uint32_t at, uint32_t n, uint32_t *ret)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = load(m, at + (size_t)i * 8), len = load(m, at + (size_t)i * 8 + 4);
        if (!inside(m, from, len)) {
            return WASI_FAULT;
        }
        len = len < MOST_BYTES - sum ? len : MOST_BYTES - sum;
        take_text(l, m->p + from, len);
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
    vals[0].i32 = write_pieces(&i->lines[fd - 1], &m, at, n, &written);
    if (vals[0].i32 == WASI_OK) {
        otr_le_store(m.p + ret, 4, written);
    }
    return NULL;
}
