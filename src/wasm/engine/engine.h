/*
 * One Wasm runtime behind a vtable: compile, spawn, call, memory.
 *
 * Only <runtime>*.c includes that runtime's headers. An adapter (wasm/abi/abi.h) uses nothing else
 * of a runtime. A module is compiled code and can be spawned many times; an instance is one
 * sandbox: its store, the modules linked into it (kernel or sibling modules) and the guest.
 *
 * Thread: engine and module, any; an instance, one thread at a time; tick, any.
 */
#ifndef OTR_WASM_ENGINE_ENGINE_H
#define OTR_WASM_ENGINE_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "wasm/value/externs.h"
#include "wasm/value/host_fn.h"
#include "wasm/value/value.h"
#include "wasm/wasi/wasi.h"

typedef struct otr_engine otr_engine;

enum { /* otr_engine_ops.offers */
       OTR_WASM_CORE = 1,
       OTR_WASM_COMPONENT = 2,
       OTR_WASM_FUEL = 4,
       OTR_WASM_DEADLINE = 8, /* ends a running call at its deadline */
       OTR_WASM_MULTI_MEMORY = 16,
};

/* A module that is instantiated first, under one or more names. */
typedef struct otr_link {
    otr_module *module;
    const char *as[3]; /* import module names it satisfies, NULL-terminated */
} otr_link;

/* Every host operation of a component, by name, with up to two inputs. `user` is otr_spawn.user. */
typedef otr_code otr_component_host_fn(void *user, const char *op, otr_bytes a, otr_bytes b,
                                       otr_buf *out, otr_err *err);

typedef struct otr_spawn {
    /* Host functions by (module, name); the guest may use fewer. A constant table: it outlives the
     * module, which keeps what it made of it. */
    const otr_import *imports;
    size_t n_imports;
    const otr_link
        *links; /* instantiated in order; each may import the host functions and earlier ones */
    size_t n_links;
    const otr_wasi *wasi;
    uint64_t max_memory_bytes;  /* of all memories of the instance together, kernel included */
    uint64_t start_deadline_ns; /* monotonic; for start functions of modules. 0: none */
    void *user;                 /* passed to each host function */
    otr_component_host_fn *component_call; /* components only */
    /* Optional. Set by any thread at any time: what the instance runs ends as by interrupt(), also
     * while it is being made. Outlives the instance. */
    const _Atomic bool *cancel;
} otr_spawn;

typedef struct otr_func
    otr_func; /* a cached handle of an exported function; lives as long as the instance */

typedef struct otr_call {
    const otr_func *func;
    otr_val *vals;        /* arguments in, results out; room for the larger of both */
    uint64_t deadline_ns; /* monotonic; 0: none */
} otr_call;

typedef struct otr_recipe { /* what is compiled in place of a file */
    const char *name;       /* another one whenever make() would make something else */
    /* Appends it to `ret`, or leaves that empty: the file itself. Fails only for want of memory. */
    otr_code (*make)(const void *arg, otr_bytes wasm, otr_buf *ret, otr_err *err);
    const void *arg;
} otr_recipe;

enum {
    OTR_MEM_GUEST = -1
}; /* otr_memory_ref.link: the guest's own; else index into otr_spawn.links */

struct otr_engine_ops {
    const char *name; /* "wasmtime" */
    unsigned offers;

    /* `cache_dir`: compiled code is kept there (NULL: not kept). See codecache.h. */
    otr_code (*open)(const char *cache_dir, otr_engine **ret, otr_err *err);
    void (*close)(otr_engine *e); /* after the last module_free() */

    /* Optional: opens what runs components beside this engine. */
    otr_code (*open_components)(otr_engine *e, otr_engine **ret, otr_err *err);

    /* Binary or text (wat). Takes milliseconds to seconds: worker threads only. `wasm` may be
     * freed on return. The error says where the module is malformed. */
    otr_code (*compile)(otr_engine *e, otr_bytes wasm, otr_module **ret, otr_err *err);
    /* Optional. As compile(), of what `recipe` makes of `wasm`; of `wasm` itself when that does not
     * compile. Nothing is made or compiled when what came of it is in the cache. */
    otr_code (*compile_made)(otr_engine *e, const otr_recipe *recipe, otr_bytes wasm,
                             otr_module **ret, otr_err *err);
    const otr_module_info *(*inspect)(const otr_module *m); /* lives as long as m */
    void (*module_free)(otr_module *m);                     /* after its instances */

    otr_code (*spawn)(otr_module *m, const otr_spawn *spec, otr_instance **ret, otr_err *err);
    /* NULL when the guest (link -1) or link `link` exports no such function, or memory is out. */
    const otr_func *(*func)(otr_instance *i, int link, const char *name);
    /* OTR_EGUEST on a trap, OTR_ETIMEOUT past the deadline, OTR_EQUOTA when memory ran out: the
     * instance is then dead, only instance_free() may follow. err->msg has the reason and, where
     * the engine knows them, function names and file:line. */
    otr_code (*call)(otr_instance *i, const otr_call *call, otr_err *err);
    /* Bounds-checked window into the memory exported as "memory" by the guest or a link; valid
     * until the guest runs again. OTR_EINVAL when out of range. */
    otr_code (*memory)(otr_instance *i, int link, uint64_t at, uint64_t len, uint8_t **ret,
                       otr_err *err);
    uint64_t (*memory_bytes)(otr_instance *i); /* all memories together, now */
    /* Optional. Between calls: zeroes the memory of link `link` from `at` on, a multiple of 64 KiB,
     * by giving its pages back to the system. Its size stays. Does nothing where it cannot. */
    void (*release)(otr_instance *i, int link, uint64_t at);
    /* From another thread: the running or next call ends as past its deadline. */
    void (*interrupt)(otr_instance *i);
    /* The process's exit code if the guest called WASI proc_exit, else -1. Code 0 is how a start
     * function may end: call() reports OTR_EGUEST all the same, but the instance can go on. */
    int (*exit_code)(const otr_instance *i);
    void (*instance_free)(otr_instance *i);
};

const otr_engine_ops *otr_engine_find(const char *name); /* NULL: no such engine; "wasmtime" */
const char *otr_engine_names(void);                      /* "wasmtime, wasmi": for error texts */

extern const otr_engine_ops otr_engine_wasmtime;

/* Compiles in another process, which puts the code into the same cache. Any thread.
 * OTR_EUNSUP: it could not be tried, so compile here; any other failure is the compilation's own.
 */
typedef struct otr_compiler {
    /* `recipe`: the name of what is made of `wasm` first, NULL: nothing. */
    otr_code (*fill)(void *arg, const char *engine, otr_bytes wasm, const char *recipe,
                     otr_err *err);
    void *arg;
} otr_compiler;

enum { OTR_ENGINE_KERNELS = 4 };

/* Every engine object begins with this, so that callers need not carry the vtable along. */
struct otr_engine {
    const otr_engine_ops *ops;
    const char *cache_problem; /* why `cache_dir` is not used, for the owner to log; or NULL */
    /* Optional, set by the owner after open(): asked for what the cache lacks. Borrowed. */
    const otr_compiler *compiler;
    /* Kernel modules of the ABIs (wasm/abi/abi.h), compiled when first needed; close() frees them.
     */
    _Atomic(otr_module *) kernels[OTR_ENGINE_KERNELS];
    /* What runs components beside this engine, opened with the first one; close() closes it. */
    _Atomic(otr_engine *) components;
};
/* Has `e`'s compiler fill the cache; OTR_EUNSUP when there is none. */
static inline otr_code otr_engine_compile_elsewhere(const otr_engine *e, otr_bytes wasm,
                                                    const char *recipe, otr_err *err)
{
    if (e->compiler == NULL) {
        return otr_fail(err, OTR_EUNSUP, "no other process compiles");
    }
    return e->compiler->fill(e->compiler->arg, e->ops->name, wasm, recipe, err);
}

struct otr_module {
    const otr_engine_ops *ops;
    otr_engine *engine;
};
/* NULL gives NULL. */
static inline const otr_module_info *otr_module_info_of(const otr_module *m)
{
    return m != NULL ? m->ops->inspect(m) : NULL;
}

#endif
