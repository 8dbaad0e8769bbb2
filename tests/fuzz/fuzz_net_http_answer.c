/*
 * The answer reader: any bytes, whole and one at a time, give the same verdict and the same body.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "net/http/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static otr_code collect(void *arg, otr_bytes part, otr_err *err)
{
    return otr_buf_add(arg, part, err);
}

static otr_code read_in_steps(otr_bytes all, size_t step, otr_buf *body)
{
    otr_err err = { 0 };
    otr_http_answer *answer = NULL;
    otr_code rc = otr_http_answer_new(collect, body, &answer, &err);
    while (rc == OTR_OK && all.n > 0) {
        size_t n = step < all.n ? step : all.n;
        rc = otr_http_answer_feed(answer, (otr_bytes){ all.p, n }, &err);
        all.p += n;
        all.n -= n;
    }
    if (rc == OTR_OK) {
        rc = otr_http_answer_feed(answer, (otr_bytes){ NULL, 0 }, &err);
    }
    otr_http_answer_free(answer);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_buf whole, steps;
    otr_buf_init(&whole, 1 << 20);
    otr_buf_init(&steps, 1 << 20);
    otr_code a = read_in_steps((otr_bytes){ data, size }, size > 0 ? size : 1, &whole);
    otr_code b = read_in_steps((otr_bytes){ data, size }, 1, &steps);
    if (a != b || (a == OTR_OK && (whole.n != steps.n ||
                                   (whole.n > 0 && memcmp(whole.p, steps.p, whole.n) != 0)))) {
        abort();
    }
    otr_buf_deinit(&whole);
    otr_buf_deinit(&steps);
    return 0;
}
