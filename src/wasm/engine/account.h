/*
 * One account for all memories and tables of a sandbox, asked by either runtime before it
 * allocates: what has no export, what a linked module brings and what grows later counts like the
 * rest.
 *
 * Private to the engines. Only with engines/ of our own: an installed Wasmtime (WASMTIME_DIR) has
 * none and is limited memory by memory.
 *
 * Thread: that of the instance.
 */
#ifndef OTR_WASM_ENGINE_ACCOUNT_H
#define OTR_WASM_ENGINE_ACCOUNT_H

#ifdef OTR_ENGINES_OURS

#include <outrider_engines.h>

#include "base/err.h"
#include "wasm/value/externs.h"

/* For a guest with `n_links` modules linked to it. */
otr_limiter otr_account_new(uint64_t max_bytes, size_t n_links);
/* Whether the account is why `m` could not be instantiated; says so as OTR_EQUOTA, or returns
 * OTR_OK when it is not. */
otr_code otr_account_refused(const otr_limiter *l, const otr_module_info *info, otr_err *err);

#endif
#endif
