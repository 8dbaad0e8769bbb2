#include <stdio.h>

#include "base/clock.h"
#include "wasm/engine/wasmtime.h"
#include "wasm/wasi/process.h"

enum { MAX_LINKS = 8 };

void otr_wasmtime_instance_free(otr_instance *base)
{
    wt_instance *i = (wt_instance *)base;
    if (i == NULL) {
        return;
    }
    otr_ticker_remove(&i->engine->ticker, &i->watch);
    if (i->store != NULL) {
        wasmtime_store_delete(i->store);
    }
    while (i->funcs != NULL) {
        otr_func *f = i->funcs;
        i->funcs = f->next;
        otr_free(f);
    }
    otr_wasmtime_close_lines(i);
    otr_wasi_files_free(i->base.files);
    otr_wasi_process_free(i->base.process);
    otr_free(i->parts);
    otr_free(i);
}

static otr_code new_instance(wt_module *m, const otr_spawn *spec, wt_instance **ret, otr_err *err)
{
    wt_engine *e = (wt_engine *)m->base.engine;
    wt_instance *i = otr_zalloc(sizeof(*i));
    if (i == NULL) {
        return otr_fail_nomem(err);
    }
    i->base = (otr_instance){
        .ops = m->base.ops, .module = &m->base, .user = spec->user, .steady = e->memories_stay
    };
    i->engine = e;
    i->deadline_ns = UINT64_MAX;
    i->exit_code = -1;
    i->cancel = spec->cancel;
    i->max_memory_bytes = spec->max_memory_bytes;
    i->born_ns = otr_now_ns();
    i->parts = otr_calloc(spec->n_links + 1, sizeof(*i->parts));
    i->store = i->parts != NULL ? wasmtime_store_new(e->engine, i, NULL) : NULL;
    if (i->store == NULL) {
        otr_wasmtime_instance_free(&i->base);
        return otr_fail_nomem(err);
    }
    i->context = wasmtime_store_context(i->store);
    wasmtime_store_epoch_deadline_callback(i->store, otr_wasmtime_epoch, i, NULL);
    otr_ticker_add(&e->ticker, &i->watch);
    *ret = i;
    return OTR_OK;
}

/* Finds `import` among the parts that exist already, then among the host functions. */
static bool resolve(wt_instance *i, const otr_spawn *spec, const wt_linked *linked,
                    const otr_extern_info *import, wasmtime_extern_t *ret)
{
    for (size_t l = 0; l < i->n_parts && l < spec->n_links; l++) {
        const char *const *as = spec->links[l].as;
        for (size_t a = 0; a < OTR_COUNT(spec->links[l].as) && as[a] != NULL; a++) {
            if (strcmp(as[a], import->module) == 0 &&
                wasmtime_instance_export_get(i->context, &i->parts[l].instance, import->name,
                                             strlen(import->name), ret)) {
                return true;
            }
        }
    }
    return wasmtime_linker_get(linked->linker, i->context, import->module, strlen(import->module),
                               import->name, strlen(import->name), ret);
}

static otr_code failed_start(wt_instance *i, const wt_module *m, const otr_spawn *spec,
                             wasmtime_error_t *error, wasm_trap_t *trap, otr_err *err)
{
    if (trap == NULL && i->end == WT_END_NONE && !i->dead) {
        otr_code rc = otr_wasmtime_explain_imports(m, spec, err);
        if (rc != OTR_OK) {
            wasmtime_error_delete(error);
            return rc;
        }
        rc = otr_wasmtime_limit_refused(i, m, err);
        if (rc != OTR_OK) {
            wasmtime_error_delete(error);
            return rc;
        }
    }
    bool limits = trap == NULL && i->end == WT_END_NONE;
    otr_code rc = otr_wasmtime_failed(i, error, trap, err);
    if (limits && rc == OTR_EGUEST && i->exit_code < 0) {
        /* The engine refused to make it: too many instances, memories or tables. */
        rc = strstr(err != NULL ? err->msg : "", "limit") != NULL ? OTR_EQUOTA : OTR_EGUEST;
    }
    return rc;
}

static otr_code instantiate_linked(wt_instance *i, const wt_module *m, const otr_spawn *spec,
                                   const wt_linked *linked, wt_part *part, otr_err *err)
{
    wasmtime_extern_t *externs = otr_calloc(m->info.n_imports + 1, sizeof(*externs));
    if (externs == NULL) {
        return otr_fail_nomem(err);
    }
    wasmtime_error_t *error = NULL;
    wasm_trap_t *trap = NULL;
    bool found = true;
    for (size_t n = 0; found && n < m->info.n_imports; n++) {
        found = resolve(i, spec, linked, &m->info.imports[n], &externs[n]);
    }
    if (found) {
        error = wasmtime_instance_new(i->context, m->module, externs, m->info.n_imports,
                                      &part->instance, &trap);
    } else {
        error = wasmtime_error_new("an import is not offered");
    }
    otr_free(externs);
    return error == NULL && trap == NULL ? OTR_OK : failed_start(i, m, spec, error, trap, err);
}

static otr_code instantiate(wt_instance *i, wt_module *m, const otr_spawn *spec,
                            const wt_linked *linked, otr_err *err)
{
    wt_part *part = &i->parts[i->n_parts];
    otr_code rc = OTR_OK;
    i->starting = true;
    if (linked->pre != NULL) {
        wasm_trap_t *trap = NULL;
        wasmtime_error_t *error =
            wasmtime_instance_pre_instantiate(linked->pre, i->context, &part->instance, &trap);
        if (error != NULL || trap != NULL) {
            rc = failed_start(i, m, spec, error, trap, err);
        }
    } else {
        rc = instantiate_linked(i, m, spec, linked, part, err);
    }
    i->starting = false;
    if (rc != OTR_OK) {
        return rc;
    }
    wasmtime_extern_t item;
    part->module = m;
    if (wasmtime_instance_export_get(i->context, &part->instance, "memory", 6, &item) &&
        item.kind == WASMTIME_EXTERN_MEMORY) {
        part->memory = item.of.memory;
        part->has_memory = part->owns_memory = true;
        for (const wt_part *p = i->parts; p < part; p++) {
            if (p->has_memory && p->memory.__private1 == part->memory.__private1 &&
                p->memory.__private2 == part->memory.__private2) {
                part->owns_memory = false;
            }
        }
    }
    i->n_parts++;
    return OTR_OK;
}

static otr_code instantiate_all(wt_instance *i, wt_module *m, const otr_spawn *spec,
                                const wt_linked *linked, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t l = 0; rc == OTR_OK && l < spec->n_links; l++) {
        rc = instantiate(i, (wt_module *)spec->links[l].module, spec, linked, err);
    }
    return rc == OTR_OK ? instantiate(i, m, spec, linked, err) : rc;
}

otr_code otr_wasmtime_spawn(otr_module *base, const otr_spawn *spec, otr_instance **ret,
                            otr_err *err)
{
    wt_module *m = (wt_module *)base;
    const wt_linked *linked;
    wt_instance *i = NULL;
    if (spec->n_links > MAX_LINKS) {
        return otr_fail(err, OTR_EQUOTA, "%zu linked modules; the limit is %d", spec->n_links,
                        MAX_LINKS);
    }
    otr_code rc = otr_wasmtime_link(m, spec, &linked, err);
    if (rc == OTR_OK) {
        rc = new_instance(m, spec, &i, err);
    }
    if (rc == OTR_OK && linked->wasi != WT_WASI_NONE) {
        rc = otr_wasmtime_set_wasi(i, spec->wasi, linked, err);
    }
    if (rc == OTR_OK) {
        otr_wasmtime_limit(i, spec->n_links);
        i->deadline_ns = spec->start_deadline_ns != 0 ? spec->start_deadline_ns : UINT64_MAX;
        rc = otr_ticker_enter(&i->engine->ticker, &i->watch, err);
    }
    if (rc == OTR_OK) {
        rc = instantiate_all(i, m, spec, linked, err);
        otr_wasmtime_flush_lines(i);
        otr_ticker_leave(&i->watch);
        i->deadline_ns = UINT64_MAX;
    }
    if (rc != OTR_OK) {
        otr_wasmtime_instance_free(i != NULL ? &i->base : NULL);
        return rc;
    }
    otr_wasmtime_limit(i, spec->n_links);
    *ret = &i->base;
    return OTR_OK;
}
