#include "plugin/denials.h"
#include "support/test.h"

T(a_denial_is_counted_under_the_grants_key)
{
    static const char *const kinds[OTR_DENIAL_KINDS] = { "publish",   "kv_bytes",     "http",
                                                         "metrics",   "env",          "secrets",
                                                         "instances", "nginx_config", "other" };
    for (unsigned i = 0; i < OTR_DENIAL_KINDS; i++) {
        CHECK_INT(otr_denial_of(kinds[i]), i);
        CHECK_STR(otr_denial_kind(i), kinds[i]);
    }
}

T(what_has_no_kind_of_its_own_is_other)
{
    CHECK_INT(otr_denial_of("paths"), OTR_DENIAL_KINDS - 1);
    CHECK_INT(otr_denial_of(""), OTR_DENIAL_KINDS - 1);
    CHECK_STR(otr_denial_kind(OTR_DENIAL_KINDS), "other");
    CHECK_STR(otr_denial_kind(1000), "other");
}
