#include "wasm/engine/imports.h"

#include <stdio.h>

const otr_import *otr_imports_find(const otr_spawn *spec, const otr_extern_info *wanted)
{
    for (size_t i = 0; i < spec->n_imports; i++) {
        const otr_import *x = &spec->imports[i];
        if (strcmp(x->module, wanted->module) == 0 && strcmp(x->name, wanted->name) == 0) {
            return x;
        }
    }
    return NULL;
}

const otr_extern_info *otr_imports_find_linked(const otr_spawn *spec, size_t n_links,
                                               const otr_extern_info *wanted, size_t *ret_link)
{
    for (size_t l = 0; l < spec->n_links && l < n_links; l++) {
        const otr_link *link = &spec->links[l];
        for (size_t a = 0; a < OTR_COUNT(link->as) && link->as[a] != NULL; a++) {
            const otr_extern_info *x =
                strcmp(link->as[a], wanted->module) == 0
                    ? otr_module_export(otr_module_info_of(link->module), wanted->name)
                    : NULL;
            if (x != NULL) {
                *ret_link = l;
                return x;
            }
        }
    }
    return NULL;
}

static const char *kind_text(otr_extern_kind kind, const otr_sig *sig, char *out, size_t cap)
{
    static const char *const names[] = { "function", "memory", "table", "global", "tag" };
    char types[160] = "";
    if (kind == OTR_EXTERN_FUNC) {
        (void)otr_sig_text(sig, types, sizeof(types));
    }
    (void)snprintf(out, cap, "%s%s%s", names[kind], types[0] != '\0' ? " " : "", types);
    return out;
}

void otr_imports_explain(const otr_extern_info *wanted, const otr_extern_info *linked,
                         const otr_import *import, otr_buf *problems)
{
    char want[200], have[200];
    const char *sep = problems->n > 0 ? "; " : "";
    otr_code rc = OTR_OK;
    (void)kind_text(wanted->kind, &wanted->sig, want, sizeof(want));
    if (linked == NULL && import == NULL) {
        rc = otr_buf_addf(problems, NULL, "%simport %s.%s %s is not offered", sep, wanted->module,
                          wanted->name, want);
    } else {
        otr_extern_kind kind = linked != NULL ? linked->kind : OTR_EXTERN_FUNC;
        const otr_sig *sig = linked != NULL ? &linked->sig : &import->sig;
        if (kind != wanted->kind || (kind == OTR_EXTERN_FUNC && !otr_sig_eq(sig, &wanted->sig))) {
            rc = otr_buf_addf(problems, NULL, "%simport %s.%s wants %s, offered is %s", sep,
                              wanted->module, wanted->name, want,
                              kind_text(kind, sig, have, sizeof(have)));
        }
    }
    (void)rc; /* a full buffer has named enough of them */
}
