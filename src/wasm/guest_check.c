#include <stdio.h>

#include "wasm/abi/start.h"
#include "wasm/guest_code.h"
#include "wasm/wasi/wasi.h"

enum { NAME_BYTES = 64, LIST_NAMES = 12, TYPE_BYTES = 200 };

/* Edit distance of two names, each cut at NAME_BYTES. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_BYTES + 1];
    size_t n = strlen(a), m = strlen(b);
    n = n < NAME_BYTES ? n : NAME_BYTES;
    m = m < NAME_BYTES ? m : NAME_BYTES;
    for (unsigned j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            unsigned swap = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = swap < least ? swap : least;
        }
    }
    return row[m];
}

typedef struct nearest {
    const char *wanted, *best;
    unsigned distance;
} nearest;

static void consider(nearest *n, const char *name)
{
    unsigned d = distance(n->wanted, name);
    if (d < n->distance) {
        n->best = name;
        n->distance = d;
    }
}

/* Only names that could be a slip of the pen are worth a hint. */
static nearest look_for(const char *wanted)
{
    size_t len = strlen(wanted);
    return (nearest){ .wanted = wanted, .distance = (unsigned)(len / 3 + 2) };
}

static const char *type_text(const otr_extern_info *x, char *out)
{
    static const char *const kinds[] = { "function ", "memory", "table", "global", "tag" };
    char sig[TYPE_BYTES - 16] = "";
    if (x->kind == OTR_EXTERN_FUNC) {
        (void)otr_sig_text(&x->sig, sig, sizeof(sig));
    }
    (void)snprintf(out, TYPE_BYTES, "%s%s", kinds[x->kind], sig);
    return out;
}

/* What an earlier part of the instance offers under the names of `wanted`. */
static const otr_extern_info *linked_offer(const otr_guest_code *code,
                                           const otr_extern_info *wanted)
{
    const otr_module_info *kernel = otr_module_info_of(code->kernel);
    const otr_extern_info *found = NULL;
    for (size_t a = 0; kernel != NULL && found == NULL && a < OTR_COUNT(code->abi->kernel->as);
         a++) {
        const char *as = code->abi->kernel->as[a];
        if (as != NULL && strcmp(as, wanted->module) == 0) {
            found = otr_module_export(kernel, wanted->name);
        }
    }
    for (size_t i = 0; found == NULL && i < code->n_linked; i++) {
        if (strcmp(code->linked[i].name, wanted->module) == 0) {
            found = otr_module_export(otr_module_info_of(code->linked[i].module), wanted->name);
        }
    }
    return found;
}

static bool wasi_offers(const otr_extern_info *wanted)
{
    return wanted->kind == OTR_EXTERN_FUNC && otr_wasi_has(wanted->module, wanted->name);
}

static void consider_exports(nearest *n, const otr_module_info *info)
{
    for (size_t i = 0; i < info->n_exports; i++) {
        consider(n, info->exports[i].name);
    }
}

static void consider_offers(const otr_guest_code *code, const otr_extern_info *wanted, nearest *n)
{
    const otr_module_info *kernel = otr_module_info_of(code->kernel);
    for (size_t i = 0; i < code->n_imports; i++) {
        if (strcmp(code->imports[i].module, wanted->module) == 0) {
            consider(n, code->imports[i].name);
        }
    }
    for (size_t a = 0; kernel != NULL && a < OTR_COUNT(code->abi->kernel->as); a++) {
        const char *as = code->abi->kernel->as[a];
        if (as != NULL && strcmp(as, wanted->module) == 0) {
            consider_exports(n, kernel);
        }
    }
    for (size_t i = 0; i < code->n_linked; i++) {
        if (strcmp(code->linked[i].name, wanted->module) == 0) {
            consider_exports(n, otr_module_info_of(code->linked[i].module));
        }
    }
}

static otr_code not_offered(const otr_guest_code *code, const otr_extern_info *wanted,
                            otr_buf *missing, otr_err *err)
{
    char want[TYPE_BYTES];
    nearest n = look_for(wanted->name);
    consider_offers(code, wanted, &n);
    return otr_buf_addf(missing, err, "import %s.%s: %s is not offered%s%s%s\n", wanted->module,
                        wanted->name, type_text(wanted, want), n.best != NULL ? " (nearest: " : "",
                        n.best != NULL ? n.best : "", n.best != NULL ? ")" : "");
}

static bool find_offer(const otr_guest_code *code, const otr_extern_info *wanted,
                       otr_extern_info *ret)
{
    const otr_extern_info *linked = linked_offer(code, wanted);
    if (linked != NULL) {
        *ret = *linked;
        return true;
    }
    for (size_t i = 0; i < code->n_imports; i++) {
        const otr_import *x = &code->imports[i];
        if (strcmp(x->module, wanted->module) == 0 && strcmp(x->name, wanted->name) == 0) {
            *ret = (otr_extern_info){ .kind = OTR_EXTERN_FUNC, .sig = x->sig };
            return true;
        }
    }
    return false;
}

static otr_code check_import(const otr_guest_code *code, const otr_extern_info *wanted,
                             otr_buf *missing, otr_err *err)
{
    char want[TYPE_BYTES], have[TYPE_BYTES];
    otr_extern_info offer;
    if (!find_offer(code, wanted, &offer)) {
        return wasi_offers(wanted) ? OTR_OK : not_offered(code, wanted, missing, err);
    }
    if (offer.kind == wanted->kind &&
        (offer.kind != OTR_EXTERN_FUNC || otr_sig_eq(&offer.sig, &wanted->sig))) {
        return OTR_OK;
    }
    return otr_buf_addf(missing, err, "import %s.%s: wanted is %s, offered is %s\n", wanted->module,
                        wanted->name, type_text(wanted, want), type_text(&offer, have));
}

/* Names an export that may be meant by an operation that is absent. */
static otr_code hint_operation(const otr_module_info *info, const char *operation, otr_buf *missing,
                               otr_err *err)
{
    nearest n = look_for(operation);
    for (size_t i = 0; i < info->n_exports; i++) {
        if (info->exports[i].kind == OTR_EXTERN_FUNC &&
            strcmp(info->exports[i].name, operation) != 0) {
            consider(&n, info->exports[i].name);
        }
    }
    return n.best == NULL
               ? OTR_OK
               : otr_buf_addf(missing, err, "the export nearest to %s is %s\n", operation, n.best);
}

static otr_code check_imports(const otr_guest_code *code, const otr_module_info *info,
                              otr_buf *missing, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && !info->component && i < info->n_imports; i++) {
        rc = check_import(code, &info->imports[i], missing, err);
    }
    return rc;
}

otr_code otr_guest_check(const otr_guest_code *code, const char *const *operations,
                         otr_buf *missing, otr_err *err)
{
    static const otr_sig none = { 0 };
    const otr_module_info *info = otr_module_info_of(code->module);
    otr_code rc = code->abi->check(info, operations, missing, err);
    for (size_t i = 0; rc == OTR_OK && operations != NULL && operations[i] != NULL; i++) {
        if (!code->abi->has(info, operations[i])) {
            rc = hint_operation(info, operations[i], missing, err);
        }
    }
    rc = rc == OTR_OK ? check_imports(code, info, missing, err) : rc;
    for (size_t i = 0; rc == OTR_OK && i < code->n_linked; i++) {
        size_t before = missing->n;
        const otr_module_info *linked = otr_module_info_of(code->linked[i].module);
        rc = check_imports(code, linked, missing, err);
        if (rc == OTR_OK && missing->n > before) {
            rc = otr_buf_addf(missing, err, "the module %s needs that\n", code->linked[i].name);
        }
        before = missing->n;
        if (rc == OTR_OK) {
            rc = otr_abi_check_start(linked, "_initialize", &none, missing, err);
        }
        if (rc == OTR_OK && missing->n > before) {
            rc = otr_buf_addf(missing, err, "the module %s exports that\n", code->linked[i].name);
        }
    }
    return rc;
}

otr_code otr_guest_list_exports(const otr_module_info *info, otr_buf *out, otr_err *err)
{
    otr_code rc = OTR_OK;
    unsigned n = 0;
    for (size_t i = 0; rc == OTR_OK && i < info->n_exports && n < LIST_NAMES; i++) {
        if (info->exports[i].kind == OTR_EXTERN_FUNC) {
            rc = otr_buf_addf(out, err, "%s%.*s", n++ > 0 ? ", " : "", NAME_BYTES,
                              info->exports[i].name);
        }
    }
    if (rc == OTR_OK && n == 0) {
        rc = otr_buf_adds(out, "nothing", err);
    }
    return rc == OTR_OK && n == LIST_NAMES ? otr_buf_adds(out, ", ...", err) : rc;
}

static bool seen_before(const otr_module_info *info, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (strcmp(info->imports[i].module, info->imports[at].module) == 0) {
            return true;
        }
    }
    return false;
}

otr_code otr_guest_list_imports(const otr_module_info *info, otr_buf *out, otr_err *err)
{
    otr_code rc = OTR_OK;
    unsigned n = 0;
    for (size_t i = 0; rc == OTR_OK && i < info->n_imports && i < 256 && n < LIST_NAMES; i++) {
        if (!seen_before(info, i)) {
            rc = otr_buf_addf(out, err, "%s%.*s", n++ > 0 ? ", " : "", NAME_BYTES,
                              info->imports[i].module);
        }
    }
    return rc == OTR_OK && n == 0 ? otr_buf_adds(out, "nothing", err) : rc;
}
