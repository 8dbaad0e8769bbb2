/* WIT components: bytes and text both ways, host operations, limits, WASI without rights. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "unit/wasm/fixture.h"
#include "unit/wasm/wit_guests.h"
#include "wasm/guest.h"

/* ---- a host that remembers ---- */

typedef struct host {
    char log[512];
} host;

static void note(host *h, const char *what, const char *name, otr_bytes b)
{
    size_t n = strlen(h->log);
    (void)snprintf(h->log + n, sizeof(h->log) - n, "%s %s %.*s|", what, name, (int)b.n,
                   b.n > 0 ? (const char *)b.p : "");
}

static otr_code on_publish(void *arg, const char *topic, otr_bytes payload, otr_err *err)
{
    note(arg, "publish", topic, payload);
    return strcmp(topic, "denied") == 0 ? otr_fail(err, OTR_EDENIED, "no grant") : OTR_OK;
}

static otr_code on_config(void *arg, const char *key, otr_buf *out, otr_err *err)
{
    note(arg, "config", key, (otr_bytes){ NULL, 0 });
    return strcmp(key, "color") == 0 ? otr_buf_adds(out, "green", err)
                                     : otr_fail(err, OTR_ENOTFOUND, "no key %s", key);
}

static otr_code on_call(void *arg, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    if (strcmp(op, "kv.put") == 0 && in.n >= 4) {
        char lengths[32];
        (void)snprintf(lengths, sizeof(lengths), "%s %u", op, in.p[0]);
        note(arg, "call", lengths, (otr_bytes){ in.p + 4, in.n - 4 });
        return in.n > 1000 ? otr_fail(err, OTR_EQUOTA, "the store is full") : OTR_OK;
    }
    note(arg, "call", op, in);
    if (strcmp(op, "kv.get") == 0 && in.n == 6) { /* "absent" */
        return otr_fail(err, OTR_ENOTFOUND, "no such key");
    }
    if (strcmp(op, "kv.get") == 0 && in.n == 6 + 1) { /* "refused" */
        return otr_fail(err, OTR_EDENIED, "no grant for kv");
    }
    if (strcmp(op, "half.way") == 0) { /* leaves something behind and fails */
        otr_code rc = otr_buf_adds(out, "half", err);
        return rc == OTR_OK ? otr_fail(err, OTR_EIO, "broken") : rc;
    }
    return otr_buf_add(out, in, err);
}

static void on_log(void *arg, int level, otr_bytes text)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "%d", level);
    note(arg, "log", name, text);
}

static const otr_host_ops ops = {
    .publish = on_publish, .config = on_config, .call = on_call, .log = on_log
};

/* ---- a guest ---- */

typedef struct wit {
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf out;
    host host;
} wit;

static void wit_deinit(wit *w)
{
    otr_guest_free(w->guest);
    otr_guest_code_free(w->code);
    if (w->engine != NULL) {
        w->engine->ops->close(w->engine);
    }
    otr_buf_deinit(&w->out);
}

#define WIT_GUEST(name) OTR_CLEANUP(wit_deinit) wit name = { 0 }

static otr_code wit_load(wit *w, const char *wat, const char *const *operations, otr_err *err)
{
    const otr_load_spec load = { .name = "test",
                                 .wasm = otr_bytes_of(wat),
                                 .operations = operations };
    otr_buf_init(&w->out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_code rc = otr_engine_find("wasmtime")->open(NULL, &w->engine, err);
    return rc == OTR_OK ? otr_guest_load(w->engine, &load, &w->code, err) : rc;
}

static otr_code wit_start(wit *w, uint64_t memory, otr_guest **ret, otr_err *err)
{
    const otr_guest_spec spec = {
        .name = "test", .ops = &ops, .host = &w->host, .max_memory_bytes = memory, .init_ms = 100
    };
    return otr_guest_new(w->code, &spec, ret, err);
}

static otr_code wit_open(wit *w, const char *wat, otr_err *err)
{
    otr_code rc = wit_load(w, wat, NULL, err);
    return rc == OTR_OK ? wit_start(w, OTR_MIB, &w->guest, err) : rc;
}

static otr_code ask(wit *w, const char *op, otr_bytes in, uint64_t ms, otr_err *err)
{
    otr_buf_clear(&w->out);
    return otr_guest_call(w->guest, op, in, ms != 0 ? in_ms(ms) : 0, &w->out, err);
}

static otr_code ask_text(wit *w, const char *op, const char *in, otr_err *err)
{
    return ask(w, op, otr_bytes_of(in), 10000, err);
}

/* ---- loading ---- */

T(a_component_that_is_cut_short_is_named_so)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_load(&w, "(component (core module", NULL, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "test: not a valid component");
    CHECK(strchr(err.msg, '\n') == NULL);
}

T(an_unknown_import_is_named_when_the_file_is_loaded)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_load(&w,
                       "(component (import \"acme:store/shelf@1.0.0\" (instance"
                       " (export \"take\" (func (param \"n\" u32))))))",
                       NULL, &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "acme:store/shelf@1.0.0");
    CHECK(strchr(err.msg, '\n') == NULL);
}

T(an_unknown_function_of_a_known_interface_is_named)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_load(&w,
                       "(component (import \"outrider:plugin/bus@1.0.0\" (instance"
                       " (export \"unpublish\" (func (param \"topic\" string))))))",
                       NULL, &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "outrider:plugin/bus@1.0.0");
    CHECK_HAS(err.msg, "unpublish");
}

T(missing_lifecycle_functions_are_named)
{
    static const char *const wanted[] = { "info", "subscriptions", "process", NULL };
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_load(&w, plain, wanted, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "does not fit wit");
    CHECK_HAS(err.msg, "export info of interface outrider:plugin/lifecycle@1.0.0 is missing");
    CHECK_HAS(err.msg, "process");
}

T(operations_that_a_component_has_are_found)
{
    static const char *const wanted[] = { "echo", "fail", NULL };
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_load(&w, plain, wanted, &err), err);
    CHECK_STR(otr_abi_name(otr_guest_code_abi(w.code)), "wit");
    CHECK(otr_guest_code_has(w.code, "echo"));
    CHECK(!otr_guest_code_has(w.code, "ech"));
    CHECK(!otr_guest_code_has(w.code, "info"));
}

T(an_engine_without_components_says_which_one_has_them)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    otr_engine_ops without = *otr_engine_find("wasmtime");
    without.name = "other";
    without.open_components = NULL;
    otr_engine other = { .ops = &without };
    const otr_load_spec load = { .name = "test", .wasm = otr_bytes_of(plain) };
    CHECK_INT(otr_guest_load(&other, &load, &w.code, &err), OTR_EUNSUP);
    CHECK_HAS(err.msg, "WIT component, which the engine other cannot run; wasmtime can");
}

T(a_component_is_not_taken_for_another_abi)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(otr_engine_find("wasmtime")->open(NULL, &w.engine, &err), err);
    const otr_load_spec load = { .name = "test", .wasm = otr_bytes_of(plain), .abi = "extism" };
    CHECK_INT(otr_guest_load(w.engine, &load, &w.code, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "is configured as extism, but the file speaks wit");
}

/* ---- calls ---- */

T(an_error_of_the_guest_has_its_text_and_it_lives_on)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    CHECK_INT(ask_text(&w, "fail", "x", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "asked to fail");
    CHECK(w.out.n == 0);
    CHECK(!otr_guest_dead(w.guest));
    REQUIRE_OK(ask_text(&w, "checked", "again", &err), err);
    CHECK_STR(otr_buf_text(&w.out), "again");
}

T(a_trap_is_told_in_one_line_with_function_names)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    CHECK_INT(ask_text(&w, "trap", "x", &err), OTR_EGUEST);
    CHECK_STR(err.msg, "wasm `unreachable` instruction executed at deeper < trap");
    CHECK(otr_guest_dead(w.guest));
    CHECK_INT(ask_text(&w, "echo", "x", &err), OTR_ESTATE);
}

T(endless_recursion_ends_the_guest_only)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    CHECK_INT(ask_text(&w, "dive", "x", &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "call stack exhausted");
    CHECK(strchr(err.msg, '\n') == NULL);
}

T(an_answer_outside_of_memory_ends_the_guest_only)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    CHECK_INT(ask_text(&w, "wild", "x", &err), OTR_EGUEST);
    CHECK(w.out.n == 0);
    CHECK(otr_guest_dead(w.guest));
}

T(an_operation_of_another_shape_is_not_callable)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    CHECK_INT(ask_text(&w, "number", "x", &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "exports no operation \"number\" that takes and gives bytes or text");
    CHECK_INT(ask_text(&w, "nothing", "x", &err), OTR_ENOTFOUND);
    CHECK(!otr_guest_dead(w.guest));
}

T(an_answer_larger_than_the_limit_is_an_error_and_the_guest_lives_on)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    OTR_CLEANUP(otr_buf_deinit) otr_buf small;
    otr_buf_init(&small, 8);
    CHECK_INT(otr_guest_call(w.guest, "echo", otr_bytes_of("123456789"), 0, &small, &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "larger than the limit of 8 bytes");
    CHECK(small.n == 0);
    REQUIRE_OK(ask_text(&w, "echo", "12345678", &err), err);
}

T_NO_OOM(bytes_come_back_from_none_to_16_mib) /* millions of bytes a run */
{
    static const size_t sizes[] = { 0,     1,     15,    16,      17,          1000,
                                    65535, 65536, 65537, OTR_MIB, 16 * OTR_MIB };
    otr_err err = { 0 };
    WIT_GUEST(w);
    OTR_CLEANUP(otr_freep) uint8_t *in = otr_alloc(16 * OTR_MIB);
    REQUIRE(in != NULL);
    for (size_t i = 0; i < 16 * OTR_MIB; i++) {
        in[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    REQUIRE_OK(wit_load(&w, plain, NULL, &err), err);
    REQUIRE_OK(wit_start(&w, 64 * OTR_MIB, &w.guest, &err), err);
    for (size_t i = 0; i < 2 * OTR_COUNT(sizes); i++) {
        size_t n = sizes[i / 2];
        REQUIRE_OK(ask(&w, i % 2 == 0 ? "echo" : "checked", (otr_bytes){ in, n }, 10000, &err),
                   err);
        REQUIRE(w.out.n == n);
        CHECK(n == 0 || memcmp(w.out.p, in, n) == 0);
    }
}

/* ---- limits ---- */

T_NO_OOM(a_loop_is_stopped_at_the_deadline) /* time passes */
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    uint64_t started = otr_now_ns();
    CHECK_INT(ask(&w, "loop", otr_bytes_of("x"), 30, &err), OTR_ETIMEOUT);
    CHECK(otr_now_ns() - started >= 29 * OTR_NS_PER_MS);
    CHECK_STR(err.msg, "the call ran past its deadline");
    CHECK(otr_guest_dead(w.guest));
}

static void *cancel(void *guest)
{
    otr_guest_cancel(guest);
    return NULL;
}

T_NO_OOM(another_thread_can_cancel_a_call) /* threads */
{
    otr_err err = { 0 };
    pthread_t thread;
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    REQUIRE(pthread_create(&thread, NULL, cancel, w.guest) == 0);
    CHECK_INT(ask(&w, "loop", otr_bytes_of("x"), 0, &err), OTR_ETIMEOUT);
    (void)pthread_join(thread, NULL);
    CHECK(otr_guest_dead(w.guest));
}

T_NO_OOM(a_loop_in_a_start_function_is_stopped) /* time passes */
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_open(&w,
                       "(component (core module $m (func $f (loop (br 0))) (start $f))"
                       " (core instance (instantiate $m)))",
                       &err),
              OTR_ETIMEOUT);
    CHECK(w.guest == NULL);
    CHECK(strchr(err.msg, '\n') == NULL);
}

T(a_trap_in_a_start_function_is_told_with_its_reason)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_open(&w,
                       "(component (core module $m (func $begin unreachable) (start $begin))"
                       " (core instance (instantiate $m)))",
                       &err),
              OTR_EGUEST);
    CHECK_STR(err.msg, "cannot be instantiated: wasm `unreachable` instruction executed at begin");
}

T(a_guest_that_eats_memory_is_stopped_at_the_limit)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    CHECK_INT(ask_text(&w, "eat", "x", &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "out of memory (limit 1024 KiB)");
    CHECK(otr_guest_memory_bytes(w.guest) <= OTR_MIB);
}

T(an_input_that_does_not_fit_is_refused_for_want_of_memory)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    OTR_CLEANUP(otr_freep) uint8_t *in = otr_zalloc(2 * OTR_MIB);
    REQUIRE(in != NULL);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    CHECK_INT(ask(&w, "echo", (otr_bytes){ in, 2 * OTR_MIB }, 10000, &err), OTR_EQUOTA);
}

T(all_memories_of_a_component_count_together)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_open(&w,
                       "(component (core module $m (memory 6)) (core instance (instantiate $m))"
                       " (core instance (instantiate $m)) (core instance (instantiate $m)))",
                       &err),
              OTR_EQUOTA);
    CHECK_HAS(err.msg, "its memories and tables would start with 1152 KiB, all modules together; "
                       "the limit is 1024 KiB");
    CHECK(strchr(err.msg, '\n') == NULL);
    REQUIRE(w.code != NULL);
    REQUIRE_OK(wit_start(&w, 18 * 65536, &w.guest, &err), err);
    CHECK_INT((long long)otr_guest_memory_bytes(w.guest), 18LL * 65536);
}

T(tables_of_a_component_count_with_its_memories)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_open(&w,
                       "(component (core module $m (memory 2) (table 20000 funcref)"
                       "  (table 20000 externref)) (core instance (instantiate $m))"
                       " (core instance (instantiate $m)) (core instance (instantiate $m)))",
                       &err),
              OTR_EQUOTA);
    CHECK_HAS(err.msg, "the limit is 1024 KiB");
    REQUIRE(w.code != NULL);
    REQUIRE_OK(wit_start(&w, 2 * OTR_MIB, &w.guest, &err), err);
    CHECK_INT((long long)otr_guest_memory_bytes(w.guest), 6LL * 65536 + 6LL * 20000 * 8 - 65536);
}

T(a_shared_memory_in_a_component_is_refused_at_load)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_open(&w, "(component (core module $m (memory 1 1 shared)))", &err), OTR_EUNSUP);
    CHECK_HAS(err.msg, "uses the shared memory (threads) proposal, which no engine here has");
}

T(a_large_table_in_a_component_is_refused_at_load)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    CHECK_INT(wit_open(&w, "(component (core module $m (table 20001 funcref)))", &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "a table starts with 20001 elements; the limit is 20000");
}

/* 0 under a sanitizer, which keeps what is freed. */
static size_t resident_bytes(void)
{
#ifdef __SANITIZE_ADDRESS__
    return 0;
#else
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        if (fscanf(f, "%lu %lu", &total, &resident) != 2) {
            resident = 0;
        }
        (void)fclose(f);
    }
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
#endif
}

T_NO_OOM(memory_does_not_grow_over_100000_calls) /* it would never end */
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, plain, &err), err);
    uint64_t before = 0;
    size_t resident = 0;
    for (int i = 0; i < 100000; i++) {
        if (i == 1000) {
            before = otr_guest_memory_bytes(w.guest);
            resident = resident_bytes();
        }
        otr_buf_clear(&w.out);
        REQUIRE_OK(
            otr_guest_call(w.guest, "echo", otr_bytes_of("0123456789abcdef"), 0, &w.out, &err),
            err);
    }
    CHECK_INT((long long)otr_guest_memory_bytes(w.guest), (long long)before);
    CHECK(resident_bytes() <= resident + 2 * OTR_MIB);
}

T_NO_OOM(memory_comes_back_over_1000_guests) /* it would never end */
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_load(&w, plain, NULL, &err), err);
    size_t resident = 0;
    for (int i = 0; i < 1200; i++) {
        resident = i == 200 ? resident_bytes() : resident;
        REQUIRE_OK(wit_start(&w, OTR_MIB, &w.guest, &err), err);
        REQUIRE_OK(ask_text(&w, "echo", "x", &err), err);
        otr_guest_free(w.guest);
        w.guest = NULL;
    }
    CHECK(resident_bytes() <= resident + 4 * OTR_MIB);
}

T_NO_OOM(a_thousand_guests_live_at_once) /* it would never end */
{
#ifdef __SANITIZE_THREAD__
    otr_test_skip("the sanitizer leaves no address space for a thousand memories");
#else
    enum { MANY = 1000 };
    static otr_guest *guests[MANY];
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_load(&w, plain, NULL, &err), err);
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < MANY && rc == OTR_OK; i++) {
        rc = wit_start(&w, OTR_MIB, &guests[i], &err);
    }
    for (size_t i = 0; i < MANY && guests[i] != NULL; i++) {
        otr_guest_free(guests[i]);
        guests[i] = NULL;
    }
    REQUIRE_OK(rc, err);
#endif
}

/* ---- host operations ---- */

static otr_code open_asks(wit *w, otr_err *err)
{
    otr_buf wat;
    otr_buf_init(&wat, 16384);
    otr_code rc = otr_buf_adds(&wat, asks_world, err);
    rc = rc == OTR_OK ? otr_buf_adds(&wat, asks_guest, err) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(&wat, asks_exports, err) : rc;
    rc = rc == OTR_OK ? wit_open(w, otr_buf_text(&wat), err) : rc;
    otr_buf_deinit(&wat);
    return rc;
}

T(a_refused_publish_is_told_to_the_guest)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(open_asks(&w, &err), err);
    CHECK_INT(ask_text(&w, "publish", "\6denied{}", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "no grant");
    CHECK(!otr_guest_dead(w.guest));
    REQUIRE_OK(ask_text(&w, "publish", "\3a.b{\"x\":1}", &err), err);
    CHECK(w.out.n == 0);
    CHECK_STR(w.host.log, "publish denied {}|publish a.b {\"x\":1}|");
}

T(a_topic_with_a_nul_byte_is_refused)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(open_asks(&w, &err), err);
    CHECK_INT(ask(&w, "publish", (otr_bytes){ (const uint8_t *)"\3a\0b{}", 6 }, 0, &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "NUL");
    CHECK_STR(w.host.log, "");
}

T(a_topic_that_is_not_utf8_ends_the_guest)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(open_asks(&w, &err), err);
    CHECK_INT(ask_text(&w, "publish", "\2\xC3\x28{}", &err), OTR_EGUEST);
    CHECK_HAS(err.msg, "utf-8");
    CHECK_STR(w.host.log, "");
}

T(config_answers_a_value_or_none)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(open_asks(&w, &err), err);
    CHECK_INT(ask_text(&w, "config", "shape", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "");
    REQUIRE_OK(ask_text(&w, "config", "color", &err), err);
    CHECK_STR(otr_buf_text(&w.out), "green");
    CHECK_STR(w.host.log, "config shape |config color |");
}

T(logs_have_the_level_of_the_guest)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(open_asks(&w, &err), err);
    char in[] = { 0, 'h', 'i', '\0' };
    for (char level = 0; level < 5; level++) {
        in[0] = level;
        REQUIRE_OK(ask(&w, "log", (otr_bytes){ (const uint8_t *)in, 3 }, 0, &err), err);
    }
    CHECK_STR(w.host.log, "log -1 hi|log 0 hi|log 1 hi|log 2 hi|log 3 hi|");
}

T(kv_tells_absence_from_failure)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(open_asks(&w, &err), err);
    CHECK_INT(ask_text(&w, "get", "absent", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "");
    CHECK_INT(ask_text(&w, "get", "refused", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "no grant for kv");
    REQUIRE_OK(ask_text(&w, "get", "here", &err), err);
    CHECK_STR(otr_buf_text(&w.out), "here");
}

T(kv_set_hands_over_key_and_value)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(open_asks(&w, &err), err);
    REQUIRE_OK(ask_text(&w, "set", "\3keyvalue", &err), err);
    REQUIRE_OK(ask_text(&w, "delete", "key", &err), err);
    REQUIRE_OK(ask_text(&w, "list", "k", &err), err);
    CHECK_STR(w.host.log, "call kv.put 3 keyvalue|call kv.delete key|call kv.list k|");
}

T(any_other_operation_goes_by_its_name)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(open_asks(&w, &err), err);
    CHECK_INT(ask_text(&w, "call", "\10half.wayx", &err), OTR_EINVAL);
    CHECK_STR(err.msg, "broken");
    REQUIRE_OK(ask_text(&w, "call", "\11clock.nowx", &err), err);
    CHECK_STR(otr_buf_text(&w.out), "x");
    CHECK_STR(w.host.log, "call half.way x|call clock.now x|");
}

/* ---- WASI ---- */

T(wasi_has_no_environment_and_no_folders)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, looks, &err), err);
    REQUIRE_OK(ask_text(&w, "look", "", &err), err);
    REQUIRE(w.out.n == 2);
    CHECK_INT(w.out.p[0], 0);
    CHECK_INT(w.out.p[1], 0);
}

T_NO_OOM(a_sleep_ends_at_the_deadline) /* time passes */
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE_OK(wit_open(&w, sleeps, &err), err);
    REQUIRE_OK(ask_text(&w, "nap", "x", &err), err);
    CHECK_STR(otr_buf_text(&w.out), "x");
    uint64_t started = otr_now_ns();
    CHECK_INT(ask(&w, "sleep", otr_bytes_of("x"), 30, &err), OTR_ETIMEOUT);
    CHECK(otr_now_ns() - started < 10000 * OTR_NS_PER_MS);
}
