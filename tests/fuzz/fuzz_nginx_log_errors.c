/*
 * A line of an error log: nothing reads beyond its end, and what is told of it has a name.
 */
#include <stdlib.h>

#include "nginx/log/errors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_error_line e;
    if (otr_error_line_read((otr_bytes){ data, size }, &e) &&
        (e.level >= OTR_ERROR_LEVELS || e.cause >= OTR_CAUSES ||
         otr_error_cause_name(e.cause) == NULL || otr_error_level_name(e.level) == NULL)) {
        abort();
    }
    return 0;
}
