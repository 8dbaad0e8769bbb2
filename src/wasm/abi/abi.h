/*
 * One way for host and guest to hand over bytes: "extism", "wapc", "wit".
 *
 * An adapter knows memory and calling conventions; never topics, configuration or NGINX.
 * For wasm/abi and the files of src/wasm itself.
 *
 * Thread: that of the guest.
 */
#ifndef OTR_WASM_ABI_ABI_H
#define OTR_WASM_ABI_ABI_H

#include "wasm/abi/spec.h"
#include "wasm/engine/engine.h"

/* A module of ours that is linked before each guest of an ABI, as link 0 of the instance. It is
 * compiled when the first such guest is loaded. Its exports serve imports beside `imports()`. */
typedef struct otr_kernel {
    const otr_bytes *wasm; /* text */
    const char *as[3];     /* the import module names it satisfies, NULL-terminated */
} otr_kernel;

struct otr_abi_ops {
    const char *name;
    unsigned needs;    /* engine features it cannot do without */
    size_t state_size; /* zeroed per guest: otr_guest.state */

    const otr_kernel *kernel; /* Optional. */
    /* Optional. Asked before compiling when otr_load_spec.rewrite is set: appends to `ret` a module
     * that means the same and runs faster, or leaves it empty and says in `why` (text) why this
     * one stays as it is. Fails only for want of memory. */
    otr_code (*rewrite)(otr_bytes wasm, otr_buf *ret, otr_buf *why, otr_err *err);
    const char *rewriter; /* its name in the code cache; raise its number when its output changes */

    /* Asked when the manifest names no ABI. */
    bool (*match)(const otr_module_info *info);
    /* Every host function it offers. */
    const otr_import *(*imports)(size_t *ret_n);
    otr_component_host_fn *host_call; /* Optional: the same for components. */
    /* Appends what `info` lacks to speak this ABI and to answer `operations`, a line each. */
    otr_code (*check)(const otr_module_info *info, const char *const *operations, otr_buf *missing,
                      otr_err *err);
    bool (*has)(const otr_module_info *info, const char *operation);
    /* Once, after spawn: finds handles, runs start functions before `deadline_ns`. */
    otr_code (*attach)(otr_guest *g, uint64_t deadline_ns, otr_err *err);
    /* Bytes in, bytes out: appends to `out` on success, leaves it alone on failure. */
    otr_code (*invoke)(otr_guest *g, const char *op, otr_bytes in, uint64_t deadline_ns,
                       otr_buf *out, otr_err *err);
    /* Optional, both: before and after a function of any type is called, which guest.c does.
     * `finish` is told how it `ended`, with that failure in `err`: it fails, too, when the guest
     * says that something went wrong, else it appends the output. */
    otr_code (*begin)(otr_guest *g, const otr_guest_ask *ask, otr_err *err);
    otr_code (*finish)(otr_guest *g, const otr_guest_ask *ask, otr_code ended, otr_buf *out,
                       otr_err *err);
    /* Optional. Between calls: gives back memory that only the last calls needed. */
    void (*rest)(otr_guest *g);
    /* Also after a trap: must not call into the guest. */
    void (*detach)(otr_guest *g);
};

extern const otr_abi_ops otr_abi_extism;
extern const otr_abi_ops otr_abi_wapc;
extern const otr_abi_ops otr_abi_wit;

/* The ABI that `info` speaks by its imports and exports, or NULL. */
const otr_abi_ops *otr_abi_detect(const otr_module_info *info);
/* The first ABI that can make its guests faster, of those that a file may speak: `wanted`, or any
 * when that is NULL. NULL: none can. */
const otr_abi_ops *otr_abi_rewriter(const otr_abi_ops *wanted);
const char *otr_abi_names(void); /* for error texts */
/* Where the engine keeps the kernel of `abi`. */
size_t otr_abi_index(const otr_abi_ops *abi);

struct otr_guest {
    const otr_abi_ops *abi;
    struct otr_guest_code *code;                /* for guest.c */
    const otr_module_info *info;                /* of the file's own module, which `inst` runs */
    const struct otr_extism_manifest *manifest; /* that the file was; NULL: it was a module */
    otr_instance *inst;
    otr_guest_spec spec;  /* with every default and what the file's manifest tightens */
    otr_guest_spec asked; /* as it was given */
    otr_wasi wasi;        /* what the engine is given: spec.wasi or nothing granted */
    bool dead;
    bool running;        /* inside otr_guest_call(): a guest is not re-entered */
    void *state;         /* abi->state_size bytes */
    void *context;       /* of the running call */
    uint64_t timeout_ns; /* of each call, from the file's own manifest; 0: none */
};

#endif
