/*
 * The fields that a component's typed calls consist of, and the answers of the host behind them:
 * any bytes are refused or become JSON that is valid.
 */
#include <stdlib.h>

#include "base/json.h"
#include "wasm/abi/wit_services.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input's second half is the host's answer. */
static otr_bytes answer;

static otr_code call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)host;
    if (strncmp(op, "metric.", 7) == 0 && !otr_json_valid(in)) {
        abort();
    }
    return otr_buf_add(out, answer, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "wit.http",      "wit.counter", "wit.gauge",
                                         "wit.histogram", "wit.unix-ns", "wit.monotonic-ns" };
    static const otr_host_ops ops = { .call = call };
    if (size < 2) {
        return 0;
    }
    otr_guest g = { .spec = { .ops = &ops, .max_output_bytes = 1 << 20 } };
    const char *op = names[data[0] % OTR_COUNT(names)];
    size_t half = 2 + (size - 2) * data[1] / 255;
    otr_bytes a = { data + 2, half - 2 };
    otr_err err = { 0 };
    otr_buf out;
    answer = (otr_bytes){ data + half, size - half };
    otr_buf_init(&out, 1 << 20);
    if (!otr_wit_service_is(op)) {
        abort();
    }
    otr_code rc = otr_wit_service(&g, op, a, answer, &out, &err);
    if (rc != OTR_OK && out.n > 0) {
        abort();
    }
    otr_buf_deinit(&out);
    return 0;
}
