#include "wasm/engine/wasmi.h"

#ifdef OTR_HAVE_WASMI

#include <stdio.h>

#include "base/clock.h"

_Static_assert(sizeof(otr_val) == sizeof(otr_wasmi_val), "values cross unchanged");

static otr_func *new_func(wi_instance *i, int link, size_t part, const char *name)
{
    const otr_extern_info *x = otr_module_export(&i->modules[part]->info, name);
    if (x == NULL || x->kind != OTR_EXTERN_FUNC || x->sig.n_args > OTR_WASM_MAX_ARGS ||
        x->sig.n_results > OTR_WASM_MAX_RESULTS) {
        return NULL;
    }
    otr_func *f = otr_zalloc(sizeof(*f));
    if (f == NULL) {
        return NULL;
    }
    f->func =
        otr_wasmi_func_get(i->store, part, (otr_slice){ (const uint8_t *)name, strlen(name) });
    if (f->func == NULL) {
        otr_free(f);
        return NULL;
    }
    f->link = link;
    f->name = x->name;
    f->next = i->funcs;
    i->funcs = f;
    return f;
}

/* SIZE_MAX when there is no such part. */
static size_t part_of(const wi_instance *i, int link)
{
    size_t at = link == OTR_MEM_GUEST ? i->n_parts - 1 : (size_t)link;
    return link >= OTR_MEM_GUEST && at < i->n_parts ? at : SIZE_MAX;
}

const otr_func *otr_wasmi_engine_func(otr_instance *base, int link, const char *name)
{
    wi_instance *i = (wi_instance *)base;
    size_t part = part_of(i, link);
    if (part == SIZE_MAX) {
        return NULL;
    }
    for (const otr_func *f = i->funcs; f != NULL; f = f->next) {
        if (f->link == link && strcmp(f->name, name) == 0) {
            return f;
        }
    }
    return new_func(i, link, part, name);
}

int32_t otr_wasmi_overdue(void *user)
{
    wi_instance *i = user;
    if (atomic_load_explicit(&i->interrupted, memory_order_relaxed) ||
        (i->cancel != NULL && atomic_load_explicit(i->cancel, memory_order_relaxed))) {
        i->end = WI_END_INTERRUPT;
    } else if (i->deadline_ns != UINT64_MAX && otr_now_ns() >= i->deadline_ns) {
        i->end = WI_END_DEADLINE;
    }
    return i->end != WI_END_NONE;
}

int32_t otr_wasmi_host_call(void *user, const void *data, otr_wasmi_val *vals)
{
    wi_instance *i = user;
    const otr_import *import = data;
    otr_err err; /* not zeroed: half a kilobyte for each call */
    err.code = OTR_OK;
    err.sys = 0;
    err.msg[0] = '\0';
    const otr_import *outer = i->base.import;
    i->base.import = import;
    otr_code rc = import->fn(i->base.user, &i->base, (otr_val *)vals, &err);
    i->base.import = outer;
    if (OTR_UNLIKELY(rc != OTR_OK || i->dead)) {
        if (i->end == WI_END_NONE) { /* else a nested call failed first and said why */
            i->end = WI_END_HOST;
            i->host_err = err;
            i->host_err.code = rc;
        }
        return 1;
    }
    return otr_wasmi_overdue(i);
}

void otr_wasmi_text(void *buf, const uint8_t *p, size_t n)
{
    otr_buf *out = buf;
    size_t room = out->max_bytes > out->n ? out->max_bytes - out->n : 0;
    otr_code rc = otr_buf_add(out, (otr_bytes){ p, n < room ? n : room }, NULL);
    (void)rc; /* without memory the reason stays empty */
    for (size_t i = 0; i < out->n; i++) {
        out->p[i] = out->p[i] < 0x20 || out->p[i] == 0x7f ? ' ' : out->p[i];
    }
}

static otr_code host_failure(wi_instance *i, otr_err *err)
{
    otr_code code = i->host_err.code;
    if (code != OTR_ETIMEOUT && code != OTR_EQUOTA && code != OTR_ENOMEM) {
        code = OTR_EGUEST;
    }
    return otr_fail(err, code, "%s", i->host_err.msg);
}

static otr_code trapped(wi_instance *i, int32_t status, const char *text, otr_err *err)
{
    if (status == OTR_WASMI_MEMORY) {
        return otr_fail(err, OTR_EQUOTA, "out of memory (limit %llu KiB), then %s",
                        (unsigned long long)(i->max_memory_bytes / 1024), text);
    }
    return otr_fail(err, OTR_EGUEST, "%s", text);
}

/* The interpreter keeps no trace: all that is known is which export was called. */
static otr_code failed_in(wi_instance *i, int32_t status, const otr_buf *text, const otr_func *func,
                          otr_err *err)
{
    bool trap = i->end == WI_END_NONE;
    otr_code rc = otr_wasmi_failed(i, status, otr_buf_text(text), err);
    if (trap && err != NULL && i->depth == 0) {
        size_t n = strlen(err->msg);
        (void)snprintf(err->msg + n, sizeof(err->msg) - n, " in %s", func->name);
    }
    return rc;
}

otr_code otr_wasmi_failed(wi_instance *i, int32_t status, const char *text, otr_err *err)
{
    wi_end end = i->end;
    i->dead = true;
    i->exit_code = end == WI_END_EXIT ? i->exit_code : -1; /* not that of an earlier call */
    switch (end) {
    case WI_END_DEADLINE:
        return otr_fail(err, OTR_ETIMEOUT, "the call ran past its deadline");
    case WI_END_INTERRUPT:
        return otr_fail(err, OTR_ETIMEOUT, "the call was interrupted");
    case WI_END_EXIT:
        if (i->exit_code == 0 && i->depth == 0) {
            i->dead = false;
            i->end = WI_END_NONE;
        }
        return otr_fail(err, OTR_EGUEST, "the guest ended itself with exit code %d", i->exit_code);
    case WI_END_HOST:
        return host_failure(i, err);
    case WI_END_NONE:
        break;
    }
    otr_err mine = { 0 };
    otr_code rc = trapped(i, status, text, &mine);
    i->end = WI_END_HOST; /* what callers further out will report */
    i->host_err = mine;
    i->host_err.code = rc;
    return otr_fail(err, rc, "%s", mine.msg);
}

static otr_code refuse(wi_instance *i, otr_err *err)
{
    if (i->dead) {
        return otr_fail(err, OTR_ESTATE, "the instance ended by an earlier failure");
    }
    i->dead = true;
    return otr_fail(err, OTR_ETIMEOUT, "the call was interrupted");
}

otr_code otr_wasmi_engine_call(otr_instance *base, const otr_call *call, otr_err *err)
{
    wi_instance *i = (wi_instance *)base;
    if (OTR_UNLIKELY(i->dead || atomic_load_explicit(&i->interrupted, memory_order_relaxed))) {
        return refuse(i, err);
    }
    uint64_t outer = i->deadline_ns;
    uint64_t mine = call->deadline_ns != 0 ? call->deadline_ns : UINT64_MAX;
    if (i->depth == 0 || mine < outer) {
        i->deadline_ns = mine;
    }
    if (i->depth == 0) {
        i->limiter.refused_bytes = 0; /* by an earlier call */
    }
    otr_buf text;
    otr_buf_init(&text, OTR_ERR_MSG_BYTES);
    i->depth++;
    int32_t status = otr_wasmi_call(i->store, call->func->func, (otr_wasmi_val *)call->vals,
                                    otr_wasmi_text, &text);
    i->depth--;
    i->deadline_ns = outer;
    if (i->depth == 0 && (i->lines[0].n | i->lines[1].n) != 0) {
        otr_wasmi_flush_lines(i);
    }
    otr_code rc = status == OTR_WASMI_OK ? OTR_OK : failed_in(i, status, &text, call->func, err);
    otr_buf_deinit(&text);
    return rc;
}

otr_code otr_wasmi_engine_memory(otr_instance *base, int link, uint64_t at, uint64_t len,
                                 uint8_t **ret, otr_err *err)
{
    wi_instance *i = (wi_instance *)base;
    size_t part = part_of(i, link), size = 0;
    uint8_t *p = part != SIZE_MAX ? otr_wasmi_memory(i->store, part, &size) : NULL;
    if (p == NULL) {
        return otr_fail(err, OTR_EINVAL, "no memory is exported as \"memory\"");
    }
    if (at > size || len > size - at) {
        return otr_fail(err, OTR_EINVAL,
                        "%llu bytes at %llu are outside the guest's memory of %zu bytes",
                        (unsigned long long)len, (unsigned long long)at, size);
    }
    *ret = p + at;
    return OTR_OK;
}

uint64_t otr_wasmi_engine_memory_bytes(otr_instance *base)
{
    return ((wi_instance *)base)->limiter.used_bytes;
}

void otr_wasmi_engine_interrupt(otr_instance *base)
{
    atomic_store(&((wi_instance *)base)->interrupted, true);
}

int otr_wasmi_engine_exit_code(const otr_instance *base)
{
    return ((const wi_instance *)base)->exit_code;
}

#endif
