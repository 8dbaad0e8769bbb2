/* Any bytes as a plugin file: loading and inspecting them must end in a guest or in an error. */
#include <stdlib.h>

#include "base/limits.h"
#include "wasm/guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static otr_engine *engine;
    static const char *const operations[] = { "info", "process", NULL };
    otr_err err = { 0 };
    if (engine == NULL && otr_engine_find("wasmtime")->open(NULL, &engine, &err) != OTR_OK) {
        abort();
    }
    const otr_load_spec spec = {
        .name = "fuzz",
        .wasm = { data, size },
        .operations = operations,
        .rewrite = size % 2 == 0,
    };
    otr_guest_code *code = NULL;
    otr_buf text;
    otr_buf_init(&text, 64 * (size_t)OTR_MIB);
    if (otr_guest_load(engine, &spec, &code, &err) == OTR_OK) {
        otr_guest_code_free(code);
    } else if (err.msg[0] == '\0') {
        abort();
    }
    if (otr_guest_inspect(engine, &spec, &text, &err) == OTR_OK && text.n == 0) {
        abort();
    }
    otr_buf_deinit(&text);
    return 0;
}
