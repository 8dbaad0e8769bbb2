/*
 * WASI preview 1. Without folders every descriptor but the three standard ones is bad, and most of
 * the interface is that answer; a guest with folders has the functions of wasi/files.h instead.
 */
#include "base/texts.h"
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
    FN("args_get", otr_wasmi_args_get, I, I),
    FN("args_sizes_get", otr_wasmi_args_sizes_get, I, I),
    FN("clock_res_get", otr_wasmi_clock_res_get, I, I),
    FN("clock_time_get", otr_wasmi_clock_time_get, I, L, I),
    FN("environ_get", otr_wasmi_environ_get, I, I),
    FN("environ_sizes_get", otr_wasmi_environ_sizes_get, I, I),
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
    FN("poll_oneoff", otr_wasmi_poll_oneoff, I, I, I, I),
    { .module = "wasi_snapshot_preview1",
      .name = "proc_exit",
      .sig = { .n_args = 1 },
      .fn = otr_wasmi_proc_exit },
    FN("proc_raise", otr_wasmi_no_such_call, I),
    FN("random_get", otr_wasmi_random_get, I, I),
    { .module = "wasi_snapshot_preview1",
      .name = "sched_yield",
      .sig = { .n_results = 1 },
      .fn = otr_wasmi_sched_yield },
    FN("sock_accept", otr_wasmi_bad_fd, I, I, I),
    FN("sock_recv", otr_wasmi_bad_fd, I, I, I, I, I, I),
    FN("sock_send", otr_wasmi_bad_fd, I, I, I, I, I),
    FN("sock_shutdown", otr_wasmi_bad_fd, I, I),
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

const otr_import *otr_wasmi_wasi_find(const otr_wasi *wasi, const char *name)
{
    size_t n_files = 0;
    const otr_import *files = otr_wasi_files_functions(&n_files);
    const otr_import *found = wasi->n_dirs > 0 ? find(files, n_files, name) : NULL;
    return found != NULL ? found : find(functions, OTR_COUNT(functions), name);
}

static bool memory(otr_instance *inst, uint8_t **ret, size_t *ret_bytes)
{
    const wi_instance *i = (const wi_instance *)inst;
    *ret = otr_wasmi_memory(i->store, SIZE_MAX, ret_bytes); /* of the part that calls */
    return *ret != NULL;
}

static const otr_wasi_engine lends = { memory, otr_wasmi_take_text };

otr_code otr_wasmi_wasi_open(wi_instance *i, const otr_wasi *wasi, otr_err *err)
{
    for (const char *const *e = wasi->env; e != NULL && *e != NULL; e++) {
        const char *eq = strchr(*e, '=');
        if (eq == NULL || eq == *e) {
            return otr_fail(err, OTR_EINVAL, "environment \"%s\" is not NAME=value", *e);
        }
    }
    otr_lines_init(&i->lines, wasi->line, i->base.user);
    otr_code rc = otr_texts_copy((char *const *)wasi->env, &i->env, err);
    rc = rc == OTR_OK ? otr_texts_copy((char *const *)wasi->args, &i->args, err) : rc;
    return rc == OTR_OK && wasi->n_dirs > 0 ? otr_wasi_files_open(wasi, &lends, &i->base.files, err)
                                            : rc;
}

void otr_wasmi_wasi_close(wi_instance *i)
{
    otr_wasi_files_free(i->base.files);
    otr_texts_free(i->env);
    otr_texts_free(i->args);
    otr_lines_deinit(&i->lines);
}

#endif
