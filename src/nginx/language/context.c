#include "nginx/language/context.h"

#include <string.h>

otr_context otr_context_of(otr_context outer, const char *name)
{
    if (outer == OTR_IN_MAIN) {
        return strcmp(name, "http") == 0 ? OTR_IN_HTTP : OTR_IN_OTHER;
    }
    if (outer == OTR_IN_OTHER) {
        return OTR_IN_OTHER;
    }
    if (outer == OTR_IN_HTTP && strcmp(name, "server") == 0) {
        return OTR_IN_SERVER;
    }
    if ((outer == OTR_IN_SERVER || outer == OTR_IN_LOCATION) && strcmp(name, "location") == 0) {
        return OTR_IN_LOCATION;
    }
    return OTR_IN_HTTP_OTHER;
}
