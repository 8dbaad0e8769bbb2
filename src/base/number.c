#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

const char *otr_f64_text(char out[OTR_F64_BYTES], double value)
{
    /* 15 digits always survive decimal → double → decimal and 17 the other way round: the first
     * that reads back as the same number is the shortest for a person. */
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, OTR_F64_BYTES, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            break;
        }
    }
    return out;
}
