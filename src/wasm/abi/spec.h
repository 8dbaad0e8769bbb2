/*
 * How a guest is run: what its host answers, what it may use, and what a call brings. guest.h takes
 * it, the ABI adapters read it.
 *
 * Thread: any; a guest's own copy, that of the guest.
 */
#ifndef OTR_WASM_ABI_SPEC_H
#define OTR_WASM_ABI_SPEC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "wasm/wasi/wasi.h"

typedef struct otr_guest otr_guest;
typedef struct otr_user_operation otr_user_operation; /* user.h */

/* Which ABI a module speaks, from its imports and exports. */
typedef struct otr_abi_ops otr_abi_ops;
const otr_abi_ops *otr_abi_find(const char *name); /* "extism", "wapc", "wit"; NULL: no such ABI */
const char *otr_abi_name(const otr_abi_ops *abi);

/* What a guest may ask of us; the owner checks grants there. Called on the guest's thread, inside a
 * call. `host` is otr_guest_spec.host. A failure is told to the guest in its ABI's own way. */
typedef struct otr_host_ops {
    otr_code (*publish)(void *host, const char *topic, otr_bytes payload, otr_err *err);
    /* Appends the value; OTR_ENOTFOUND when there is no such key. */
    otr_code (*config)(void *host, const char *key, otr_buf *out, otr_err *err);
    /* Any other operation: "<namespace>.<operation>", for example "kv.get". */
    otr_code (*call)(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err);
    void (*log)(void *host, int level, otr_bytes text); /* level: otr_log_level, or -1 for trace */
    /* Optional. waPC's question to bus.publish as it is, topic and data in one: for encodings that
     * only the owner knows. NULL: it is JSON, and `publish` is called. */
    otr_code (*publish_message)(void *host, otr_bytes message, otr_err *err);
    /* Optional. Whether call() would get past the grants with `op`, before anything is made ready
     * for it: counts and logs nothing. True for one that asks for itself. NULL: true for all. */
    bool (*granted)(void *host, const char *op);
} otr_host_ops;

/* What a call may find of the call before it in the memory between host and guest (Extism). */
typedef enum otr_zeroing {
    OTR_ZERO_USED,  /* nothing: what the call before had allocated is zeroed, as libextism does */
    OTR_ZERO_NEVER, /* anything: fastest; only the same instance's own old bytes can be seen */
} otr_zeroing;

typedef struct otr_guest_spec {
    const char *name; /* for errors and logs; borrowed for the guest's life */
    const otr_host_ops *ops;
    void *host;
    const otr_wasi *wasi; /* NULL: WASI without files, network, environment when it is imported */
    uint64_t max_memory_bytes; /* here and below: 0 is the default of base/limits.h */
    uint64_t max_vars_bytes;
    uint64_t max_http_bytes; /* Extism: body of one answer to http_request */
    size_t max_output_bytes;
    uint64_t init_ms; /* deadline of start functions */
    otr_zeroing zeroing;
    /* waPC: host operations of the embedder's, asked in this order; borrowed for the guest's life.
     */
    const otr_user_operation *operations;
    size_t n_operations;
    /* Optional. Set by any thread: what runs ends as by otr_guest_cancel(), start functions, too.
     * Outlives the guest. */
    const _Atomic bool *cancel;
} otr_guest_spec;

typedef struct otr_guest_ask { /* a call with all that can be said about it */
    const char *op;
    otr_bytes in;
    uint64_t deadline_ns; /* monotonic; 0: none */
    void *context;        /* what functions and operations of the embedder see as context */
} otr_guest_ask;

#endif
