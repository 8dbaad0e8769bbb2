/* Host functions are resolved once for a module; each store then only copies the result. */
#include "wasm/engine/imports.h"
#include "wasm/engine/wasmtime.h"

/* A function with data of its own: it is told which one it is. */
static wasm_trap_t *call_with_data(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *vals,
                                   size_t n)
{
    wt_instance *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
    const otr_import *outer = i->base.import;
    i->base.import = env;
    wasm_trap_t *trap = otr_wasmtime_host_call(env, caller, vals, n);
    i->base.import = outer;
    return trap;
}

/* Adds a clause for an import that nobody satisfies as it is. */
static void explain(const otr_extern_info *x, const otr_spawn *spec, otr_buf *out)
{
    size_t link = 0;
    const otr_extern_info *linked = otr_imports_find_linked(spec, spec->n_links, x, &link);
    const otr_import *import = linked == NULL ? otr_imports_find(spec, x) : NULL;
    otr_wasi_preview preview; /* of which Wasmtime speaks itself */
    if (linked != NULL || import != NULL || !otr_wasi_is(x->module, &preview)) {
        otr_imports_explain(x, linked, import, out);
    }
}

otr_code otr_wasmtime_explain_imports(const wt_module *m, const otr_spawn *spec, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, OTR_ERR_MSG_BYTES);
    for (size_t i = 0; i < m->info.n_imports; i++) {
        explain(&m->info.imports[i], spec, &text);
    }
    otr_code rc = text.n > 0 ? otr_fail(err, OTR_EINVAL, "%s", otr_buf_text(&text)) : OTR_OK;
    otr_buf_deinit(&text);
    return rc;
}

void otr_wasmtime_linked_free(wt_linked *all)
{
    while (all != NULL) {
        wt_linked *next = all->next;
        if (all->pre != NULL) {
            wasmtime_instance_pre_delete(all->pre);
        }
        if (all->linker != NULL) {
            wasmtime_linker_delete(all->linker);
        }
        otr_free(all);
        all = next;
    }
}

static otr_code build(wt_module *m, const otr_spawn *spec, wt_linked *l, otr_err *err)
{
    wt_engine *e = (wt_engine *)m->base.engine;
    l->linker = wasmtime_linker_new(e->engine);
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < spec->n_imports; i++) {
        const otr_import *x = &spec->imports[i];
        rc = otr_wasmtime_define(l->linker, x,
                                 x->data != NULL ? call_with_data : otr_wasmtime_host_call, err);
    }
    if (rc == OTR_OK && l->wasi != WT_WASI_NONE) {
        rc = otr_wasmtime_define_wasi(l, err);
    }
    if (rc != OTR_OK || spec->n_links > 0) {
        return rc;
    }
    wasmtime_error_t *error = wasmtime_linker_instantiate_pre(l->linker, m->module, &l->pre);
    if (error == NULL) {
        return OTR_OK;
    }
    rc = otr_wasmtime_fail(err, OTR_EINVAL, error, "cannot be linked");
    otr_code explained = otr_wasmtime_explain_imports(m, spec, err);
    return explained != OTR_OK ? explained : rc;
}

static wt_wasi needs_wasi(const wt_module *m, const otr_spawn *spec)
{
    bool wants = m->wants_wasi;
    for (size_t i = 0; i < spec->n_links; i++) {
        wants = wants || ((const wt_module *)spec->links[i].module)->wants_wasi;
    }
    if (!wants || spec->wasi == NULL) {
        return WT_WASI_NONE;
    }
    return spec->wasi->n_dirs > 0 ? WT_WASI_FOLDERS : WT_WASI_BARE;
}

static bool needs_unstable(const wt_module *m, const otr_spawn *spec)
{
    bool wants = m->wants_unstable;
    for (size_t i = 0; i < spec->n_links; i++) {
        wants = wants || ((const wt_module *)spec->links[i].module)->wants_unstable;
    }
    return wants && spec->wasi != NULL;
}

static otr_code add_linked(wt_module *m, const otr_spawn *spec, wt_linked **ret, otr_err *err)
{
    wt_linked *l = otr_zalloc(sizeof(*l));
    if (l == NULL) {
        return otr_fail_nomem(err);
    }
    l->imports = spec->imports;
    l->n_imports = spec->n_imports;
    l->wasi = needs_wasi(m, spec);
    l->unstable = needs_unstable(m, spec);
    otr_code rc = build(m, spec, l, err);
    if (rc != OTR_OK) {
        otr_wasmtime_linked_free(l);
        return rc;
    }
    l->next = m->linked;
    m->linked = l;
    *ret = l;
    return OTR_OK;
}

otr_code otr_wasmtime_link(wt_module *m, const otr_spawn *spec, const wt_linked **ret, otr_err *err)
{
    wt_wasi wasi = needs_wasi(m, spec);
    bool unstable = needs_unstable(m, spec);
    bool links = spec->n_links > 0;
    otr_code rc = OTR_OK;
    (void)pthread_mutex_lock(&m->lock);
    wt_linked *l = m->linked;
    while (l != NULL &&
           !(l->imports == spec->imports && l->n_imports == spec->n_imports && l->wasi == wasi &&
             l->unstable == unstable && (l->pre == NULL) == links)) {
        l = l->next;
    }
    if (l == NULL) {
        rc = add_linked(m, spec, &l, err);
    }
    (void)pthread_mutex_unlock(&m->lock);
    if (rc == OTR_OK) {
        *ret = l;
    }
    return rc;
}
