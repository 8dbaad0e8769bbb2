/*
 * /etc/hosts of a container: a name, a NUL, the text.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "net/http/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(void *arg, const char *address)
{
    (void)arg;
    if (strlen(address) == 0 || strlen(address) >= OTR_HOSTS_ADDRESS_BYTES) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = otr_strndup((const char *)data, size);
    if (name == NULL) {
        abort();
    }
    size_t n = strlen(name);
    size_t rest = size > n ? n + 1 : n;
    otr_hosts_find((otr_bytes){ data + rest, size - rest }, name, check, NULL);
    otr_free(name);
    return 0;
}
