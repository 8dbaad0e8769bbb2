/*
 * One Wasm runtime behind a vtable: compile, spawn, call, memory.
 *
 * Only wasm/engine_<name>.c includes that runtime's headers. An adapter (abi.h) uses nothing else
 * of a runtime. A module is compiled code and can be spawned many times; an instance is one
 * sandbox: its store, the modules linked into it (kernel or sibling modules) and the guest.
 *
 * Thread: engine and module, any; an instance, one thread at a time; tick, any.
 */
#ifndef OTR_WASM_ENGINE_H
#define OTR_WASM_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_engine otr_engine;
typedef struct otr_module otr_module;
typedef struct otr_instance otr_instance;

enum { /* otr_engine_ops.offers */
       OTR_WASM_CORE = 1,
       OTR_WASM_COMPONENT = 2,
       OTR_WASM_FUEL = 4,
       OTR_WASM_DEADLINE = 8, /* ends a running call at its deadline */
       OTR_WASM_MULTI_MEMORY = 16,
};

typedef enum otr_wasm_type {
    OTR_WASM_I32,
    OTR_WASM_I64,
    OTR_WASM_F32,
    OTR_WASM_F64,
    OTR_WASM_OTHER
} otr_wasm_type;

typedef union otr_val { /* the type is known from the function's signature */
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    uint8_t raw[16]; /* the size engines want for an unchecked slot */
} otr_val;

enum { OTR_WASM_MAX_ARGS = 16, OTR_WASM_MAX_RESULTS = 4 };

typedef enum otr_extern_kind {
    OTR_EXTERN_FUNC,
    OTR_EXTERN_MEMORY,
    OTR_EXTERN_TABLE,
    OTR_EXTERN_GLOBAL,
    OTR_EXTERN_OTHER
} otr_extern_kind;

typedef struct otr_sig {
    uint8_t n_args, n_results;       /* 255: more than we handle */
    uint8_t args[OTR_WASM_MAX_ARGS]; /* otr_wasm_type */
    uint8_t results[OTR_WASM_MAX_RESULTS];
} otr_sig;

typedef struct otr_extern_info { /* an import or an export */
    const char *module;          /* imports only, else NULL */
    const char *name;
    otr_extern_kind kind;
    otr_sig sig; /* functions */
} otr_extern_info;

typedef struct otr_module_info {
    const otr_extern_info *imports;
    size_t n_imports;
    const otr_extern_info *exports;
    size_t n_exports;
    uint64_t memory_min_bytes; /* of the module's own memory */
    bool component;            /* a component, not a core module */
    const char *missing;       /* components: which import is not offered, or NULL */
} otr_module_info;

const otr_extern_info *otr_module_export(const otr_module_info *info,
                                         const char *name); /* or NULL */
/* "(i64, i32) -> i32": into `out`, cut to fit; returns `out`. */
const char *otr_sig_text(const otr_sig *sig, char *out, size_t cap);
bool otr_sig_eq(const otr_sig *a, const otr_sig *b);

/* A function the host gives to guests. `vals` holds the arguments and receives the results, both
 * from index 0. A failure traps the guest with err->msg. `user` is otr_spawn.user. */
typedef otr_code otr_host_fn(void *user, otr_instance *inst, otr_val *vals, otr_err *err);

typedef struct otr_import {
    const char *module, *name;
    otr_sig sig;
    otr_host_fn *fn;
    const void *data; /* what fn finds as inst->import->data; NULL: it does not look */
} otr_import;

typedef struct otr_wasi {    /* WASI preview 1; NULL in otr_spawn: not linked */
    const char *const *env;  /* "K=V", NULL-terminated, or NULL */
    const char *const *args; /* NULL-terminated, or NULL */
    /* Folders, under the names that the guest has for them. */
    const struct otr_wasi_dir {
        const char *host, *guest;
        bool writable;
    } *dirs;
    size_t n_dirs;
    /* Optional. A line that the guest wrote to its stdout (fd 1) or stderr (fd 2), without the line
     * break, cut at OTR_LIMIT_PLUGIN_LOG_BYTES; called inside a guest call. `user` is
     * otr_spawn.user. NULL: what it writes is dropped. */
    void (*line)(void *user, int fd, otr_bytes text);
} otr_wasi;

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

typedef struct otr_engine_ops {
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
} otr_engine_ops;

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
    /* Kernel modules of the ABIs (abi.h), compiled when first needed; close() frees them. */
    _Atomic(otr_module *) kernels[OTR_ENGINE_KERNELS];
    /* What runs components beside this engine, opened with the first one; close() closes it. */
    _Atomic(otr_engine *) components;
};
/* Has `e`'s compiler fill the cache; OTR_EUNSUP when there is none. */
otr_code otr_engine_compile_elsewhere(const otr_engine *e, otr_bytes wasm, const char *recipe,
                                      otr_err *err) OTR_MUST_CHECK;

struct otr_module {
    const otr_engine_ops *ops;
    otr_engine *engine;
};
struct otr_instance {
    const otr_engine_ops *ops;
    otr_module *module;
    void *user;                   /* otr_spawn.user */
    const otr_import *import;     /* the running host function's, when that one has data */
    struct otr_wasi_files *files; /* wasi_files.h; NULL: no folder was granted */
    bool steady; /* memories never move: a window from memory() holds as long as the instance */
};

#endif
