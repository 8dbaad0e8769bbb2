/*
 * Private to wasmi*.c: what the parts of the wasmi engine share.
 *
 * wasmi interprets: small and at work at once, several times slower than compiled code. An instance
 * is one store; its parts are the links in their order, then the guest. Guest code runs in slices
 * of fuel, some tenths of a millisecond each, and the clock is read between them.
 *
 * Thread: as engine.h says.
 */
#ifndef OTR_WASM_ENGINE_WASMI_H
#define OTR_WASM_ENGINE_WASMI_H

#include "wasm/engine/engine.h"
#include "wasm/wasi/errno.h"
#include "wasm/wasi/process.h"

/* A folder of engines that WASMTIME_DIR names may hold Wasmtime alone. */
#if __has_include(<outrider_wasmi.h>)
#define OTR_HAVE_WASMI 1

#include <outrider_wasmi.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/little_endian.h"
#include "wasm/engine/account.h"

typedef struct wi_engine {
    otr_engine base;
    otr_wasmi_engine *engine;
} wi_engine;

typedef struct wi_module {
    otr_module base;
    otr_wasmi_module *module;
    otr_module_info info;
} wi_module;

struct otr_func {
    otr_wasmi_func *func;
    int link;
    const char *name; /* the module's */
    struct otr_func *next;
};

typedef enum wi_end { /* why the guest was stopped by us */
                      WI_END_NONE,
                      WI_END_DEADLINE,
                      WI_END_INTERRUPT,
                      WI_END_EXIT,
                      WI_END_HOST, /* a host function failed: host_err */
} wi_end;

typedef struct wi_line { /* what a guest wrote since its last line break */
    size_t n;
    char *text; /* OTR_LIMIT_PLUGIN_LOG_BYTES, from the first write on */
} wi_line;

typedef struct wi_instance {
    otr_instance base;
    otr_wasmi_store *store;
    uint64_t deadline_ns; /* of the innermost call; UINT64_MAX: none */
    _Atomic bool interrupted;
    const _Atomic bool *cancel; /* the owner's; NULL: none */
    bool dead;
    unsigned depth;              /* calls in flight: a host function may call back in */
    const wi_module *modules[9]; /* of the parts */
    size_t n_parts;
    otr_func *funcs;
    uint64_t max_memory_bytes;
    otr_limiter limiter;
    int exit_code;
    wi_end end;
    otr_err host_err;
    void (*line)(void *user, int fd, otr_bytes text);
    wi_line lines[2];
} wi_instance;

extern const otr_engine_ops otr_engine_wasmi;

/* _module.c */
otr_code otr_wasmi_engine_compile(otr_engine *base, otr_bytes wasm, otr_module **ret, otr_err *err);
otr_code otr_wasmi_engine_compile_made(otr_engine *e, const otr_recipe *recipe, otr_bytes wasm,
                                       otr_module **ret, otr_err *err);
const otr_module_info *otr_wasmi_engine_inspect(const otr_module *m);
void otr_wasmi_engine_module_free(otr_module *base);

/* _spawn.c */
otr_code otr_wasmi_engine_spawn(otr_module *base, const otr_spawn *spec, otr_instance **ret,
                                otr_err *err);
void otr_wasmi_engine_instance_free(otr_instance *base);

/* _call.c */
const otr_func *otr_wasmi_engine_func(otr_instance *base, int link, const char *name);
otr_code otr_wasmi_engine_call(otr_instance *base, const otr_call *call, otr_err *err);
otr_code otr_wasmi_engine_memory(otr_instance *base, int link, uint64_t at, uint64_t len,
                                 uint8_t **ret, otr_err *err);
uint64_t otr_wasmi_engine_memory_bytes(otr_instance *base);
void otr_wasmi_engine_interrupt(otr_instance *base);
int otr_wasmi_engine_exit_code(const otr_instance *base);
int32_t otr_wasmi_host_call(void *user, const void *data, otr_wasmi_val *vals);
int32_t otr_wasmi_overdue(void *user);
/* An otr_sink for an otr_buf. */
void otr_wasmi_text(void *buf, const uint8_t *p, size_t n);
/* Marks the instance dead and fills `err` from `status` (OTR_WASMI_TRAP ...) and wasmi's text. */
otr_code otr_wasmi_failed(wi_instance *i, int32_t status, const char *text, otr_err *err);

/* _wasi.c: WASI; with folders, and in the unstable preview, fd_* and path_* are those of
 * wasi/files.h */
/* The function of `x`, which is an import from WASI, or NULL. */
const otr_import *otr_wasmi_wasi_find(const otr_wasi *wasi, const otr_extern_info *x);
otr_code otr_wasmi_wasi_open(wi_instance *i, const otr_wasi *wasi, otr_err *err);
void otr_wasmi_wasi_close(wi_instance *i);
void otr_wasmi_flush_lines(wi_instance *i);
/* Text for the lines of fd 1 or 2. */
void otr_wasmi_take_text(otr_instance *inst, int fd, const uint8_t *p, size_t n);

/* _wasi_fd.c */
otr_host_fn otr_wasmi_fd_write, otr_wasmi_fd_read, otr_wasmi_fd_close, otr_wasmi_fd_fdstat_get,
    otr_wasmi_fd_filestat_get, otr_wasmi_fd_seek, otr_wasmi_bad_fd;

/* `len` bytes at `at` of the memory of the part that called the host; NULL when they are not all
 * inside. */
static inline uint8_t *wi_at(otr_instance *inst, int32_t at, uint64_t len)
{
    size_t size = 0;
    uint8_t *p = otr_wasmi_memory(((wi_instance *)inst)->store, SIZE_MAX, &size);
    uint64_t from = (uint32_t)at;
    return p != NULL && from <= size && len <= size - from ? p + from : NULL;
}

/* Ends a WASI function: its only result is an errno. */
static inline otr_code wi_answer(otr_val *vals, int32_t error)
{
    vals[0].i32 = error;
    return OTR_OK;
}

#endif
#endif
