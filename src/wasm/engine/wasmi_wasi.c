/*
 * WASI. Without folders every descriptor of preview 1 but the three standard ones is bad, and most
 * of fd_* and path_* is that answer; a guest with folders, or of the unstable preview, has the
 * functions of wasi/files.h instead.
 */
#include "wasm/engine/wasmi.h"

#ifdef OTR_HAVE_WASMI

#define I 0 /* OTR_WASM_I32 */
#define L 1 /* OTR_WASM_I64 */
#define FN(name_, fn_, ...)                                    \
    {                                                          \
        .module = "wasi_snapshot_preview1",                    \
        .name = name_,                                         \
        .sig = { .n_args = sizeof((uint8_t[]){ __VA_ARGS__ }), \
                 .n_results = 1,                               \
                 .args = { __VA_ARGS__ } },                    \
        .fn = fn_,                                             \
    }

static const otr_import functions[] = {
    FN("fd_advise", otr_wasmi_fd_seek, I, L, L, I),
    FN("fd_allocate", otr_wasmi_fd_seek, I, L, L),
    FN("fd_close", otr_wasmi_fd_close, I),
    FN("fd_datasync", otr_wasmi_fd_close, I),
    FN("fd_fdstat_get", otr_wasmi_fd_fdstat_get, I, I),
    FN("fd_fdstat_set_flags", otr_wasmi_fd_close, I, I),
    FN("fd_fdstat_set_rights", otr_wasmi_fd_close, I, L, L),
    FN("fd_filestat_get", otr_wasmi_fd_filestat_get, I, I),
    FN("fd_filestat_set_size", otr_wasmi_fd_seek, I, L),
    FN("fd_filestat_set_times", otr_wasmi_fd_seek, I, L, L, I),
    FN("fd_pread", otr_wasmi_fd_seek, I, I, I, L, I),
    FN("fd_prestat_dir_name", otr_wasmi_bad_fd, I, I, I),
    FN("fd_prestat_get", otr_wasmi_bad_fd, I, I),
    FN("fd_pwrite", otr_wasmi_fd_seek, I, I, I, L, I),
    FN("fd_read", otr_wasmi_fd_read, I, I, I, I),
    FN("fd_readdir", otr_wasmi_bad_fd, I, I, I, L, I),
    FN("fd_renumber", otr_wasmi_bad_fd, I, I),
    FN("fd_seek", otr_wasmi_fd_seek, I, L, I, I),
    FN("fd_sync", otr_wasmi_fd_close, I),
    FN("fd_tell", otr_wasmi_fd_seek, I, I),
    FN("fd_write", otr_wasmi_fd_write, I, I, I, I),
    FN("path_create_directory", otr_wasmi_bad_fd, I, I, I),
    FN("path_filestat_get", otr_wasmi_bad_fd, I, I, I, I, I),
    FN("path_filestat_set_times", otr_wasmi_bad_fd, I, I, I, I, L, L, I),
    FN("path_link", otr_wasmi_bad_fd, I, I, I, I, I, I, I),
    FN("path_open", otr_wasmi_bad_fd, I, I, I, I, I, L, L, I, I),
    FN("path_readlink", otr_wasmi_bad_fd, I, I, I, I, I, I),
    FN("path_remove_directory", otr_wasmi_bad_fd, I, I, I),
    FN("path_rename", otr_wasmi_bad_fd, I, I, I, I, I, I),
    FN("path_symlink", otr_wasmi_bad_fd, I, I, I, I, I),
    FN("path_unlink_file", otr_wasmi_bad_fd, I, I, I),
};

static const otr_import *find(const otr_import *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

const otr_import *otr_wasmi_wasi_find(const otr_wasi *wasi, const otr_extern_info *x)
{
    otr_wasi_preview preview;
    size_t n = 0;
    if (!otr_wasi_is(x->module, &preview)) {
        return NULL;
    }
    const otr_import *list = otr_wasi_process_functions(preview, &n);
    const otr_import *found = find(list, n, x->name);
    if (found != NULL) {
        return found;
    }
    list = otr_wasi_files_functions(preview, &n);
    return wasi->n_dirs > 0 || preview == OTR_WASI_UNSTABLE
               ? find(list, n, x->name)
               : find(functions, OTR_COUNT(functions), x->name);
}

static bool memory(otr_instance *inst, uint8_t **ret, size_t *ret_bytes)
{
    const wi_instance *i = (const wi_instance *)inst;
    *ret = otr_wasmi_memory(i->store, SIZE_MAX, ret_bytes); /* of the part that calls */
    return *ret != NULL;
}

static otr_code end(otr_instance *inst, int32_t code, otr_err *err)
{
    wi_instance *i = (wi_instance *)inst;
    i->exit_code = code;
    i->end = WI_END_EXIT;
    return otr_fail(err, OTR_EGUEST, "the guest ended itself");
}

static uint64_t deadline_ns(const otr_instance *inst)
{
    return ((const wi_instance *)inst)->deadline_ns;
}

static bool ended(otr_instance *inst)
{
    return otr_wasmi_overdue(inst) != 0;
}

static const otr_wasi_engine lends = { memory, otr_wasmi_take_text, end, deadline_ns, ended };

otr_code otr_wasmi_wasi_open(wi_instance *i, const otr_wasi *wasi, otr_err *err)
{
    i->line = wasi->line;
    otr_code rc = otr_wasi_process_new(wasi, &lends, &i->base.process, err);
    return rc == OTR_OK ? otr_wasi_files_open(wasi, &lends, &i->base.files, err) : rc;
}

void otr_wasmi_wasi_close(wi_instance *i)
{
    otr_wasi_files_free(i->base.files);
    otr_wasi_process_free(i->base.process);
    for (size_t n = 0; n < OTR_COUNT(i->lines); n++) {
        otr_free(i->lines[n].text);
    }
}

#endif
