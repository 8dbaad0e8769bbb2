/* Hooks: questions to real guests. They do not run under failing allocation: the failure would hit
 * whichever thread allocates next. */
#include "base/limits.h"
#include "guests.h"
#include "plugin/internal.h"

#define HOOK   "[{\"pattern\":\"x.validate\",\"kind\":\"hook\"}]"
#define ALLOW  "{\"verdict\":\"allow\",\"message\":\"fine\"}"
#define DENY   "{\"verdict\":\"deny\",\"message\":\"no gzip\"}"
#define LOOP   "(loop $l (br $l)) (i32.const 0)"
#define OPEN   "    - {name: g, source: g0.wat, limits: {call: 100ms}}\n"
#define CLOSED "    - {name: g, source: g0.wat, limits: {call: 100ms}, on_failure: fail-closed}\n"

T_NO_OOM(a_guest_answers_with_its_message)
{
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .answer = ALLOW, .process = REPLY);
    START(OPEN);
    WAIT_STATE("g", "running");
    CHECK_STR(plugin(&f, "g")->view.hooks[0], "x.validate");
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_ALLOW);
    REQUIRE(a.n == 1);
    CHECK_STR(a.answers[0].plugin, "g");
    CHECK_INT(a.answers[0].how, OTR_HOOK_ANSWERED);
    CHECK_STR(a.answers[0].message, "fine");
    CHECK_INT(plugin(&f, "g")->view.stats.hooks_asked, 1);
    CHECK_INT(plugin(&f, "g")->view.stats.hooks_denied, 0);
    CHECK_INT(plugin(&f, "g")->view.stats.hooks_unanswered, 0);
}

T_NO_OOM(one_of_two_that_denies_denies)
{
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .answer = ALLOW, .process = REPLY);
    GUEST(1, .subscriptions = HOOK, .answer = DENY, .process = REPLY);
    START(OPEN "    - {name: h, source: g1.wat}\n");
    WAIT_STATE("g", "running");
    WAIT_STATE("h", "running");
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_DENY);
    REQUIRE(a.n == 2);
    CHECK_INT(a.answers[0].verdict, OTR_VERDICT_ALLOW);
    CHECK_INT(a.answers[1].verdict, OTR_VERDICT_DENY);
    CHECK_STR(a.reason, "plugin \"h\" denies: no gzip");
    CHECK_INT(plugin(&f, "h")->view.stats.hooks_denied, 1);
}

T_NO_OOM(nonsense_is_no_answer)
{
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .answer = "{\"verdict\":\"maybe\"}", .process = REPLY);
    START(CLOSED);
    WAIT_STATE("g", "running");
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_DENY);
    CHECK_INT(a.answers[0].how, OTR_HOOK_FAILED);
    CHECK_HAS(a.reason, "\"g\" is fail-closed");
    CHECK_STR(plugin(&f, "g")->state, "running");
    CHECK_INT(plugin(&f, "g")->view.stats.dead_letters, 0);
}

T_NO_OOM(the_asker_of_a_guest_that_loops_is_answered_at_the_deadline)
{
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .answer = ALLOW, .process = LOOP);
    START("    - {name: g, source: g0.wat, limits: {call: 3s}}\n"
          "    - {name: h, source: g0.wat, limits: {call: 3s}, on_failure: fail-closed}\n");
    WAIT_STATE("g", "running");
    WAIT_STATE("h", "running");
    ASK(a, 500);
    CHECK_INT(plugin(&f, "g")->view.stats.timeouts, 0); /* it still runs */
    CHECK_INT(a.verdict, OTR_VERDICT_DENY);
    CHECK_INT(a.answers[0].how, OTR_HOOK_TIMED_OUT);
    CHECK_INT(a.answers[0].verdict, OTR_VERDICT_ALLOW);
    CHECK_INT(a.answers[1].how, OTR_HOOK_TIMED_OUT);
    CHECK_INT(a.answers[1].verdict, OTR_VERDICT_DENY);
    CHECK_HAS(a.reason, "within 500 ms");
    WAIT(plugin(&f, "g")->view.stats.timeouts == 1);
    CHECK_INT(a.times, 1);
}

T_NO_OOM(a_late_answer_is_dropped_and_the_next_question_gets_its_own)
{
    /* The first question takes long; later ones do not. */
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .answer = ALLOW,
          .process = "(local $i i32) (if (i32.eqz (global.get $n)) (then (loop $l (local.set $i "
                     "(i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) "
                     "(i32.const 1000000000)))))) (global.set $n (i32.const 1)) (call $reply)");
    START("    - {name: g, source: g0.wat, limits: {call: 60s}}\n");
    WAIT_STATE("g", "running");
    ASK(a, 1);
    CHECK_INT(a.answers[0].how, OTR_HOOK_TIMED_OUT);
    ASK(b, 59000);
    CHECK_INT(b.answers[0].how, OTR_HOOK_ANSWERED);
    CHECK_INT(a.times, 1);
}

T_NO_OOM(a_fail_closed_guest_that_trapped_denies_until_it_answers_again)
{
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .answer = ALLOW, .process = "(unreachable)");
    START("    - {name: g, source: g0.wat, on_failure: fail-closed, "
          "restart: {backoff: 1m, backoff_max: 1m}}\n");
    WAIT_STATE("g", "running");
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_DENY);
    CHECK_INT(a.answers[0].how, OTR_HOOK_FAILED);
    CHECK_HAS(a.reason, "unreachable");
    WAIT_STATE("g", "backoff");
    ASK(b, LONG_MS);
    CHECK_INT(b.verdict, OTR_VERDICT_DENY);
    CHECK_INT(b.answers[0].how, OTR_HOOK_NOT_RUNNING);
    CHECK_HAS(b.reason, "backoff");
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_DISABLE, &err), err);
    ASK(c, LONG_MS);
    CHECK_INT(c.verdict, OTR_VERDICT_DENY);
    CHECK_HAS(c.reason, "operator");
    GUEST(0, .subscriptions = HOOK, .answer = ALLOW, .process = REPLY);
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_ENABLE, &err), err);
    WAIT_STATE("g", "running");
    ASK(d, LONG_MS);
    CHECK_INT(d.verdict, OTR_VERDICT_ALLOW);
}

T_NO_OOM(a_guest_in_quarantine_says_so_and_denies_when_fail_closed)
{
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .process = "(unreachable)");
    START("    - {name: g, source: g0.wat, on_failure: fail-closed, restart: {failures: 1}}\n");
    WAIT_STATE("g", "running");
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_DENY);
    WAIT_STATE("g", "disabled");
    CHECK(plugin(&f, "g")->view.quarantined);
    ASK(b, LONG_MS);
    CHECK_INT(b.verdict, OTR_VERDICT_DENY);
    CHECK_HAS(b.reason, "quarantined");
}

T_NO_OOM(a_fail_open_guest_that_traps_is_reported_and_allows)
{
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .process = "(unreachable)");
    START(OPEN);
    WAIT_STATE("g", "running");
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_ALLOW);
    CHECK_INT(a.answers[0].how, OTR_HOOK_FAILED);
    CHECK_INT(plugin(&f, "g")->view.stats.hooks_unanswered, 1);
}

T_NO_OOM(a_guest_that_never_loaded_counts_when_it_is_fail_closed)
{
    BEGIN(2);
    START("    - {name: g, source: gone.wat, on_failure: fail-closed}\n"
          "    - {name: h, source: gone.wat}\n"
          "    - {name: i, source: gone.wat, hooks: [x.validate]}\n");
    WAIT_STATE("g", "disabled");
    WAIT_STATE("i", "disabled");
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_DENY);
    REQUIRE(a.n == 2);
    CHECK_HAS(a.reason, "gone.wat");
    CHECK_STR(a.answers[1].plugin, "i");
    CHECK_INT(a.answers[1].verdict, OTR_VERDICT_ALLOW);
    outcome b = { 0 };
    otr_hook_spec spec = { .topic = "x.validate",
                           .payload = otr_bytes_of("1"),
                           .source = "test",
                           .deadline_ns = otr_now_ns() + OTR_NS_PER_S,
                           .known_only = true,
                           .done = take_verdict,
                           .arg = &b };
    REQUIRE_OK(otr_plugin_host_ask(f.host, &spec, NULL, &err), err);
    WAIT(b.times > 0);
    CHECK_INT(b.n, 1);
    CHECK_INT(b.verdict, OTR_VERDICT_ALLOW);
}

T_NO_OOM(a_question_waits_its_turn_among_the_messages)
{
    BEGIN(2);
    GUEST(0, .subscriptions = "[\"in.*\",{\"pattern\":\"x.*\",\"kind\":\"hook\"}]", .answer = ALLOW,
          .process = "(if (result i32) " LONG
                     " (then (if (result i32) (i32.eq (global.get $n) (i32.const 100))"
                     " (then (call $reply)) (else (i32.const 1))))"
                     " (else (global.set $n (i32.add (global.get $n) (i32.const 1)))"
                     " (i32.const 0)))");
    START("    - {name: g, source: g0.wat}\n");
    WAIT_STATE("g", "running");
    PUBLISH(100);
    outcome a = { 0 };
    REQUIRE_OK(ask(f.host, LONG_MS, &a, NULL, &err), err);
    PUBLISH(100);
    WAIT(a.times > 0);
    CHECK_INT(a.answers[0].how, OTR_HOOK_ANSWERED);
    WAIT(plugin(&f, "g")->view.stats.calls >= 201 + 2);
}

T_NO_OOM(too_many_questions_are_answered_at_once_and_a_stop_answers_the_rest)
{
    enum { N = OTR_LIMIT_PLUGIN_HOOK_QUEUE + 2 };
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .process = LOOP);
    START("    - {name: g, source: g0.wat, limits: {call: 60s}, on_failure: fail-closed}\n");
    WAIT_STATE("g", "running");
    outcome a[N] = { 0 };
    for (size_t i = 0; i < N; i++) {
        REQUIRE_OK(ask(f.host, 59000, &a[i], NULL, &err), err);
    }
    WAIT(a[N - 1].times > 0); /* one is being asked, 64 wait */
    CHECK_INT(a[N - 1].answers[0].how, OTR_HOOK_QUEUE_FULL);
    CHECK_INT(a[N - 1].verdict, OTR_VERDICT_DENY);
    CHECK_INT(a[0].times + a[N - 2].times, 0);
    REQUIRE(stop(&f));
    for (size_t i = 0; i < N; i++) {
        CHECK_INT(a[i].times, 1);
        CHECK_INT(a[i].verdict, OTR_VERDICT_DENY);
    }
    CHECK_HAS(a[0].reason, "stopping");
}

T_NO_OOM(a_question_that_is_cancelled_does_not_come_back)
{
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .answer = ALLOW, .process = REPLY);
    START(OPEN);
    WAIT_STATE("g", "running");
    outcome a = { 0 };
    otr_hook *hook;
    REQUIRE_OK(ask(f.host, LONG_MS, &a, &hook, &err), err);
    otr_hook_cancel(hook);
    ASK(b, LONG_MS);
    CHECK_INT(a.times, 0);
}

T_NO_OOM(a_new_version_may_answer_other_hooks)
{
    BEGIN(2);
    GUEST(0, .subscriptions = HOOK, .answer = DENY, .process = REPLY);
    START(OPEN);
    WAIT_STATE("g", "running");
    GUEST(0, .subscriptions = "[{\"pattern\":\"y.*\",\"kind\":\"hook\"}]", .process = REPLY);
    REQUIRE_OK(otr_plugin_host_tell(f.host, "g", OTR_PLUGIN_RELOAD, &err), err);
    WAIT(strcmp(plugin(&f, "g")->view.hooks[0], "y.*") == 0);
    ASK(a, LONG_MS);
    CHECK_INT(a.n, 0);
}
