/*
 * WASI's arguments, environment, clocks, random bytes, waiting and exit, for every engine; and the
 * sockets that there are not.
 *
 * The functions are host functions (value/host_fn.h) for instances whose `process` is set. Pointers
 * of guests that are not inside the memory are answered with FAULT.
 *
 * Thread: that of the instance.
 */
#ifndef OTR_WASM_WASI_PROCESS_H
#define OTR_WASM_WASI_PROCESS_H

#include "wasm/wasi/files.h"

typedef struct otr_wasi_process otr_wasi_process;

/* Copies what `wasi` grants; `engine` is borrowed for good. The error names what is no NAME=value.
 */
otr_code otr_wasi_process_new(const otr_wasi *wasi, const otr_wasi_engine *engine,
                              otr_wasi_process **ret, otr_err *err) OTR_MUST_CHECK;
void otr_wasi_process_free(otr_wasi_process *p); /* NULL is fine */

/* The functions, a constant table: all that is neither fd_* nor path_*. */
const otr_import *otr_wasi_process_functions(otr_wasi_preview preview, size_t *ret_n);

#endif
