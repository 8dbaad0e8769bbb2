/*
 * What a loaded guest file consists of, and the check that it fits its ABI. Internal to
 * src/wasm/guest*.c.
 *
 * Thread: any; the code does not change once it is loaded.
 */
#ifndef OTR_WASM_GUEST_CODE_H
#define OTR_WASM_GUEST_CODE_H

#include "wasm/abi/abi.h"
#include "wasm/abi/extism_manifest.h"
#include "wasm/abi/user.h"
#include "wasm/guest.h"

enum { OTR_GUEST_MODULES = 7, OTR_GUEST_FUNCTIONS = 1000 }; /* of one guest, at most */

typedef struct otr_linked_module {
    char *name;
    otr_module *module;
} otr_linked_module;

struct otr_guest_code {
    const otr_abi_ops *abi;
    otr_module *module;
    otr_module *kernel;                          /* belongs to the engine; NULL: the ABI has none */
    otr_linked_module linked[OTR_GUEST_MODULES]; /* in the order in which they are instantiated */
    size_t n_linked;
    const otr_import *imports; /* the ABI's own, or those and the embedder's */
    size_t n_imports;
    otr_import *own_imports;      /* what `imports` is when there are functions */
    otr_user_function *functions; /* with texts of their own */
    size_t n_functions;
    otr_extism_manifest *manifest; /* that the file was; NULL: it was a module */
    char sha256[OTR_SHA256_HEX_BYTES];
    _Atomic unsigned more_owners; /* beside the first */
};

void otr_guest_code_deinit(otr_guest_code *code); /* half-built is fine */

/* guest_load.c: loading in its steps, for guest_inspect.c. Compiles the guest and the modules
 * linked to it; which ABI they speak; then all that the ABI brings. */
otr_code otr_guest_compile_all(otr_engine *engine, const otr_load_spec *spec, otr_guest_code *code,
                               otr_err *err) OTR_MUST_CHECK;
otr_code otr_guest_pick_abi(const otr_guest_code *code, const char *name, const otr_abi_ops **ret,
                            otr_err *err) OTR_MUST_CHECK;
otr_code otr_guest_complete(const otr_load_spec *spec, otr_guest_code *code, otr_err *err)
    OTR_MUST_CHECK;

/* guest_compile.c */
bool otr_is_component(otr_bytes wasm);
/* What runs this file: `engine`, or what runs components beside it. */
otr_code otr_guest_engine_for(otr_engine *engine, otr_bytes wasm, otr_engine **ret, otr_err *err)
    OTR_MUST_CHECK;
/* The engine's copy of the ABI's kernel; NULL: the ABI has none. */
otr_code otr_guest_kernel(otr_engine *engine, const otr_abi_ops *abi, otr_module **ret,
                          otr_err *err) OTR_MUST_CHECK;
/* One core module, rewritten when `spec` says so. */
otr_code otr_guest_compile_one(otr_engine *engine, const otr_load_spec *spec, otr_bytes wasm,
                               otr_module **ret, otr_err *err) OTR_MUST_CHECK;

/* guest.c: around every call. `ask->deadline_ns` may become an earlier one. */
otr_code otr_guest_enter(otr_guest *g, otr_guest_ask *ask, otr_err *err) OTR_MUST_CHECK;
void otr_guest_leave(otr_guest *g, otr_code rc);

/* guest_link.c: compiles `spec->modules` into `code->linked`, sorted so that each comes after what
 * it imports from. */
otr_code otr_guest_link(otr_engine *engine, const otr_load_spec *spec, otr_guest_code *code,
                        otr_err *err) OTR_MUST_CHECK;
void otr_guest_unlink(otr_guest_code *code);
/* Runs `_initialize` of each linked module that has it. */
otr_code otr_guest_start_linked(otr_guest *g, uint64_t deadline_ns, otr_err *err) OTR_MUST_CHECK;

/* guest_user.c: fills in `imports`, with the embedder's functions behind those of the ABI. */
otr_code otr_guest_functions(const otr_load_spec *spec, otr_guest_code *code, otr_err *err)
    OTR_MUST_CHECK;
void otr_guest_drop_functions(otr_guest_code *code);

/* Appends a line for each export that the ABI or `operations` need and the guest lacks, and for
 * each import of it or of a linked module that nobody offers as it is wanted. */
otr_code otr_guest_check(const otr_guest_code *code, const char *const *operations,
                         otr_buf *missing, otr_err *err) OTR_MUST_CHECK;
/* guest_inspect.c: otr_guest_inspect(), of a module that `file` is or names. */
otr_code otr_guest_inspect_of(otr_engine *engine, const otr_load_spec *spec, otr_bytes file,
                              otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* Appends the names of functions (of a component, of all at its top) that `info` exports, or of
 * modules that it imports from, with commas and cut at some length. */
otr_code otr_guest_list_exports(const otr_module_info *info, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_guest_list_imports(const otr_module_info *info, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

#endif
