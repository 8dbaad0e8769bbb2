#include "wasm/guest_code.h"

#include <stdatomic.h>

#include "base/alloc.h"

enum { MISSING_BYTES = 65536, WHY_BYTES = 4096 };

bool otr_is_component(otr_bytes wasm)
{
    static const uint8_t head[8] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };
    static const char text[] = "(component";
    if (wasm.n >= sizeof(head) && memcmp(wasm.p, head, sizeof(head)) == 0) {
        return true;
    }
    size_t i = 0;
    while (i < wasm.n &&
           (wasm.p[i] == ' ' || wasm.p[i] == '\n' || wasm.p[i] == '\t' || wasm.p[i] == '\r')) {
        i++;
    }
    return wasm.n - i >= sizeof(text) && memcmp(wasm.p + i, text, sizeof(text) - 1) == 0;
}

/* What runs components beside `engine`. Two threads may open it at once: one is then closed. */
static otr_code components_of(otr_engine *engine, otr_engine **ret, otr_err *err)
{
    otr_engine *found = atomic_load(&engine->components), *none = NULL;
    if (found == NULL) {
        if (engine->ops->open_components == NULL) {
            return otr_fail(err, OTR_EUNSUP,
                            "is a WIT component, which the engine %s cannot run; wasmtime can",
                            engine->ops->name);
        }
        otr_code rc = engine->ops->open_components(engine, &found, err);
        if (rc != OTR_OK) {
            return rc;
        }
        found->compiler = engine->compiler;
        if (!atomic_compare_exchange_strong(&engine->components, &none, found)) {
            found->ops->close(found);
            found = none;
        }
    }
    *ret = found;
    return OTR_OK;
}

/* The engine that runs this file. */
static otr_code engine_for(otr_engine *engine, otr_bytes wasm, otr_engine **ret, otr_err *err)
{
    *ret = engine;
    return otr_is_component(wasm) ? components_of(engine, ret, err) : OTR_OK;
}

/* The engine's copy of the ABI's kernel. Two threads may compile it at once: one is then dropped.
 */
static otr_code kernel_of(otr_engine *engine, const otr_abi_ops *abi, otr_module **ret,
                          otr_err *err)
{
    if (abi->kernel == NULL) {
        *ret = NULL;
        return OTR_OK;
    }
    _Atomic(otr_module *) *slot = &engine->kernels[otr_abi_index(abi)];
    otr_module *kernel = atomic_load(slot), *none = NULL;
    if (kernel == NULL) {
        otr_code rc = engine->ops->compile(engine, *abi->kernel->wasm, &kernel, err);
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "kernel of %s", abi->name);
        }
        if (!atomic_compare_exchange_strong(slot, &none, kernel)) {
            engine->ops->module_free(kernel);
            kernel = none;
        }
    }
    *ret = kernel;
    return OTR_OK;
}

static otr_code make_faster(const void *arg, otr_bytes wasm, otr_buf *ret, otr_err *err)
{
    const otr_abi_ops *abi = arg;
    otr_buf why;
    otr_buf_init(&why, WHY_BYTES);
    otr_code rc = abi->rewrite(wasm, ret, &why, err);
    otr_buf_deinit(&why);
    return rc;
}

otr_code otr_guest_compile_one(otr_engine *engine, const otr_load_spec *spec, otr_bytes wasm,
                               otr_module **ret, otr_err *err)
{
    const otr_abi_ops *wanted = spec->abi != NULL ? otr_abi_find(spec->abi) : NULL;
    const otr_abi_ops *abi = spec->rewrite ? otr_abi_rewriter(wanted) : NULL;
    if (abi == NULL || engine->ops->compile_made == NULL) {
        return engine->ops->compile(engine, wasm, ret, err);
    }
    otr_recipe recipe = { .name = abi->rewriter, .make = make_faster, .arg = abi };
    return engine->ops->compile_made(engine, &recipe, wasm, ret, err);
}

static otr_code no_abi(const otr_module_info *info, otr_err *err)
{
    otr_buf in, out;
    otr_buf_init(&in, 1024);
    otr_buf_init(&out, 1024);
    otr_code rc = otr_guest_list_imports(info, &in, err);
    if (rc == OTR_OK) {
        rc = otr_guest_list_exports(info, &out, err);
    }
    if (rc == OTR_OK) {
        rc = otr_fail(err, OTR_EINVAL,
                      "speaks none of the ABIs %s: it imports from %s and exports %s",
                      otr_abi_names(), otr_buf_text(&in), otr_buf_text(&out));
    }
    otr_buf_deinit(&in);
    otr_buf_deinit(&out);
    return rc;
}

static otr_code no_such_abi(const char *name, otr_err *err)
{
    return otr_fail(err, OTR_EINVAL, "no ABI is called \"%s\"; there are %s", name,
                    otr_abi_names());
}

/* What the guest speaks, or what a module linked to it does. */
static const otr_abi_ops *detect(const otr_guest_code *code)
{
    const otr_abi_ops *found = otr_abi_detect(otr_module_info_of(code->module));
    for (size_t i = 0; found == NULL && i < code->n_linked; i++) {
        found = otr_abi_detect(otr_module_info_of(code->linked[i].module));
    }
    return found;
}

otr_code otr_guest_pick_abi(const otr_guest_code *code, const char *name, const otr_abi_ops **ret,
                            otr_err *err)
{
    const otr_abi_ops *wanted = name != NULL ? otr_abi_find(name) : NULL;
    if (name != NULL && wanted == NULL) {
        return no_such_abi(name, err);
    }
    const otr_module_info *info = otr_module_info_of(code->module);
    const otr_abi_ops *found = detect(code);
    if (wanted == NULL && found == NULL) {
        return no_abi(info, err);
    }
    if (wanted != NULL && found != NULL && found != wanted && !wanted->match(info)) {
        return otr_fail(err, OTR_EINVAL, "is configured as %s, but the file speaks %s",
                        wanted->name, found->name);
    }
    *ret = wanted != NULL ? wanted : found;
    return OTR_OK;
}

/* Turns the lines of `missing` into one error. */
static otr_code refuse(const otr_module_info *info, const otr_abi_ops *abi, otr_buf *missing,
                       otr_err *err)
{
    otr_buf exports;
    otr_buf_init(&exports, 1024);
    missing->n--; /* the last line break */
    missing->p[missing->n] = '\0';
    for (size_t i = 0; i < missing->n; i++) {
        missing->p[i] = missing->p[i] == '\n' ? ';' : missing->p[i];
    }
    otr_code rc = otr_guest_list_exports(info, &exports, err);
    if (rc == OTR_OK) {
        rc = otr_fail(err, OTR_EINVAL, "does not fit %s: %s. It exports %s", abi->name,
                      otr_buf_text(missing), otr_buf_text(&exports));
    }
    otr_buf_deinit(&exports);
    return rc;
}

const otr_module_info *otr_module_info_of(const otr_module *m)
{
    return m != NULL ? m->ops->inspect(m) : NULL;
}

static otr_code check(const otr_guest_code *code, const char *const *operations, otr_err *err)
{
    otr_buf missing;
    otr_buf_init(&missing, MISSING_BYTES);
    otr_code rc = otr_guest_check(code, operations, &missing, err);
    if ((rc == OTR_OK || rc == OTR_EQUOTA) && missing.n > 0) {
        rc = refuse(otr_module_info_of(code->module), code->abi, &missing, err);
    }
    otr_buf_deinit(&missing);
    return rc;
}

otr_code otr_guest_compile_all(otr_engine *engine, const otr_load_spec *spec, otr_guest_code *code,
                               otr_err *err)
{
    if (spec->abi != NULL && otr_abi_find(spec->abi) == NULL) {
        return no_such_abi(spec->abi, err);
    }
    otr_code rc = engine_for(engine, spec->wasm, &engine, err);
    if (rc == OTR_OK) {
        rc = otr_guest_compile_one(engine, spec, spec->wasm, &code->module, err);
    }
    return rc == OTR_OK ? otr_guest_link(engine, spec, code, err) : rc;
}

otr_code otr_guest_complete(const otr_load_spec *spec, otr_guest_code *code, otr_err *err)
{
    otr_engine *engine = code->module->engine;
    if ((code->abi->needs & engine->ops->offers) != code->abi->needs) {
        return otr_fail(err, OTR_EUNSUP, "the engine %s cannot run guests of %s", engine->ops->name,
                        code->abi->name);
    }
    if (code->n_linked > 0 && code->abi != &otr_abi_extism) {
        return otr_fail(err, OTR_EUNSUP, "speaks %s; modules are linked to guests of extism only",
                        code->abi->name);
    }
    otr_code rc = kernel_of(engine, code->abi, &code->kernel, err);
    return rc == OTR_OK ? otr_guest_functions(spec, code, err) : rc;
}

static otr_code load(otr_engine *engine, const otr_load_spec *spec, otr_guest_code *code,
                     otr_err *err)
{
    otr_code rc = otr_guest_compile_all(engine, spec, code, err);
    if (rc == OTR_OK) {
        rc = otr_guest_pick_abi(code, spec->abi, &code->abi, err);
    }
    rc = rc == OTR_OK ? otr_guest_complete(spec, code, err) : rc;
    return rc == OTR_OK ? check(code, spec->operations, err) : rc;
}

otr_code otr_guest_load(otr_engine *engine, const otr_load_spec *spec, otr_guest_code **ret,
                        otr_err *err)
{
    otr_guest_code *code = otr_zalloc(sizeof(*code));
    if (code == NULL) {
        return otr_fail_nomem(err);
    }
    (void)otr_sha256_hex(spec->wasm, code->sha256);
    otr_code rc = load(engine, spec, code, err);
    if (rc != OTR_OK) {
        otr_guest_code_free(code);
        return otr_wrap(err, rc, "%s", spec->name);
    }
    *ret = code;
    return OTR_OK;
}

otr_code otr_guest_compile(otr_engine *engine, const otr_load_spec *spec, otr_err *err)
{
    otr_guest_code *code = otr_zalloc(sizeof(*code));
    otr_module *kernel;
    if (code == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_guest_compile_all(engine, spec, code, err);
    if (rc == OTR_OK) {
        const otr_abi_ops *abi = spec->abi != NULL ? otr_abi_find(spec->abi) : detect(code);
        rc = abi != NULL ? kernel_of(code->module->engine, abi, &kernel, err) : OTR_OK;
    }
    otr_guest_code_free(code);
    return rc;
}

otr_guest_code *otr_guest_code_ref(otr_guest_code *code)
{
    (void)atomic_fetch_add_explicit(&code->more_owners, 1, memory_order_relaxed);
    return code;
}

void otr_guest_code_deinit(otr_guest_code *code)
{
    if (code->module != NULL) {
        code->module->ops->module_free(code->module);
    }
    otr_guest_unlink(code);
    otr_guest_drop_functions(code); /* after the modules, which keep what they made of them */
    otr_extism_manifest_free(code->manifest);
}

void otr_guest_code_free(otr_guest_code *code)
{
    if (code != NULL &&
        atomic_fetch_sub_explicit(&code->more_owners, 1, memory_order_acq_rel) == 0) {
        otr_guest_code_deinit(code);
        otr_free(code);
    }
}

const otr_module_info *otr_guest_code_info(const otr_guest_code *code)
{
    return otr_module_info_of(code->module);
}

const otr_abi_ops *otr_guest_code_abi(const otr_guest_code *code)
{
    return code->abi;
}

const char *otr_guest_code_sha256(const otr_guest_code *code)
{
    return code->sha256;
}

bool otr_guest_code_has(const otr_guest_code *code, const char *operation)
{
    return code->abi->has(otr_module_info_of(code->module), operation);
}
