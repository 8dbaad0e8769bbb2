/*
 * WASI's files for every engine: the folders that a guest was granted, and what it opens
 * below them.
 *
 * Each instance has a table of descriptors. 0 to 2 are the standard streams, then follow the
 * granted folders; all others come from path_open. The kernel confines: a path is resolved by
 * openat2 beneath the folder's descriptor, which was opened once, at spawn, and is never resolved
 * again. What has no openat2 form acts on one name in a parent that was opened that way, and
 * follows no link. A path that leads out is answered with PERM. A folder that was granted for
 * reading refuses everything that would change something, with PERM as well. Only regular files and
 * folders can be opened: a FIFO would hold up the agent, and opening a device can act on it.
 *
 * The functions are host functions (value/host_fn.h) for instances whose `files` is set. Pointers
 * of guests that are not inside the memory are answered with FAULT.
 *
 * Thread: that of the instance.
 */
#ifndef OTR_WASM_WASI_FILES_H
#define OTR_WASM_WASI_FILES_H

#include "wasm/value/host_fn.h"
#include "wasm/wasi/wasi.h"

typedef struct otr_wasi_files otr_wasi_files;

typedef struct otr_wasi_engine { /* what the engine lends */
    /* The memory of the module that calls; false: it exports none. */
    bool (*memory)(otr_instance *inst, uint8_t **ret, size_t *ret_bytes);
    /* Text that the guest writes to its standard output (1) or error (2). */
    void (*print)(otr_instance *inst, int fd, const uint8_t *p, size_t n);
    /* For wasi/process.h: the guest ends itself; fails. */
    otr_code (*exit)(otr_instance *inst, int32_t code, otr_err *err);
    /* For wasi/process.h: the running call's deadline, UINT64_MAX: none; and whether it is to end,
     * by that or otherwise. */
    uint64_t (*deadline_ns)(const otr_instance *inst);
    bool (*ended)(otr_instance *inst);
} otr_wasi_engine;

/* A descriptor that stands for the folder. The error names it. */
otr_code otr_wasi_open_folder(const struct otr_wasi_dir *dir, int *ret_fd, otr_err *err)
    OTR_MUST_CHECK;
/* Opens the folders of `wasi`; `engine` is borrowed for good. The error names the folder. */
otr_code otr_wasi_files_open(const otr_wasi *wasi, const otr_wasi_engine *engine,
                             otr_wasi_files **ret, otr_err *err) OTR_MUST_CHECK;
void otr_wasi_files_free(otr_wasi_files *f);

/* The functions, a constant table: all of fd_* and path_*. The unstable preview counts fd_seek's
 * whence from the current position on, and its filestat has 56 bytes, with a short count of links.
 */
const otr_import *otr_wasi_files_functions(otr_wasi_preview preview, size_t *ret_n);

#endif
