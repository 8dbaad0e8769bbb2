/*
 * A guest that offers each WASI function for files as an export of the same name, and two granted
 * folders: descriptor 3, /data, to change, and 4, /static, to read. Beside them lies "out", which
 * no guest may see.
 *
 * Thread: one.
 */
#ifndef OTR_TESTS_UNIT_WASM_WASI_FIXTURE_H
#define OTR_TESTS_UNIT_WASM_WASI_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "unit/wasm/fixture.h"

#ifndef WASI_MODULE /* what the guest imports from */
#define WASI_MODULE "wasi_snapshot_preview1"
#endif

enum { DATA = 3, STATIC = 4 };
enum { AT_PATH = 1024, AT_OTHER = 8192, AT_LIST = 16384, AT_RET = 16400, AT_BYTES = 65536 };
enum { MEMORY_BYTES = 4 * 65536, ROOM = MEMORY_BYTES - AT_BYTES };
enum { CREAT = 1, DIRECTORY = 2, EXCL = 4, TRUNC = 8 };
enum { RIGHT_READ = 2, RIGHT_WRITE = 64 };
enum { FOLLOW = 1, APPEND = 1 };
enum {
    OK = 0,
    BADF = 8,
    EXIST = 20,
    FAULT = 21,
    ILSEQ = 25,
    INVAL = 28,
    ISDIR = 31,
    LOOP = 32,
    MFILE = 33,
    NAMETOOLONG = 37,
    NOENT = 44,
    NOTDIR = 54,
    NOTEMPTY = 55,
    NOTSUP = 58,
    PERM = 63,
    SPIPE = 70,
};

typedef struct folders {
    fixture f;
    char root[64]; /* with rw, ro and out */
    uint8_t *memory;
    char printed[256];
} folders;

static int forget(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void folders_deinit(folders *s)
{
    fixture_deinit(&s->f);
    if (s->root[0] != '\0') {
        (void)nftw(s->root, forget, 16, FTW_DEPTH | FTW_PHYS);
    }
}

#define FOLDERS(name) OTR_CLEANUP(folders_deinit) folders name = { .root = "" }

static const struct wasi_function {
    const char *name, *args; /* i: i32, l: i64 */
} wasi_functions[] = {
    { "fd_advise", "illi" },
    { "fd_allocate", "ill" },
    { "fd_close", "i" },
    { "fd_datasync", "i" },
    { "fd_fdstat_get", "ii" },
    { "fd_fdstat_set_flags", "ii" },
    { "fd_fdstat_set_rights", "ill" },
    { "fd_filestat_get", "ii" },
    { "fd_filestat_set_size", "il" },
    { "fd_filestat_set_times", "illi" },
    { "fd_pread", "iiili" },
    { "fd_prestat_dir_name", "iii" },
    { "fd_prestat_get", "ii" },
    { "fd_pwrite", "iiili" },
    { "fd_read", "iiii" },
    { "fd_readdir", "iiili" },
    { "fd_renumber", "ii" },
    { "fd_seek", "ilii" },
    { "fd_sync", "i" },
    { "fd_tell", "ii" },
    { "fd_write", "iiii" },
    { "path_create_directory", "iii" },
    { "path_filestat_get", "iiiii" },
    { "path_filestat_set_times", "iiiilli" },
    { "path_link", "iiiiiii" },
    { "path_open", "iiiiillii" },
    { "path_readlink", "iiiiii" },
    { "path_remove_directory", "iii" },
    { "path_rename", "iiiiii" },
    { "path_symlink", "iiiii" },
    { "path_unlink_file", "iii" },
};

static inline const struct wasi_function *wasi_function(const char *name)
{
    const struct wasi_function *f = wasi_functions;
    while (strcmp(f->name, name) != 0) {
        f++;
    }
    return f;
}

static inline const char *wat_types(const char *args, char out[64])
{
    size_t n = 0;
    for (; *args != '\0'; args++) {
        n += (size_t)snprintf(out + n, 64 - n, " %s", *args == 'i' ? "i32" : "i64");
    }
    return out;
}

static inline otr_code wasi_wat(otr_buf *wat, otr_err *err)
{
    char types[64];
    otr_code rc = otr_buf_adds(wat, "(module ", err);
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(wasi_functions); i++) {
        const struct wasi_function *f = &wasi_functions[i];
        rc = otr_buf_addf(wat, err,
                          "(import \"" WASI_MODULE "\" \"%s\""
                          " (func $%s (param%s) (result i32)))\n",
                          f->name, f->name, wat_types(f->args, types));
    }
    rc = rc == OTR_OK ? otr_buf_adds(wat, "(memory (export \"memory\") 4)\n", err) : rc;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(wasi_functions); i++) {
        const struct wasi_function *f = &wasi_functions[i];
        rc = otr_buf_addf(wat, err, "(func (export \"%s\") (param%s) (result i32) (call $%s",
                          f->name, wat_types(f->args, types), f->name);
        for (size_t n = 0; rc == OTR_OK && f->args[n] != '\0'; n++) {
            rc = otr_buf_addf(wat, err, " (local.get %zu)", n);
        }
        rc = rc == OTR_OK ? otr_buf_adds(wat, "))\n", err) : rc;
    }
    return rc == OTR_OK ? otr_buf_adds(wat, ")", err) : rc;
}

static inline void folders_line(void *user, int fd, otr_bytes text)
{
    folders *s = user;
    size_t n = strlen(s->printed);
    (void)snprintf(s->printed + n, sizeof(s->printed) - n, "%d:%.*s|", fd, (int)text.n,
                   (const char *)text.p);
}

static inline otr_code folders_spawn(folders *s, otr_err *err)
{
    char rw[96], ro[96];
    (void)snprintf(rw, sizeof(rw), "%s/rw", s->root);
    (void)snprintf(ro, sizeof(ro), "%s/ro", s->root);
    const struct otr_wasi_dir dirs[] = { { rw, "/data", true }, { ro, "/static", false } };
    const otr_wasi wasi = { .line = folders_line, .dirs = dirs, .n_dirs = OTR_COUNT(dirs) };
    const otr_spawn spec = { .wasi = &wasi, .max_memory_bytes = OTR_MIB, .user = s };
    otr_buf wat;
    otr_buf_init(&wat, 65536);
    otr_code rc = wasi_wat(&wat, err);
    rc = rc == OTR_OK ? fixture_spawn(&s->f, otr_buf_text(&wat), &spec, err) : rc;
    otr_buf_deinit(&wat);
    return rc == OTR_OK
               ? s->f.inst->ops->memory(s->f.inst, OTR_MEM_GUEST, 0, MEMORY_BYTES, &s->memory, err)
               : rc;
}

/* rw, ro and out, each with a file "file" that says "in" and its folder, and a folder "sub". */
static inline bool folders_make(folders *s)
{
    static const char *const names[] = { "rw", "ro", "out" };
    (void)snprintf(s->root, sizeof(s->root), "/tmp/otr-wasi-XXXXXX");
    if (mkdtemp(s->root) == NULL) {
        s->root[0] = '\0';
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < OTR_COUNT(names); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", s->root, names[i]);
        ok = mkdir(path, 0700) == 0;
        (void)snprintf(path, sizeof(path), "%s/%s/sub", s->root, names[i]);
        ok = ok && mkdir(path, 0700) == 0;
        (void)snprintf(path, sizeof(path), "%s/%s/file", s->root, names[i]);
        FILE *f = ok ? fopen(path, "we") : NULL;
        ok = f != NULL && fprintf(f, "in %s", names[i]) > 0;
        ok = f != NULL && fclose(f) == 0 && ok;
    }
    return ok;
}

static inline const char *folders_path(const folders *s, const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", s->root, name);
    return path;
}

/* Every argument as a long long. The errno, or -1 when the guest was ended. */
static inline int32_t wasi(folders *s, const char *name, ...)
{
    otr_val vals[OTR_WASM_MAX_ARGS];
    otr_err err = { 0 };
    memset(vals, 0, sizeof(vals));
    const char *args = wasi_function(name)->args;
    va_list list;
    va_start(list, name);
    for (size_t n = 0; args[n] != '\0'; n++) {
        long long v = va_arg(list, long long);
        if (args[n] == 'i') {
            vals[n].i32 = (int32_t)v;
        } else {
            vals[n].i64 = v;
        }
    }
    va_end(list);
    const otr_call call = { s->f.inst->ops->func(s->f.inst, OTR_MEM_GUEST, name), vals, 0 };
    if (call.func == NULL || s->f.inst->ops->call(s->f.inst, &call, &err) != OTR_OK) {
        return -1;
    }
    return vals[0].i32;
}

/* All arguments are converted, so that the variable ones have one type. */
#define W1(s, f, a)       wasi(s, f, (long long)(a))
#define W2(s, f, a, b)    wasi(s, f, (long long)(a), (long long)(b))
#define W3(s, f, a, b, c) wasi(s, f, (long long)(a), (long long)(b), (long long)(c))
#define W4(s, f, a, b, c, d) \
    wasi(s, f, (long long)(a), (long long)(b), (long long)(c), (long long)(d))
#define W5(s, f, a, b, c, d, e) \
    wasi(s, f, (long long)(a), (long long)(b), (long long)(c), (long long)(d), (long long)(e))
#define W6(s, f, a, b, c, d, e, g)                                                             \
    wasi(s, f, (long long)(a), (long long)(b), (long long)(c), (long long)(d), (long long)(e), \
         (long long)(g))
#define W7(s, f, a, b, c, d, e, g, h)                                                          \
    wasi(s, f, (long long)(a), (long long)(b), (long long)(c), (long long)(d), (long long)(e), \
         (long long)(g), (long long)(h))

static inline uint32_t put_at(folders *s, uint32_t at, const char *path)
{
    size_t n = strlen(path);
    memcpy(s->memory + at, path, n);
    return (uint32_t)n;
}

static inline uint64_t got(const folders *s, uint32_t at, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = bytes; i > 0; i--) {
        v = v << 8 | s->memory[at + i - 1];
    }
    return v;
}

/* A descriptor, or the errno below zero. */
static inline int32_t open_at(folders *s, int dir, const char *path, int oflags, int rights)
{
    uint32_t n = put_at(s, AT_PATH, path);
    int32_t error =
        wasi(s, "path_open", (long long)dir, (long long)FOLLOW, (long long)AT_PATH, (long long)n,
             (long long)oflags, (long long)rights, (long long)rights, 0LL, (long long)AT_RET);
    return error == OK ? (int32_t)got(s, AT_RET, 4) : -error;
}

/* One piece of memory at AT_BYTES; the count, or the errno below zero. */
static inline int32_t transfer_at(folders *s, const char *function, int fd, uint32_t n)
{
    const uint32_t piece[2] = { AT_BYTES, n };
    memcpy(s->memory + AT_LIST, piece, sizeof(piece));
    int32_t error = W4(s, function, fd, AT_LIST, 1, AT_RET);
    return error == OK ? (int32_t)got(s, AT_RET, 4) : -error;
}

static inline int32_t write_text(folders *s, int fd, const char *text)
{
    return transfer_at(s, "fd_write", fd, put_at(s, AT_BYTES, text));
}

/* What is left of the file, as text. */
static inline const char *read_text(folders *s, int fd)
{
    static char text[256];
    int32_t n = transfer_at(s, "fd_read", fd, sizeof(text) - 1);
    (void)snprintf(text, sizeof(text), n >= 0 ? "%.*s" : "error %d", n >= 0 ? n : -n,
                   (const char *)s->memory + AT_BYTES);
    if (n < 0) {
        (void)snprintf(text, sizeof(text), "error %d", -n);
    }
    return text;
}

static inline int32_t on_path(folders *s, const char *function, int dir, const char *path)
{
    uint32_t n = put_at(s, AT_PATH, path);
    return W3(s, function, dir, AT_PATH, n);
}

static inline int32_t rename_at(folders *s, int from, const char *a, int to, const char *b)
{
    uint32_t n = put_at(s, AT_PATH, a), m = put_at(s, AT_OTHER, b);
    return W6(s, "path_rename", from, AT_PATH, n, to, AT_OTHER, m);
}

static inline int32_t link_at(folders *s, int from, const char *a, int to, const char *b)
{
    uint32_t n = put_at(s, AT_PATH, a), m = put_at(s, AT_OTHER, b);
    return W7(s, "path_link", from, 0, AT_PATH, n, to, AT_OTHER, m);
}

static inline int32_t symlink_at(folders *s, const char *target, int dir, const char *name)
{
    uint32_t n = put_at(s, AT_PATH, target), m = put_at(s, AT_OTHER, name);
    return W5(s, "path_symlink", AT_PATH, n, dir, AT_OTHER, m);
}

/* The 64 bytes go to AT_BYTES. */
static inline int32_t stat_at(folders *s, int dir, const char *path, int lookup)
{
    uint32_t n = put_at(s, AT_PATH, path);
    return W5(s, "path_filestat_get", dir, lookup, AT_PATH, n, AT_BYTES);
}

/* How the file at `path` of the host reads now. */
static inline const char *host_text(const folders *s, const char *path)
{
    static char text[256];
    FILE *f = fopen(folders_path(s, path), "re");
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = '\0';
    if (f == NULL) {
        return "(no file)";
    }
    (void)fclose(f);
    return text;
}

#endif
