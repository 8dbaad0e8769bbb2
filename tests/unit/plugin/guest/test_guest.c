/* Guests in the plugin host: real Wasm on real workers. Not under failing allocation: the failure
 * would hit whichever thread allocates next. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/agent_keys.h"
#include "loop/worker.h"
#include "plugin/guest/guests.h"
#include "plugin/host.h"
#include "support/test.h"
#include "wasm/engine/engine.h"

static const otr_key *const tables[] = { otr_agent_keys, NULL };

enum { WAIT_ROUNDS = 1000, ROUND_MS = 10 };

typedef struct fixture {
    char folder[32];
    otr_loop *loop;
    otr_bus *bus;
    otr_pool *pool;
    otr_config *cfg;
    otr_plugin_host *host;
    otr_sub *sub;
    otr_plugin_view seen; /* the last view of the plugin "g"; its texts copied below */
    char reason[512], state[16];
    unsigned heard; /* messages under test.* from guests */
    bool ready, stopped;
} fixture;

/* The body of `process` and more functions go in; the rest is the contract. */
#define GUEST(process, more)                                                                      \
    "(module (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"       \
    "(import \"extism:host/env\" \"store_u8\" (func $store_u8 (param i64 i32)))"                  \
    "(import \"extism:host/env\" \"output_set\" (func $output_set (param i64 i64)))"              \
    "(import \"extism:host/user\" \"outrider_publish\" (func $publish (param i64 i64) (result "   \
    "i64)))"                                                                                      \
    "(memory (export \"memory\") 1)"                                                              \
    "(data (i32.const 0) "                                                                        \
    "\"{\\22name\\22:\\22g\\22,\\22version\\22:\\221.0\\22,\\22api\\22:\\221\\22}\")"             \
    "(data (i32.const 256) \"[\\22in.*\\22]\")(data (i32.const 512) \"test.out\")(data "          \
    "(i32.const 600) \"[1,2]\")"                                                                  \
    "(func $copy (param $at i32) (param $n i32) (result i64) (local $i i32) (local $to i64)"      \
    "(local.set $to (call $alloc (i64.extend_i32_u (local.get $n))))"                             \
    "(block $done (loop $next (br_if $done (i32.ge_u (local.get $i) (local.get $n)))"             \
    "(call $store_u8 (i64.add (local.get $to) (i64.extend_i32_u (local.get $i)))"                 \
    "(i32.load8_u (i32.add (local.get $at) (local.get $i))))"                                     \
    "(local.set $i (i32.add (local.get $i) (i32.const 1))) (br $next))) (local.get $to))"         \
    "(func $answer (param $at i32) (param $n i32) (result i32)"                                   \
    "(call $output_set (call $copy (local.get $at) (local.get $n)) (i64.extend_i32_u (local.get " \
    "$n)))"                                                                                       \
    "(i32.const 0))"                                                                              \
    "(func $say (drop (call $publish (call $copy (i32.const 512) (i32.const 8))"                  \
    "(call $copy (i32.const 600) (i32.const 5)))))"                                               \
    "(func (export \"info\") (result i32) (call $answer (i32.const 0) (i32.const 38)))"           \
    "(func (export \"subscriptions\") (result i32) (call $answer (i32.const 256) (i32.const 8)))" \
    "(func (export \"process\") (result i32) " process ")" more ")"

#define SAYING "(call $say) (i32.const 0)"

static void hear(void *arg, otr_sub *sub)
{
    fixture *f = arg;
    for (otr_msg *msg; (msg = otr_sub_take(sub)) != NULL; otr_msg_unref(msg)) {
        f->heard++;
    }
}

static bool look(void *arg, const otr_plugin_view *view)
{
    fixture *f = arg;
    f->seen = *view;
    (void)snprintf(f->reason, sizeof(f->reason), "%s", view->reason);
    (void)snprintf(f->state, sizeof(f->state), "%s", otr_plugin_state_name(view->state));
    return true;
}

static void on_ready(void *arg)
{
    fixture *f = arg;
    f->ready = true;
}

static void on_stopped(void *arg)
{
    fixture *f = arg;
    f->stopped = true;
}

static otr_code write_file(const fixture *f, const char *name, const char *text, otr_err *err)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return otr_fail(err, OTR_EIO, "no file");
    }
    (void)fputs(text, file);
    (void)fclose(file);
    return OTR_OK;
}

static otr_code load_config(fixture *f, const char *entry, otr_config **ret, otr_err *err)
{
    char yaml[1024], path[64];
    (void)snprintf(yaml, sizeof(yaml), "plugins:\n  cache: off\n  directory: %s\n  load:\n%s%s\n",
                   f->folder, entry[0] != '\0' ? "    - " : "    []", entry);
    (void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
    otr_code rc = write_file(f, "c.yaml", yaml, err);
    otr_config_source source = { .tables = tables, .file = path };
    return rc == OTR_OK ? otr_config_load(&source, ret, err) : rc;
}

static otr_code setup(fixture *f, const char *guest, const char *entry, otr_err *err)
{
    static const char *const patterns[] = { "test.*", NULL };
    otr_log_set_level(OTR_LOG_ERROR);
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/otr-guest-XXXXXX");
    if (mkdtemp(f->folder) == NULL) {
        return otr_fail(err, OTR_EIO, "no folder");
    }
    otr_code rc = write_file(f, "g.wat", guest, err);
    rc = rc == OTR_OK ? load_config(f, entry, &f->cfg, err) : rc;
    rc = rc == OTR_OK ? otr_loop_new(&f->loop, err) : rc;
    rc = rc == OTR_OK ? otr_bus_new(f->loop, &f->bus, err) : rc;
    rc = rc == OTR_OK ? otr_pool_new(f->loop, 2, &f->pool, err) : rc;
    otr_plugin_host_spec spec = { .loop = f->loop,
                                  .bus = f->bus,
                                  .pool = f->pool,
                                  .guests = &otr_guests_of_wasm,
                                  .services = f,
                                  .ready = on_ready,
                                  .arg = f };
    rc = rc == OTR_OK ? otr_plugin_host_new(&spec, &f->host, err) : rc;
    otr_sub_spec sub = {
        .name = "test", .patterns = patterns, .capacity = 100, .ready = hear, .arg = f
    };
    rc = rc == OTR_OK ? otr_bus_subscribe(f->bus, &sub, &f->sub, err) : rc;
    return rc == OTR_OK ? otr_plugin_host_start(f->host, f->cfg, err) : rc;
}

static bool wait_state(fixture *f, const char *state)
{
    for (int i = 0; i < WAIT_ROUNDS; i++) {
        otr_plugin_host_each(f->host, look, f);
        if (strcmp(f->state, state) == 0) {
            return true;
        }
        if (strcmp(f->state, "disabled") == 0) {
            return false; /* it stays so */
        }
        otr_loop_step(f->loop, ROUND_MS);
    }
    return false;
}

static bool stop(fixture *f)
{
    otr_plugin_host_stop(f->host, otr_now_ns() + 5 * OTR_NS_PER_S, on_stopped, f);
    for (int i = 0; i < WAIT_ROUNDS && !f->stopped; i++) {
        otr_loop_step(f->loop, ROUND_MS);
    }
    return f->stopped && !otr_plugin_host_stuck(f->host);
}

static void teardown(fixture *f)
{
    if (f->host != NULL && !f->stopped) {
        (void)stop(f);
    }
    otr_sub_free(f->sub);
    otr_plugin_host_free(f->host);
    otr_pool_free(f->pool);
    otr_bus_free(f->bus);
    otr_loop_free(f->loop);
    otr_config_unref(f->cfg);
    static const char *const files[] = { "g.wat", "c.yaml" };
    for (size_t i = 0; i < OTR_COUNT(files); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s/%s", f->folder, files[i]);
        unlink(path);
    }
    rmdir(f->folder);
}

#define SETUP(guest, entry)                  \
    OTR_CLEANUP(teardown) fixture f = { 0 }; \
    otr_err err = { 0 };                     \
    REQUIRE_OK(setup(&f, guest, entry, &err), err)

static void publish(fixture *f, unsigned n)
{
    otr_err err = { 0 };
    const otr_topic *topic;
    REQUIRE_OK(otr_bus_topic(f->bus, "in.x", &topic, &err), err);
    for (unsigned i = 0; i < n; i++) {
        OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
        otr_bus_json *json = otr_bus_json_new(otr_bytes_of("1"));
        REQUIRE_OK(otr_msg_new(topic, json, "t", NULL, &msg, &err), err);
        REQUIRE_OK(otr_bus_publish(f->bus, msg, &err), err);
    }
}

static bool wait_heard(fixture *f, unsigned n)
{
    for (int i = 0; i < WAIT_ROUNDS && f->heard < n; i++) {
        otr_loop_step(f->loop, ROUND_MS);
    }
    return f->heard >= n;
}

#define ENTRY \
    "{name: g, source: g.wat, grants: {publish: [test.*]}, limits: {call: 30ms, init: 5s}}"

T_NO_OOM(a_missing_file_disables_with_its_path)
{
    SETUP(GUEST(SAYING, ""), "{name: g, source: gone.wat}");
    REQUIRE(wait_state(&f, "disabled"));
    CHECK_HAS(f.reason, "gone.wat");
    CHECK(f.ready);
    CHECK(stop(&f));
}

T_NO_OOM(a_guest_that_traps_is_started_again_and_then_disabled)
{
    SETUP(GUEST("(unreachable)", ""), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    /* One message is waiting whenever a fresh instance comes up. */
    for (uint64_t end = otr_now_ns() + 30 * OTR_NS_PER_S;
         otr_now_ns() < end && strcmp(f.state, "disabled") != 0;) {
        if (f.seen.stats.queue.depth == 0) {
            publish(&f, 1);
        }
        otr_loop_step(f.loop, ROUND_MS);
        otr_plugin_host_each(f.host, look, &f);
    }
    CHECK_STR(f.state, "disabled");
    CHECK_HAS(f.reason, "5 failures");
    CHECK_INT(f.seen.stats.traps, 5);
    CHECK_INT(f.seen.stats.restarts, 4);
}

T_NO_OOM(a_guest_past_its_deadline_is_stopped)
{
    SETUP(GUEST("(loop $l (br $l)) (i32.const 0)", ""),
          "{name: g, source: g.wat, on_failure: disable, limits: {call: 30ms}}");
    REQUIRE(wait_state(&f, "running"));
    publish(&f, 1);
    REQUIRE(wait_state(&f, "disabled"));
    CHECK_INT(f.seen.stats.timeouts, 1);
    CHECK_HAS(f.reason, "process");
}

T_NO_OOM(a_guest_runs_on_the_engine_it_names)
{
    if (otr_engine_find("wasmi") == NULL) {
        otr_test_skip("these engines were built without wasmi");
        return;
    }
    SETUP(GUEST("(loop $l (br $l)) (i32.const 0)", ""),
          "{name: g, source: g.wat, engine: wasmi, on_failure: disable, limits: {call: 30ms}}");
    REQUIRE(wait_state(&f, "running"));
    CHECK_STR(f.seen.engine, "wasmi");
    publish(&f, 1);
    REQUIRE(wait_state(&f, "disabled"));
    CHECK_HAS(f.reason, "past its deadline");
    CHECK(strstr(f.reason, "deadline at") == NULL); /* wasmi names no functions */
}

T_NO_OOM(stop_ends_a_guest_that_loops_long_before_its_deadline)
{
    SETUP(GUEST("(loop $l (br $l)) (i32.const 0)", ""),
          "{name: g, source: g.wat, limits: {call: 60s}}");
    REQUIRE(wait_state(&f, "running"));
    publish(&f, 1);
    otr_loop_step(f.loop, ROUND_MS);
    uint64_t begin = otr_now_ns();
    otr_plugin_host_stop(f.host, begin + 800 * OTR_NS_PER_MS, on_stopped, &f);
    for (int i = 0; i < WAIT_ROUNDS && !f.stopped; i++) {
        otr_loop_step(f.loop, ROUND_MS);
    }
    CHECK(f.stopped);
    CHECK(!otr_plugin_host_stuck(f.host));
    CHECK(otr_now_ns() - begin < 5 * OTR_NS_PER_S);
}

T_NO_OOM(every_message_is_processed_and_answers_carry_their_cause)
{
    SETUP(GUEST(SAYING, ""), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    publish(&f, 100);
    CHECK(wait_heard(&f, 100));
    otr_plugin_host_each(f.host, look, &f);
    CHECK_INT(f.seen.stats.published, 100);
    CHECK_INT(f.seen.stats.errors, 0);
    CHECK_STR(f.seen.version, "1.0");
    CHECK_STR(f.seen.abi, "extism");
    CHECK_INT(f.seen.stats.queue.dropped, 0);
}

T_NO_OOM(a_reload_removes_and_adds_guests)
{
    SETUP(GUEST(SAYING, ""), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    otr_config *without = NULL;
    REQUIRE_OK(load_config(&f, "", &without, &err), err);
    otr_code rc = otr_plugin_host_reload(f.host, without, &err);
    otr_config_unref(without);
    REQUIRE_OK(rc, err);
    for (int i = 0; i < 50; i++) {
        otr_loop_step(f.loop, 1);
    }
    f.state[0] = '\0';
    otr_plugin_host_each(f.host, look, &f);
    CHECK_STR(f.state, "");
    REQUIRE_OK(otr_plugin_host_reload(f.host, f.cfg, &err), err);
    REQUIRE(wait_state(&f, "running"));
    publish(&f, 1);
    CHECK(wait_heard(&f, 1));
}

/* Publishes one message at a time until `done`, or too long. */
static bool publish_until(fixture *f, bool (*done)(const fixture *f))
{
    for (uint64_t end = otr_now_ns() + 20 * OTR_NS_PER_S; otr_now_ns() < end;) {
        publish(f, 1);
        otr_loop_step(f->loop, ROUND_MS);
        otr_plugin_host_each(f->host, look, f);
        if (done(f)) {
            return true;
        }
    }
    return false;
}

static bool was_heard(const fixture *f)
{
    return f->heard > 0;
}

T_NO_OOM(a_changed_file_replaces_the_running_version_at_reload)
{
    SETUP(GUEST("(i32.const 0)", ""), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    REQUIRE_OK(write_file(&f, "g.wat", GUEST(SAYING, ""), &err), err);
    REQUIRE_OK(otr_plugin_host_reload(f.host, f.cfg, &err), err);
    CHECK(publish_until(&f, was_heard));
    CHECK_STR(f.state, "running");
    CHECK_INT(f.seen.stats.errors, 0);
}

static bool has_reason(const fixture *f)
{
    return f->reason[0] != '\0';
}

T_NO_OOM(a_new_version_that_cannot_be_loaded_leaves_the_old_one_at_work)
{
    SETUP(GUEST(SAYING, ""), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    REQUIRE_OK(write_file(&f, "g.wat", "(module)", &err), err);
    REQUIRE_OK(otr_plugin_host_reload(f.host, f.cfg, &err), err);
    REQUIRE(publish_until(&f, has_reason));
    CHECK_STR(f.state, "running");
    CHECK_HAS(f.reason, "ABI");
    unsigned before = f.heard;
    publish(&f, 1);
    CHECK(wait_heard(&f, before + 1));
}

T_NO_OOM(reloads_under_load_lose_no_message)
{
    SETUP(GUEST(SAYING, ""), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    for (unsigned i = 0; i < 20; i++) {
        REQUIRE_OK(
            write_file(&f, "g.wat", i % 2 == 0 ? GUEST(SAYING, "(func)") : GUEST(SAYING, ""), &err),
            err);
        publish(&f, 10);
        REQUIRE_OK(otr_plugin_host_reload(f.host, f.cfg, &err), err);
        for (int k = 0; k < 5; k++) {
            otr_loop_step(f.loop, 2);
        }
    }
    CHECK(wait_heard(&f, 200));
    otr_plugin_host_each(f.host, look, &f);
    CHECK_INT(f.heard, 200);
    CHECK_INT(f.seen.stats.errors + f.seen.stats.traps, 0);
}

T_NO_OOM(stop_while_a_new_version_loads_waits_for_it)
{
    SETUP(GUEST(SAYING, ""), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    REQUIRE_OK(write_file(&f, "g.wat", GUEST(SAYING, "(func)"), &err), err);
    REQUIRE_OK(otr_plugin_host_reload(f.host, f.cfg, &err), err);
    CHECK(stop(&f));
}

static bool is_disabled(const fixture *f)
{
    return strcmp(f->state, "disabled") == 0;
}

static bool wait_until(fixture *f, bool (*done)(const fixture *f))
{
    for (uint64_t end = otr_now_ns() + 20 * OTR_NS_PER_S; otr_now_ns() < end;) {
        otr_plugin_host_each(f->host, look, f);
        if (done(f)) {
            return true;
        }
        otr_loop_step(f->loop, ROUND_MS);
    }
    return false;
}

T_NO_OOM(verbs_are_for_guests_that_exist)
{
    SETUP(GUEST(SAYING, ""), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    REQUIRE(otr_plugin_host_tell(f.host, "nobody", OTR_PLUGIN_RELOAD, &err) == OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "nobody");
    CHECK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_ENABLE, &err) == OTR_ESTATE);
}

T_NO_OOM(a_disabled_guest_stays_off_until_it_is_enabled)
{
    SETUP(GUEST(SAYING, ""), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_DISABLE, &err), err);
    REQUIRE(wait_until(&f, is_disabled));
    CHECK_HAS(f.reason, "operator");
    publish(&f, 1);
    otr_loop_step(f.loop, ROUND_MS);
    CHECK_INT(f.heard, 0);
    otr_code rc = OTR_ESTATE;
    for (int i = 0; i < WAIT_ROUNDS && rc != OTR_OK; i++) {
        rc = otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_ENABLE, &err);
        otr_loop_step(f.loop, ROUND_MS);
    }
    REQUIRE_OK(rc, err);
    f.state[0] = '\0';
    CHECK(publish_until(&f, was_heard));
}

T_NO_OOM(a_looping_guest_can_be_disabled_at_once)
{
    SETUP(GUEST("(loop $l (br $l)) (i32.const 0)", ""),
          "{name: g, source: g.wat, limits: {call: 60s}}");
    REQUIRE(wait_state(&f, "running"));
    publish(&f, 1);
    otr_loop_step(f.loop, ROUND_MS);
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_DISABLE, &err), err);
    CHECK(wait_until(&f, is_disabled));
    CHECK(stop(&f));
}

static bool has_dead_letter(const fixture *f)
{
    return f->seen.stats.dead_letters > 0;
}

/* Fails its first message with an error, then works. */
#define FIRST_FAILS                                                                              \
    "(if (result i32) (i32.eqz (global.get $n)) (then (global.set $n (i32.const 1)) (i32.const " \
    "1))"                                                                                        \
    " (else (call $say) (i32.const 0)))"

T_NO_OOM(a_dead_letter_is_kept_with_its_reason_and_can_be_replayed)
{
    SETUP(GUEST(FIRST_FAILS, "(global $n (mut i32) (i32.const 0))"), ENTRY);
    REQUIRE(wait_state(&f, "running"));
    publish(&f, 1);
    REQUIRE(wait_until(&f, has_dead_letter));
    otr_buf out;
    otr_buf_init(&out, 65536);
    otr_code rc = otr_plugin_host_dead_letters(f.host, "g", &out, &err);
    bool shown = rc == OTR_OK && strstr(otr_buf_text(&out), "\"topic\":\"in.x\"") != NULL;
    otr_buf_deinit(&out);
    CHECK(shown);
    CHECK_INT(f.heard, 0);
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_REPLAY, &err), err);
    CHECK(wait_heard(&f, 1));
    otr_buf_init(&out, 65536);
    rc = otr_plugin_host_dead_letters(f.host, "g", &out, &err);
    bool empty = rc == OTR_OK && strcmp(otr_buf_text(&out), "[]") == 0;
    otr_buf_deinit(&out);
    CHECK(empty);
}

/* ---- facts ---- */

static const char *about(const void *payload)
{
    (void)payload;
    return "thing";
}

static otr_code encode_thing(const void *payload, otr_buf *out, otr_err *err)
{
    return otr_buf_adds(out, payload != NULL ? "{\"late\":true}" : "{}", err);
}

static const otr_topic began = { "in.began", 1, NULL, encode_thing };
static const otr_topic ended = { "in.ended", 1, NULL, encode_thing };

static otr_code tell(fixture *f, const otr_topic *topic, otr_err *err)
{
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    otr_code rc = otr_bus_keep(f->bus, &began, OTR_FACT_BEGINS, about, err);
    rc = rc == OTR_OK ? otr_bus_keep(f->bus, &ended, OTR_FACT_ENDS, about, err) : rc;
    rc = rc == OTR_OK ? otr_msg_new(topic, NULL, "t", NULL, &msg, err) : rc;
    return rc == OTR_OK ? otr_bus_publish(f->bus, msg, err) : rc;
}

static void heard_exactly(fixture *f, unsigned n)
{
    for (int i = 0; i < WAIT_ROUNDS && f->heard < n; i++) {
        otr_loop_step(f->loop, ROUND_MS);
    }
    for (int i = 0; i < 10; i++) { /* and not more */
        otr_loop_step(f->loop, ROUND_MS);
    }
    CHECK_INT(f->heard, n);
}

#define SAYS "{name: g, source: g.wat, grants: {publish: [test.*]}}"

T_NO_OOM(a_guest_that_comes_late_hears_the_facts_once)
{
    SETUP(GUEST(SAYING, ""), SAYS);
    REQUIRE_OK(tell(&f, &began, &err), err); /* it still loads */
    REQUIRE(wait_state(&f, "running"));
    heard_exactly(&f, 1);
}

T_NO_OOM(a_guest_that_was_there_hears_a_fact_once)
{
    SETUP(GUEST(SAYING, ""), SAYS);
    REQUIRE(wait_state(&f, "running"));
    REQUIRE_OK(tell(&f, &began, &err), err);
    heard_exactly(&f, 1);
}

T_NO_OOM(a_fact_that_ended_is_not_heard)
{
    SETUP(GUEST(SAYING, ""), SAYS);
    REQUIRE_OK(tell(&f, &began, &err), err);
    REQUIRE_OK(tell(&f, &ended, &err), err);
    REQUIRE(wait_state(&f, "running"));
    heard_exactly(&f, 0);
}

T_NO_OOM(a_new_version_hears_the_facts_again)
{
    SETUP(GUEST(SAYING, ""), SAYS);
    REQUIRE(wait_state(&f, "running"));
    REQUIRE_OK(tell(&f, &began, &err), err);
    heard_exactly(&f, 1);
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_RELOAD, &err), err);
    heard_exactly(&f, 2);
}

T_NO_OOM(a_fact_that_ends_the_sandbox_does_not_come_back)
{
    SETUP(GUEST("unreachable", ""), SAYS);
    REQUIRE(wait_state(&f, "running"));
    REQUIRE_OK(tell(&f, &began, &err), err);
    for (int i = 0; i < WAIT_ROUNDS && f.seen.stats.restarts == 0; i++) {
        otr_loop_step(f.loop, ROUND_MS);
        otr_plugin_host_each(f.host, look, &f);
    }
    for (int i = 0; i < 50; i++) {
        otr_loop_step(f.loop, ROUND_MS);
    }
    REQUIRE(wait_state(&f, "running"));
    CHECK_INT(f.seen.stats.restarts, 1);
    CHECK_INT(f.seen.stats.dead_letters, 1);
}
