#include "wasm/engine/wat.h"

#include <stdio.h>
#include <string.h>
#include <wasmtime.h>

/* What is wrong and where, without the lines that the text's reader quotes: it may be a file that
 * was never meant as Wasm, and an error is read by others. */
static otr_code refuse(wasmtime_error_t *error, otr_err *err)
{
    char all[512], place[32] = "";
    wasm_byte_vec_t text;
    wasmtime_error_message(error, &text);
    wasmtime_error_delete(error);
    (void)snprintf(all, sizeof(all), "%.*s",
                   (int)(text.size < sizeof(all) ? text.size : sizeof(all) - 1),
                   text.size > 0 ? text.data : "");
    wasm_byte_vec_delete(&text);
    const char *at = strstr(all, "--> <anon>:");
    if (at != NULL) {
        at += strlen("--> <anon>:");
        (void)snprintf(place, sizeof(place), " at %.*s", (int)strspn(at, "0123456789:"), at);
    }
    return otr_fail(err, OTR_EINVAL, "neither a Wasm binary nor Wasm text%s: %.*s", place,
                    (int)strcspn(all, "\n"), all);
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
