/* env.get: variables of the agent's environment that an operator hands to one plugin by name. */
#include <string.h>

#include "base/texts.h"
#include "plugin/services/services.h"

static bool same(otr_bytes a, const char *b)
{
    return a.n == strlen(b) && (a.n == 0 || memcmp(a.p, b, a.n) == 0);
}

static otr_code env_get(otr_gate *gate, void *own, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)own;
    char *const *name = gate->manifest->env_names;
    while (name != NULL && *name != NULL && !same(in, *name)) {
        name++;
    }
    if (name == NULL || *name == NULL || !otr_texts_have(otr_gate_policy(gate)->env_names, *name)) {
        return otr_gate_deny_name(gate, "env.get", in, "env", err);
    }
    for (char *const *pair = gate->manifest->env; *pair != NULL; pair++) {
        if (strncmp(*pair, *name, in.n) == 0 && (*pair)[in.n] == '=') {
            return otr_buf_adds(out, *pair + in.n + 1, err);
        }
    }
    return otr_fail(err, OTR_ENOTFOUND, "env.get: %s is not set in the agent's environment", *name);
}

static const otr_operation operations[] = { { "env.get", env_get }, { NULL, NULL } };

const otr_service otr_service_env = { .name = "env", .grant = "env", .operations = operations };
