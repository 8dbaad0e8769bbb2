#include "wasm/engine.h"

#include "wasm/engine_wasmi.h"

static const otr_engine_ops *const engines[] = {
    &otr_engine_wasmtime,
#ifdef OTR_HAVE_WASMI
    &otr_engine_wasmi,
#endif
};

const otr_engine_ops *otr_engine_find(const char *name)
{
    for (size_t i = 0; i < OTR_COUNT(engines); i++) {
        if (strcmp(engines[i]->name, name) == 0) {
            return engines[i];
        }
    }
    return NULL;
}

const char *otr_engine_names(void)
{
    return OTR_COUNT(engines) > 1 ? "wasmtime, wasmi" : "wasmtime";
}

otr_code otr_engine_compile_elsewhere(const otr_engine *e, otr_bytes wasm, const char *recipe,
                                      otr_err *err)
{
    if (e->compiler == NULL) {
        return otr_fail(err, OTR_EUNSUP, "no other process compiles");
    }
    return e->compiler->fill(e->compiler->arg, otr_engine_wasmtime.name, wasm, recipe, err);
}

const otr_extern_info *otr_module_export(const otr_module_info *info, const char *name)
{
    for (size_t i = 0; i < info->n_exports; i++) {
        if (strcmp(info->exports[i].name, name) == 0) {
            return &info->exports[i];
        }
    }
    return NULL;
}

bool otr_sig_eq(const otr_sig *a, const otr_sig *b)
{
    return a->n_args == b->n_args && a->n_results == b->n_results &&
           a->n_args <= OTR_WASM_MAX_ARGS && a->n_results <= OTR_WASM_MAX_RESULTS &&
           memcmp(a->args, b->args, a->n_args) == 0 &&
           memcmp(a->results, b->results, a->n_results) == 0;
}

typedef struct text {
    char *out;
    size_t n, cap;
} text;

static void add(text *t, const char *word)
{
    size_t n = strlen(word);
    if (t->n + n < t->cap) {
        memcpy(t->out + t->n, word, n + 1);
        t->n += n;
    }
}

static void add_types(text *t, const uint8_t *types, unsigned n, unsigned most)
{
    static const char *const names[] = { "i32", "i64", "f32", "f64", "other" };
    for (unsigned i = 0; i < n && i < most; i++) {
        add(t, i > 0 ? ", " : "");
        add(t, names[types[i] <= OTR_WASM_OTHER ? types[i] : OTR_WASM_OTHER]);
    }
    if (n > most) {
        add(t, ", ...");
    }
}

const char *otr_sig_text(const otr_sig *sig, char *out, size_t cap)
{
    if (cap == 0) {
        return out;
    }
    text t = { .out = out, .cap = cap };
    out[0] = '\0';
    add(&t, "(");
    add_types(&t, sig->args, sig->n_args, OTR_WASM_MAX_ARGS);
    add(&t, ")");
    if (sig->n_results > 0) {
        add(&t, " -> ");
        add(&t, sig->n_results > 1 ? "(" : "");
        add_types(&t, sig->results, sig->n_results, OTR_WASM_MAX_RESULTS);
        add(&t, sig->n_results > 1 ? ")" : "");
    }
    return out;
}
