/*
 * Private to files*.c: the table of descriptors and how a call reaches it.
 *
 * Thread: as files.h says.
 */
#ifndef OTR_WASM_WASI_FILES_PRIVATE_H
#define OTR_WASM_WASI_FILES_PRIVATE_H

#include <limits.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/little_endian.h"
#include "wasm/wasi/errno.h"
#include "wasm/wasi/files.h"

enum { /* WASI's file types */
       WF_TYPE_UNKNOWN,
       WF_TYPE_BLOCK,
       WF_TYPE_CHARACTER,
       WF_TYPE_DIRECTORY,
       WF_TYPE_REGULAR,
       WF_TYPE_DGRAM,
       WF_TYPE_STREAM,
       WF_TYPE_LINK,
};

enum { WF_RIGHT_READ = 1 << 1, WF_RIGHT_WRITE = 1 << 6 };
enum { WF_FLAG_APPEND = 1, WF_FLAG_DSYNC = 2, WF_FLAG_NONBLOCK = 4, WF_FLAG_SYNCS = 2 | 8 | 16 };

typedef enum wf_kind { WF_FREE, WF_STANDARD, WF_FILE, WF_DIR } wf_kind;

typedef struct wf_slot {
    wf_kind kind;
    int standard;    /* 0, 1, 2 */
    int fd;          /* the kernel's: files and folders */
    int list_fd;     /* a granted folder's, readable, from the first fd_readdir on; else -1 */
    char *preopen;   /* a granted folder's name for the guest, owned; else NULL */
    bool may_change; /* below a folder that was granted for writing */
    bool readable, writable; /* how a file was opened */
    uint16_t flags;          /* fdflags */
    uint64_t position;       /* files: the kernel's is not used */
} wf_slot;

struct otr_wasi_files {
    const otr_wasi_engine *engine;
    wf_slot *slots;
    size_t n_slots; /* grows up to OTR_LIMIT_WASI_FDS */
};

typedef struct wf_call {
    otr_wasi_preview preview;
    otr_instance *inst;
    otr_wasi_files *files;
    uint8_t *memory;
    size_t memory_bytes;
    const otr_val *vals;
} wf_call;

typedef int32_t wf_function(const wf_call *c); /* answers with an errno */

wf_function otr_wf_fd_advise, otr_wf_fd_allocate, otr_wf_fd_close, otr_wf_fd_datasync,
    otr_wf_fd_fdstat_get, otr_wf_fd_fdstat_set_flags, otr_wf_fd_fdstat_set_rights,
    otr_wf_fd_filestat_get, otr_wf_fd_filestat_set_size, otr_wf_fd_filestat_set_times,
    otr_wf_fd_pread, otr_wf_fd_prestat_dir_name, otr_wf_fd_prestat_get, otr_wf_fd_pwrite,
    otr_wf_fd_read, otr_wf_fd_readdir, otr_wf_fd_renumber, otr_wf_fd_seek, otr_wf_fd_sync,
    otr_wf_fd_tell, otr_wf_fd_write;
wf_function otr_wf_path_create_directory, otr_wf_path_filestat_get, otr_wf_path_filestat_set_times,
    otr_wf_path_link, otr_wf_path_open, otr_wf_path_readlink, otr_wf_path_remove_directory,
    otr_wf_path_rename, otr_wf_path_symlink, otr_wf_path_unlink_file;

/* ---- files.c ---- */
wf_slot *otr_wf_slot(const wf_call *c, int arg); /* NULL: argument `arg` is no descriptor */
wf_slot *otr_wf_dir(const wf_call *c, int arg);  /* NULL: no folder */
wf_slot *otr_wf_file(const wf_call *c, int arg); /* NULL: no file */
/* A free slot, zeroed but for the descriptors, and its number; NULL: the table is full. */
wf_slot *otr_wf_new_slot(otr_wasi_files *f, uint32_t *ret_number);
/* WASI's for one of Linux. */
int32_t otr_wf_errno(int sys);

/* ---- files_path.c ---- */
enum { WF_FOLLOW = 1 }; /* lookupflags */

typedef struct wf_path {
    char text[PATH_MAX];
} wf_path;

typedef struct wf_name { /* the last name of a path, in its folder */
    int path_arg;        /* in: the argument with the path, its length follows */
    int parent;
    const char *name; /* in the path's text; no slash, neither "." nor ".." */
    bool slash;       /* one followed, which demands a folder */
} wf_name;

/* The path in arguments `arg` (where) and `arg` + 1 (length), as a string. */
int32_t otr_wf_read_path(const wf_call *c, int arg, wf_path *ret);
/* Opens the parent of the path's last name, below the folder in argument `arg`. Close it whatever
 * the answer is. */
int32_t otr_wf_open_name(const wf_call *c, int arg, wf_path *path, wf_name *ret);
void otr_wf_close_name(wf_name *n);
/* As openat2: relative to `dir`, never above it, with a new descriptor that closes on exec. A path
 * that leads out fails with EPERM. -1: see errno. */
int otr_wf_open_beneath(int dir, const char *path, int flags, unsigned mode);

/* ---- files_names.c ---- */
uint8_t otr_wf_type(mode_t mode);
/* Room for a filestat in argument `arg`; NULL: it is not inside. */
uint8_t *otr_wf_stat_room(const wf_call *c, int arg);
void otr_wf_store_stat(const wf_call *c, uint8_t *to, const struct stat *st);
/* The two times of futimens() from arguments `arg` (access), `arg` + 1 (modification) and the flags
 * behind them. */
int32_t otr_wf_times(const wf_call *c, int arg, struct timespec ret[2]);

static inline uint8_t *wf_at(const wf_call *c, uint32_t at, uint64_t len)
{
    return at <= c->memory_bytes && len <= c->memory_bytes - at ? c->memory + at : NULL;
}

static inline uint32_t wf_u32(const wf_call *c, int arg)
{
    return (uint32_t)c->vals[arg].i32;
}

#endif
