/* The embedder's functions: checked, copied, put behind those of the ABI. */
#include "base/alloc.h"
#include "wasm/abi/user.h"
#include "wasm/guest_code.h"
#include "wasm/wasi/wasi.h"

static const char default_space[] = "extism:host/user";

/* What every one of the embedder's imports runs. */
static otr_code call_user(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    otr_guest *g = user;
    const otr_user_function *f = inst->import->data;
    const otr_user_call call = { .guest = g,
                                 .inst = inst,
                                 .host = g->spec.host,
                                 .user = f->user,
                                 .context = g->context,
                                 .space = f->space,
                                 .name = f->name };
    return f->fn(&call, vals, err);
}

static bool types_ok(const uint8_t *types, size_t n, size_t most)
{
    for (size_t i = 0; i < n && i < most; i++) {
        if (types[i] >= OTR_WASM_OTHER) {
            return false;
        }
    }
    return n <= most;
}

static bool built_in(const otr_guest_code *code, const char *space, const char *name)
{
    size_t n;
    const otr_import *imports = code->abi->imports(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(imports[i].module, space) == 0 && strcmp(imports[i].name, name) == 0) {
            return true;
        }
    }
    for (size_t a = 0; code->kernel != NULL && a < OTR_COUNT(code->abi->kernel->as); a++) {
        const char *as = code->abi->kernel->as[a];
        if (as != NULL && strcmp(as, space) == 0 &&
            otr_module_export(otr_module_info_of(code->kernel), name) != NULL) {
            return true;
        }
    }
    return otr_wasi_has(space, name);
}

static otr_code check_function(const otr_guest_code *code, size_t at, otr_err *err)
{
    const otr_user_function *f = &code->functions[at];
    if (f->fn == NULL || f->name[0] == '\0' ||
        !types_ok(f->sig.args, f->sig.n_args, OTR_WASM_MAX_ARGS) ||
        !types_ok(f->sig.results, f->sig.n_results, OTR_WASM_MAX_RESULTS)) {
        return otr_fail(err, OTR_EINVAL,
                        "the host function %s.%s has no code, no name or a type that is not made "
                        "of at most %d i32, i64, f32, f64 and %d results",
                        f->space, f->name, OTR_WASM_MAX_ARGS, OTR_WASM_MAX_RESULTS);
    }
    if (built_in(code, f->space, f->name)) {
        return otr_fail(err, OTR_EINVAL,
                        "the host function %s.%s is built in; give it another name", f->space,
                        f->name);
    }
    for (size_t i = 0; i < code->n_linked; i++) {
        if (strcmp(code->linked[i].name, f->space) == 0) {
            return otr_fail(err, OTR_EINVAL,
                            "the host function %s.%s has the name of a linked module as namespace",
                            f->space, f->name);
        }
    }
    for (size_t i = 0; i < at; i++) {
        if (strcmp(code->functions[i].space, f->space) == 0 &&
            strcmp(code->functions[i].name, f->name) == 0) {
            return otr_fail(err, OTR_EINVAL, "the host function %s.%s is given twice", f->space,
                            f->name);
        }
    }
    return OTR_OK;
}

static otr_code copy_function(const otr_user_function *from, otr_user_function *to, otr_err *err)
{
    *to = *from;
    to->space = otr_strdup(from->space != NULL ? from->space : default_space);
    to->name = otr_strdup(from->name != NULL ? from->name : "");
    return to->space != NULL && to->name != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code copy_functions(const otr_load_spec *spec, otr_guest_code *code, otr_err *err)
{
    if (spec->n_functions > OTR_GUEST_FUNCTIONS) {
        return otr_fail(err, OTR_EQUOTA, "%zu host functions; the limit is %d", spec->n_functions,
                        OTR_GUEST_FUNCTIONS);
    }
    code->functions = otr_calloc(spec->n_functions, sizeof(*code->functions));
    if (code->functions == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < spec->n_functions; i++) {
        code->n_functions = i + 1;
        rc = copy_function(&spec->functions[i], &code->functions[i], err);
        rc = rc == OTR_OK ? check_function(code, i, err) : rc;
    }
    return rc;
}

otr_code otr_guest_functions(const otr_load_spec *spec, otr_guest_code *code, otr_err *err)
{
    size_t n;
    const otr_import *imports = code->abi->imports(&n);
    code->imports = imports;
    code->n_imports = n;
    if (spec->n_functions == 0) {
        return OTR_OK;
    }
    if (otr_module_info_of(code->module)->component) {
        return otr_fail(err, OTR_EUNSUP, "is a component; host functions are for core modules");
    }
    otr_code rc = copy_functions(spec, code, err);
    if (rc != OTR_OK) {
        return rc;
    }
    code->own_imports = otr_calloc(n + code->n_functions, sizeof(*code->own_imports));
    if (code->own_imports == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(code->own_imports, imports, n * sizeof(*imports));
    for (size_t i = 0; i < code->n_functions; i++) {
        const otr_user_function *f = &code->functions[i];
        code->own_imports[n + i] = (otr_import){
            .module = f->space, .name = f->name, .sig = f->sig, .fn = call_user, .data = f
        };
    }
    code->imports = code->own_imports;
    code->n_imports = n + code->n_functions;
    return OTR_OK;
}

void otr_guest_drop_functions(otr_guest_code *code)
{
    for (size_t i = 0; i < code->n_functions; i++) {
        otr_free((char *)(uintptr_t)code->functions[i].space);
        otr_free((char *)(uintptr_t)code->functions[i].name);
    }
    otr_free(code->functions);
    otr_free(code->own_imports);
}
