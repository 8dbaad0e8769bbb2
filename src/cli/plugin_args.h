/*
 * `outrider plugin call --args`: values of a function, written as "i32:1,i64:-2,f32:0.5,f64:1e9".
 *
 * Thread: one.
 */
#ifndef OTR_CLI_PLUGIN_ARGS_H
#define OTR_CLI_PLUGIN_ARGS_H

#include "wasm/guest.h"

/* "" is no value. OTR_EINVAL names the part that is wrong. */
otr_code otr_cli_read_values(const char *text, otr_typed values[OTR_WASM_MAX_ARGS], size_t *ret_n,
                             otr_err *err) OTR_MUST_CHECK;
/* Appends them in the same form. */
otr_code otr_cli_write_values(const otr_typed *values, size_t n, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

#endif
