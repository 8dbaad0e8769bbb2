/*
 * WASI preview 1: what a guest is granted of it, and what there is.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_WASI_WASI_H
#define OTR_WASM_WASI_WASI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

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

/* Whether it has a function of this name. */
bool otr_wasi_has(const char *name);

#endif
