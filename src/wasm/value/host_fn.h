/*
 * Functions of the host, as an ABI or WASI offers them and an engine links them, and the instance
 * that they serve.
 *
 * Thread: that of the instance.
 */
#ifndef OTR_WASM_VALUE_HOST_FN_H
#define OTR_WASM_VALUE_HOST_FN_H

#include "base/err.h"
#include "wasm/value/value.h"

typedef struct otr_engine_ops otr_engine_ops; /* wasm/engine/engine.h */
typedef struct otr_module otr_module;         /* wasm/engine/engine.h */
typedef struct otr_instance otr_instance;

/* A function the host gives to guests. `vals` holds the arguments and receives the results, both
 * from index 0. A failure traps the guest with err->msg. `user` is otr_spawn.user. */
typedef otr_code otr_host_fn(void *user, otr_instance *inst, otr_val *vals, otr_err *err);

typedef struct otr_import {
    const char *module, *name;
    otr_sig sig;
    otr_host_fn *fn;
    const void *data; /* what fn finds as inst->import->data; NULL: it does not look */
} otr_import;

/* What every engine's instance begins with. */
struct otr_instance {
    const otr_engine_ops *ops;
    otr_module *module;
    void *user;                       /* otr_spawn.user */
    const otr_import *import;         /* the running host function's, when that one has data */
    struct otr_wasi_files *files;     /* wasi/files.h; NULL: its functions are not linked */
    struct otr_wasi_process *process; /* wasi/process.h; NULL: its functions are not linked */
    bool steady; /* memories never move: a window from memory() holds as long as the instance */
};

#endif
