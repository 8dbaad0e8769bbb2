/* Exported functions of any type, called with values. */
#include <stdio.h>

#include "wasm/guest_code.h"

static otr_code find(const otr_guest *g, const char *name, const otr_sig **ret, otr_err *err)
{
    if (g->abi->begin == NULL) {
        return otr_fail(err, OTR_EUNSUP, "guests of %s have no functions of plain values",
                        g->abi->name);
    }
    const otr_extern_info *x = otr_module_export(g->info, name);
    if (x == NULL || x->kind != OTR_EXTERN_FUNC) {
        return otr_fail(err, OTR_ENOTFOUND, "the guest exports no function %s", name);
    }
    if (x->sig.n_args > OTR_WASM_MAX_ARGS || x->sig.n_results > OTR_WASM_MAX_RESULTS) {
        return otr_fail(err, OTR_EUNSUP,
                        "the function %s has more than %d arguments or %d results, or values that "
                        "are not i32, i64, f32 or f64",
                        name, OTR_WASM_MAX_ARGS, OTR_WASM_MAX_RESULTS);
    }
    *ret = &x->sig;
    return OTR_OK;
}

static otr_code put_args(const otr_typed_call *call, const otr_sig *sig, otr_val *vals,
                         otr_err *err)
{
    char want[160], have[160];
    otr_sig given = { 0 };
    bool fits = call->n_args == sig->n_args;
    for (size_t i = 0; i < call->n_args && i < OTR_WASM_MAX_ARGS; i++) {
        given.args[i] = (uint8_t)call->args[i].type;
        given.n_args++;
        fits = fits && given.args[i] == sig->args[i];
        vals[i] = call->args[i].val;
    }
    return fits ? OTR_OK
                : otr_fail(err, OTR_EINVAL, "the function %s is %s; it was given %s%s",
                           call->ask.op, otr_sig_text(sig, want, sizeof(want)),
                           otr_sig_text(&given, have, sizeof(have)),
                           call->n_args > OTR_WASM_MAX_ARGS ? " and more" : "");
}

static otr_code run(otr_guest *g, const otr_guest_ask *ask, otr_val *vals, otr_buf *out,
                    otr_err *err)
{
    otr_code rc = g->abi->begin(g, ask, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_call call = { g->inst->ops->func(g->inst, OTR_MEM_GUEST, ask->op), vals,
                            ask->deadline_ns };
    if (call.func == NULL) {
        return otr_fail_nomem(err);
    }
    rc = g->inst->ops->call(g->inst, &call, err);
    return g->abi->finish(g, ask, rc, out, err);
}

otr_code otr_guest_call_typed(otr_guest *g, otr_typed_call *call, otr_buf *out, otr_err *err)
{
    const otr_sig *sig = NULL;
    otr_val vals[OTR_WASM_MAX_ARGS] = { { .i64 = 0 } };
    otr_guest_ask ask = call->ask;
    otr_buf none;
    otr_code rc = find(g, ask.op, &sig, err);
    rc = rc == OTR_OK ? put_args(call, sig, vals, err) : rc;
    rc = rc == OTR_OK ? otr_guest_enter(g, &ask, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf_init(&none, g->spec.max_output_bytes);
    otr_buf *to = out != NULL ? out : &none;
    size_t before = to->n;
    rc = run(g, &ask, vals, to, err);
    otr_guest_leave(g, rc);
    if (rc != OTR_OK) {
        otr_buf_cut(to, before);
    }
    otr_buf_deinit(&none);
    if (rc == OTR_OK) {
        call->n_results = sig->n_results;
        for (size_t i = 0; i < sig->n_results; i++) {
            call->results[i] = (otr_typed){ (otr_wasm_type)sig->results[i], vals[i] };
        }
    }
    return rc;
}
