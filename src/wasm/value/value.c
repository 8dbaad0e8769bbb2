#include "wasm/value/value.h"

#include <string.h>

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
