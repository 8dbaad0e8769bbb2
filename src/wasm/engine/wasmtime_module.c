#include <malloc.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "wasm/engine/survey.h"
#include "wasm/engine/wasmtime.h"

enum { RECIPE_NAME_BYTES = 100 };

/* By comparison: wasm_valtype_kind() aborts the process for v128 and most references. */
static uint8_t type_of(const wasm_valtype_t *t)
{
    static const wasm_valkind_t kinds[] = { WASM_I32, WASM_I64, WASM_F32, WASM_F64 };
    unsigned type = OTR_WASM_I32;
    for (; type < OTR_WASM_OTHER; type++) {
        wasm_valtype_t *known = wasm_valtype_new(kinds[type]);
        bool same = wasmtime_wasm_valtype_equal(t, known);
        wasm_valtype_delete(known);
        if (same) {
            break;
        }
    }
    return (uint8_t)type;
}

/* 255 when there are more than `most` or one that does not fit an otr_val. */
static uint8_t types_of(const wasm_valtype_vec_t *v, uint8_t *out, size_t most)
{
    bool plain = v->size <= most;
    for (size_t i = 0; i < v->size && i < most; i++) {
        out[i] = type_of(v->data[i]);
        plain = plain && out[i] != OTR_WASM_OTHER;
    }
    return plain ? (uint8_t)v->size : 255;
}

static otr_code copy_name(const wasm_name_t *name, const char **ret, otr_err *err)
{
    if (name->size > OTR_LIMIT_WASM_NAME_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "a name of %zu bytes; the limit is %d", name->size,
                        OTR_LIMIT_WASM_NAME_BYTES);
    }
    if (name->size > 0 && memchr(name->data, '\0', name->size) != NULL) {
        return otr_fail(err, OTR_EINVAL, "a name of an import or export contains a NUL byte");
    }
    char *copy = otr_strndup(name->size > 0 ? name->data : "", name->size);
    *ret = copy;
    return copy != NULL ? OTR_OK : otr_fail_nomem(err);
}

static void fill_type(const wasm_externtype_t *type, otr_extern_info *x, uint64_t *ret_memory)
{
    switch (wasm_externtype_kind(type)) {
    case WASM_EXTERN_FUNC: {
        const wasm_functype_t *f = wasm_externtype_as_functype_const(type);
        x->kind = OTR_EXTERN_FUNC;
        x->sig.n_args = types_of(wasm_functype_params(f), x->sig.args, OTR_WASM_MAX_ARGS);
        x->sig.n_results = types_of(wasm_functype_results(f), x->sig.results, OTR_WASM_MAX_RESULTS);
        break;
    }
    case WASM_EXTERN_MEMORY: {
        const wasm_memorytype_t *m = wasm_externtype_as_memorytype_const(type);
        x->kind = OTR_EXTERN_MEMORY;
        *ret_memory = wasmtime_memorytype_minimum(m) * wasmtime_memorytype_page_size(m);
        break;
    }
    case WASM_EXTERN_TABLE:
        x->kind = OTR_EXTERN_TABLE;
        break;
    case WASM_EXTERN_GLOBAL:
        x->kind = OTR_EXTERN_GLOBAL;
        break;
    default:
        x->kind = OTR_EXTERN_OTHER;
    }
}

static otr_code fill_imports(wt_module *m, const wasm_importtype_vec_t *v, otr_extern_info *out,
                             otr_err *err)
{
    for (size_t i = 0; i < v->size; i++) {
        otr_extern_info *x = &out[i];
        uint64_t memory;
        m->info.n_imports = i + 1;
        otr_code rc = copy_name(wasm_importtype_module(v->data[i]), &x->module, err);
        if (rc == OTR_OK) {
            rc = copy_name(wasm_importtype_name(v->data[i]), &x->name, err);
        }
        if (rc != OTR_OK) {
            return rc;
        }
        fill_type(wasm_importtype_type(v->data[i]), x, &memory);
        otr_wasi_preview preview;
        if (otr_wasi_is(x->module, &preview)) {
            m->wants_wasi = true;
            m->wants_unstable = m->wants_unstable || preview == OTR_WASI_UNSTABLE;
        }
    }
    return OTR_OK;
}

static otr_code fill_exports(wt_module *m, const wasm_exporttype_vec_t *v, otr_extern_info *out,
                             otr_err *err)
{
    for (size_t i = 0; i < v->size; i++) {
        uint64_t memory = 0;
        m->info.n_exports = i + 1;
        otr_code rc = copy_name(wasm_exporttype_name(v->data[i]), &out[i].name, err);
        if (rc != OTR_OK) {
            return rc;
        }
        fill_type(wasm_exporttype_type(v->data[i]), &out[i], &memory);
        if (memory > m->info.memory_min_bytes) {
            m->info.memory_min_bytes = memory;
        }
    }
    return OTR_OK;
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

static otr_code fill_info(wt_module *m, otr_err *err)
{
    wasm_importtype_vec_t imports;
    wasm_exporttype_vec_t exports;
    otr_extern_info *in = NULL, *out = NULL;
    wasmtime_module_imports(m->module, &imports);
    wasmtime_module_exports(m->module, &exports);
    otr_code rc = new_infos(imports.size, "imports", &in, err);
    if (rc == OTR_OK) {
        m->info.imports = in;
        rc = new_infos(exports.size, "exports", &out, err);
    }
    if (rc == OTR_OK) {
        m->info.exports = out;
        rc = fill_imports(m, &imports, in, err);
    }
    if (rc == OTR_OK) {
        rc = fill_exports(m, &exports, out, err);
    }
    wasm_importtype_vec_delete(&imports);
    wasm_exporttype_vec_delete(&exports);
    return rc;
}

static void free_infos(const otr_extern_info *infos, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        otr_free((void *)(uintptr_t)infos[i].module);
        otr_free((void *)(uintptr_t)infos[i].name);
    }
    otr_free((void *)(uintptr_t)infos);
}

void otr_wasmtime_module_free(otr_module *base)
{
    wt_module *m = (wt_module *)base;
    if (m == NULL) {
        return;
    }
    otr_wasmtime_linked_free(m->linked);
    if (m->module != NULL) {
        wasmtime_module_delete(m->module);
    }
    free_infos(m->info.imports, m->info.n_imports);
    free_infos(m->info.exports, m->info.n_exports);
    (void)pthread_mutex_destroy(&m->lock);
    otr_free(m);
}

static otr_code compile_binary(wt_engine *e, otr_bytes wasm, wasmtime_module_t **ret, otr_err *err)
{
    static const uint8_t component[] = { 0x0d, 0x00, 0x01, 0x00 };
    if (wasm.n >= 8 && memcmp(wasm.p + 4, component, sizeof(component)) == 0) {
        return otr_fail(err, OTR_EUNSUP, "a component (WIT); only core modules can be loaded");
    }
    wasmtime_error_t *error = wasmtime_module_new(e->engine, wasm.p, wasm.n, ret);
    if (error == NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_wasmtime_fail(err, OTR_EINVAL, error, "not a valid Wasm module");
    return otr_survey_explain(wasm, OTR_SURVEY_WASMTIME, rc, err);
}

static otr_code compile_any(wt_engine *e, otr_bytes wasm, wasmtime_module_t **ret, otr_err *err)
{
    if (wasm.n >= 4 && memcmp(wasm.p, "\0asm", 4) == 0) {
        return compile_binary(e, wasm, ret, err);
    }
    if (wasm.n == 0) {
        return otr_fail(err, OTR_EINVAL, "the file is empty");
    }
    wasm_byte_vec_t binary;
    wasmtime_error_t *error = wasmtime_wat2wasm((const char *)wasm.p, wasm.n, &binary);
    if (error != NULL) {
        return otr_wasmtime_fail(err, OTR_EINVAL, error, "neither a Wasm binary nor Wasm text");
    }
    otr_code rc =
        compile_binary(e, (otr_bytes){ (const uint8_t *)binary.data, binary.size }, ret, err);
    wasm_byte_vec_delete(&binary);
    return rc;
}

/* An artefact that passed the cache's checks may still be refused, for example for another
 * processor: then it counts as absent. */
static wasmtime_module_t *from_cache(wt_engine *e, const char *key)
{
    otr_buf code;
    otr_buf_init(&code, OTR_LIMIT_WASM_CODE_BYTES);
    otr_err err = { 0 };
    wasmtime_module_t *module = NULL;
    otr_code rc = otr_codecache_get(e->cache, key, &code, &err);
    if (rc == OTR_OK) {
        wasmtime_error_t *error = wasmtime_module_deserialize(e->engine, code.p, code.n, &module);
        if (error != NULL) {
            rc = otr_wasmtime_fail(&err, OTR_EINVAL, error, "refused by the engine");
        }
    }
    if (rc != OTR_OK && rc != OTR_ENOTFOUND) {
        otr_log_debug("compiled code not taken from the cache", "key", key, "err", err.msg);
    }
    otr_buf_deinit(&code);
    return rc == OTR_OK ? module : NULL;
}

static void to_cache(wt_engine *e, const char *key, const wasmtime_module_t *module)
{
    wasm_byte_vec_t code;
    otr_err err = { 0 };
    otr_code rc;
    wasmtime_error_t *error = wasmtime_module_serialize(module, &code);
    if (error != NULL) {
        rc = otr_wasmtime_fail(&err, OTR_EIO, error, "cannot be serialised");
    } else {
        rc = otr_codecache_put(e->cache, key, (otr_bytes){ (const uint8_t *)code.data, code.size },
                               &err);
        wasm_byte_vec_delete(&code);
    }
    if (rc != OTR_OK) {
        otr_log_debug("compiled code not kept", "key", key, "err", err.msg);
    }
}

static otr_code compile_made(wt_engine *e, const otr_recipe *recipe, otr_bytes wasm,
                             wasmtime_module_t **ret, otr_err *err)
{
    otr_buf made;
    otr_err refused = { 0 };
    otr_buf_init(&made, 2 * (size_t)OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_code rc = recipe->make(recipe->arg, wasm, &made, err);
    bool done = rc == OTR_OK && made.n > 0;
    if (done && compile_any(e, otr_buf_bytes(&made), ret, &refused) != OTR_OK) {
        otr_log_debug("what was made of a guest does not compile, using it as it is", "maker",
                      recipe->name, "err", refused.msg);
        done = false;
    }
    otr_buf_deinit(&made);
    return rc == OTR_OK && !done ? compile_any(e, wasm, ret, err) : rc;
}

/* The compiler's heap is many megabytes, and free again until the next module. */
static void give_back_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    /* A sanitizer brings its own heap: glibc's is then not even initialised, and is so twice at
     * once when two threads come here first. */
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
#endif
}

static otr_code obtain(wt_engine *e, const otr_recipe *recipe, otr_bytes wasm,
                       wasmtime_module_t **ret, otr_err *err)
{
    char key[OTR_SHA256_HEX_BYTES], settings[sizeof(e->settings) + RECIPE_NAME_BYTES];
    const char *made = recipe != NULL ? recipe->name : NULL;
    otr_code rc;
    if (e->cache != NULL) {
        (void)snprintf(settings, sizeof(settings), "%s%s%s", e->settings, made != NULL ? " " : "",
                       made != NULL ? made : "");
        (void)otr_codecache_key(settings, wasm, key);
        *ret = from_cache(e, key);
        if (*ret == NULL) {
            rc = otr_engine_compile_elsewhere(&e->base, wasm, made, err);
            if (rc != OTR_OK && rc != OTR_EUNSUP) {
                return rc;
            }
            *ret = rc == OTR_OK ? from_cache(e, key) : NULL;
        }
        if (*ret != NULL) {
            return OTR_OK;
        }
    }
    rc = recipe != NULL ? compile_made(e, recipe, wasm, ret, err) : compile_any(e, wasm, ret, err);
    if (rc == OTR_OK && e->cache != NULL) {
        to_cache(e, key, *ret);
    }
    give_back_memory();
    return rc;
}

otr_code otr_wasmtime_compile_made(otr_engine *base, const otr_recipe *recipe, otr_bytes wasm,
                                   otr_module **ret, otr_err *err)
{
    wt_engine *e = (wt_engine *)base;
    wt_module *m = otr_zalloc(sizeof(*m));
    if (m == NULL) {
        return otr_fail_nomem(err);
    }
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        otr_free(m);
        return otr_fail(err, OTR_EIO, "cannot make a lock");
    }
    m->base = (otr_module){ .ops = e->base.ops, .engine = base };
    uint64_t memory_bytes;
    otr_code rc = otr_survey_check(wasm, &memory_bytes, err);
    rc = rc == OTR_OK ? obtain(e, recipe, wasm, &m->module, err) : rc;
    rc = rc == OTR_OK ? fill_info(m, err) : rc;
    if (rc == OTR_OK && memory_bytes > m->info.memory_min_bytes) {
        m->info.memory_min_bytes = memory_bytes; /* also of those without an export */
    }
    if (rc != OTR_OK) {
        otr_wasmtime_module_free(&m->base);
        return rc;
    }
    *ret = &m->base;
    return OTR_OK;
}

otr_code otr_wasmtime_compile(otr_engine *base, otr_bytes wasm, otr_module **ret, otr_err *err)
{
    return otr_wasmtime_compile_made(base, NULL, wasm, ret, err);
}

const otr_module_info *otr_wasmtime_inspect(const otr_module *m)
{
    return &((const wt_module *)m)->info;
}
