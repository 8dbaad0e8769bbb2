/*
 * What an embedder gives to its guests beside what their ABI offers.
 *
 * A function satisfies an import of the module: any namespace, any name, values of i32, i64, f32
 * and f64. It is given when the file is loaded, so that a missing or mistyped one is named before
 * anything runs. An operation answers waPC's __host_call by binding, namespace and name. Both carry
 * user data of their own and see the context of the call that they serve. All of it is the
 * embedder's; this agent gives nothing of that kind.
 *
 * Extism guests pass bytes as handles of Extism memory: otr_user_view(), _give() and _release().
 *
 * Thread: functions and operations run on the guest's thread, inside a call; they may not call the
 * guest again.
 */
#ifndef OTR_WASM_ABI_USER_H
#define OTR_WASM_ABI_USER_H

#include "wasm/abi/spec.h"
#include "wasm/value/host_fn.h"

typedef struct otr_user_function otr_user_function;

typedef struct otr_user_call {
    otr_guest *guest;
    otr_instance *inst; /* for the functions below */
    void *host;         /* otr_guest_spec.host */
    void *user;         /* of the function or operation */
    void *context;      /* otr_guest_ask.context; NULL in start functions and plain calls */
    const char *binding, *space, *name; /* what was asked for; binding: waPC, else NULL */
} otr_user_call;

/* `vals` holds the arguments and receives the results, both from index 0. A failure traps the guest
 * with err->msg and ends the call. */
typedef otr_code otr_user_fn(const otr_user_call *call, otr_val *vals, otr_err *err);

struct otr_user_function {
    const char *space; /* the import's module; NULL: "extism:host/user" */
    const char *name;
    otr_sig sig;
    otr_user_fn *fn;
    void *user;
};

/* Appends the answer. A failure is what the guest gets by __host_error; it lives on. */
typedef otr_code otr_user_operation_fn(const otr_user_call *call, otr_bytes in, otr_buf *out,
                                       otr_err *err);

/* The first one that fits answers. The binding "outrider" is the host's own and never comes here.
 */
struct otr_user_operation {
    const char *binding, *space, *name; /* NULL: any */
    otr_user_operation_fn *fn;
    void *user;
};

/* ---- for otr_user_fn, of Extism guests ---- */

/* The bytes of the block `handle`, until Wasm runs or something is given; may be written to. 0 has
 * none. OTR_EINVAL when it is no handle. */
otr_code otr_user_view(const otr_user_call *call, uint64_t handle, uint8_t **ret, size_t *ret_n,
                       otr_err *err) OTR_MUST_CHECK;
/* A new block with a copy of `bytes`; no bytes: 0. OTR_EQUOTA when memory is used up. It belongs to
 * the guest and is gone when the call ends. */
otr_code otr_user_give(const otr_user_call *call, otr_bytes bytes, uint64_t *ret, otr_err *err)
    OTR_MUST_CHECK;
/* Frees a block before the call ends; what is no handle is ignored. */
otr_code otr_user_release(const otr_user_call *call, uint64_t handle, otr_err *err) OTR_MUST_CHECK;

/* ---- for otr_user_fn, of any guest ---- */

/* A window into the guest's own memory, until Wasm runs. OTR_EINVAL when it is out of range. */
otr_code otr_user_memory(const otr_user_call *call, uint64_t at, uint64_t n, uint8_t **ret,
                         otr_err *err) OTR_MUST_CHECK;

#endif
