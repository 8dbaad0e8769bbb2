/*
 * Wasm text, for every engine.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_ENGINE_WAT_H
#define OTR_WASM_ENGINE_WAT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

/* Appends the binary of the module that `text` describes. OTR_EINVAL names its first mistake
 * and the place, and quotes no line: the file may be none of ours. */
otr_code otr_wat_to_wasm(otr_bytes text, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
