#include "wasm/wasi/files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "wasm/wasi/files_private.h"

enum { STANDARDS = 3, FIRST_SLOTS = 8 };

int32_t otr_wf_errno(int sys)
{
    static const struct {
        int sys;
        int32_t wasi;
    } all[] = {
        { EACCES, 2 },   { EAGAIN, 6 },     { EBADF, 8 },   { EBUSY, 10 },        { EDQUOT, 19 },
        { EEXIST, 20 },  { EFAULT, 21 },    { EFBIG, 22 },  { EILSEQ, 25 },       { EINTR, 27 },
        { EINVAL, 28 },  { EIO, 29 },       { EISDIR, 31 }, { ELOOP, 32 },        { EMFILE, 33 },
        { EMLINK, 34 },  { ENFILE, 41 },    { ENODEV, 43 }, { ENAMETOOLONG, 37 }, { ENOENT, 44 },
        { ENOLCK, 46 },  { ENOMEM, 48 },    { ENOSPC, 51 }, { ENOSYS, 52 },       { ENOTDIR, 54 },
        { ENOTSUP, 58 }, { ENOTEMPTY, 55 }, { ENXIO, 60 },  { EOVERFLOW, 61 },    { EPERM, 63 },
        { EPIPE, 64 },   { EROFS, 69 },     { ESPIPE, 70 }, { ESTALE, 72 },       { ETXTBSY, 74 },
        { EXDEV, 75 },
    };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        if (all[i].sys == sys) {
            return all[i].wasi;
        }
    }
    return WASI_IO;
}

/* ---- the table ---- */

wf_slot *otr_wf_slot(const wf_call *c, int arg)
{
    uint32_t number = wf_u32(c, arg);
    wf_slot *s = number < c->files->n_slots ? &c->files->slots[number] : NULL;
    return s != NULL && s->kind != WF_FREE ? s : NULL;
}

wf_slot *otr_wf_dir(const wf_call *c, int arg)
{
    wf_slot *s = otr_wf_slot(c, arg);
    return s != NULL && s->kind == WF_DIR ? s : NULL;
}

wf_slot *otr_wf_file(const wf_call *c, int arg)
{
    wf_slot *s = otr_wf_slot(c, arg);
    return s != NULL && s->kind == WF_FILE ? s : NULL;
}

static bool grow(otr_wasi_files *f)
{
    size_t n = f->n_slots > 0 ? 2 * f->n_slots : FIRST_SLOTS;
    n = n < OTR_LIMIT_WASI_FDS ? n : OTR_LIMIT_WASI_FDS;
    wf_slot *slots = n > f->n_slots ? otr_realloc(f->slots, n * sizeof(*slots)) : NULL;
    if (slots == NULL) {
        return false;
    }
    memset(slots + f->n_slots, 0, (n - f->n_slots) * sizeof(*slots));
    f->slots = slots;
    f->n_slots = n;
    return true;
}

wf_slot *otr_wf_new_slot(otr_wasi_files *f, uint32_t *ret_number)
{
    size_t at = 0;
    while (at < f->n_slots && f->slots[at].kind != WF_FREE) {
        at++;
    }
    if (at == f->n_slots && !grow(f)) {
        return NULL;
    }
    f->slots[at] = (wf_slot){ .fd = -1, .list_fd = -1 };
    *ret_number = (uint32_t)at;
    return &f->slots[at];
}

static void close_slot(wf_slot *s)
{
    if (s->kind == WF_FILE || s->kind == WF_DIR) {
        (void)close(s->fd);
    }
    if (s->kind == WF_DIR && s->list_fd >= 0) {
        (void)close(s->list_fd);
    }
    otr_free(s->preopen);
    *s = (wf_slot){ .kind = WF_FREE };
}

otr_code otr_wasi_open_folder(const struct otr_wasi_dir *dir, int *ret_fd, otr_err *err)
{
    int fd = open(dir->host, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        int sys = errno;
        otr_code rc = otr_fail_sys(err, sys, "folder %s cannot be opened for the guest", dir->host);
        return sys == ENOENT ? OTR_ENOTFOUND : rc;
    }
    *ret_fd = fd;
    return OTR_OK;
}

static otr_code add_folder(otr_wasi_files *f, const struct otr_wasi_dir *dir, otr_err *err)
{
    uint32_t number = 0;
    char *name = otr_strdup(dir->guest);
    wf_slot *s = name != NULL ? otr_wf_new_slot(f, &number) : NULL;
    if (s == NULL) {
        otr_free(name);
        return otr_fail_nomem(err);
    }
    int fd = -1;
    otr_code rc = otr_wasi_open_folder(dir, &fd, err);
    if (rc != OTR_OK) {
        otr_free(name);
        return rc;
    }
    *s = (wf_slot){
        .kind = WF_DIR, .fd = fd, .list_fd = -1, .preopen = name, .may_change = dir->writable
    };
    return OTR_OK;
}

otr_code otr_wasi_files_open(const otr_wasi *wasi, const otr_wasi_engine *engine,
                             otr_wasi_files **ret, otr_err *err)
{
    otr_wasi_files *f = otr_zalloc(sizeof(*f));
    if (f == NULL) {
        return otr_fail_nomem(err);
    }
    f->engine = engine;
    otr_code rc = OTR_OK;
    for (int n = 0; rc == OTR_OK && n < STANDARDS; n++) {
        uint32_t number = 0;
        wf_slot *s = otr_wf_new_slot(f, &number);
        if (s != NULL) {
            s->kind = WF_STANDARD;
            s->standard = n;
        } else {
            rc = otr_fail_nomem(err);
        }
    }
    for (size_t n = 0; rc == OTR_OK && n < wasi->n_dirs; n++) {
        rc = add_folder(f, &wasi->dirs[n], err);
    }
    if (rc != OTR_OK) {
        otr_wasi_files_free(f);
        return rc;
    }
    *ret = f;
    return OTR_OK;
}

void otr_wasi_files_free(otr_wasi_files *f)
{
    for (size_t n = 0; f != NULL && n < f->n_slots; n++) {
        close_slot(&f->slots[n]);
    }
    if (f != NULL) {
        otr_free(f->slots);
        otr_free(f);
    }
}

/* (fd) */
int32_t otr_wf_fd_close(const wf_call *c)
{
    wf_slot *s = otr_wf_slot(c, 0);
    if (s == NULL) {
        return WASI_BADF;
    }
    close_slot(s);
    return WASI_OK;
}

/* (from, to): both are open, and `from` takes the place of `to`. */
int32_t otr_wf_fd_renumber(const wf_call *c)
{
    wf_slot *from = otr_wf_slot(c, 0), *to = otr_wf_slot(c, 1);
    if (from == NULL || to == NULL) {
        return WASI_BADF;
    }
    if (from != to) {
        close_slot(to);
        *to = *from;
        *from = (wf_slot){ .kind = WF_FREE };
    }
    return WASI_OK;
}

/* (fd, ret: tag u8, length of the name u32 at 4) */
int32_t otr_wf_fd_prestat_get(const wf_call *c)
{
    const wf_slot *s = otr_wf_slot(c, 0);
    uint8_t *ret = wf_at(c, wf_u32(c, 1), 8);
    if (s == NULL || s->preopen == NULL) {
        return WASI_BADF;
    }
    if (ret == NULL) {
        return WASI_FAULT;
    }
    otr_le_store(ret, 4, 0);
    otr_le_store(ret + 4, 4, strlen(s->preopen));
    return WASI_OK;
}

/* (fd, to, room): the name without a NUL */
int32_t otr_wf_fd_prestat_dir_name(const wf_call *c)
{
    const wf_slot *s = otr_wf_slot(c, 0);
    if (s == NULL) {
        return WASI_BADF;
    }
    if (s->preopen == NULL) {
        return WASI_NOTDIR;
    }
    size_t n = strlen(s->preopen);
    if (n > wf_u32(c, 2)) {
        return WASI_NAMETOOLONG;
    }
    uint8_t *to = wf_at(c, wf_u32(c, 1), n);
    if (to == NULL) {
        return WASI_FAULT;
    }
    memcpy(to, s->preopen, n);
    return WASI_OK;
}

/* ---- how engines call ---- */

static otr_code run(otr_wasi_preview preview, otr_instance *inst, otr_val *vals, wf_function *fn)
{
    wf_call c = { .preview = preview, .inst = inst, .files = inst->files, .vals = vals };
    if (!c.files->engine->memory(inst, &c.memory, &c.memory_bytes)) {
        c.memory_bytes = 0;
    }
    vals[0].i32 = fn(&c);
    return OTR_OK;
}

#define I 0 /* OTR_WASM_I32 */
#define L 1 /* OTR_WASM_I64 */
#define SAME(X)                                     \
    X(fd_advise, I, L, L, I)                        \
    X(fd_allocate, I, L, L)                         \
    X(fd_close, I)                                  \
    X(fd_datasync, I)                               \
    X(fd_fdstat_get, I, I)                          \
    X(fd_fdstat_set_flags, I, I)                    \
    X(fd_fdstat_set_rights, I, L, L)                \
    X(fd_filestat_set_size, I, L)                   \
    X(fd_filestat_set_times, I, L, L, I)            \
    X(fd_pread, I, I, I, L, I)                      \
    X(fd_prestat_dir_name, I, I, I)                 \
    X(fd_prestat_get, I, I)                         \
    X(fd_pwrite, I, I, I, L, I)                     \
    X(fd_read, I, I, I, I)                          \
    X(fd_readdir, I, I, I, L, I)                    \
    X(fd_renumber, I, I)                            \
    X(fd_sync, I)                                   \
    X(fd_tell, I, I)                                \
    X(fd_write, I, I, I, I)                         \
    X(path_create_directory, I, I, I)               \
    X(path_filestat_set_times, I, I, I, I, L, L, I) \
    X(path_link, I, I, I, I, I, I, I)               \
    X(path_open, I, I, I, I, I, L, L, I, I)         \
    X(path_readlink, I, I, I, I, I, I)              \
    X(path_remove_directory, I, I, I)               \
    X(path_rename, I, I, I, I, I, I)                \
    X(path_symlink, I, I, I, I, I)                  \
    X(path_unlink_file, I, I, I)
/* What differs between the previews. */
#define CHANGED(X)           \
    X(fd_filestat_get, I, I) \
    X(fd_seek, I, L, I, I)   \
    X(path_filestat_get, I, I, I, I, I)

#define BIND_AS(name, preview, fn)                                                    \
    static otr_code name(void *user, otr_instance *inst, otr_val *vals, otr_err *err) \
    {                                                                                 \
        (void)user;                                                                   \
        (void)err;                                                                    \
        return run(preview, inst, vals, fn);                                          \
    }
#define BIND(name, ...)          BIND_AS(name, OTR_WASI_PREVIEW_1, otr_wf_##name)
#define BIND_UNSTABLE(name, ...) BIND_AS(unstable_##name, OTR_WASI_UNSTABLE, otr_wf_##name)
SAME(BIND)
CHANGED(BIND)
CHANGED(BIND_UNSTABLE)

#define ENTRY_AS(module_, name_, fn_, ...)                   \
    { .module = module_,                                     \
      .name = #name_,                                        \
      .sig = { .n_args = sizeof((uint8_t[]){ __VA_ARGS__ }), \
               .n_results = 1,                               \
               .args = { __VA_ARGS__ } },                    \
      .fn = fn_ },
#define ENTRY(name, ...)            ENTRY_AS("wasi_snapshot_preview1", name, name, __VA_ARGS__)
#define UNSTABLE(name, ...)         ENTRY_AS("wasi_unstable", name, name, __VA_ARGS__)
#define UNSTABLE_CHANGED(name, ...) ENTRY_AS("wasi_unstable", name, unstable_##name, __VA_ARGS__)

static const otr_import functions[] = { SAME(ENTRY) CHANGED(ENTRY) };
static const otr_import unstable[] = { SAME(UNSTABLE) CHANGED(UNSTABLE_CHANGED) };

const otr_import *otr_wasi_files_functions(otr_wasi_preview preview, size_t *ret_n)
{
    _Static_assert(OTR_COUNT(functions) == OTR_COUNT(unstable), "the same functions");
    *ret_n = OTR_COUNT(functions);
    return preview == OTR_WASI_UNSTABLE ? unstable : functions;
}
