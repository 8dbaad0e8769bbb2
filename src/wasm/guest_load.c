/* Loading a file: compile, pick the ABI, add what that brings, check. */
#include "base/alloc.h"
#include "wasm/guest_code.h"

enum { MISSING_BYTES = 65536 };

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
    otr_code rc = otr_guest_engine_for(engine, spec->wasm, &engine, err);
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
    otr_code rc = otr_guest_kernel(engine, code->abi, &code->kernel, err);
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
        rc = abi != NULL ? otr_guest_kernel(code->module->engine, abi, &kernel, err) : OTR_OK;
    }
    otr_guest_code_free(code);
    return rc;
}
