#include "plugin/services/gate.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum { NAME_SHOWN = 64 };

/* ---- services ---- */

static const otr_operation *operation_of(const otr_service *s, const char *name)
{
    const otr_operation *op = s->operations;
    while (op->name != NULL && strcmp(op->name, name) != 0) {
        op++;
    }
    return op->name != NULL ? op : NULL;
}

/* What the grant lets through. */
static otr_code enter(otr_gate *gate, size_t at, otr_err *err)
{
    const otr_service *s = gate->services[at];
    if (s->granted != NULL && !s->granted(gate->manifest)) {
        return otr_gate_deny(gate, s->name, s->grant, err);
    }
    return s->open != NULL && gate->own[at] == NULL ? s->open(gate, &gate->own[at], err) : OTR_OK;
}

otr_code otr_gate_call(otr_gate *gate, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    for (size_t i = 0; gate->services[i] != NULL; i++) {
        const otr_operation *found = operation_of(gate->services[i], op);
        if (found != NULL) {
            otr_code rc = enter(gate, i, err);
            return rc == OTR_OK ? found->run(gate, gate->own[i], in, out, err) : rc;
        }
    }
    return otr_fail(err, OTR_EUNSUP, "there is no host operation \"%s\"", op);
}

bool otr_gate_granted(const otr_gate *gate, const char *op)
{
    for (size_t i = 0; gate->services[i] != NULL; i++) {
        const otr_service *s = gate->services[i];
        if (operation_of(s, op) != NULL) {
            return s->granted == NULL || s->granted(gate->manifest);
        }
    }
    return true;
}

otr_code otr_gate_load(otr_gate *gate, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && gate->services[i] != NULL; i++) {
        if (gate->services[i]->load != NULL) {
            rc = gate->services[i]->load(gate, &gate->own[i], err);
        }
    }
    return rc;
}

void *otr_gate_own(const otr_gate *gate, const otr_service *service)
{
    size_t i = 0;
    while (gate->services[i] != NULL && gate->services[i] != service) {
        i++;
    }
    return gate->services[i] != NULL ? gate->own[i] : NULL;
}

void otr_gate_close(otr_gate *gate, const otr_service *service)
{
    for (size_t i = 0; gate->services[i] != NULL; i++) {
        if (gate->services[i] == service && gate->own[i] != NULL) {
            service->close(gate->own[i]);
            gate->own[i] = NULL;
        }
    }
}

void otr_gate_deinit(otr_gate *gate)
{
    for (size_t i = 0; gate->services[i] != NULL; i++) {
        otr_gate_close(gate, gate->services[i]);
    }
    gate->facts = otr_facts_unref(gate->facts);
}

/* ---- denials ---- */

void otr_gate_count_denial(otr_gate *gate, const char *grant)
{
    gate->denials[otr_denial_of(grant)]++;
}

uint64_t otr_gate_denials(const otr_gate *gate)
{
    uint64_t n = 0;
    for (size_t i = 0; i < OTR_DENIAL_KINDS; i++) {
        n += gate->denials[i];
    }
    return n;
}

otr_code otr_gate_deny(otr_gate *gate, const char *what, const char *grant, otr_err *err)
{
    unsigned kind = otr_denial_of(grant);
    unsigned bit = 1U << kind;
    gate->denials[kind]++;
    if ((gate->denial_logged & bit) == 0) {
        gate->denial_logged |= bit;
        otr_log_warn("host operation denied; further ones of its kind are only counted", "plugin",
                     gate->name, "operation", what, "grant", grant, "manifest",
                     gate->manifest->where);
    }
    return otr_fail(err, OTR_EDENIED, "%s: not granted to plugin \"%s\" (grants.%s at %s)", what,
                    gate->name, grant, gate->manifest->where);
}

otr_code otr_gate_deny_name(otr_gate *gate, const char *op, otr_bytes name, const char *grant,
                            otr_err *err)
{
    char what[128];
    int n = name.n < NAME_SHOWN ? (int)name.n : NAME_SHOWN;
    (void)snprintf(what, sizeof(what), "%s %.*s", op, n, n > 0 ? (const char *)name.p : "");
    return otr_gate_deny(gate, what, grant, err);
}
