#include "wasm/wasi/wasi.h"

#include <string.h>

/* What Wasmtime's WASI preview 1 offers; types are compared when the guest is linked. The preview
 * before it lacks sock_accept. */
static const char *const names[] = {
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

bool otr_wasi_is(const char *module, otr_wasi_preview *ret)
{
    if (strcmp(module, "wasi_snapshot_preview1") == 0) {
        *ret = OTR_WASI_PREVIEW_1;
        return true;
    }
    *ret = OTR_WASI_UNSTABLE;
    return strcmp(module, "wasi_unstable") == 0;
}

bool otr_wasi_has(const char *module, const char *name)
{
    otr_wasi_preview preview;
    if (!otr_wasi_is(module, &preview) ||
        (preview == OTR_WASI_UNSTABLE && strcmp(name, "sock_accept") == 0)) {
        return false;
    }
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}
