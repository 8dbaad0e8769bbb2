#include "wasm/engine/wasmi.h"

#ifdef OTR_HAVE_WASMI

#include "base/log.h"
#include "wasm/engine/survey.h"
#include "wasm/engine/wat.h"

typedef struct listing { /* of a module's imports and exports: counted first, then filled in */
    size_t n_imports, n_exports;
    wi_module *m;
    otr_extern_info *imports, *exports;
    otr_err *err;
} listing;

static int32_t count(void *arg, const otr_wasmi_extern *x)
{
    listing *l = arg;
    *(x->import != 0 ? &l->n_imports : &l->n_exports) += 1;
    return 0;
}

static otr_code copy_name(otr_slice name, const char **ret, otr_err *err)
{
    if (name.n > OTR_LIMIT_WASM_NAME_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "a name of %zu bytes; the limit is %d", name.n,
                        OTR_LIMIT_WASM_NAME_BYTES);
    }
    if (name.n > 0 && memchr(name.p, '\0', name.n) != NULL) {
        return otr_fail(err, OTR_EINVAL, "a name of an import or export contains a NUL byte");
    }
    *ret = otr_strndup(name.n > 0 ? (const char *)name.p : "", name.n);
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

/* 255 when there are more than `most` or one that does not fit an otr_val. */
static uint8_t types_of(otr_slice types, uint8_t *out, size_t most)
{
    bool plain = types.n <= most;
    for (size_t i = 0; i < types.n && i < most; i++) {
        out[i] = types.p[i];
        plain = plain && out[i] < OTR_WASM_OTHER;
    }
    return plain ? (uint8_t)types.n : 255;
}

static int32_t fill(void *arg, const otr_wasmi_extern *x)
{
    static const otr_extern_kind kinds[] = { OTR_EXTERN_FUNC, OTR_EXTERN_MEMORY, OTR_EXTERN_TABLE,
                                             OTR_EXTERN_GLOBAL };
    listing *l = arg;
    otr_module_info *info = &l->m->info;
    otr_code rc = OTR_OK;
    otr_extern_info *to =
        x->import != 0 ? &l->imports[info->n_imports++] : &l->exports[info->n_exports++];
    if (x->import != 0) {
        rc = copy_name(x->module, &to->module, l->err);
    } else if (x->memory_bytes > info->memory_min_bytes) {
        info->memory_min_bytes = x->memory_bytes;
    }
    if (rc == OTR_OK) {
        rc = copy_name(x->name, &to->name, l->err);
    }
    to->kind = kinds[x->kind];
    to->sig.n_args = types_of(x->args, to->sig.args, OTR_WASM_MAX_ARGS);
    to->sig.n_results = types_of(x->results, to->sig.results, OTR_WASM_MAX_RESULTS);
    return (int32_t)rc;
}

static otr_code new_infos(size_t n, const char *what, otr_extern_info **ret, otr_err *err)
{
    if (n > OTR_LIMIT_WASM_EXTERNS) {
        return otr_fail(err, OTR_EQUOTA, "%zu %s; the limit is %d", n, what,
                        OTR_LIMIT_WASM_EXTERNS);
    }
    *ret = otr_calloc(n > 0 ? n : 1, sizeof(**ret));
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code fill_info(wi_module *m, otr_err *err)
{
    listing l = { .m = m, .err = err };
    (void)otr_wasmi_describe(m->module, count, &l);
    otr_code rc = new_infos(l.n_imports, "imports", &l.imports, err);
    m->info.imports = l.imports;
    if (rc == OTR_OK) {
        rc = new_infos(l.n_exports, "exports", &l.exports, err);
        m->info.exports = l.exports;
    }
    return rc == OTR_OK ? (otr_code)otr_wasmi_describe(m->module, fill, &l) : rc;
}

static void free_infos(const otr_extern_info *infos, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        otr_free((void *)(uintptr_t)infos[i].module);
        otr_free((void *)(uintptr_t)infos[i].name);
    }
    otr_free((void *)(uintptr_t)infos);
}

void otr_wasmi_engine_module_free(otr_module *base)
{
    wi_module *m = (wi_module *)base;
    if (m == NULL) {
        return;
    }
    if (m->module != NULL) {
        otr_wasmi_module_free(m->module);
    }
    free_infos(m->info.imports, m->info.n_imports);
    free_infos(m->info.exports, m->info.n_exports);
    otr_free(m);
}

static otr_code compile_binary(wi_engine *e, otr_bytes wasm, otr_wasmi_module **ret, otr_err *err)
{
    static const uint8_t component[] = { 0x0d, 0x00, 0x01, 0x00 };
    if (wasm.n >= 8 && memcmp(wasm.p + 4, component, sizeof(component)) == 0) {
        return otr_fail(err, OTR_EUNSUP, "a component (WIT): only the engine wasmtime runs it");
    }
    otr_buf why;
    otr_buf_init(&why, OTR_ERR_MSG_BYTES);
    *ret = otr_wasmi_compile(e->engine, (otr_slice){ wasm.p, wasm.n }, otr_wasmi_text, &why);
    otr_code rc =
        *ret != NULL ? OTR_OK
                     : otr_fail(err, OTR_EINVAL, "not a valid Wasm module for the engine wasmi: %s",
                                otr_buf_text(&why));
    otr_buf_deinit(&why);
    return otr_survey_explain(wasm, OTR_SURVEY_WASMI, rc, err);
}

static otr_code compile_any(wi_engine *e, otr_bytes wasm, otr_wasmi_module **ret, otr_err *err)
{
    if (wasm.n >= 4 && memcmp(wasm.p, "\0asm", 4) == 0) {
        return compile_binary(e, wasm, ret, err);
    }
    if (wasm.n == 0) {
        return otr_fail(err, OTR_EINVAL, "the file is empty");
    }
    otr_buf binary;
    otr_buf_init(&binary, OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_code rc = otr_wat_to_wasm(wasm, &binary, err);
    if (rc == OTR_OK) {
        rc = compile_binary(e, otr_buf_bytes(&binary), ret, err);
    }
    otr_buf_deinit(&binary);
    return rc;
}

otr_code otr_wasmi_engine_compile(otr_engine *base, otr_bytes wasm, otr_module **ret, otr_err *err)
{
    wi_module *m = otr_zalloc(sizeof(*m));
    if (m == NULL) {
        return otr_fail_nomem(err);
    }
    m->base = (otr_module){ .ops = base->ops, .engine = base };
    uint64_t memory_bytes;
    otr_code rc = otr_survey_check(wasm, &memory_bytes, err);
    rc = rc == OTR_OK ? compile_any((wi_engine *)base, wasm, &m->module, err) : rc;
    rc = rc == OTR_OK ? fill_info(m, err) : rc;
    if (rc == OTR_OK && memory_bytes > m->info.memory_min_bytes) {
        m->info.memory_min_bytes = memory_bytes; /* also of those without an export */
    }
    if (rc != OTR_OK) {
        otr_wasmi_engine_module_free(&m->base);
        return rc;
    }
    *ret = &m->base;
    return OTR_OK;
}

otr_code otr_wasmi_engine_compile_made(otr_engine *e, const otr_recipe *recipe, otr_bytes wasm,
                                       otr_module **ret, otr_err *err)
{
    otr_buf made;
    otr_err refused = { 0 };
    otr_buf_init(&made, 2 * (size_t)OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_code rc = recipe->make(recipe->arg, wasm, &made, err);
    bool done = rc == OTR_OK && made.n > 0;
    if (done && otr_wasmi_engine_compile(e, otr_buf_bytes(&made), ret, &refused) != OTR_OK) {
        otr_log_debug("what was made of a guest does not compile, using it as it is", "maker",
                      recipe->name, "err", refused.msg);
        done = false;
    }
    otr_buf_deinit(&made);
    return rc == OTR_OK && !done ? otr_wasmi_engine_compile(e, wasm, ret, err) : rc;
}

const otr_module_info *otr_wasmi_engine_inspect(const otr_module *m)
{
    return &((const wi_module *)m)->info;
}

#endif
