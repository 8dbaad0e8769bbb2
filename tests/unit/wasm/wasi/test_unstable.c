/*
 * WASI before preview 1, "wasi_unstable": where it differs, and that all of it is there. Values are
 * those of its specification (snapshot 0).
 */
#define WASI_MODULE "wasi_unstable"
#include "base/limits.h"
#include "unit/wasm/wasi_fixture.h"

enum { CURRENT, END_OF_FILE, START_OF_FILE }; /* whence */
enum { END = MEMORY_BYTES, STAT_BYTES = 56, REGULAR = 4, CHARACTER = 2 };

#define START(s)                 \
    FOLDERS(s);                  \
    otr_err err = { 0 };         \
    REQUIRE(folders_make(&(s))); \
    REQUIRE_OK(folders_spawn(&(s), &err), err)

/* ---- files ---- */

T_NO_OOM(whence_counts_from_the_current_position_on) /* as test_files.c says */
{
    START(s);
    int32_t fd = open_at(&s, DATA, "file", 0, RIGHT_READ);
    CHECK_INT(W4(&s, "fd_seek", fd, 2, START_OF_FILE, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 8), 2);
    CHECK_INT(W4(&s, "fd_seek", fd, 1, CURRENT, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 8), 3);
    CHECK_STR(read_text(&s, fd), "rw");
    CHECK_INT(W4(&s, "fd_seek", fd, -4, END_OF_FILE, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 8), 1);
    CHECK_STR(read_text(&s, fd), "n rw");
    CHECK_INT(W4(&s, "fd_seek", fd, 0, 3, AT_RET), INVAL);
    CHECK_INT(W4(&s, "fd_seek", fd, -1, START_OF_FILE, AT_RET), INVAL);
    CHECK_INT(W4(&s, "fd_seek", 1, 0, START_OF_FILE, AT_RET), SPIPE);
}

static void check_stat(folders *s, const char *path)
{
    struct stat st;
    REQUIRE(stat(folders_path(s, path), &st) == 0);
    CHECK_INT(got(s, AT_BYTES, 8), (long long)st.st_dev);
    CHECK_INT(got(s, AT_BYTES + 8, 8), (long long)st.st_ino);
    CHECK_INT(got(s, AT_BYTES + 16, 1), REGULAR);
    CHECK_INT(got(s, AT_BYTES + 20, 4), (long long)st.st_nlink);
    CHECK_INT(got(s, AT_BYTES + 24, 8), (long long)st.st_size);
    CHECK_INT(got(s, AT_BYTES + 32, 8) / OTR_NS_PER_S, (long long)st.st_atim.tv_sec);
    CHECK_INT(got(s, AT_BYTES + 40, 8) / OTR_NS_PER_S, (long long)st.st_mtim.tv_sec);
    CHECK_INT(got(s, AT_BYTES + 48, 8) / OTR_NS_PER_S, (long long)st.st_ctim.tv_sec);
    CHECK_INT(got(s, AT_BYTES + STAT_BYTES, 8), 0x5555555555555555); /* nothing behind it */
}

T_NO_OOM(a_filestat_has_56_bytes_with_a_short_count_of_links)
{
    START(s);
    int32_t fd = open_at(&s, DATA, "file", 0, RIGHT_READ);
    CHECK_INT(link_at(&s, DATA, "file", DATA, "second"), OK);
    memset(s.memory + AT_BYTES, 0x55, 100);
    CHECK_INT(W2(&s, "fd_filestat_get", fd, AT_BYTES), OK);
    check_stat(&s, "rw/file");
    memset(s.memory + AT_BYTES, 0x55, 100);
    CHECK_INT(stat_at(&s, STATIC, "file", FOLLOW), OK);
    check_stat(&s, "ro/file");
    CHECK_INT(W2(&s, "fd_filestat_get", fd, END - STAT_BYTES), OK);
    CHECK_INT(W2(&s, "fd_filestat_get", fd, END - STAT_BYTES + 1), FAULT);
    uint32_t n = put_at(&s, AT_PATH, "file");
    CHECK_INT(W5(&s, "path_filestat_get", DATA, 0, AT_PATH, n, END - STAT_BYTES), OK);
    CHECK_INT(W5(&s, "path_filestat_get", DATA, 0, AT_PATH, n, END - STAT_BYTES + 1), FAULT);
    CHECK_INT(W2(&s, "fd_filestat_get", 1, AT_BYTES), OK);
    CHECK_INT(got(&s, AT_BYTES + 16, 1), CHARACTER);
}

T_NO_OOM(folders_are_granted_and_confined_as_in_preview_1)
{
    START(s);
    int32_t fd = open_at(&s, DATA, "new", CREAT, RIGHT_READ | RIGHT_WRITE);
    CHECK_INT(write_text(&s, fd, "hello"), 5);
    CHECK_STR(host_text(&s, "rw/new"), "hello");
    CHECK_INT(open_at(&s, DATA, "../out/file", 0, RIGHT_READ), -PERM);
    CHECK_INT(open_at(&s, STATIC, "new", CREAT, RIGHT_WRITE), -PERM);
    CHECK_INT(write_text(&s, 1, "a line\n"), 7);
    CHECK_STR(s.printed, "1:a line|");
}

/* ---- the rest ---- */

static const char process[] =
    "(module"
    " (import \"wasi_unstable\" \"poll_oneoff\" (func $poll (param i32 i32 i32 i32) (result i32)))"
    " (import \"wasi_unstable\" \"proc_exit\" (func $exit (param i32)))"
    " (import \"wasi_unstable\" \"args_sizes_get\" (func $as (param i32 i32) (result i32)))"
    " (import \"wasi_unstable\" \"args_get\" (func $a (param i32 i32) (result i32)))"
    " (import \"wasi_unstable\" \"environ_sizes_get\" (func $es (param i32 i32) (result i32)))"
    " (import \"wasi_unstable\" \"environ_get\" (func $e (param i32 i32) (result i32)))"
    " (import \"wasi_unstable\" \"clock_time_get\" (func $time (param i32 i64 i32) (result i32)))"
    " (import \"wasi_unstable\" \"clock_res_get\" (func $res (param i32 i32) (result i32)))"
    " (import \"wasi_unstable\" \"random_get\" (func $random (param i32 i32) (result i32)))"
    " (import \"wasi_unstable\" \"sched_yield\" (func $yield (result i32)))"
    " (import \"wasi_unstable\" \"proc_raise\" (func $raise (param i32) (result i32)))"
    " (import \"wasi_unstable\" \"sock_shutdown\" (func $shut (param i32 i32) (result i32)))"
    " (import \"wasi_unstable\" \"fd_write\" (func $w (param i32 i32 i32 i32) (result i32)))"
    " (import \"wasi_unstable\" \"fd_prestat_get\" (func $pre (param i32 i32) (result i32)))"
    " (import \"wasi_snapshot_preview1\" \"fd_write\" (func $w1 (param i32 i32 i32 i32)"
    "  (result i32)))"
    " (memory (export \"memory\") 1) (data (i32.const 1024) \"told\\n\")"
    /* two clocks, at 0 and at 56: the first in an hour, the second in a millisecond */
    " (func (export \"wait\") (result i32)"
    "  (i64.store (i32.const 0) (i64.const 70)) (i64.store (i32.const 16) (i64.const 3))"
    "  (i32.store (i32.const 24) (i32.const 1))"
    "  (i64.store (i32.const 32) (i64.const 3600000000000))"
    "  (i64.store (i32.const 56) (i64.const 71)) (i64.store (i32.const 72) (i64.const 4))"
    "  (i32.store (i32.const 80) (i32.const 0)) (i64.store (i32.const 88) (i64.const 1000000))"
    "  (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 2) (i32.const 512)))"
    "  (i32.add (i32.load (i32.const 256))"
    "   (i32.add (i32.mul (i32.load8_u (i32.const 266)) (i32.const 1000))"
    "    (i32.mul (i32.load (i32.const 512)) (i32.const 10000)))))"
    /* what is read is ready at once: its descriptor lies where preview 1 has it */
    " (func (export \"ready\") (result i32)"
    "  (i64.store (i32.const 56) (i64.const 9)) (i32.store8 (i32.const 64) (i32.const 1))"
    "  (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 2) (i32.const 512)))"
    "  (i32.add (i32.load (i32.const 256)) (i32.mul (i32.load8_u (i32.const 266))"
    "   (i32.const 1000))))"
    " (func (export \"edge\") (result i32)"
    "  (i32.add (call $poll (i32.const 65480) (i32.const 256) (i32.const 1) (i32.const 512))"
    "   (i32.mul (call $poll (i32.const 65481) (i32.const 256) (i32.const 1) (i32.const 512))"
    "    (i32.const 100))))"
    " (func (export \"hour\") (result i32) (i64.store (i32.const 0) (i64.const 0))"
    "  (i64.store (i32.const 8) (i64.const 0)) (i32.store (i32.const 24) (i32.const 1))"
    "  (i64.store (i32.const 32) (i64.const 3600000000000))"
    "  (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))"
    " (func (export \"exit\") (param i32) (call $exit (local.get 0)))"
    " (func (export \"texts\") (result i32)"
    "  (drop (call $as (i32.const 0) (i32.const 4))) (drop (call $es (i32.const 8) (i32.const 12)))"
    "  (drop (call $a (i32.const 16) (i32.const 64))) (drop (call $e (i32.const 24)"
    "   (i32.const 128)))"
    "  (i32.add (i32.load (i32.const 0)) (i32.add (i32.mul (i32.load (i32.const 8))"
    "   (i32.const 10)) (i32.add (i32.mul (i32.load (i32.const 4)) (i32.const 100))"
    "    (i32.mul (i32.load8_u (i32.load (i32.const 24))) (i32.const 1000))))))"
    " (func (export \"small\") (result i32)"
    "  (i32.add (i32.add (call $time (i32.const 1) (i64.const 0) (i32.const 0))"
    "   (call $time (i32.const 0) (i64.const 0) (i32.const 8)))"
    "   (i32.add (i32.add (call $res (i32.const 1) (i32.const 16)) (call $yield))"
    "    (i32.add (call $random (i32.const 32) (i32.const 16)) (i32.sub"
    "     (call $raise (i32.const 6)) (i32.const 52))))))"
    " (func (export \"none\") (result i32) (i32.add (call $shut (i32.const 3) (i32.const 0))"
    "  (i32.mul (call $pre (i32.const 3) (i32.const 0)) (i32.const 100))))"
    " (func (export \"print\") (result i32) (i32.store (i32.const 0) (i32.const 1024))"
    "  (i32.store (i32.const 4) (i32.const 5))"
    "  (i32.add (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))"
    "   (call $w1 (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))))"
    " (func (export \"trap\") (unreachable)))";

static otr_code spawn_process(folders *s, otr_err *err)
{
    static const char *const env[] = { "NAME=value", NULL };
    static const char *const args[] = { "one", "two", NULL };
    const otr_wasi wasi = { .line = folders_line, .env = env, .args = args };
    const otr_spawn spec = { .wasi = &wasi, .max_memory_bytes = OTR_MIB, .user = s };
    return fixture_spawn(&s->f, process, &spec, err);
}

static int32_t ask(folders *s, const char *name)
{
    int32_t v = 0;
    otr_err err = { 0 };
    return fixture_call(s->f.inst, name, &v, in_ms(20000), &err) == OTR_OK ? v : -1;
}

T(clocks_of_a_poll_have_their_own_layout)
{
    FOLDERS(s);
    otr_err err = { 0 };
    REQUIRE_OK(spawn_process(&s, &err), err);
    CHECK_INT(ask(&s, "wait"), 10071); /* one event, of a clock */
    CHECK_INT(ask(&s, "ready"), 1009);
    CHECK_INT(ask(&s, "edge"), 2100); /* the last place it fits; FAULT behind it */
    int32_t v = 0;
    CHECK_INT(fixture_call(s.f.inst, "hour", &v, in_ms(10), &err), OTR_ETIMEOUT);
    CHECK_HAS(err.msg, "the call ran past its deadline");
}

T(it_has_arguments_environment_and_clocks)
{
    FOLDERS(s);
    otr_err err = { 0 };
    REQUIRE_OK(spawn_process(&s, &err), err);
    CHECK_INT(ask(&s, "texts"), 2 + 10 + 800 + 78000); /* 'N' */
    CHECK_INT(ask(&s, "small"), 0);
    CHECK_INT(ask(&s, "none"), 808);
}

T(what_it_prints_becomes_lines_beside_preview_1)
{
    FOLDERS(s);
    otr_err err = { 0 };
    REQUIRE_OK(spawn_process(&s, &err), err);
    CHECK_INT(ask(&s, "print"), 0);
    CHECK_STR(s.printed, "1:told|2:told|");
}

T(it_can_end_itself_and_go_on_after_code_0)
{
    FOLDERS(s);
    otr_err err = { 0 };
    REQUIRE_OK(spawn_process(&s, &err), err);
    for (int32_t round = 0; round < 2; round++) {
        int32_t code = 0;
        CHECK_INT(fixture_call(s.f.inst, "exit", &code, in_ms(20000), &err), OTR_EGUEST);
        CHECK_HAS(err.msg, "the guest ended itself with exit code 0");
        CHECK_INT(s.f.inst->ops->exit_code(s.f.inst), 0);
        CHECK_INT(ask(&s, "small"), 0);
    }
    int32_t three = 3;
    CHECK_INT(fixture_call(s.f.inst, "exit", &three, in_ms(20000), &err), OTR_EGUEST);
    CHECK_INT(s.f.inst->ops->exit_code(s.f.inst), 3);
    CHECK_INT(fixture_call(s.f.inst, "small", &three, in_ms(20000), &err), OTR_ESTATE);
}

T(a_trap_after_code_0_is_no_exit)
{
    FOLDERS(s);
    otr_err err = { 0 };
    int32_t code = 0;
    REQUIRE_OK(spawn_process(&s, &err), err);
    CHECK_INT(fixture_call(s.f.inst, "exit", &code, in_ms(20000), &err), OTR_EGUEST);
    CHECK_INT(fixture_call(s.f.inst, "trap", NULL, in_ms(20000), &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "unreachable");
    CHECK_INT(s.f.inst->ops->exit_code(s.f.inst), -1);
}

T(what_it_never_had_is_not_offered)
{
    static const otr_wasi wasi = { 0 };
    const otr_spawn spec = { .wasi = &wasi, .max_memory_bytes = OTR_MIB };
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK(fixture_spawn(&f,
                        "(module (import \"wasi_unstable\" \"sock_accept\""
                        " (func (param i32 i32 i32) (result i32))))",
                        &spec, &err) != OTR_OK);
    CHECK_HAS(err.msg, "sock_accept");
}
