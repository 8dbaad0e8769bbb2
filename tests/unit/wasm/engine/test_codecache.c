#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/wasm/fixture.h"
#include "wasm/engine/codecache.h"

typedef struct place {
    char dir[64], file[160];
    char key[OTR_SHA256_HEX_BYTES];
    otr_codecache *cache;
    otr_buf out;
} place;

static void place_deinit(place *p)
{
    otr_codecache_close(p->cache);
    otr_buf_deinit(&p->out);
    DIR *d = opendir(p->dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    (void)rmdir(p->dir);
}

static const otr_bytes code = { (const uint8_t *)"machine code", 12 };

static void place_make(place *p)
{
    *p = (place){ .dir = "/tmp/otr-codecache-XXXXXX" };
    otr_buf_init(&p->out, 1 << 20);
    if (mkdtemp(p->dir) == NULL) {
        p->dir[0] = '\0';
    }
    (void)otr_codecache_key("engine", otr_bytes_of("wasm"), p->key);
    (void)snprintf(p->file, sizeof(p->file), "%s/%s.code", p->dir, p->key);
}

static otr_code place_open(place *p, uint64_t max_bytes, otr_err *err)
{
    return otr_codecache_open(p->dir, max_bytes, &p->cache, err);
}

#define PLACE(name)                       \
    OTR_CLEANUP(place_deinit) place name; \
    place_make(&name)

/* Opens the cache and keeps one artefact there. */
static otr_code place_fill(place *p, otr_err *err)
{
    otr_code rc = place_open(p, 0, err);
    return rc == OTR_OK ? otr_codecache_put(p->cache, p->key, code, err) : rc;
}

static void expect_refused(place *p, const char *text)
{
    otr_err err = { 0 };
    otr_code rc = otr_codecache_get(p->cache, p->key, &p->out, &err);
    CHECK_INT(rc, OTR_EDENIED);
    CHECK_HAS(err.msg, text);
    CHECK_INT(p->out.n, 0);
    /* the next put() replaces it */
    rc = otr_codecache_put(p->cache, p->key, code, &err);
    CHECK_INT(rc, OTR_OK);
    rc = otr_codecache_get(p->cache, p->key, &p->out, &err);
    CHECK_INT(rc, OTR_OK);
}

static void patch(const char *file, off_t at, char byte)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pwrite(fd, &byte, 1, at) == 1);
    (void)close(fd);
}

T(a_folder_that_others_can_write_is_not_used)
{
    PLACE(p);
    otr_err err = { 0 };
    REQUIRE(chmod(p.dir, 0770) == 0);
    CHECK_INT(place_open(&p, 0, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "can be written by others (mode 0770): use chmod go-w");
}

T(a_folder_of_another_user_is_not_used)
{
    PLACE(p);
    otr_err err = { 0 };
    if (geteuid() != 0) {
        otr_test_skip("only root can give a folder away");
        return;
    }
    REQUIRE(chown(p.dir, 12345, 12345) == 0);
    CHECK_INT(place_open(&p, 0, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "belongs to user 12345");
}

T(a_symbolic_link_to_a_folder_is_not_used)
{
    PLACE(p);
    otr_err err = { 0 };
    char link[80];
    (void)snprintf(link, sizeof(link), "%s/link", p.dir);
    REQUIRE(symlink(p.dir, link) == 0);
    CHECK(otr_codecache_open(link, 0, &p.cache, &err) != OTR_OK);
}

T(a_missing_folder_is_made_for_us_alone)
{
    PLACE(p);
    otr_err err = { 0 };
    struct stat st;
    REQUIRE(rmdir(p.dir) == 0);
    REQUIRE_OK(place_open(&p, 0, &err), err);
    REQUIRE(stat(p.dir, &st) == 0);
    CHECK_INT(st.st_mode & 07777, 0700);
}

T(a_folder_without_parent_is_an_error)
{
    otr_err err = { 0 };
    otr_codecache *c = NULL;
    CHECK_INT(otr_codecache_open("/no/such/parent/cache", 0, &c, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "/no/such/parent/cache");
}

T(what_was_put_is_found_again_and_nothing_else)
{
    PLACE(p);
    otr_err err = { 0 };
    struct stat st;
    char other[OTR_SHA256_HEX_BYTES];
    REQUIRE_OK(place_fill(&p, &err), err);
    REQUIRE_OK(otr_codecache_get(p.cache, p.key, &p.out, &err), err);
    CHECK_STR(otr_buf_text(&p.out), "machine code");
    REQUIRE(stat(p.file, &st) == 0);
    CHECK_INT(st.st_mode & 07777, 0600);
    (void)otr_codecache_key("another engine", otr_bytes_of("wasm"), other);
    CHECK_INT(otr_codecache_get(p.cache, other, &p.out, &err), OTR_ENOTFOUND);
    (void)otr_codecache_key("engine", otr_bytes_of("other wasm"), other);
    CHECK_INT(otr_codecache_get(p.cache, other, &p.out, &err), OTR_ENOTFOUND);
}

T(a_changed_byte_is_noticed)
{
    PLACE(p);
    otr_err err = { 0 };
    REQUIRE_OK(place_fill(&p, &err), err);
    patch(p.file, 8 + 64 + 64 + 8 + 3, 'X'); /* in the code */
    expect_refused(&p, "does not have the digest");
}

T(a_changed_header_is_noticed)
{
    PLACE(p);
    otr_err err = { 0 };
    REQUIRE_OK(place_fill(&p, &err), err);
    patch(p.file, 0, 'X');
    expect_refused(&p, "not the one of this name");
}

T(a_cut_file_is_noticed)
{
    PLACE(p);
    otr_err err = { 0 };
    REQUIRE_OK(place_fill(&p, &err), err);
    REQUIRE(truncate(p.file, 150) == 0);
    expect_refused(&p, "cut short");
    REQUIRE(truncate(p.file, 20) == 0);
    p.out.n = 0;
    expect_refused(&p, "cut short");
    REQUIRE(truncate(p.file, 0) == 0);
    p.out.n = 0;
    expect_refused(&p, "cut short");
}

T(a_file_of_another_module_under_our_name_is_noticed)
{
    PLACE(p);
    otr_err err = { 0 };
    char other[OTR_SHA256_HEX_BYTES], from[160];
    REQUIRE_OK(place_open(&p, 0, &err), err);
    (void)otr_codecache_key("engine", otr_bytes_of("other wasm"), other);
    REQUIRE_OK(otr_codecache_put(p.cache, other, code, &err), err);
    (void)snprintf(from, sizeof(from), "%s/%s.code", p.dir, other);
    REQUIRE(rename(from, p.file) == 0);
    expect_refused(&p, "not the one of this name");
}

T(a_file_that_others_can_write_is_not_used)
{
    PLACE(p);
    otr_err err = { 0 };
    REQUIRE_OK(place_fill(&p, &err), err);
    REQUIRE(chmod(p.file, 0666) == 0);
    expect_refused(&p, "can be written by others");
}

T(a_file_of_another_user_is_not_used)
{
    PLACE(p);
    otr_err err = { 0 };
    if (geteuid() != 0) {
        otr_test_skip("only root can give a file away");
        return;
    }
    REQUIRE_OK(place_fill(&p, &err), err);
    REQUIRE(chown(p.file, 12345, 12345) == 0);
    expect_refused(&p, "belongs to user 12345");
}

T(a_link_or_a_pipe_in_place_of_a_file_is_not_used)
{
    PLACE(p);
    otr_err err = { 0 };
    char target[80];
    REQUIRE_OK(place_fill(&p, &err), err);
    (void)snprintf(target, sizeof(target), "%s/target.code", p.dir);
    REQUIRE(rename(p.file, target) == 0 && symlink(target, p.file) == 0);
    expect_refused(&p, "symbolic link");
    REQUIRE(unlink(p.file) == 0 && mkfifo(p.file, 0600) == 0);
    p.out.n = 0;
    expect_refused(&p, "not a regular file");
}

T(the_files_unused_for_longest_go_first)
{
    PLACE(p);
    otr_err err = { 0 };
    char keys[4][OTR_SHA256_HEX_BYTES], file[400];
    static uint8_t kilobyte[1024];
    REQUIRE_OK(place_open(&p, 4000, &err), err); /* room for three with their headers */
    for (int i = 0; i < 3; i++) {
        char wasm[16];
        (void)snprintf(wasm, sizeof(wasm), "w%d", i);
        (void)otr_codecache_key("engine", otr_bytes_of(wasm), keys[i]);
        REQUIRE_OK(otr_codecache_put(p.cache, keys[i], (otr_bytes){ kilobyte, 1024 }, &err), err);
        (void)snprintf(file, sizeof(file), "%s/%s.code", p.dir, keys[i]);
        const struct timespec times[2] = { { .tv_sec = 1000 + i }, { .tv_sec = 1000 + i } };
        REQUIRE(utimensat(AT_FDCWD, file, times, 0) == 0);
    }
    REQUIRE_OK(otr_codecache_get(p.cache, keys[0], &p.out, &err), err); /* now the newest */
    REQUIRE_OK(otr_codecache_put(p.cache, p.key, (otr_bytes){ kilobyte, 1024 }, &err), err);
    CHECK_INT(otr_codecache_get(p.cache, keys[0], &p.out, &err), OTR_OK);
    CHECK_INT(otr_codecache_get(p.cache, keys[1], &p.out, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_codecache_get(p.cache, keys[2], &p.out, &err), OTR_OK);
    CHECK_INT(otr_codecache_get(p.cache, p.key, &p.out, &err), OTR_OK);
}

T(code_larger_than_the_cache_is_not_kept)
{
    PLACE(p);
    otr_err err = { 0 };
    REQUIRE_OK(place_open(&p, 8, &err), err);
    CHECK_INT(otr_codecache_put(p.cache, p.key, code, &err), OTR_EQUOTA);
}

T(what_a_killed_writer_left_is_removed)
{
    PLACE(p);
    otr_err err = { 0 };
    char old[80], young[80];
    struct stat st;
    const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    (void)snprintf(old, sizeof(old), "%s/tmp.1.0.x", p.dir);
    (void)snprintf(young, sizeof(young), "%s/tmp.2.0.x", p.dir);
    int a = open(old, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    int b = open(young, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    REQUIRE(a >= 0 && b >= 0 && futimens(a, times) == 0);
    (void)close(a);
    (void)close(b);
    REQUIRE_OK(place_fill(&p, &err), err);
    CHECK(stat(old, &st) != 0);
    CHECK(stat(young, &st) == 0);
}

/* ---- several at once ---- */

typedef struct writer {
    const place *p;
    int bad;
} writer;

static void *write_and_read(void *arg)
{
    writer *w = arg;
    otr_err err = { 0 };
    otr_codecache *c = NULL;
    if (otr_codecache_open(w->p->dir, 0, &c, &err) != OTR_OK) {
        w->bad++;
        return NULL;
    }
    for (int i = 0; i < 50; i++) {
        otr_buf out;
        otr_buf_init(&out, 1 << 20);
        if (otr_codecache_put(c, w->p->key, code, &err) != OTR_OK ||
            otr_codecache_get(c, w->p->key, &out, &err) != OTR_OK || out.n != code.n) {
            w->bad++;
        }
        otr_buf_deinit(&out);
    }
    otr_codecache_close(c);
    return NULL;
}

T_NO_OOM(
    several_writers_of_one_module_never_see_half_a_file) /* threads share the failing counter */
{
    PLACE(p);
    writer writers[3];
    pthread_t threads[3];
    for (size_t i = 0; i < OTR_COUNT(threads); i++) {
        writers[i] = (writer){ .p = &p };
        REQUIRE(pthread_create(&threads[i], NULL, write_and_read, &writers[i]) == 0);
    }
    for (size_t i = 0; i < OTR_COUNT(threads); i++) {
        (void)pthread_join(threads[i], NULL);
        CHECK_INT(writers[i].bad, 0);
    }
}

enum { ROUNDS = 60, FEW_KEYS = 6 };

/* Another agent's view: every artefact is whole or absent, also while the other one trims. */
static int hammer(const place *p, char first)
{
    otr_err err = { 0 };
    otr_codecache *c = NULL;
    int bad = otr_codecache_open(p->dir, 400, &c, &err) != OTR_OK;
    for (int i = 0; bad == 0 && i < ROUNDS; i++) {
        char name[] = { first, (char)('a' + i % FEW_KEYS), '\0' };
        char key[OTR_SHA256_HEX_BYTES];
        otr_buf out;
        otr_buf_init(&out, 1 << 20);
        (void)otr_codecache_key("engine", otr_bytes_of(name + 1), key);
        bad += otr_codecache_put(c, key, code, &err) != OTR_OK;
        otr_code rc = otr_codecache_get(c, key, &out, &err);
        bad += rc == OTR_OK ? out.n != code.n : rc != OTR_ENOTFOUND;
        otr_buf_deinit(&out);
    }
    otr_codecache_close(c);
    return bad;
}

/* No failing allocation: the other process counts its own. */
T_NO_OOM(two_processes_may_fill_and_trim_one_folder)
{
    PLACE(p);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        _exit(hammer(&p, '1') == 0 ? 0 : 1);
    }
    int status = -1;
    int bad = hammer(&p, '2');
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK_INT(bad, 0);
    DIR *d = opendir(p.dir);
    size_t files = 0;
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        CHECK(strncmp(e->d_name, "tmp.", 4) != 0);
        files += e->d_name[0] != '.';
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    CHECK(files > 0 && files <= FEW_KEYS);
}

/* ---- with the engine ---- */

static const char answer[] = "(module (func (export \"f\") (result i32) (i32.const 42)))";

static int files_in(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        n += strstr(e->d_name, ".code") != NULL;
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return n;
}

static void run_cached(const place *p)
{
    FIXTURE(f);
    otr_err err = { 0 };
    int32_t v = 0;
    REQUIRE_OK(otr_engine_find("wasmtime")->open(p->dir, &f.engine, &err), err);
    REQUIRE_OK(fixture_spawn(&f, answer, NULL, &err), err);
    REQUIRE_OK(fixture_call(f.inst, "f", &v, 0, &err), err);
    CHECK_INT(v, 42);
    CHECK_INT(files_in(p->dir), f.engine->cache_problem == NULL ? 1 : 0);
}

T(an_engine_runs_what_it_kept)
{
    PLACE(p);
    run_cached(&p);
    run_cached(&p);
}

static void damage_all(const char *dir)
{
    DIR *d = opendir(dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[400];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (strstr(e->d_name, ".code") != NULL) {
            patch(path, 500, 'X');
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

T(an_engine_does_not_run_code_that_was_changed)
{
    PLACE(p);
    run_cached(&p);
    damage_all(p.dir);
    run_cached(&p);
}

T(an_artefact_the_engine_refuses_is_compiled_anew)
{
    PLACE(p);
    otr_err err = { 0 };
    run_cached(&p);
    DIR *d = opendir(p.dir);
    REQUIRE(d != NULL);
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strstr(e->d_name, ".code") != NULL) {
            (void)snprintf(p.key, sizeof(p.key), "%.64s", e->d_name);
        }
    }
    (void)closedir(d);
    REQUIRE_OK(place_fill(&p, &err), err); /* a good file with what is no artefact of Wasmtime's */
    run_cached(&p);
}

T(an_engine_works_without_a_cache_it_cannot_trust)
{
    PLACE(p);
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE(chmod(p.dir, 0777) == 0);
    REQUIRE_OK(otr_engine_find("wasmtime")->open(p.dir, &f.engine, &err), err);
    REQUIRE(f.engine->cache_problem != NULL);
    CHECK_HAS(f.engine->cache_problem, p.dir);
    run_cached(&p);
}

/* ---- what is made of a file before it is compiled ---- */

typedef struct cook {
    const char *makes;
    int *times;
} cook;

static otr_code make(const void *arg, otr_bytes wasm, otr_buf *ret, otr_err *err)
{
    const cook *c = arg;
    (void)wasm;
    ++*c->times;
    return otr_buf_adds(ret, c->makes, err);
}

/* What f() of `answer`, cooked by `name`, returns to an engine that was just opened. */
static void run_cooked(const place *p, const char *name, const cook *c, int32_t expected)
{
    static const otr_spawn plain = { .max_memory_bytes = 1024 * 1024 };
    FIXTURE(f);
    otr_err err = { 0 };
    int32_t v = 0;
    otr_recipe recipe = { .name = name, .make = make, .arg = c };
    const otr_engine_ops *ops = otr_engine_find("wasmtime");
    REQUIRE_OK(ops->open(p->dir, &f.engine, &err), err);
    REQUIRE_OK(ops->compile_made(f.engine, &recipe, otr_bytes_of(answer), &f.module, &err), err);
    REQUIRE_OK(ops->spawn(f.module, &plain, &f.inst, &err), err);
    REQUIRE_OK(fixture_call(f.inst, "f", &v, 0, &err), err);
    CHECK_INT(v, expected);
}

static const char seven[] = "(module (func (export \"f\") (result i32) (i32.const 7)))";

T(a_module_runs_as_it_was_made)
{
    PLACE(p);
    int times = 0;
    const cook seven_cook = { seven, &times }, none = { "", &times }, bad = { "(module", &times };
    run_cooked(&p, "seven", &seven_cook, 7);
    run_cooked(&p, "none", &none, 42);
    run_cooked(&p, "bad", &bad, 42);
}

/* A failed allocation may lose what was kept, so these count without. */
T_NO_OOM(what_was_made_is_made_once)
{
    PLACE(p);
    int times = 0;
    const cook seven_cook = { seven, &times }, none = { "", &times }, bad = { "(module", &times };
    const cook *cooks[] = { &seven_cook, &none, &bad };
    static const char *const names[] = { "seven", "none", "bad" };
    for (int i = 0; i < 6; i++) {
        run_cooked(&p, names[i % 3], cooks[i % 3], i % 3 == 0 ? 7 : 42);
        CHECK_INT(times, i < 3 ? i + 1 : 3);
    }
    CHECK_INT(files_in(p.dir), 3);
}

T_NO_OOM(another_maker_or_file_is_not_taken_for_it)
{
    PLACE(p);
    int times = 0;
    const cook seven_cook = { seven, &times };
    run_cooked(&p, "maker-1", &seven_cook, 7);
    run_cooked(&p, "maker-2", &seven_cook, 7);
    CHECK_INT(times, 2);
    CHECK_INT(files_in(p.dir), 2);
}
