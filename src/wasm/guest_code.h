/*
 * What a loaded guest file consists of, and the check that it fits its ABI. Internal to
 * src/wasm/guest*.c.
 *
 * Thread: any; the code does not change once it is loaded.
 */
#ifndef OTR_WASM_GUEST_CODE_H
#define OTR_WASM_GUEST_CODE_H

#include "wasm/abi.h"

struct otr_guest_code {
    const otr_abi_ops *abi;
    otr_module *module;
    otr_module *kernel; /* belongs to the engine; NULL: the ABI has none */
    char sha256[OTR_SHA256_HEX_BYTES];
    _Atomic unsigned more_owners; /* beside the first */
};

/* The ABI that `info` speaks by its imports and exports, or NULL. */
const otr_abi_ops *otr_abi_detect(const otr_module_info *info);
const char *otr_abi_names(void); /* for error texts */
/* Where the engine keeps the kernel of `abi`. */
size_t otr_abi_index(const otr_abi_ops *abi);

/* Appends a line for each export that `abi` or `operations` need and `info` lacks, and for each
 * import that nobody offers as it is wanted. `kernel` may be NULL. */
otr_code otr_guest_check(const otr_abi_ops *abi, const otr_module_info *info,
                         const otr_module_info *kernel, const char *const *operations,
                         otr_buf *missing, otr_err *err) OTR_MUST_CHECK;
/* Appends the names of functions that `info` exports, or of modules that it imports from, with
 * commas and cut at some length. */
otr_code otr_guest_list_exports(const otr_module_info *info, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_guest_list_imports(const otr_module_info *info, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

#endif
