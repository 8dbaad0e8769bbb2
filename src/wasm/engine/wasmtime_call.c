#include "base/clock.h"
#include "wasm/engine/wasmtime.h"

_Static_assert(sizeof(otr_val) == sizeof(wasmtime_val_raw_t), "values cross unchanged");
_Static_assert(_Alignof(otr_val) == _Alignof(wasmtime_val_raw_t), "values cross unchanged");

static otr_func *new_func(wt_instance *i, int link, const wt_part *part, const char *name)
{
    const otr_extern_info *x = otr_module_export(&part->module->info, name);
    if (x == NULL || x->kind != OTR_EXTERN_FUNC || x->sig.n_args > OTR_WASM_MAX_ARGS ||
        x->sig.n_results > OTR_WASM_MAX_RESULTS) {
        return NULL;
    }
    wasmtime_extern_t item;
    if (!wasmtime_instance_export_get(i->context, &part->instance, name, strlen(name), &item) ||
        item.kind != WASMTIME_EXTERN_FUNC) {
        return NULL;
    }
    otr_func *f = otr_zalloc(sizeof(*f));
    if (f != NULL) {
        f->func = item.of.func;
        f->n_vals = x->sig.n_args > x->sig.n_results ? x->sig.n_args : x->sig.n_results;
        f->link = link;
        f->name = x->name;
        f->next = i->funcs;
        i->funcs = f;
    }
    return f;
}

const otr_func *otr_wasmtime_func(otr_instance *base, int link, const char *name)
{
    wt_instance *i = (wt_instance *)base;
    wt_part *part = otr_wasmtime_part(i, link);
    if (part == NULL || part->module == NULL) {
        return NULL;
    }
    for (const otr_func *f = i->funcs; f != NULL; f = f->next) {
        if (f->link == link && strcmp(f->name, name) == 0) {
            return f;
        }
    }
    return new_func(i, link, part, name);
}

/* Past the deadline as of the last tick: an under-estimate by one tick at most, for one load. */
static bool overdue(const wt_instance *i)
{
    return atomic_load_explicit(&i->engine->ticker.now_ns, memory_order_relaxed) >= i->deadline_ns;
}

static bool interrupted(wt_instance *i)
{
    return atomic_load_explicit(&i->interrupted, memory_order_relaxed);
}

static otr_code refuse(wt_instance *i, otr_err *err)
{
    if (i->dead) {
        return otr_fail(err, OTR_ESTATE, "the instance ended by an earlier failure");
    }
    i->dead = true;
    return otr_fail(err, OTR_ETIMEOUT, "the call was interrupted");
}

otr_code otr_wasmtime_call(otr_instance *base, const otr_call *call, otr_err *err)
{
    wt_instance *i = (wt_instance *)base;
    if (OTR_UNLIKELY(i->dead || interrupted(i))) {
        return refuse(i, err);
    }
    uint64_t outer = i->deadline_ns;
    uint64_t mine = call->deadline_ns != 0 ? call->deadline_ns : UINT64_MAX;
    if (i->depth == 0) {
        otr_code rc = otr_ticker_enter(&i->engine->ticker, &i->watch, err);
        if (OTR_UNLIKELY(rc != OTR_OK)) {
            return rc;
        }
        i->deadline_ns = mine;
        otr_wasmtime_forget_denied(i);
    } else if (mine < outer) {
        i->deadline_ns = mine;
    }
    i->depth++;
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error = wasmtime_func_call_unchecked(
        i->context, &call->func->func, (wasmtime_val_raw_t *)call->vals, call->func->n_vals, &trap);
    i->depth--;
    i->deadline_ns = outer;
    if (i->depth == 0) {
        if (OTR_UNLIKELY((i->lines[0].n | i->lines[1].n) != 0)) {
            otr_wasmtime_flush_lines(i);
        }
        otr_ticker_leave(&i->watch);
    }
    if (OTR_LIKELY(error == NULL && trap == NULL)) {
        return OTR_OK;
    }
    return otr_wasmtime_failed(i, error, trap, err);
}

wasm_trap_t *otr_wasmtime_stop(wt_instance *i, wt_end end)
{
    static const char text[] = "stopped by the host"; /* the reason is told from `end` */
    i->end = end;
    return wasmtime_trap_new(text, sizeof(text) - 1);
}

/* A start section calls before the exports of its part can be asked for: the caller knows them. */
static void find_memory(wt_instance *i, wasmtime_caller_t *caller)
{
    wt_part *part = &i->parts[i->n_parts];
    wasmtime_extern_t item;
    if (!part->has_memory && wasmtime_caller_export_get(caller, "memory", 6, &item) &&
        item.kind == WASMTIME_EXTERN_MEMORY) {
        part->memory = item.of.memory;
        part->has_memory = true;
    }
}

wasm_trap_t *otr_wasmtime_host_call(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *vals,
                                    size_t n)
{
    (void)n;
    const otr_import *import = env;
    wt_instance *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
    if (OTR_UNLIKELY(overdue(i))) {
        return otr_wasmtime_stop(i, WT_END_DEADLINE);
    }
    if (OTR_UNLIKELY(i->starting)) {
        find_memory(i, caller);
    }
    otr_err err; /* not zeroed: half a kilobyte on a path of a few nanoseconds */
    err.code = OTR_OK;
    err.sys = 0;
    err.msg[0] = '\0';
    otr_code rc = import->fn(i->base.user, &i->base, (otr_val *)vals, &err);
    if (OTR_UNLIKELY(rc != OTR_OK)) {
        if (i->end == WT_END_NONE) { /* else a nested call failed first and said why */
            i->host_err = err;
            i->host_err.code = rc;
        }
        return otr_wasmtime_stop(i, i->end == WT_END_NONE ? WT_END_HOST : i->end);
    }
    if (OTR_UNLIKELY(i->dead)) { /* a nested call trapped and the host function let it pass */
        return otr_wasmtime_stop(i, i->end);
    }
    if (OTR_UNLIKELY(overdue(i))) {
        return otr_wasmtime_stop(i, WT_END_DEADLINE);
    }
    return NULL;
}

/* Once a millisecond while Wasm runs. A tick later is early enough for the next look. */
wasmtime_error_t *otr_wasmtime_epoch(wasmtime_context_t *context, void *data, uint64_t *delta,
                                     wasmtime_update_deadline_kind_t *kind)
{
    (void)context;
    wt_instance *i = data;
    if (interrupted(i) || (i->cancel != NULL && atomic_load(i->cancel))) {
        i->end = WT_END_INTERRUPT;
    } else if (i->deadline_ns != UINT64_MAX && otr_now_ns() >= i->deadline_ns) {
        i->end = WT_END_DEADLINE;
    } else if (otr_wasmtime_over_limit(i)) {
        i->end = WT_END_MEMORY;
    } else {
        *delta = 1;
        *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
        return NULL;
    }
    return wasmtime_error_new("stopped by the host");
}

void otr_wasmtime_interrupt(otr_instance *base)
{
    atomic_store(&((wt_instance *)base)->interrupted, true);
}

int otr_wasmtime_exit_code(const otr_instance *base)
{
    return ((const wt_instance *)base)->exit_code;
}
