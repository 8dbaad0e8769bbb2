#include <stdio.h>

#include "wasm/guest_code.h"

enum { NAME_BYTES = 64, LIST_NAMES = 12, TYPE_BYTES = 200 };

/* What Wasmtime's WASI preview 1 offers; types are compared when the guest is linked. */
static const char *const wasi_names[] = {
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
};

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

static const otr_extern_info *kernel_offer(const otr_abi_ops *abi, const otr_module_info *kernel,
                                           const otr_extern_info *wanted)
{
    for (size_t a = 0; kernel != NULL && a < OTR_COUNT(abi->kernel->as); a++) {
        if (abi->kernel->as[a] == NULL) {
            break;
        }
        if (strcmp(abi->kernel->as[a], wanted->module) == 0) {
            return otr_module_export(kernel, wanted->name);
        }
    }
    return NULL;
}

static bool wasi_offers(const otr_extern_info *wanted)
{
    if (strcmp(wanted->module, "wasi_snapshot_preview1") != 0 || wanted->kind != OTR_EXTERN_FUNC) {
        return false;
    }
    for (size_t i = 0; i < OTR_COUNT(wasi_names); i++) {
        if (strcmp(wasi_names[i], wanted->name) == 0) {
            return true;
        }
    }
    return false;
}

static void consider_offers(const otr_abi_ops *abi, const otr_module_info *kernel,
                            const otr_extern_info *wanted, nearest *n)
{
    size_t count;
    const otr_import *imports = abi->imports(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(imports[i].module, wanted->module) == 0) {
            consider(n, imports[i].name);
        }
    }
    for (size_t a = 0; kernel != NULL && a < OTR_COUNT(abi->kernel->as); a++) {
        const char *as = abi->kernel->as[a];
        if (as != NULL && strcmp(as, wanted->module) == 0) {
            for (size_t i = 0; i < kernel->n_exports; i++) {
                consider(n, kernel->exports[i].name);
            }
        }
    }
}

static otr_code not_offered(const otr_abi_ops *abi, const otr_module_info *kernel,
                            const otr_extern_info *wanted, otr_buf *missing, otr_err *err)
{
    char want[TYPE_BYTES];
    nearest n = look_for(wanted->name);
    consider_offers(abi, kernel, wanted, &n);
    return otr_buf_addf(missing, err, "import %s.%s: %s is not offered%s%s%s\n", wanted->module,
                        wanted->name, type_text(wanted, want), n.best != NULL ? " (nearest: " : "",
                        n.best != NULL ? n.best : "", n.best != NULL ? ")" : "");
}

static otr_code check_import(const otr_abi_ops *abi, const otr_module_info *kernel,
                             const otr_extern_info *wanted, otr_buf *missing, otr_err *err)
{
    char want[TYPE_BYTES], have[TYPE_BYTES];
    otr_extern_info offer = { .kind = OTR_EXTERN_OTHER };
    const otr_extern_info *from_kernel = kernel_offer(abi, kernel, wanted);
    bool found = from_kernel != NULL;
    if (found) {
        offer = *from_kernel;
    }
    size_t count;
    const otr_import *imports = abi->imports(&count);
    for (size_t i = 0; !found && i < count; i++) {
        if (strcmp(imports[i].module, wanted->module) == 0 &&
            strcmp(imports[i].name, wanted->name) == 0) {
            offer = (otr_extern_info){ .kind = OTR_EXTERN_FUNC, .sig = imports[i].sig };
            found = true;
        }
    }
    if (!found) {
        return wasi_offers(wanted) ? OTR_OK : not_offered(abi, kernel, wanted, missing, err);
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

otr_code otr_guest_check(const otr_abi_ops *abi, const otr_module_info *info,
                         const otr_module_info *kernel, const char *const *operations,
                         otr_buf *missing, otr_err *err)
{
    otr_code rc = abi->check(info, operations, missing, err);
    for (size_t i = 0; rc == OTR_OK && operations != NULL && operations[i] != NULL; i++) {
        if (!abi->has(info, operations[i])) {
            rc = hint_operation(info, operations[i], missing, err);
        }
    }
    for (size_t i = 0; rc == OTR_OK && !info->component && i < info->n_imports; i++) {
        rc = check_import(abi, kernel, &info->imports[i], missing, err);
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
