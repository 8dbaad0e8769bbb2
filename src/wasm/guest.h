/*
 * A guest: one loaded plugin file, ready to be asked by operation name. Bytes in, bytes out.
 *
 * otr_guest_code is the compiled and validated file (shared); otr_guest is one running sandbox of
 * it behind its ABI adapter. This is the whole interface that src/plugin and the command line use;
 * it needs neither the daemon nor the loop nor the bus. abi/spec.h says how a guest is run,
 * abi/user.h what an embedder can give to guests: functions of its own, operations of its own. All
 * of it is the embedder's; this agent does not use every function.
 *
 * Thread: code, any; a guest, one thread at a time, except otr_guest_cancel() (any).
 */
#ifndef OTR_WASM_GUEST_H
#define OTR_WASM_GUEST_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "wasm/abi/spec.h"
#include "wasm/engine/engine.h"

typedef struct otr_guest_code otr_guest_code;

typedef struct otr_user_function otr_user_function; /* wasm/abi/user.h */

typedef struct otr_load_module { /* one that others import from by its name */
    const char *name;
    otr_bytes wasm;
} otr_load_module;

typedef struct otr_load_spec {
    const char *name;              /* for errors: the plugin's name or the file */
    otr_bytes wasm;                /* borrowed until return */
    const char *abi;               /* NULL: detect; else it must fit the file */
    const char *const *operations; /* required guest operations, NULL-terminated, or NULL: none */
    bool rewrite;                  /* Extism: inline loads and stores at load time where possible */
    /* Extism: modules linked to the guest, and to each other, by name. In any order; no rings. */
    const otr_load_module *modules;
    size_t n_modules;
    const otr_user_function *functions; /* the embedder's, for imports; copied */
    size_t n_functions;
} otr_load_spec;

/* Compiles (or takes from the cache), detects the ABI and checks exports, their types and every
 * import. The error lists all that is missing and what there is. Worker threads only. */
otr_code otr_guest_load(otr_engine *engine, const otr_load_spec *spec, otr_guest_code **ret,
                        otr_err *err) OTR_MUST_CHECK;
/* Compiles the file, and what its ABI links with it, into the engine's cache; checks no more than
 * that it is a module. `name` and `operations` are not used. */
otr_code otr_guest_compile(otr_engine *engine, const otr_load_spec *spec, otr_err *err)
    OTR_MUST_CHECK;
/* One owner more. Any thread that holds one of its owners. */
otr_guest_code *otr_guest_code_ref(otr_guest_code *code);
/* One owner less; the last one after its guests. NULL is fine. */
void otr_guest_code_free(otr_guest_code *code);
const otr_module_info *otr_guest_code_info(const otr_guest_code *code);
const otr_abi_ops *otr_guest_code_abi(const otr_guest_code *code);
const char *otr_guest_code_sha256(const otr_guest_code *code);
/* Whether `operation` can be asked (Extism: a function () -> i32 or () is exported by this name;
 * waPC: always true). Exports of other types are for otr_guest_call_typed(). */
bool otr_guest_code_has(const otr_guest_code *code, const char *operation);

/* What `outrider plugin inspect` shows, also for files that cannot be loaded: JSON object into
 * `out` (abi, engine, size, sha256, compiled, exports, imports, missing[]). `missing` has all that
 * otr_guest_load() would refuse, by the same checks. Fails only when the file is no Wasm at all;
 * of Wasm that the engine does not take `compiled` is false and there are no imports and exports.
 */
otr_code otr_guest_inspect(otr_engine *engine, const otr_load_spec *spec, otr_buf *out,
                           otr_err *err) OTR_MUST_CHECK;

/* A fresh sandbox; runs the module's start functions. */
otr_code otr_guest_new(otr_guest_code *code, const otr_guest_spec *spec, otr_guest **ret,
                       otr_err *err) OTR_MUST_CHECK;
void otr_guest_free(otr_guest *g); /* NULL is fine */

/* Asks operation `op` with input `in` before the monotonic `deadline_ns`; appends the answer to
 * `out`, which keeps its old content on failure. OTR_EINVAL: the guest answered with an error
 * (err->msg is its text) and lives on. OTR_EGUEST, OTR_ETIMEOUT, OTR_EQUOTA: it is dead, see
 * otr_guest_dead(). */
otr_code otr_guest_call(otr_guest *g, const char *op, otr_bytes in, uint64_t deadline_ns,
                        otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* As otr_guest_call(). */
otr_code otr_guest_call_with(otr_guest *g, const otr_guest_ask *ask, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

typedef struct otr_typed {
    otr_wasm_type type;
    otr_val val;
} otr_typed;

typedef struct otr_typed_call {
    otr_guest_ask ask; /* `op` is the name of an exported function; `in` is for Extism guests */
    const otr_typed *args;
    size_t n_args;
    /* Out, on success. */
    otr_typed results[OTR_WASM_MAX_RESULTS];
    size_t n_results;
} otr_typed_call;

/* Calls an exported function of any type with plain values. Results are values: none of them is
 * taken for an error code; an error that an Extism guest set fails the call. `out` (NULL: dropped)
 * gets what an Extism guest left as output. OTR_ENOTFOUND: no such function; OTR_EINVAL also when
 * `args` do not fit its type; else as otr_guest_call(). Not for components. */
otr_code otr_guest_call_typed(otr_guest *g, otr_typed_call *call, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

/* Puts `code` in the place of what `g` runs, between calls: a new sandbox with the same spec is
 * started, then the old one is freed. On failure the old one goes on as it was. Variables and all
 * other state of the old sandbox are gone afterwards; a dead guest lives again. The old code may be
 * freed then. otr_guest_cancel() must not run at the same time; otr_guest_spec.cancel may be set.
 */
otr_code otr_guest_swap(otr_guest *g, otr_guest_code *code, otr_err *err) OTR_MUST_CHECK;

bool otr_guest_dead(const otr_guest *g);
uint64_t otr_guest_memory_bytes(otr_guest *g);
/* Between calls, when the next one may be long in coming: gives back to the system what memory only
 * large inputs and answers needed, as far as the ABI lets us know. Sizes and limits stay. */
void otr_guest_rest(otr_guest *g);
/* The running or next call ends as past its deadline, and the guest is dead. */
void otr_guest_cancel(otr_guest *g);

#endif
