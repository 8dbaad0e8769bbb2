/* Host functions are resolved once for a module; each store then only copies the result. */
#include <stdio.h>

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

static const otr_import *find_import(const otr_spawn *spec, const otr_extern_info *wanted)
{
    for (size_t i = 0; i < spec->n_imports; i++) {
        const otr_import *x = &spec->imports[i];
        if (strcmp(x->module, wanted->module) == 0 && strcmp(x->name, wanted->name) == 0) {
            return x;
        }
    }
    return NULL;
}

static const otr_extern_info *find_linked(const otr_spawn *spec, const otr_extern_info *wanted)
{
    for (size_t l = 0; l < spec->n_links; l++) {
        const otr_link *link = &spec->links[l];
        for (size_t a = 0; a < OTR_COUNT(link->as) && link->as[a] != NULL; a++) {
            const otr_extern_info *x =
                strcmp(link->as[a], wanted->module) != 0
                    ? NULL
                    : otr_module_export(&((const wt_module *)link->module)->info, wanted->name);
            if (x != NULL) {
                return x;
            }
        }
    }
    return NULL;
}

static const char *kind_text(otr_extern_kind kind, const otr_sig *sig, char *out, size_t cap)
{
    static const char *const names[] = { "function", "memory", "table", "global", "tag" };
    char types[160] = "";
    if (kind == OTR_EXTERN_FUNC) {
        (void)otr_sig_text(sig, types, sizeof(types));
    }
    (void)snprintf(out, cap, "%s%s%s", names[kind], types[0] != '\0' ? " " : "", types);
    return out;
}

/* Adds a clause for an import that nobody satisfies as it is. */
static void explain(const otr_extern_info *x, const otr_spawn *spec, otr_buf *out)
{
    char want[200], have[200];
    (void)kind_text(x->kind, &x->sig, want, sizeof(want));
    const otr_extern_info *linked = find_linked(spec, x);
    const otr_import *import = linked == NULL ? find_import(spec, x) : NULL;
    const char *sep = out->n > 0 ? "; " : "";
    otr_code rc = OTR_OK;
    if (linked == NULL && import == NULL) {
        if (strcmp(x->module, "wasi_snapshot_preview1") != 0) {
            rc = otr_buf_addf(out, NULL, "%simport %s.%s %s is not offered", sep, x->module,
                              x->name, want);
        }
    } else {
        otr_extern_kind kind = linked != NULL ? linked->kind : OTR_EXTERN_FUNC;
        const otr_sig *sig = linked != NULL ? &linked->sig : &import->sig;
        if (kind != x->kind || (kind == OTR_EXTERN_FUNC && !otr_sig_eq(sig, &x->sig))) {
            (void)kind_text(kind, sig, have, sizeof(have));
            rc = otr_buf_addf(out, NULL, "%simport %s.%s wants %s, offered is %s", sep, x->module,
                              x->name, want, have);
        }
    }
    (void)rc; /* a full buffer has named enough of them */
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
        rc = otr_wasmtime_define_wasi(l->linker, l->wasi, err);
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

static otr_code add_linked(wt_module *m, const otr_spawn *spec, wt_linked **ret, otr_err *err)
{
    wt_linked *l = otr_zalloc(sizeof(*l));
    if (l == NULL) {
        return otr_fail_nomem(err);
    }
    l->imports = spec->imports;
    l->n_imports = spec->n_imports;
    l->wasi = needs_wasi(m, spec);
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
    bool links = spec->n_links > 0;
    otr_code rc = OTR_OK;
    (void)pthread_mutex_lock(&m->lock);
    wt_linked *l = m->linked;
    while (l != NULL && !(l->imports == spec->imports && l->n_imports == spec->n_imports &&
                          l->wasi == wasi && (l->pre == NULL) == links)) {
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
