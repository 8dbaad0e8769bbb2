/* Plugins of several instances, and the order in which plugins come and go. Real guests: not under
 * failing allocation, as the failure would hit whichever thread allocates next. */
#include "guests.h"
#include "plugin/hooks.h"
#include "plugin/internal.h"

#define GRANTS       "grants: {publish: [test.*]}, "
#define FOUR         "    - {name: g, source: g0.wat, " GRANTS "instances: 4}\n"
#define SLOW_RESTART "restart: {backoff: 1m, backoff_max: 1m}"

/* Traps at a long message, else says one. */
#define POISONED "(if (result i32) " LONG " (then (unreachable)) (else (call $say) (i32.const 0)))"
/* Says one message and no more. */
#define ONCE                                                                          \
    "(if (i32.eqz (global.get $n)) (then (global.set $n (i32.const 1)) (call $say)))" \
    "(i32.const 0)"

T_NO_OOM(instances_share_one_queue_and_every_message_is_processed_once)
{
    BEGIN(3);
    GUEST(0, .process = SAY);
    START(FOUR);
    WAIT(plugin(&f, "g")->view.running == 4);
    CHECK(f.ready);
    CHECK_INT(plugin(&f, "g")->view.instances, 4);
    CHECK(plugin(&f, "g")->view.stats.memory_bytes >= 4 * 65536);
    PUBLISH(500);
    WAIT(f.heard >= 500);
    otr_loop_step(f.loop, ROUND_MS);
    CHECK_INT(f.heard, 500);
    CHECK_INT(plugin(&f, "g")->view.stats.published, 500);
    CHECK_INT(plugin(&f, "g")->view.stats.queue.dropped, 0);
}

T_NO_OOM(work_reaches_every_instance)
{
    BEGIN(3);
    GUEST(0, .process = ONCE);
    START(FOUR);
    WAIT(plugin(&f, "g")->view.running == 4);
    uint64_t end = otr_now_ns() + PATIENCE_S * OTR_NS_PER_S;
    while (f.heard < 4 && otr_now_ns() < end) {
        PUBLISH(8);
        otr_loop_step(f.loop, ROUND_MS);
    }
    CHECK_INT(f.heard, 4);
}

T_NO_OOM(a_trap_ends_one_instance_and_the_others_go_on)
{
    BEGIN(3);
    GUEST(0, .process = POISONED);
    START("    - {name: g, source: g0.wat, " GRANTS "instances: 4, " SLOW_RESTART "}\n");
    WAIT(plugin(&f, "g")->view.running == 4);
    PUBLISH(50);
    PUBLISH_LONG();
    PUBLISH(50);
    WAIT(f.heard >= 100);
    WAIT(plugin(&f, "g")->view.running == 3);
    CHECK_STR(plugin(&f, "g")->state, "running");
    CHECK_HAS(plugin(&f, "g")->reason, "1 of 4 instances");
    CHECK_HAS(plugin(&f, "g")->reason, "unreachable");
    CHECK_INT(plugin(&f, "g")->view.stats.dead_letters, 1);
    PUBLISH(50);
    WAIT(f.heard >= 150);
    CHECK_INT(f.heard, 150);
}

T_NO_OOM(an_instance_that_trapped_comes_back)
{
    BEGIN(3);
    GUEST(0, .process = POISONED);
    START(FOUR);
    WAIT(plugin(&f, "g")->view.running == 4);
    PUBLISH_LONG();
    WAIT(plugin(&f, "g")->view.stats.restarts == 1);
    WAIT(plugin(&f, "g")->view.running == 4);
    CHECK_STR(plugin(&f, "g")->reason, "");
}

T_NO_OOM(failures_of_all_instances_count_for_the_plugin)
{
    BEGIN(3);
    GUEST(0, .process = POISONED);
    START("    - {name: g, source: g0.wat, " GRANTS
          "instances: 4, restart: {failures: 3, backoff: 1m, backoff_max: 1m}}\n");
    WAIT(plugin(&f, "g")->view.running == 4);
    for (unsigned i = 0; i < 3; i++) {
        PUBLISH_LONG();
        WAIT(plugin(&f, "g")->view.stats.traps == i + 1);
    }
    WAIT_STATE("g", "disabled");
    CHECK_HAS(plugin(&f, "g")->reason, "quarantined: 3 failures");
    CHECK(plugin(&f, "g")->view.quarantined);
    CHECK_INT(plugin(&f, "g")->view.running, 0);
    WAIT(plugin(&f, "g")->view.stats.memory_bytes == 0);
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_ENABLE, &err), err);
    WAIT(plugin(&f, "g")->view.running == 4);
    CHECK(!plugin(&f, "g")->view.quarantined);
    PUBLISH(10);
    WAIT(f.heard >= 10);
}

/* ---- settings ---- */

static otr_code reload(fixture *f, const char *entries, otr_err *err)
{
    otr_config *cfg = NULL;
    otr_code rc = load_config(f, entries, &cfg, err);
    rc = rc == OTR_OK ? otr_plugin_host_reload(f->host, cfg, err) : rc;
    otr_config_unref(cfg);
    return rc;
}
#define RELOAD(entries) REQUIRE_OK(reload(&f, entries, &err), err)
#define FOUR_WITH(config) \
    "    - {name: g, source: g0.wat, " GRANTS "instances: 4, config: {x: " config "}}\n"

T_NO_OOM(new_settings_reach_every_instance)
{
    BEGIN(3);
    GUEST(0, .process = SAY,
          .more = "(func (export \"reconfigure\") (result i32) (call $say) (i32.const 0))");
    START(FOUR_WITH("1"));
    WAIT(plugin(&f, "g")->view.running == 4);
    uint64_t calls = plugin(&f, "g")->view.stats.calls;
    RELOAD(FOUR_WITH("2"));
    WAIT(f.heard == 4);
    CHECK_INT(plugin(&f, "g")->view.stats.calls, calls + 4);
    CHECK_STR(plugin(&f, "g")->state, "running");
}

/* After a long message it refuses new settings; else it says each that it takes. */
#define STUBBORN "(if " LONG " (then (global.set $n (i32.const 7)))) (i32.const 0)"

T_NO_OOM(settings_that_one_instance_refuses_are_taken_back_everywhere)
{
    BEGIN(3);
    GUEST(0, .process = STUBBORN,
          .more = "(func (export \"reconfigure\") (result i32) (if (result i32) (i32.eq "
                  "(global.get $n) (i32.const 7)) (then (i32.const 1)) (else (call $say) "
                  "(i32.const 0))))");
    START(FOUR_WITH("1"));
    WAIT(plugin(&f, "g")->view.running == 4);
    uint64_t calls = plugin(&f, "g")->view.stats.calls;
    PUBLISH_LONG();
    WAIT(plugin(&f, "g")->view.stats.calls == calls + 1);
    RELOAD(FOUR_WITH("2"));
    WAIT(plugin(&f, "g")->reason[0] != '\0');
    CHECK_HAS(plugin(&f, "g")->reason, "reconfigure");
    otr_loop_step(f.loop, ROUND_MS);
    CHECK_INT(f.heard % 2, 0); /* who took them went back */
    CHECK_INT(plugin(&f, "g")->view.running, 4);
    CHECK_INT(plugin(&f, "g")->view.stats.restarts, 0);
    RELOAD(FOUR_WITH("1")); /* that is what it has */
    otr_loop_step(f.loop, ROUND_MS);
    CHECK_INT(f.heard % 2, 0);
}

T_NO_OOM(an_instance_that_cannot_go_back_is_replaced)
{
    BEGIN(1); /* one worker: they are asked one after the other */
    GUEST(0, .process = STUBBORN,
          .more = "(global $r (mut i32) (i32.const 0))"
                  "(func (export \"reconfigure\") (result i32)"
                  "(global.set $r (i32.add (global.get $r) (i32.const 1)))"
                  "(i32.or (i32.eq (global.get $n) (i32.const 7)) (i32.gt_u (global.get $r) "
                  "(i32.const 1))))");
    START(
        "    - {name: g, source: g0.wat, instances: 2, config: {x: 1}, restart: {backoff: 1ms}}\n");
    WAIT(plugin(&f, "g")->view.running == 2);
    uint64_t calls = plugin(&f, "g")->view.stats.calls;
    PUBLISH_LONG();
    WAIT(plugin(&f, "g")->view.stats.calls == calls + 1);
    RELOAD("    - {name: g, source: g0.wat, instances: 2, config: {x: 2}, "
           "restart: {backoff: 1ms}}\n");
    WAIT(plugin(&f, "g")->view.stats.errors > 0);
    WAIT(plugin(&f, "g")->view.stats.restarts == 1);
    WAIT(plugin(&f, "g")->view.running == 2);
    CHECK_STR(plugin(&f, "g")->state, "running");
}

/* ---- new versions ---- */

T_NO_OOM(reloads_of_several_instances_under_load_lose_no_message)
{
    BEGIN(3);
    GUEST(0, .process = SAY);
    START("    - {name: g, source: g0.wat, " GRANTS "instances: 3}\n");
    WAIT(plugin(&f, "g")->view.running == 3);
    for (unsigned i = 0; i < 20; i++) {
        GUEST(0, .process = SAY, .more = i % 2 == 0 ? "(func)" : "");
        PUBLISH(10);
        REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_RELOAD, &err), err);
        for (int k = 0; k < 5; k++) {
            PUBLISH(2);
            otr_loop_step(f.loop, 2);
        }
    }
    WAIT(f.heard >= 400);
    for (int i = 0; i < 20; i++) {
        otr_loop_step(f.loop, ROUND_MS);
    }
    CHECK_INT(f.heard, 400);
    CHECK_INT(plugin(&f, "g")->view.stats.errors + plugin(&f, "g")->view.stats.traps, 0);
    CHECK_INT(plugin(&f, "g")->view.running, 3);
}

T_NO_OOM(the_number_of_instances_changes_with_a_reload)
{
    BEGIN(3);
    GUEST(0, .process = SAY);
    START("    - {name: g, source: g0.wat, " GRANTS "instances: 2}\n");
    WAIT(plugin(&f, "g")->view.running == 2);
    PUBLISH(20);
    RELOAD(FOUR);
    WAIT(plugin(&f, "g")->view.running == 4);
    PUBLISH(20);
    RELOAD("    - {name: g, source: g0.wat, " GRANTS "instances: 1}\n");
    WAIT(plugin(&f, "g")->view.running == 1);
    PUBLISH(20);
    WAIT(f.heard >= 60);
    CHECK_INT(f.heard, 60);
}

T_NO_OOM(a_new_version_that_one_instance_cannot_load_leaves_the_old_ones)
{
    BEGIN(3);
    GUEST(0, .process = SAY);
    START(FOUR);
    WAIT(plugin(&f, "g")->view.running == 4);
    GUEST(0, .process = SAY, .more = "(func (export \"init\") (result i32) (unreachable))");
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_RELOAD, &err), err);
    WAIT(plugin(&f, "g")->reason[0] != '\0');
    CHECK_HAS(plugin(&f, "g")->reason, "init");
    CHECK_INT(plugin(&f, "g")->view.running, 4);
    PUBLISH(10);
    WAIT(f.heard >= 10);
}

/* ---- the end ---- */

T_NO_OOM(every_instance_is_closed)
{
    BEGIN(2);
    GUEST(0, .process = "(i32.const 0)",
          .more = "(func (export \"close\") (result i32) (call $say) (i32.const 0))");
    START(FOUR);
    WAIT(plugin(&f, "g")->view.running == 4);
    REQUIRE(stop(&f));
    CHECK_INT(f.heard, 4);
}

T_NO_OOM(a_guest_can_be_switched_off_while_it_loads)
{
    BEGIN(2);
    GUEST(0, .process = SAY,
          .more = "(func (export \"init\") (result i32) (loop $l (br $l)) "
                  "(i32.const 0))");
    START("    - {name: g, source: g0.wat, instances: 2, limits: {init: 60s}}\n");
    for (int i = 0; i < 40; i++) {
        otr_loop_step(f.loop, ROUND_MS);
    }
    CHECK_STR(plugin(&f, "g")->state, "loading");
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_DISABLE, &err), err);
    CHECK_STR(plugin(&f, "g")->state, "disabled");
    CHECK(f.ready);
    GUEST(0, .process = SAY);
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_ENABLE, &err), err);
    WAIT(plugin(&f, "g")->view.running == 2);
    CHECK(stop(&f));
}

/* ---- order ---- */

/* Says its topic in init, after some work, and in close. */
#define TELLER(work)                                                                        \
    .process = "(i32.const 0)", .subscriptions = "[]",                                      \
    .more = "(func (export \"init\") (result i32) (local $i i32) " work                     \
            "(call $say) (i32.const 0)) (func (export \"close\") (result i32) (call $say) " \
            "(i32.const 0))"
#define WORK                                                                              \
    "(loop $l (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u " \
    "(local.get $i) (i32.const 50000000))))"

T_NO_OOM(a_plugin_comes_up_after_those_it_names_and_goes_before_them)
{
    BEGIN(3);
    GUEST(0, .topic = "test.a", TELLER(WORK));
    GUEST(1, .topic = "test.b", TELLER(WORK));
    GUEST(2, .topic = "test.c", TELLER(""));
    START("    - {name: c, source: g2.wat, " GRANTS "after: [b, a]}\n"
          "    - {name: b, source: g1.wat, " GRANTS "after: [a]}\n"
          "    - {name: a, source: g0.wat, " GRANTS "limits: {init: 20s}}\n");
    CHECK_HAS(plugin(&f, "c")->reason, "waits for plugin");
    WAIT_STATE("c", "running");
    WAIT(f.heard == 3);
    CHECK_STR(f.trace, "test.a test.b test.c");
    CHECK(f.ready);
    f.trace[0] = '\0';
    REQUIRE(stop(&f));
    CHECK_STR(f.trace, "test.c test.b test.a");
}

T_NO_OOM(a_plugin_comes_up_when_the_one_it_waits_for_has_failed)
{
    BEGIN(2);
    GUEST(1, .topic = "test.b", TELLER(""));
    START("    - {name: a, source: gone.wat}\n"
          "    - {name: b, source: g1.wat, " GRANTS "after: [a]}\n");
    WAIT_STATE("b", "running");
    CHECK_STR(plugin(&f, "a")->state, "disabled");
    CHECK(f.ready);
}

T_NO_OOM(plugins_that_are_removed_go_in_reverse_too)
{
    BEGIN(2);
    GUEST(0, .topic = "test.a", TELLER(""));
    GUEST(1, .topic = "test.b", TELLER(""));
    START("    - {name: a, source: g0.wat, " GRANTS "}\n"
          "    - {name: b, source: g1.wat, " GRANTS "after: [a]}\n");
    WAIT_STATE("b", "running");
    WAIT(f.heard == 2);
    f.trace[0] = '\0';
    RELOAD("");
    WAIT(f.heard == 4);
    CHECK_STR(f.trace, "test.b test.a");
    WAIT(plugin(&f, "a")->name[0] == '\0');
}

T_NO_OOM(stop_while_a_plugin_waits_for_another_ends_both)
{
    BEGIN(2);
    GUEST(0, .process = SAY,
          .more = "(func (export \"init\") (result i32) (loop $l (br $l)) "
                  "(i32.const 0))");
    GUEST(1, .topic = "test.b", TELLER(""));
    START("    - {name: a, source: g0.wat, limits: {init: 60s}}\n"
          "    - {name: b, source: g1.wat, after: [a]}\n");
    otr_loop_step(f.loop, ROUND_MS);
    CHECK(stop(&f));
    CHECK_INT(f.heard, 0);
}

/* ---- everything at once ---- */

static void count_verdict(void *arg, const otr_hook_result *result)
{
    (void)result;
    ++*(unsigned *)arg;
}

/* One random thing that operators, configurations, messages and guests do. */
static void disturb(fixture *f, unsigned dice, unsigned *asked, unsigned *answered)
{
    static const char *const entries[] = { FOUR_WITH("1"), FOUR_WITH("2"),
                                           "    - {name: g, source: g0.wat, " GRANTS
                                           "instances: 2, config: {x: 3}, restart: {backoff: 1ms, "
                                           "failures: 4}}\n",
                                           "" };
    static const otr_plugin_verb verbs[] = { OTR_PLUGIN_RELOAD, OTR_PLUGIN_RELOAD,
                                             OTR_PLUGIN_ENABLE, OTR_PLUGIN_DISABLE,
                                             OTR_PLUGIN_REPLAY };
    otr_err err = { 0 };
    otr_hook_spec hook = { .topic = "x.y",
                           .payload = otr_bytes_of(dice % 3 == 0 ? LONG_JSON : "1"),
                           .source = "test",
                           .deadline_ns = otr_now_ns() + dice % 7 * OTR_NS_PER_MS,
                           .done = count_verdict,
                           .arg = answered };
    switch (dice / 16 % 8) {
    case 0:
    case 1:
        (void)!publish(f, dice % 40, "1", &err);
        break;
    case 2:
        (void)!publish(f, 1, LONG_JSON, &err);
        break;
    case 3:
    case 4:
        *asked += otr_plugin_host_ask(f->host, &hook, NULL, &err) == OTR_OK;
        break;
    case 5:
        (void)!otr_plugin_host_tell(f->host, "g", verbs[dice % OTR_COUNT(verbs)], &err);
        break;
    case 6:
        (void)!reload(f, entries[dice % OTR_COUNT(entries)], &err);
        break;
    default:
        otr_loop_step(f->loop, dice % 3);
    }
}

T_NO_OOM(whatever_happens_in_whatever_order_ends_well)
{
    enum { STEPS = 2000 };
    BEGIN(3);
    GUEST(0, .subscriptions = "[\"in.*\",{\"pattern\":\"x.*\",\"kind\":\"hook\"}]",
          .answer = "{\"verdict\":\"allow\"}",
          .process = "(if " LONG " (then (unreachable))) (call $say) (call $reply)",
          .more = "(func (export \"reconfigure\") (result i32) (global.set $n (i32.add (global.get "
                  "$n) (i32.const 1))) (i32.eqz (i32.rem_u (global.get $n) (i32.const 3))))");
    START(FOUR_WITH("1"));
    unsigned asked = 0, answered = 0;
    uint32_t dice = 7;
    for (int i = 0; i < STEPS; i++) {
        dice = dice * 1664525U + 1013904223U;
        disturb(&f, dice >> 8, &asked, &answered);
        otr_loop_step(f.loop, 0);
    }
    REQUIRE(asked > 0);
    WAIT(answered == asked);
    for (int i = 0; i < 500 && plugin(&f, "g")->view.running != 4; i++) {
        (void)!reload(&f, FOUR_WITH("9"), &err); /* it may still be stopping */
        otr_loop_step(f.loop, ROUND_MS);
    }
    WAIT(plugin(&f, "g")->view.running == 4);
    unsigned before = f.heard;
    PUBLISH(10);
    WAIT(f.heard >= before + 10);
    CHECK(stop(&f));
}
