/*
 * Private to wasmtime*.c: what the parts of the Wasmtime engine share.
 *
 * An instance is one store. Its "parts" are the Wasm instances inside: the links in their order,
 * then the guest. Values cross by unchecked calls, so every signature is compared before the first
 * call, when names are resolved.
 *
 * Thread: as engine.h says.
 */
#ifndef OTR_WASM_ENGINE_WASMTIME_H
#define OTR_WASM_ENGINE_WASMTIME_H

#include <pthread.h>
#include <stdatomic.h>
#include <wasmtime.h>

#include "base/alloc.h"
#include "wasm/engine/account.h"
#include "wasm/engine/codecache.h"
#include "wasm/engine/engine.h"
#include "wasm/engine/ticker.h"

typedef struct wt_engine {
    otr_engine base;
    wasm_engine_t *engine;
    otr_ticker ticker;
    otr_codecache *cache;  /* NULL: compiled code is not kept */
    char settings[160];    /* all that compiled code depends on but the processor */
    bool memories_stay;    /* a memory is never moved: its reservation holds the largest one */
    char cache_error[256]; /* what base.cache_problem shows */
} wt_engine;

typedef enum wt_wasi {
    WT_WASI_NONE,
    WT_WASI_BARE,    /* no folder was granted */
    WT_WASI_FOLDERS, /* some were: fd_* and path_* are those of wasi/files.h */
} wt_wasi;

/* Host functions resolved once for a module and a table of imports. */
typedef struct wt_linked {
    struct wt_linked *next;
    const otr_import *imports;
    size_t n_imports;
    wt_wasi wasi;
    bool unstable; /* the functions of "wasi_unstable" as well */
    wasmtime_linker_t *linker;
    wasmtime_instance_pre_t *pre; /* NULL when links must be resolved for each store */
} wt_linked;

typedef struct wt_module {
    otr_module base;
    wasmtime_module_t *module;
    otr_module_info info;
    bool wants_wasi;
    bool wants_unstable;  /* from "wasi_unstable", which implies the former */
    pthread_mutex_t lock; /* `linked` */
    wt_linked *linked;    /* only grows, so an entry may be used without the lock */
} wt_module;

struct otr_func {
    wasmtime_func_t func;
    size_t n_vals;
    int link;
    const char *name; /* the module's */
    struct otr_func *next;
};

typedef struct wt_part {
    wasmtime_instance_t instance;
    const wt_module *module;
    wasmtime_memory_t memory;
    bool has_memory;
    bool owns_memory; /* not one it imports and exports again */
    uint8_t *base;    /* of a memory that stays, and what is known of its size: it never shrinks */
    uint64_t known_bytes;
    uint64_t large_bytes; /* how much of it was asked to lie in large pages */
} wt_part;

typedef struct wt_line { /* what a guest wrote since its last line break */
    struct wt_instance *instance;
    int fd;
    size_t n;
    char *text;
} wt_line;

typedef enum wt_end { /* why the guest was stopped by us */
                      WT_END_NONE,
                      WT_END_DEADLINE,
                      WT_END_INTERRUPT,
                      WT_END_MEMORY, /* only where there is no account */
                      WT_END_EXIT,   /* it ended itself through a function of ours: exit_code */
                      WT_END_HOST,   /* a host function failed: host_err */
} wt_end;

typedef struct wt_instance {
    otr_instance base;
    otr_watch watch;
    wt_engine *engine;
    wasmtime_store_t *store;
    wasmtime_context_t *context;
    uint64_t deadline_ns; /* of the innermost call; UINT64_MAX: none */
    _Atomic bool interrupted;
    const _Atomic bool *cancel; /* the owner's; NULL: none */
    bool dead;
    bool starting;  /* parts[n_parts] is being made: its start section may call the host */
    unsigned depth; /* calls in flight: a host function may call back in */
    wt_part *parts;
    size_t n_parts;
    otr_func *funcs;
    uint64_t max_memory_bytes;
#ifdef OTR_ENGINES_OURS
    otr_limiter limiter;
#endif
    uint64_t born_ns; /* where the guest's WASI monotonic clock starts */
    int exit_code;
    wt_end end;
    otr_err host_err;
    void (*line)(void *user, int fd, otr_bytes text);
    wt_line lines[2];
    uint8_t *files_memory; /* of the module that calls a function of wasi/files.h */
    size_t files_memory_bytes;
} wt_instance;

/* _config.c */
/* Fills in `settings` and `memories_stay` of `e`, too. */
wasm_engine_t *otr_wasmtime_new_engine(wt_engine *e, otr_err *err);

/* _module.c */
otr_code otr_wasmtime_compile(otr_engine *base, otr_bytes wasm, otr_module **ret, otr_err *err);
otr_code otr_wasmtime_compile_made(otr_engine *base, const otr_recipe *recipe, otr_bytes wasm,
                                   otr_module **ret, otr_err *err);
const otr_module_info *otr_wasmtime_inspect(const otr_module *m);
void otr_wasmtime_module_free(otr_module *base);

/* _linker.c */
/* "module.name", the wanted and the offered type of each import that cannot be satisfied. */
otr_code otr_wasmtime_explain_imports(const wt_module *m, const otr_spawn *spec, otr_err *err);
/* An entry that lives as long as the module. */
otr_code otr_wasmtime_link(wt_module *m, const otr_spawn *spec, const wt_linked **ret,
                           otr_err *err);
void otr_wasmtime_linked_free(wt_linked *all);

/* _define.c */
/* `import` must outlive the linker; `fn` receives it. */
otr_code otr_wasmtime_define(wasmtime_linker_t *linker, const otr_import *import,
                             wasmtime_func_unchecked_callback_t fn, otr_err *err);

/* _wasi.c */
otr_code otr_wasmtime_set_wasi(wt_instance *i, const otr_wasi *wasi, const wt_linked *linked,
                               otr_err *err);
otr_code otr_wasmtime_define_wasi(const wt_linked *linked, otr_err *err);

/* _print.c */
void otr_wasmtime_open_lines(wt_instance *i, const otr_wasi *wasi);
/* Text for the lines of fd 1 or 2. */
void otr_wasmtime_take_text(otr_instance *inst, int fd, const uint8_t *p, size_t n);
void otr_wasmtime_flush_lines(wt_instance *i); /* when a call ends: also what has no line break */
void otr_wasmtime_close_lines(wt_instance *i);
wasm_trap_t *otr_wasmtime_fd_write(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *vals,
                                   size_t n_vals);

/* _spawn.c */
otr_code otr_wasmtime_spawn(otr_module *base, const otr_spawn *spec, otr_instance **ret,
                            otr_err *err);
void otr_wasmtime_instance_free(otr_instance *base);

/* _limit.c: bounds what the parts may allocate together. */
/* Before the first part is made, and again when all are there. */
void otr_wasmtime_limit(wt_instance *i, size_t n_links);
/* Asked at each tick. */
bool otr_wasmtime_over_limit(wt_instance *i);
/* Whether a growth was refused, as far as that is known. */
bool otr_wasmtime_denied(wt_instance *i);
/* A call begins: what was refused in an earlier one says nothing about this one's end. */
static inline void otr_wasmtime_forget_denied(wt_instance *i)
{
#ifdef OTR_ENGINES_OURS
    i->limiter.refused_bytes = 0;
#else
    (void)i;
#endif
}
/* OTR_EQUOTA when that is why `m` could not be instantiated, else OTR_OK. */
otr_code otr_wasmtime_limit_refused(const wt_instance *i, const wt_module *m, otr_err *err);
uint64_t otr_wasmtime_memory_bytes(otr_instance *base);

/* _memory.c */
/* The guest (link -1; while a part is made, that one) or link `link`; NULL: there is none. */
wt_part *otr_wasmtime_part(wt_instance *i, int link);
otr_code otr_wasmtime_memory(otr_instance *base, int link, uint64_t at, uint64_t len, uint8_t **ret,
                             otr_err *err);
void otr_wasmtime_release(otr_instance *base, int link, uint64_t at);

/* _call.c */
const otr_func *otr_wasmtime_func(otr_instance *base, int link, const char *name);
otr_code otr_wasmtime_call(otr_instance *base, const otr_call *call, otr_err *err);
void otr_wasmtime_interrupt(otr_instance *base);
int otr_wasmtime_exit_code(const otr_instance *base);
wasm_trap_t *otr_wasmtime_host_call(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *vals,
                                    size_t n);
wasmtime_error_t *otr_wasmtime_epoch(wasmtime_context_t *context, void *data, uint64_t *delta,
                                     wasmtime_update_deadline_kind_t *kind);
/* A trap that carries `text`, with `end` kept as its reason. */
wasm_trap_t *otr_wasmtime_stop(wt_instance *i, wt_end end);

/* _trap.c: consumes both, marks the instance dead and fills `err`. One of the two is not NULL. */
otr_code otr_wasmtime_failed(wt_instance *i, wasmtime_error_t *error, wasm_trap_t *trap,
                             otr_err *err);
/* Consumes `error`; "<what>: <its text on one line>". */
otr_code otr_wasmtime_fail(otr_err *err, otr_code code, wasmtime_error_t *error, const char *what);

#endif
