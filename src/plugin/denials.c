#include "plugin/denials.h"

#include <string.h>

#include "base/base.h"

static const char *const kinds[] = { "publish", "kv_bytes",  "http",         "metrics", "env",
                                     "secrets", "instances", "nginx_config", "other" };
_Static_assert(OTR_COUNT(kinds) == OTR_DENIAL_KINDS, "a name for each kind");

const char *otr_denial_kind(size_t kind)
{
    return kinds[kind < OTR_DENIAL_KINDS ? kind : OTR_DENIAL_KINDS - 1];
}

unsigned otr_denial_of(const char *grant)
{
    unsigned i = 0;
    while (i < OTR_DENIAL_KINDS - 1 && strcmp(kinds[i], grant) != 0) {
        i++;
    }
    return i;
}
