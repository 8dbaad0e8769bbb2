/* Time, memory and threads: whatever ends a guest that does not end by itself. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/wasm/fixture.h"

static const char endless[] = "(module (memory (export \"memory\") 1)"
                              " (func $spin (export \"f\") (loop (br 0)))"
                              " (func (export \"ok\") (result i32) (i32.const 7)))";

static otr_code nap_20ms(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)inst;
    (void)vals;
    (void)err;
    (void)usleep(20000); /* a host call that blocks: there is nothing to wait for but time */
    return OTR_OK;
}

static atomic_int counted;

static otr_code count(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)inst;
    (void)vals;
    (void)err;
    atomic_fetch_add(&counted, 1);
    return OTR_OK;
}

/* Calls back into the guest it came from, by the name that `user` is. */
static otr_code call_back(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)vals;
    return fixture_call(inst, user, NULL, 0, err);
}

static otr_code call_back_and_forget(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)call_back(user, inst, vals, err);
    return OTR_OK;
}

static const otr_import host[] = {
    { "env", "nap", { 0 }, nap_20ms, NULL },
    { "env", "count", { 0 }, count, NULL },
    { "env", "back", { 0 }, call_back, NULL },
    { "env", "forget", { 0 }, call_back_and_forget, NULL },
};

static otr_spawn host_spec(void *user)
{
    return (otr_spawn){
        .imports = host, .n_imports = OTR_COUNT(host), .max_memory_bytes = 1024 * 1024, .user = user
    };
}

T(an_endless_loop_ends_at_its_deadline)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, endless, NULL, &err), err);
    uint64_t begin = otr_now_ns();
    CHECK_INT(fixture_call(f.inst, "f", NULL, in_ms(20), &err), OTR_ETIMEOUT);
    uint64_t took = otr_now_ns() - begin;
    CHECK(took >= 20 * OTR_NS_PER_MS);
    CHECK(took < 2000 * OTR_NS_PER_MS);
    CHECK_HAS(err.msg, "the call ran past its deadline");
    CHECK_TRACE(err.msg, "deadline at spin");
    CHECK_INT(fixture_call(f.inst, "ok", NULL, in_ms(20), &err), OTR_ESTATE);
}

T(an_endless_start_function_ends_at_its_deadline)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_spawn spec = { .max_memory_bytes = 65536, .start_deadline_ns = in_ms(10) };
    otr_code rc =
        fixture_spawn(&f, "(module (func $boot (loop (br 0))) (start $boot))", &spec, &err);
    CHECK_INT(rc, OTR_ETIMEOUT);
    CHECK_HAS(err.msg, "deadline");
}

T(the_next_call_after_a_long_pause_has_its_own_deadline)
{
    FIXTURE(f);
    otr_err err = { 0 };
    int32_t v = 0;
    REQUIRE_OK(fixture_spawn(&f, endless, NULL, &err), err);
    for (int i = 0; i < 3; i++) {
        REQUIRE_OK(fixture_call(f.inst, "ok", &v, in_ms(1000), &err), err);
        CHECK_INT(v, 7);
        (void)usleep(3000); /* past the epoch that the last call saw */
    }
    CHECK_INT(fixture_call(f.inst, "f", NULL, in_ms(5), &err), OTR_ETIMEOUT);
}

T(time_in_a_host_call_counts)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_spawn spec = host_spec(NULL);
    REQUIRE_OK(fixture_spawn(&f,
                             "(module (import \"env\" \"nap\" (func $n))"
                             " (func $sleeper (export \"f\") (call $n)))",
                             &spec, &err),
               err);
    CHECK_INT(fixture_call(f.inst, "f", NULL, in_ms(5), &err), OTR_ETIMEOUT);
    CHECK_TRACE(err.msg, "deadline at sleeper");
}

T(no_host_function_is_entered_after_the_deadline)
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_spawn spec = host_spec(NULL);
    REQUIRE_OK(fixture_spawn(&f,
                             "(module (import \"env\" \"nap\" (func $n))"
                             " (import \"env\" \"count\" (func $c))"
                             " (func (export \"f\") (call $n) (call $c)))",
                             &spec, &err),
               err);
    atomic_store(&counted, 0);
    CHECK_INT(fixture_call(f.inst, "f", NULL, in_ms(5), &err), OTR_ETIMEOUT);
    CHECK_INT(atomic_load(&counted), 0);
}

T(a_sleeping_wasi_guest_wakes_at_its_deadline)
{
    static const otr_wasi none = { 0 };
    FIXTURE(f);
    otr_err err = { 0 };
    otr_spawn spec = { .wasi = &none, .max_memory_bytes = 1024 * 1024 };
    /* one relative clock subscription of an hour at 0 */
    REQUIRE_OK(fixture_spawn(&f,
                             "(module (import \"wasi_snapshot_preview1\" \"poll_oneoff\""
                             "  (func $p (param i32 i32 i32 i32) (result i32)))"
                             " (memory (export \"memory\") 1)"
                             " (func (export \"f\") (result i32)"
                             "  (i64.store (i32.const 24) (i64.const 3600000000000))"
                             "  (call $p (i32.const 0) (i32.const 64) (i32.const 1)"
                             "   (i32.const 128)))"
                             " (func (export \"short\") (result i32)"
                             "  (i64.store (i32.const 0) (i64.const 77))"
                             "  (i64.store (i32.const 24) (i64.const 1000))"
                             "  (drop (call $p (i32.const 0) (i32.const 64) (i32.const 1)"
                             "   (i32.const 128)))"
                             "  (i32.add (i32.load (i32.const 64)) (i32.load (i32.const 128))))"
                             " (func (export \"bad\") (result i32)"
                             "  (call $p (i32.const -1) (i32.const 64) (i32.const 1)"
                             "   (i32.const 128)))"
                             " (func (export \"many\") (result i32)"
                             "  (call $p (i32.const 0) (i32.const 64) (i32.const 0x10000000)"
                             "   (i32.const 128))))",
                             &spec, &err),
               err);
    int32_t v = 0;
    REQUIRE_OK(fixture_call(f.inst, "short", &v, in_ms(5000), &err), err);
    CHECK_INT(v, 78); /* its user data and one event */
    REQUIRE_OK(fixture_call(f.inst, "bad", &v, in_ms(5000), &err), err);
    CHECK_INT(v, 21); /* EFAULT */
    REQUIRE_OK(fixture_call(f.inst, "many", &v, in_ms(5000), &err), err);
    CHECK_INT(v, 28); /* EINVAL */
    CHECK_INT(fixture_call(f.inst, "f", &v, in_ms(10), &err), OTR_ETIMEOUT);
}

/* ---- calls within calls ---- */

static const char calls_back[] =
    "(module (import \"env\" \"back\" (func $b)) (import \"env\" \"forget\" (func $f))"
    " (func (export \"f\") (call $b)) (func (export \"careless\") (call $f))"
    " (func $inner (export \"trap\") unreachable)"
    " (func $around (export \"spin\") (loop (br 0)))"
    " (func (export \"fine\")))";

T(a_host_function_may_call_back)
{
    FIXTURE(f);
    otr_err err = { 0 };
    char name[] = "fine";
    otr_spawn spec = host_spec(name);
    REQUIRE_OK(fixture_spawn(&f, calls_back, &spec, &err), err);
    REQUIRE_OK(fixture_call(f.inst, "f", NULL, in_ms(1000), &err), err);
}

T(a_trap_in_a_nested_call_ends_both)
{
    FIXTURE(f);
    otr_err err = { 0 };
    char name[] = "trap";
    otr_spawn spec = host_spec(name);
    REQUIRE_OK(fixture_spawn(&f, calls_back, &spec, &err), err);
    CHECK_INT(fixture_call(f.inst, "f", NULL, in_ms(1000), &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "unreachable");
}

T(a_trap_that_the_host_function_forgets_still_ends_both)
{
    FIXTURE(f);
    otr_err err = { 0 };
    char name[] = "trap";
    otr_spawn spec = host_spec(name);
    REQUIRE_OK(fixture_spawn(&f, calls_back, &spec, &err), err);
    CHECK_INT(fixture_call(f.inst, "careless", NULL, in_ms(1000), &err), OTR_EGUEST);
    CHECK_INT(fixture_call(f.inst, "fine", NULL, in_ms(1000), &err), OTR_ESTATE);
}

T(the_outer_deadline_holds_in_a_nested_call)
{
    FIXTURE(f);
    otr_err err = { 0 };
    char name[] = "spin"; /* asked for without a deadline of its own */
    otr_spawn spec = host_spec(name);
    REQUIRE_OK(fixture_spawn(&f, calls_back, &spec, &err), err);
    CHECK_INT(fixture_call(f.inst, "f", NULL, in_ms(10), &err), OTR_ETIMEOUT);
}

/* ---- interrupt ---- */

static void *interrupt_soon(void *arg)
{
    otr_instance *inst = arg;
    (void)usleep(5000); /* lets the call begin; the test holds in either order */
    inst->ops->interrupt(inst);
    return NULL;
}

T(an_interrupt_from_another_thread_ends_a_call_without_deadline)
{
    FIXTURE(f);
    otr_err err = { 0 };
    pthread_t thread;
    REQUIRE_OK(fixture_spawn(&f, endless, NULL, &err), err);
    (void)fixture_call(f.inst, "ok", NULL, 0, &err);
    if (f.inst->ops->func(f.inst, OTR_MEM_GUEST, "f") == NULL) {
        return; /* no memory: nothing to interrupt */
    }
    REQUIRE(pthread_create(&thread, NULL, interrupt_soon, f.inst) == 0);
    otr_code rc = fixture_call(f.inst, "f", NULL, 0, &err);
    (void)pthread_join(thread, NULL);
    CHECK_INT(rc, OTR_ETIMEOUT);
    CHECK_HAS(err.msg, "interrupted");
}

T(an_interrupt_before_a_call_ends_the_next_one)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, endless, NULL, &err), err);
    f.inst->ops->interrupt(f.inst);
    CHECK_INT(fixture_call(f.inst, "ok", NULL, 0, &err), OTR_ETIMEOUT);
    CHECK_INT(fixture_call(f.inst, "ok", NULL, 0, &err), OTR_ESTATE);
}

/* ---- memory ---- */

static const char grows[] = "(module (memory (export \"memory\") 1)"
                            " (func (export \"grow\") (param i32) (result i32)"
                            "  (memory.grow (local.get 0)))"
                            " (func $panic (export \"full\")"
                            "  (drop (memory.grow (i32.const 15)))"
                            "  (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1))"
                            "   (then unreachable))))";

T(growth_past_the_limit_is_denied)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, grows, NULL, &err), err);
    int32_t v = 15;
    REQUIRE_OK(fixture_call(f.inst, "grow", &v, 0, &err), err);
    CHECK_INT(v, 1);
    CHECK_INT(f.inst->ops->memory_bytes(f.inst), 1024 * 1024);
    v = 1;
    REQUIRE_OK(fixture_call(f.inst, "grow", &v, 0, &err), err);
    CHECK_INT(v, -1);
    CHECK_INT(f.inst->ops->memory_bytes(f.inst), 1024 * 1024);
}

T(a_guest_that_gives_up_for_want_of_memory_is_told_apart)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, grows, NULL, &err), err);
    CHECK_INT(fixture_call(f.inst, "full", NULL, 0, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "out of memory (limit 1024 KiB)");
    CHECK_TRACE(err.msg, "at panic");
}

T(a_module_that_starts_above_its_limit_is_refused)
{
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK_INT(fixture_spawn(&f, "(module (memory (export \"memory\") 17))", NULL, &err),
              OTR_EQUOTA);
    CHECK_HAS(err.msg, "starts with 1088 KiB of memory; its limit is 1024 KiB");
}

T(a_huge_table_is_refused)
{
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK(fixture_spawn(&f, "(module (table 100001 funcref))", NULL, &err) != OTR_OK);
    fixture_deinit(&f);
    REQUIRE_OK(fixture_spawn(&f,
                             "(module (table $t 1 funcref) (func (export \"f\") (result i32)"
                             " (table.grow $t (ref.null func) (i32.const 100000))))",
                             NULL, &err),
               err);
    int32_t v = 0;
    REQUIRE_OK(fixture_call(f.inst, "f", &v, 0, &err), err);
    CHECK_INT(v, -1);
}

static long resident_kib(void)
{
    long pages = 0, skipped = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%ld %ld", &skipped, &pages) != 2) {
        pages = 0;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

T_NO_OOM(ten_thousand_instances_come_and_go_without_growth) /* 10,000 times n would take hours */
{
    FIXTURE(f);
    otr_err err = { 0 };
    otr_instance *inst;
    static const otr_spawn spec = { .max_memory_bytes = 1024 * 1024 };
    REQUIRE_OK(fixture_compile(&f, endless, &err), err);
    long before = 0;
    for (int i = 0; i < 10000; i++) {
        REQUIRE_OK(f.engine->ops->spawn(f.module, &spec, &inst, &err), err);
        (void)fixture_call(inst, "ok", NULL, in_ms(1000), &err);
        inst->ops->instance_free(inst);
        before = i == 1000 ? resident_kib() : before;
    }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#ifdef ON_WASMI /* whose memories are plain blocks: the whole quarantine */
    const long allowed_kib = 320 * 1024;
#else
    const long allowed_kib = 128 * 1024; /* freed blocks in quarantine, thread histories */
#endif
#else
    const long allowed_kib = 1024;
#endif
    CHECK(resident_kib() - before < allowed_kib);
}

#ifdef __SANITIZE_THREAD__
enum { MANY = 500 }; /* its address space holds no more memories */
#else
enum { MANY = 1000 };
#endif

T_NO_OOM(a_thousand_instances_live_at_once) /* too many allocations to fail each one */
{
    FIXTURE(f);
    otr_err err = { 0 };
    static otr_instance *all[MANY];
    static const otr_spawn spec = { .max_memory_bytes = 1024 * 1024 };
    REQUIRE_OK(fixture_compile(&f, endless, &err), err);
    int n = 0;
    while (n < MANY && f.engine->ops->spawn(f.module, &spec, &all[n], &err) == OTR_OK) {
        n++;
    }
    CHECK_INT(n, MANY);
    int32_t v = 0;
    CHECK_INT(fixture_call(all[n - 1], "ok", &v, in_ms(1000), &err), OTR_OK);
    while (n > 0) {
        n--;
        all[n]->ops->instance_free(all[n]);
    }
}

/* ---- a limited address space ---- */

T_NO_OOM(an_engine_opens_under_a_limited_address_space) /* in a program of its own */
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    otr_test_skip("a sanitizer needs the address space itself");
#else
    static const char mark[] = "OTR_TEST_LIMITED";
    FIXTURE(f);
    otr_err err = { 0 };
    int32_t v = 15;
    if (getenv(mark) != NULL) {
        REQUIRE_OK(fixture_spawn(&f, grows, NULL, &err), err);
        REQUIRE_OK(fixture_call(f.inst, "grow", &v, in_ms(5000), &err), err);
        CHECK_INT(v, 1);
        return;
    }
    /* A fork without exec would lack the threads that compile. */
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        struct rlimit limit = { UINT64_C(2) << 30, UINT64_C(2) << 30 };
        (void)setenv(mark, "1", 1);
        (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* its TAP is not ours */
        if (setrlimit(RLIMIT_AS, &limit) == 0) {
            (void)execl("/proc/self/exe", "limited", __func__, (char *)NULL);
        }
        _exit(1);
    }
    int status = -1;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK_INT(status, 0);
#endif
}
