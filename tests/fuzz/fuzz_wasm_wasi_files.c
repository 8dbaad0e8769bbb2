/*
 * WASI's functions of both previews called as the input says: 10-byte records of a function and
 * nine choices for its arguments. Whatever happens, the folder to read and the one beside stay as
 * they were.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wasm/wasi/process.h"

enum { MEMORY_BYTES = 65536, RECORD_BYTES = 10, SLOT_BYTES = 64, MOST_RECORDS = 200 };

static uint8_t memory[MEMORY_BYTES];
static char root[64];

static bool lend_memory(otr_instance *inst, uint8_t **ret, size_t *ret_bytes)
{
    (void)inst;
    *ret = memory;
    *ret_bytes = sizeof(memory);
    return true;
}

static void print(otr_instance *inst, int fd, const uint8_t *p, size_t n)
{
    (void)inst;
    volatile uint8_t sum = (uint8_t)fd;
    for (size_t i = 0; i < n; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
}

static otr_code end(otr_instance *inst, int32_t code, otr_err *err)
{
    (void)inst;
    (void)code;
    return otr_fail(err, OTR_EGUEST, "ended");
}

static uint64_t deadline_ns(const otr_instance *inst)
{
    (void)inst;
    return 1;
}

static bool ended(otr_instance *inst) /* nobody sleeps here */
{
    (void)inst;
    return true;
}

static const otr_wasi_engine engine = { lend_memory, print, end, deadline_ns, ended };

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static int forget(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void forget_all(void)
{
    (void)nftw(root, forget, 16, FTW_DEPTH | FTW_PHYS);
}

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void put_file(const char *name)
{
    FILE *f = fopen(path_of(name), "we");
    must(f != NULL && fputs("as it was", f) >= 0 && fclose(f) == 0);
}

static void check_file(const char *name)
{
    char text[32] = "";
    FILE *f = fopen(path_of(name), "re");
    must(f != NULL && fgets(text, sizeof(text), f) != NULL && strcmp(text, "as it was") == 0);
    must(fclose(f) == 0);
}

/* "file" and nothing else, beside "." and "..". */
static void check_folder(const char *name)
{
    int n = 0;
    DIR *dir = opendir(path_of(name));
    must(dir != NULL);
    while (readdir(dir) != NULL) {
        n++;
    }
    (void)closedir(dir);
    must(n == 3);
}

static void make_world(void)
{
    if (root[0] == '\0') {
        (void)snprintf(root, sizeof(root), "/tmp/otr-fuzz-files-XXXXXX");
        must(mkdtemp(root) != NULL && atexit(forget_all) == 0);
        must(mkdir(path_of("ro"), 0700) == 0 && mkdir(path_of("out"), 0700) == 0);
        put_file("ro/file");
        put_file("out/file");
    }
    (void)nftw(path_of("rw"), forget, 16, FTW_DEPTH | FTW_PHYS);
    must(mkdir(path_of("rw"), 0700) == 0 && mkdir(path_of("rw/sub"), 0700) == 0);
    put_file("rw/file");
    must(symlink("../out", path_of("rw/away")) == 0 && mkfifo(path_of("rw/fifo"), 0600) == 0);
}

/* Slots of 64 bytes with paths, each with what follows it at hand as a longer one. */
static void fill_memory(void)
{
    static const char *const paths[] = {
        "file",      "sub",         "new",        "sub/new",   "..",        "../out/file",
        "away",      "away/file",   "away/new",   "/etc/motd", "sub/../..", "sub/../../out/new",
        "fifo",      "sub/",        ".",          "",          "soft",      "../out",
        "a\xff",     "sub/../file", "../ro/file", "hard",      "./file",    "sub//x",
        "../../etc", "file/x",
    };
    memset(memory, 0, sizeof(memory));
    for (size_t i = 0; i < OTR_COUNT(paths); i++) {
        memcpy(memory + i * SLOT_BYTES, paths[i], strlen(paths[i]));
    }
    for (uint32_t i = 0; i < 32; i++) { /* lists of pieces: address, length */
        const uint32_t piece[2] = { 8192 + i * 64, i * 16 };
        memcpy(memory + 4096 + (size_t)i * 8, piece, sizeof(piece));
    }
}

static void choose(uint8_t type, uint8_t choice, otr_val *to)
{
    static const int64_t longs[] = { -1, INT64_MAX, INT64_MIN, 1 << 30, 0, 2, 64, 66 };
    static const uint32_t wild[] = {
        UINT32_MAX, MEMORY_BYTES, MEMORY_BYTES - 4, 0x80000000, MEMORY_BYTES - 64, 4096, 4104, 16384
    };
    if (type == OTR_WASM_I64) {
        to->i64 = choice < 128 ? choice : longs[choice % OTR_COUNT(longs)];
    } else if (choice < 64) {
        to->i32 = choice;
    } else if (choice < 128) {
        to->i32 = (choice - 64) * SLOT_BYTES;
    } else {
        to->i32 = (int32_t)wild[choice % OTR_COUNT(wild)];
    }
}

/* The top bit says which preview; the rest one of its functions. */
static const otr_import *choose_function(uint8_t choice)
{
    otr_wasi_preview preview = choice & 0x80 ? OTR_WASI_UNSTABLE : OTR_WASI_PREVIEW_1;
    size_t n_files = 0, n_process = 0;
    const otr_import *files = otr_wasi_files_functions(preview, &n_files);
    const otr_import *process = otr_wasi_process_functions(preview, &n_process);
    size_t at = (choice & 0x7f) % (n_files + n_process);
    return at < n_files ? &files[at] : &process[at - n_files];
}

static void ask(otr_instance *inst, const uint8_t *record)
{
    const otr_import *f = choose_function(record[0]);
    otr_val vals[OTR_WASM_MAX_ARGS];
    otr_err err = { 0 };
    memset(vals, 0, sizeof(vals));
    for (size_t a = 0; a < f->sig.n_args; a++) {
        choose(f->sig.args[a], record[1 + a], &vals[a]);
    }
    otr_code rc = f->fn(NULL, inst, vals, &err);
    must(rc == OTR_OK || strcmp(f->name, "proc_exit") == 0 || strcmp(f->name, "poll_oneoff") == 0);
    must(rc != OTR_OK || (vals[0].i32 >= 0 && vals[0].i32 <= 76));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char rw[80], ro[80];
    otr_err err = { 0 };
    make_world();
    (void)snprintf(rw, sizeof(rw), "%s", path_of("rw"));
    (void)snprintf(ro, sizeof(ro), "%s", path_of("ro"));
    const struct otr_wasi_dir dirs[] = { { rw, "/data", true }, { ro, "/static", false } };
    const otr_wasi wasi = { .dirs = dirs, .n_dirs = OTR_COUNT(dirs) };
    otr_instance inst = { 0 };
    must(otr_wasi_files_open(&wasi, &engine, &inst.files, &err) == OTR_OK);
    must(otr_wasi_process_new(&wasi, &engine, &inst.process, &err) == OTR_OK);
    fill_memory();
    for (size_t r = 0; r < MOST_RECORDS && (r + 1) * RECORD_BYTES <= size; r++) {
        ask(&inst, data + r * RECORD_BYTES);
    }
    otr_wasi_files_free(inst.files);
    otr_wasi_process_free(inst.process);
    check_file("ro/file");
    check_file("out/file");
    check_folder("ro");
    check_folder("out");
    return 0;
}
