/* random.bytes: open to all. */
#include <sodium.h>

#include "plugin/services/services.h"

enum { MAX_RANDOM = 1024 };

static otr_code random_bytes(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)gate;
    (void)own;
    size_t n = 0;
    for (size_t i = 0; i < in.n && n <= MAX_RANDOM; i++) {
        if (in.p[i] < '0' || in.p[i] > '9') {
            n = 0;
            break;
        }
        n = n * 10 + (size_t)(in.p[i] - '0');
    }
    if (n == 0 || n > MAX_RANDOM) {
        return otr_fail(err, OTR_EINVAL, "random.bytes: expected a count from 1 to %d as text",
                        MAX_RANDOM);
    }
    uint8_t *at;
    otr_code rc = otr_buf_reserve(out, n, &at, err);
    if (rc == OTR_OK) {
        randombytes_buf(at, n);
        otr_buf_grew(out, n);
    }
    return rc;
}

static const otr_operation operations[] = { { "random.bytes", random_bytes }, { NULL, NULL } };

const otr_service otr_service_random = { .name = "random", .operations = operations };
