/* Modules that a guest imports from by name, and that import from each other. */
#include "base/alloc.h"
#include "wasm/guest_code.h"
#include "wasm/wasi/wasi.h"

/* Names that the host answers to. */
static bool reserved(const char *name)
{
    static const char *const taken[] = { "", "main", "env", "wapc" };
    otr_wasi_preview preview;
    for (size_t i = 0; i < OTR_COUNT(taken); i++) {
        if (strcmp(name, taken[i]) == 0) {
            return true;
        }
    }
    return otr_wasi_is(name, &preview) || strncmp(name, "extism:host/", 12) == 0;
}

static otr_code check_names(const otr_load_spec *spec, otr_err *err)
{
    if (spec->n_modules > OTR_GUEST_MODULES) {
        return otr_fail(err, OTR_EQUOTA, "%zu linked modules; the limit is %d", spec->n_modules,
                        OTR_GUEST_MODULES);
    }
    for (size_t i = 0; i < spec->n_modules; i++) {
        const char *name = spec->modules[i].name;
        if (reserved(name)) {
            return otr_fail(err, OTR_EINVAL, "a linked module cannot be called \"%s\"", name);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(name, spec->modules[k].name) == 0) {
                return otr_fail(err, OTR_EINVAL, "two linked modules are called \"%s\"", name);
            }
        }
    }
    return OTR_OK;
}

static bool imports_from(const otr_linked_module *m, const char *name)
{
    const otr_module_info *info = otr_module_info_of(m->module);
    for (size_t i = 0; i < info->n_imports; i++) {
        if (strcmp(info->imports[i].module, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether all that list[at] imports from lies before `n`. */
static bool ready(const otr_guest_code *code, size_t n, size_t at)
{
    for (size_t i = n; i < code->n_linked; i++) {
        if (imports_from(&code->linked[at], code->linked[i].name)) {
            return false;
        }
    }
    return true;
}

static otr_code sort(otr_guest_code *code, otr_err *err)
{
    for (size_t n = 0; n < code->n_linked; n++) {
        size_t at = n;
        while (at < code->n_linked && !ready(code, n, at)) {
            at++;
        }
        if (at == code->n_linked) {
            return otr_fail(err, OTR_EINVAL,
                            "the module %s imports from itself in a ring of modules, which cannot "
                            "be linked",
                            code->linked[n].name);
        }
        otr_linked_module next = code->linked[at];
        memmove(&code->linked[n + 1], &code->linked[n], (at - n) * sizeof(next));
        code->linked[n] = next;
    }
    return OTR_OK;
}

otr_code otr_guest_link(otr_engine *engine, const otr_load_spec *spec, otr_guest_code *code,
                        otr_err *err)
{
    otr_code rc = check_names(spec, err);
    for (size_t i = 0; rc == OTR_OK && i < spec->n_modules; i++) {
        const otr_load_module *m = &spec->modules[i];
        otr_linked_module *to = &code->linked[i];
        if (otr_is_component(m->wasm)) {
            return otr_fail(err, OTR_EUNSUP,
                            "the module %s is a component; only core modules are linked", m->name);
        }
        if ((to->name = otr_strdup(m->name)) == NULL) {
            return otr_fail_nomem(err);
        }
        code->n_linked = i + 1;
        rc = otr_guest_compile_one(engine, spec, m->wasm, &to->module, err);
        rc = rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "module %s", m->name);
    }
    return rc == OTR_OK ? sort(code, err) : rc;
}

void otr_guest_unlink(otr_guest_code *code)
{
    for (size_t i = 0; i < code->n_linked; i++) {
        otr_linked_module *m = &code->linked[i];
        if (m->module != NULL) {
            m->module->ops->module_free(m->module);
        }
        otr_free(m->name);
    }
    code->n_linked = 0;
}

otr_code otr_guest_start_linked(otr_guest *g, uint64_t deadline_ns, otr_err *err)
{
    int first = g->code->kernel != NULL ? 1 : 0;
    for (size_t i = 0; i < g->code->n_linked; i++) {
        const otr_linked_module *m = &g->code->linked[i];
        if (otr_module_export(otr_module_info_of(m->module), "_initialize") == NULL) {
            continue; /* the check has seen to its type */
        }
        otr_val vals[1] = { { .i64 = 0 } };
        const otr_call call = { g->inst->ops->func(g->inst, first + (int)i, "_initialize"), vals,
                                deadline_ns };
        if (call.func == NULL) {
            return otr_fail_nomem(err);
        }
        otr_code rc = g->inst->ops->call(g->inst, &call, err);
        if (rc != OTR_OK && !(rc == OTR_EGUEST && g->inst->ops->exit_code(g->inst) == 0)) {
            return otr_wrap(err, rc, "_initialize of the module %s", m->name);
        }
    }
    return OTR_OK;
}
