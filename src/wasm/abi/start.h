/*
 * Start functions: what a guest exports to be run once, before its first operation. One of another
 * type would be passed over in silence and leave the guest half made, so it is refused by name.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_ABI_START_H
#define OTR_WASM_ABI_START_H

#include "base/buf.h"
#include "base/err.h"
#include "wasm/value/externs.h"

/* Appends a line to `missing` when `info` exports `name` and it is no function `wanted`. */
otr_code otr_abi_check_start(const otr_module_info *info, const char *name, const otr_sig *wanted,
                             otr_buf *missing, otr_err *err) OTR_MUST_CHECK;

#endif
