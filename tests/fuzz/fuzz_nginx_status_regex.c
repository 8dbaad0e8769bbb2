/*
 * A pattern, a NUL, a text: no sample fails to match, nothing reads beyond its end.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "nginx/status/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool check(void *arg, otr_bytes text)
{
    if (!otr_regex_matches(arg, text)) {
        abort();
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = otr_strndup((const char *)data, size);
    if (text == NULL) {
        abort();
    }
    size_t n = strlen(text);
    for (otr_regex_case how = OTR_REGEX_EXACT_CASE; how <= OTR_REGEX_ANY_CASE; how++) {
        otr_regex *regex = NULL;
        if (otr_regex_new(text, how, &regex, NULL) == OTR_OK) {
            size_t rest = size > n ? n + 1 : n;
            (void)otr_regex_matches(regex, (otr_bytes){ data + rest, size - rest });
            otr_regex_samples(regex, 8, check, regex);
            otr_regex_free(regex);
        }
    }
    otr_free(text);
    return 0;
}
