#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/number.h"
#include "support/test.h"

T(reals_are_short_and_lose_nothing)
{
    char out[OTR_F64_BYTES];
    CHECK_STR(otr_f64_text(out, 0.1), "0.1");
    CHECK_STR(otr_f64_text(out, 1.0 / 3), "0.3333333333333333");
    CHECK_STR(otr_f64_text(out, 0.1 + 0.2), "0.30000000000000004");
    CHECK_STR(otr_f64_text(out, 5e-324), "4.94065645841247e-324");
    CHECK_STR(otr_f64_text(out, 1.7976931348623157e308), "1.7976931348623157e+308");
    CHECK_STR(otr_f64_text(out, 9007199254740993.0), "9007199254740992");
    CHECK_STR(otr_f64_text(out, -0.0), "-0");
}

T(every_real_reads_back_as_itself)
{
    char out[OTR_F64_BYTES];
    uint64_t bits = 88172645463325252;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13; /* xorshift64 */
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (isfinite(value)) {
            REQUIRE(strtod(otr_f64_text(out, value), NULL) == value);
        }
    }
    CHECK(strtod(otr_f64_text(out, DBL_MIN), NULL) == DBL_MIN);
    CHECK(strtod(otr_f64_text(out, -DBL_MAX), NULL) == -DBL_MAX);
}
