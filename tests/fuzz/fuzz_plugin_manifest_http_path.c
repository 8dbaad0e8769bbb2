/*
 * Paths of requests: no reading of one that passed the check climbs, and each stays below its root.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "plugin/manifest/http_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reading(const char *path, unsigned rounds)
{
    otr_http_path p, again;
    const char *text = otr_http_path_read(path, rounds, &p);
    if (text[0] != '/' || strlen(text) > strlen(path) || strstr(text, "/../") != NULL ||
        strchr(text, '\\') != NULL || otr_http_path_climbs(text) != NULL ||
        (rounds == OTR_HTTP_PATH_ROUNDS &&
         strcmp(otr_http_path_read(text, 1, &again), text) != 0)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *path = otr_strndup((const char *)data, size);
    if (path == NULL) {
        abort();
    }
    if (path[0] == '/' && otr_http_path_check(path) == NULL) {
        for (unsigned i = 0; i <= OTR_HTTP_PATH_ROUNDS; i++) {
            check_reading(path, i);
        }
    }
    otr_free(path);
    return 0;
}
