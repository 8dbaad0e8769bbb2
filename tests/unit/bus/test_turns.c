#include "base/clock.h"
#include "base/limits.h"
#include "world.h"

/* ---- turns ---- */

T(a_busy_subscriber_is_left_alone_until_it_wakes_or_more_arrives)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener l = { .manner = TAKE_NOTHING };
    REQUIRE_OK(subscribe(&w, &l, "*", 8, OTR_SUB_DROP_OLDEST, &e), e);
    otr_sub_wake(l.sub);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.calls, 0);
    REQUIRE(publish(&w, &topic_a) == OTR_OK);
    for (int i = 0; i < 5; i++) {
        otr_loop_step(w.loop, 0);
    }
    CHECK_INT(l.calls, 1);
    REQUIRE(publish(&w, &topic_a) == OTR_OK);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.calls, 2);
    otr_sub_wake(l.sub);
    otr_sub_wake(l.sub);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.calls, 3);
    CHECK_INT(take(&l, 10), 2);
    otr_sub_wake(l.sub);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.calls, 3);
}

T(one_that_takes_one_at_a_time_is_called_again)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener l = { .manner = TAKE_ONE };
    REQUIRE_OK(subscribe(&w, &l, "*", 8, OTR_SUB_DROP_OLDEST, &e), e);
    uint64_t ids[3];
    fill(&w, &l, 3, ids);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.calls, 3);
    CHECK_INT(l.n, 3);
}

T(subscribers_take_turns_with_a_bounded_share)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    char trace[64] = "";
    static listener l[3];
    memset(l, 0, sizeof(l));
    otr_code rc = OTR_OK;
    for (int i = 0; rc == OTR_OK && i < 3; i++) {
        l[i].trace = trace;
        l[i].letter = (char)('a' + i);
        rc = subscribe(&w, &l[i], "*", 1000, OTR_SUB_DROP_OLDEST, &e);
    }
    for (int i = 0; rc == OTR_OK && i < 150; i++) {
        rc = publish(&w, &topic_a);
    }
    for (int i = 0; i < 20; i++) {
        otr_loop_step(w.loop, 0);
    }
    CHECK_STR(trace, "abcabcabc");
    for (int i = 0; i < 3; i++) {
        CHECK_INT(l[i].n, 150);
        CHECK(l[i].longest <= 64);
        free_listener(&l[i]);
    }
}

/* ---- changes from inside ---- */

T(a_subscriber_may_free_itself_inside_ready)
{
    static const manner manners[] = { TAKE_AND_FREE_SELF, FREE_SELF_AT_ONCE };
    for (size_t i = 0; i < OTR_COUNT(manners); i++) {
        OTR_CLEANUP(free_world) world w = { 0 };
        otr_err e = { 0 };
        REQUIRE_OK(make_world(&w, &e), e);
        OTR_CLEANUP(free_listener) listener l = { .manner = manners[i] };
        OTR_CLEANUP(free_listener) listener other = { 0 };
        REQUIRE_OK(subscribe(&w, &l, "*", 8, OTR_SUB_DROP_OLDEST, &e), e);
        REQUIRE_OK(subscribe(&w, &other, "*", 8, OTR_SUB_DROP_OLDEST, &e), e);
        REQUIRE(publish(&w, &topic_a) == OTR_OK);
        REQUIRE(publish(&w, &topic_a) == OTR_OK);
        otr_loop_step(w.loop, 0);
        CHECK_INT(l.calls, 1);
        CHECK(l.sub == NULL);
        CHECK_INT(other.n, 2);
        CHECK_INT(publish(&w, &topic_a), OTR_OK);
        otr_loop_step(w.loop, 0);
        CHECK_INT(l.calls, 1);
        CHECK_INT(other.n, 3);
    }
}

T(a_subscriber_may_free_another_that_is_ready)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener a = { .manner = FREE_PEER }, b = { 0 };
    a.peer = &b;
    REQUIRE_OK(subscribe(&w, &a, "*", 8, OTR_SUB_DROP_OLDEST, &e), e);
    REQUIRE_OK(subscribe(&w, &b, "*", 8, OTR_SUB_DROP_OLDEST, &e), e);
    REQUIRE(publish(&w, &topic_a) == OTR_OK);
    otr_loop_step(w.loop, 0);
    CHECK_INT(a.n, 1);
    CHECK_INT(b.calls, 0);
}

T(a_subscriber_may_subscribe_another_which_hears_what_comes_after)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener a = { .manner = SUBSCRIBE_PEER }, b = { 0 };
    a.peer = &b;
    REQUIRE_OK(subscribe(&w, &a, "*", 8, OTR_SUB_DROP_OLDEST, &e), e);
    REQUIRE(publish(&w, &topic_a) == OTR_OK);
    otr_loop_step(w.loop, 0);
    CHECK_INT(b.n, 0);
    REQUIRE(b.sub != NULL);
    REQUIRE(publish(&w, &topic_a) == OTR_OK);
    otr_loop_step(w.loop, 0);
    CHECK_INT(b.n, 1);
}

T(freeing_a_subscriber_frees_what_waits)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    listener l = { 0 };
    REQUIRE_OK(subscribe(&w, &l, "*", 100, OTR_SUB_DROP_OLDEST, &e), e);
    for (int i = 0; i < 50; i++) {
        if (publish(&w, &topic_a) != OTR_OK) {
            break;
        }
    }
    free_listener(&l);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.calls, 0);
}

/* ---- storms ---- */

static void on_tick(void *arg)
{
    unsigned *ticks = arg;
    (*ticks)++;
}

static void free_timer(void *slot)
{
    otr_timer_free(otr_steal(slot));
}

T(a_publish_storm_starves_neither_timers_nor_other_subscribers)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    static listener storm;
    memset(&storm, 0, sizeof(storm));
    storm.manner = REPUBLISH;
    storm.publish = &topic_a;
    listener other = { 0 };
    unsigned ticks = 0;
    OTR_CLEANUP(free_timer) otr_timer *timer = NULL;
    REQUIRE_OK(otr_timer_new(w.loop, on_tick, &ticks, &timer, &e), e);
    otr_code rc = subscribe(&w, &storm, "test.a", 100, OTR_SUB_DROP_OLDEST, &e);
    if (rc == OTR_OK) {
        rc = subscribe(&w, &other, "test.b", 8, OTR_SUB_DROP_OLDEST, &e);
    }
    for (int i = 0; rc == OTR_OK && i < 200; i++) {
        rc = publish(&w, &topic_a);
    }
    if (rc == OTR_OK) {
        rc = publish(&w, &topic_b);
    }
    otr_timer_start(timer, 1, 1);
    for (int rounds = 0; rounds < 100000 && ticks < 3; rounds++) {
        otr_loop_step(w.loop, 0);
    }
    otr_sub_stats s = { 0 };
    if (storm.sub != NULL) {
        s = stats_of(&storm);
    }
    size_t heard = other.n;
    free_listener(&storm);
    free_listener(&other);
    CHECK_INT(rc, OTR_OK);
    CHECK(ticks >= 3);
    CHECK_INT(heard, 1);
    CHECK(s.depth <= 100);
    CHECK(consistent(s));
}

T(a_storm_under_a_clock_that_stands_still_ends_its_round)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    static listener storm;
    memset(&storm, 0, sizeof(storm));
    storm.manner = REPUBLISH;
    storm.publish = &topic_a;
    REQUIRE_OK(subscribe(&w, &storm, "test.a", 4, OTR_SUB_DROP_OLDEST, &e), e);
    otr_clock_fake(OTR_NS_PER_S);
    otr_code rc = publish(&w, &topic_a);
    otr_loop_step(w.loop, 0);
    size_t first = storm.n;
    otr_loop_step(w.loop, 0);
    otr_clock_fake(0);
    size_t second = storm.n;
    free_listener(&storm);
    CHECK_INT(rc, OTR_OK);
    CHECK(first > 0 && second > first);
}

T(two_that_answer_each_other_end_at_the_cause_limit)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener a = { .publish = &topic_b, .with_cause = true };
    OTR_CLEANUP(free_listener) listener b = { .publish = &topic_a, .with_cause = true };
    REQUIRE_OK(subscribe(&w, &a, "test.a", 8, OTR_SUB_DROP_OLDEST, &e), e);
    REQUIRE_OK(subscribe(&w, &b, "test.b", 8, OTR_SUB_DROP_OLDEST, &e), e);
    REQUIRE(publish(&w, &topic_a) == OTR_OK);
    for (int i = 0; i < 100; i++) {
        otr_loop_step(w.loop, 0);
    }
    CHECK_INT(a.n + b.n, OTR_LIMIT_BUS_CAUSE_DEPTH + 1);
    CHECK(a.publish_rc == OTR_EQUOTA || b.publish_rc == OTR_EQUOTA);
}
