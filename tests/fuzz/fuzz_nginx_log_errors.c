/* Lines of an error log: every complete one counts once, whatever it is, and has one cause at most.
 */
#include <stdlib.h>

#include "nginx/log/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_log_formats *formats = NULL;
    need(otr_log_formats_new_errors(&formats, NULL) == OTR_OK);
    otr_log_errors errors = { 0 };
    otr_log_counts c = { .errors = &errors };
    size_t taken = otr_log_formats_scan(formats, (otr_bytes){ data, size }, &c);
    uint64_t lines = 0, levels = 0, causes = 0;
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n';
    }
    for (size_t i = 0; i < OTR_LEVELS; i++) {
        levels += errors.levels[i];
    }
    for (size_t i = 0; i < OTR_ERROR_CAUSES; i++) {
        causes += errors.causes[i];
        need(otr_error_cause_name(i)[0] != '\0');
    }
    need(taken <= size && (taken == 0 || data[taken - 1] == '\n'));
    need(c.lines == lines && c.unparsed + levels == lines && causes <= levels);
    otr_log_formats_unref(formats);
    return 0;
}
