/*
 * What a proxy answers: whole and byte by byte the verdict is the same, and so is what is left.
 */
#include <stdlib.h>

#include "net/rpc/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static otr_code read_in_steps(otr_bytes all, size_t step, bool *ret_open, size_t *ret_left)
{
    otr_rpc_proxy_answer answer;
    otr_err err = { 0 };
    otr_code rc = OTR_OK;
    otr_rpc_proxy_answer_init(&answer);
    *ret_open = false;
    while (rc == OTR_OK && !*ret_open && all.n > 0) {
        otr_bytes part = { all.p, step < all.n ? step : all.n };
        size_t n = part.n;
        rc = otr_rpc_proxy_answer_feed(&answer, &part, ret_open, &err);
        all.p += n - part.n;
        all.n -= n - part.n;
    }
    *ret_left = all.n;
    otr_rpc_proxy_answer_deinit(&answer);
    if (rc != OTR_OK && err.msg[0] == '\0') {
        abort();
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool whole = false, steps = false;
    size_t whole_left = 0, steps_left = 0;
    otr_code a = read_in_steps((otr_bytes){ data, size }, size > 0 ? size : 1, &whole, &whole_left);
    otr_code b = read_in_steps((otr_bytes){ data, size }, 1, &steps, &steps_left);
    if (a != b || whole != steps || (a == OTR_OK && whole_left != steps_left)) {
        abort();
    }
    return 0;
}
