#include "wasm/engine/wat.h"

#include <wasmtime.h>

static otr_code refuse(wasmtime_error_t *error, otr_err *err)
{
    wasm_byte_vec_t text;
    wasmtime_error_message(error, &text);
    wasmtime_error_delete(error);
    size_t n = text.size < 160 ? text.size : 160;
    for (size_t i = 0; i < n; i++) {
        text.data[i] = text.data[i] == '\n' ? ' ' : text.data[i];
    }
    otr_code rc = otr_fail(err, OTR_EINVAL, "neither a Wasm binary nor Wasm text: %.*s", (int)n,
                           n > 0 ? text.data : "");
    wasm_byte_vec_delete(&text);
    return rc;
}

otr_code otr_wat_to_wasm(otr_bytes text, otr_buf *out, otr_err *err)
{
    wasm_byte_vec_t binary;
    wasmtime_error_t *error = wasmtime_wat2wasm((const char *)text.p, text.n, &binary);
    if (error != NULL) {
        return refuse(error, err);
    }
    otr_code rc = otr_buf_add(out, (otr_bytes){ (const uint8_t *)binary.data, binary.size }, err);
    wasm_byte_vec_delete(&binary);
    return rc;
}
