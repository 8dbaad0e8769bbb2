/*
 * WASI preview 1 and, under the name "wasi_unstable", the preview before it: what a guest is
 * granted of them, and what there is.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_WASI_WASI_H
#define OTR_WASM_WASI_WASI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

typedef struct otr_wasi {    /* NULL in otr_spawn: not linked */
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

typedef enum otr_wasi_preview {
    OTR_WASI_PREVIEW_1, /* "wasi_snapshot_preview1" */
    OTR_WASI_UNSTABLE,  /* "wasi_unstable": other layouts and numbers, see files.h and wait.h */
} otr_wasi_preview;

/* Whether a module that guests import from is WASI, and which one. */
bool otr_wasi_is(const char *module, otr_wasi_preview *ret);
/* Whether `module` is WASI and has a function of this name. */
bool otr_wasi_has(const char *module, const char *name);

#endif
