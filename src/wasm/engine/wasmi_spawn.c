#include "wasm/engine/wasmi.h"

#ifdef OTR_HAVE_WASMI

#include "wasm/engine/imports.h"

enum { MAX_LINKS = 8 };

void otr_wasmi_engine_instance_free(otr_instance *base)
{
    wi_instance *i = (wi_instance *)base;
    if (i == NULL) {
        return;
    }
    while (i->funcs != NULL) {
        otr_func *f = i->funcs;
        i->funcs = f->next;
        otr_wasmi_func_free(f->func);
        otr_free(f);
    }
    if (i->store != NULL) {
        otr_wasmi_store_free(i->store);
    }
    otr_wasmi_wasi_close(i);
    otr_free(i);
}

static otr_code new_instance(wi_module *m, const otr_spawn *spec, wi_instance **ret, otr_err *err)
{
    wi_engine *e = (wi_engine *)m->base.engine;
    wi_instance *i = otr_zalloc(sizeof(*i));
    if (i == NULL) {
        return otr_fail_nomem(err);
    }
    i->base = (otr_instance){ .ops = m->base.ops, .module = &m->base, .user = spec->user };
    i->deadline_ns = spec->start_deadline_ns != 0 ? spec->start_deadline_ns : UINT64_MAX;
    i->exit_code = -1;
    i->cancel = spec->cancel;
    i->max_memory_bytes = spec->max_memory_bytes;
    const otr_wasmi_host host = {
        .user = i,
        .call = otr_wasmi_host_call,
        .overdue = otr_wasmi_overdue,
        .limiter = &i->limiter,
    };
    i->limiter = otr_account_new(spec->max_memory_bytes, spec->n_links);
    i->store = otr_wasmi_store_new(e->engine, &host);
    *ret = i;
    return OTR_OK;
}

/* ---- imports ---- */

/* Fills in what satisfies `x`, or adds a clause to `problems`. */
static void resolve(const wi_instance *i, const otr_spawn *spec, const otr_extern_info *x,
                    otr_wasmi_item *item, otr_buf *problems)
{
    size_t link = 0;
    const otr_extern_info *linked = otr_imports_find_linked(spec, i->n_parts, x, &link);
    const otr_import *import = linked == NULL ? otr_imports_find(spec, x) : NULL;
    if (linked == NULL && import == NULL && spec->wasi != NULL) {
        import = otr_wasmi_wasi_find(spec->wasi, x);
    }
    *item = (otr_wasmi_item){ .part = linked != NULL ? (int32_t)link : -1,
                              .name = { (const uint8_t *)x->name, strlen(x->name) },
                              .data = import };
    otr_imports_explain(x, linked, import, problems);
}

static otr_code resolve_all(const wi_instance *i, const wi_module *m, const otr_spawn *spec,
                            otr_wasmi_item *items, otr_err *err)
{
    otr_buf problems;
    otr_buf_init(&problems, OTR_ERR_MSG_BYTES);
    for (size_t n = 0; n < m->info.n_imports; n++) {
        resolve(i, spec, &m->info.imports[n], &items[n], &problems);
    }
    otr_code rc =
        problems.n > 0 ? otr_fail(err, OTR_EINVAL, "%s", otr_buf_text(&problems)) : OTR_OK;
    otr_buf_deinit(&problems);
    return rc;
}

/* ---- instances ---- */

static otr_code refused(wi_instance *i, const wi_module *m, const char *text, otr_err *err)
{
    otr_code rc = otr_account_refused(&i->limiter, &m->info, err);
    if (rc != OTR_OK) {
        return rc;
    }
    bool limit = strstr(text, "limit") != NULL || strstr(text, "too many") != NULL;
    return otr_fail(err, limit ? OTR_EQUOTA : OTR_EGUEST, "%s", text);
}

static otr_code instantiate(wi_instance *i, const wi_module *m, const otr_spawn *spec, otr_err *err)
{
    otr_wasmi_item *items = otr_calloc(m->info.n_imports + 1, sizeof(*items));
    if (items == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = resolve_all(i, m, spec, items, err);
    if (rc != OTR_OK) {
        otr_free(items);
        return rc;
    }
    otr_buf text;
    otr_buf_init(&text, OTR_ERR_MSG_BYTES);
    i->modules[i->n_parts++] = m; /* before its start function asks the host for something */
    int32_t status =
        otr_wasmi_instantiate(i->store, m->module, items, m->info.n_imports, otr_wasmi_text, &text);
    if (status == OTR_WASMI_LIMIT) {
        rc = refused(i, m, otr_buf_text(&text), err);
    } else if (status != OTR_WASMI_OK) {
        rc = otr_wasmi_failed(i, status, otr_buf_text(&text), err);
    }
    otr_buf_deinit(&text);
    otr_free(items);
    return rc;
}

static otr_code instantiate_all(wi_instance *i, const wi_module *m, const otr_spawn *spec,
                                otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t l = 0; rc == OTR_OK && l < spec->n_links; l++) {
        rc = instantiate(i, (const wi_module *)spec->links[l].module, spec, err);
    }
    return rc == OTR_OK ? instantiate(i, m, spec, err) : rc;
}

static bool wants_wasi(const wi_module *m, const otr_spawn *spec)
{
    bool wants = false;
    otr_wasi_preview preview;
    for (size_t l = 0; l <= spec->n_links; l++) {
        const otr_module_info *info =
            l < spec->n_links ? &((const wi_module *)spec->links[l].module)->info : &m->info;
        for (size_t n = 0; n < info->n_imports; n++) {
            wants = wants || otr_wasi_is(info->imports[n].module, &preview);
        }
    }
    return wants && spec->wasi != NULL;
}

otr_code otr_wasmi_engine_spawn(otr_module *base, const otr_spawn *spec, otr_instance **ret,
                                otr_err *err)
{
    wi_module *m = (wi_module *)base;
    wi_instance *i = NULL;
    if (spec->n_links > MAX_LINKS) {
        return otr_fail(err, OTR_EQUOTA, "%zu linked modules; the limit is %d", spec->n_links,
                        MAX_LINKS);
    }
    otr_code rc = new_instance(m, spec, &i, err);
    if (rc == OTR_OK && wants_wasi(m, spec)) {
        rc = otr_wasmi_wasi_open(i, spec->wasi, err);
    }
    if (rc == OTR_OK) {
        i->depth++;
        rc = instantiate_all(i, m, spec, err);
        i->depth--;
        otr_wasmi_flush_lines(i);
        i->deadline_ns = UINT64_MAX;
    }
    if (rc != OTR_OK) {
        otr_wasmi_engine_instance_free(i != NULL ? &i->base : NULL);
        return rc;
    }
    *ret = &i->base;
    return OTR_OK;
}

#endif
