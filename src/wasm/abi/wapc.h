/*
 * What the files of the waPC adapter share. Internal to src/wasm/abi/wapc*.c.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_ABI_WAPC_H
#define OTR_WASM_ABI_WAPC_H

#include "wasm/abi/abi.h"

/* What runs before the first call, each if exported, in this order; NULL-terminated. */
extern const char *const otr_wapc_starts[];

/* wapc_check.c: those of otr_abi_ops */
bool otr_wapc_match(const otr_module_info *info);
bool otr_wapc_has(const otr_module_info *info, const char *operation);
otr_code otr_wapc_check(const otr_module_info *info, const char *const *operations,
                        otr_buf *missing, otr_err *err) OTR_MUST_CHECK;

#endif
