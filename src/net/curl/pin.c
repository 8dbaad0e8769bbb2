#include "net/curl/pin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>

static bool is_address(const char *host)
{
    struct in_addr four;
    return host[0] == '[' || inet_pton(AF_INET, host, &four) == 1;
}

otr_code otr_resolve_pin(const otr_curl *curl, const otr_resolve_spec *spec, unsigned port,
                         struct curl_slist **ret, otr_err *err)
{
    enum { PORT_BYTES = 8 };
    char addresses[OTR_RESOLVED_BYTES];
    char line[OTR_RESOLVE_HOST_BYTES + PORT_BYTES + OTR_RESOLVED_BYTES];
    *ret = NULL;
    if (is_address(spec->host)) {
        return OTR_OK;
    }
    otr_code rc = otr_resolve(spec, addresses, err);
    if (rc == OTR_OK) {
        (void)snprintf(line, sizeof(line), "%s:%u:%s", spec->host, port, addresses);
        *ret = curl->slist_append(NULL, line);
        rc = *ret != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    return rc;
}
