#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "world.h"

/* ---- refusals ---- */

T(frees_accept_null)
{
    otr_bus_free(NULL);
    otr_sub_free(NULL);
    CHECK(true);
}

T(bad_subscriptions_are_refused_with_the_subscribers_name)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    listener l = { 0 };
    CHECK_INT(subscribe(&w, &l, "a.**", 8, OTR_SUB_DROP_OLDEST, &e), OTR_EINVAL);
    CHECK_HAS(e.msg, "listener");
    CHECK_HAS(e.msg, "a.**");
    CHECK_INT(subscribe(&w, &l, "a.*", 0, OTR_SUB_DROP_OLDEST, &e), OTR_EINVAL);
    CHECK_INT(subscribe(&w, &l, "a.*", OTR_LIMIT_BUS_QUEUE + 1, OTR_SUB_DROP_OLDEST, &e),
              OTR_EINVAL);
    CHECK(l.sub == NULL);
    otr_bus_stats s;
    otr_bus_get_stats(w.bus, &s);
    CHECK_INT(s.subscribers, 0);
}

T(the_number_of_patterns_and_of_subscribers_is_limited)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    const char *patterns[OTR_LIMIT_BUS_PATTERNS + 2] = { 0 };
    for (size_t i = 0; i <= OTR_LIMIT_BUS_PATTERNS; i++) {
        patterns[i] = "a.b";
    }
    listener l = { 0 };
    otr_sub_spec spec = { "many", patterns, OTR_SUB_DROP_OLDEST, 8, on_ready, &l };
    otr_sub *sub = NULL;
    CHECK_INT(otr_bus_subscribe(w.bus, &spec, &sub, &e), OTR_EINVAL);
    patterns[OTR_LIMIT_BUS_PATTERNS] = NULL;
    REQUIRE_OK(otr_bus_subscribe(w.bus, &spec, &sub, &e), e);
    otr_sub_free(sub);
}

T_NO_OOM(subscribers_stop_at_the_limit) /* a thousand allocations alike prove nothing more */
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    static otr_sub *subs[OTR_LIMIT_BUS_SUBSCRIBERS];
    otr_sub_spec spec = {
        "one", (const char *const[]){ "*", NULL }, OTR_SUB_DROP_OLDEST, 1, on_ready, NULL
    };
    size_t n = 0;
    while (n < OTR_LIMIT_BUS_SUBSCRIBERS &&
           otr_bus_subscribe(w.bus, &spec, &subs[n], &e) == OTR_OK) {
        n++;
    }
    CHECK_INT(n, OTR_LIMIT_BUS_SUBSCRIBERS);
    otr_sub *more = NULL;
    CHECK_INT(otr_bus_subscribe(w.bus, &spec, &more, &e), OTR_EQUOTA);
    while (n-- > 0) {
        otr_sub_free(subs[n]);
    }
}

/* ---- delivery ---- */

T(a_message_without_listener_is_counted_and_freed)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener l = { 0 };
    REQUIRE_OK(subscribe(&w, &l, "other.*", 8, OTR_SUB_DROP_OLDEST, &e), e);
    CHECK_INT(publish(&w, &topic_a), OTR_OK);
    otr_loop_step(w.loop, 0);
    otr_bus_stats s;
    otr_bus_get_stats(w.bus, &s);
    CHECK_INT(s.published, 1);
    CHECK_INT(s.unheard, 1);
    CHECK_INT(s.delivered, 0);
    CHECK_INT(l.calls, 0);
}

T(publishing_calls_nobody_and_the_same_round_delivers_in_order)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener one = { 0 }, all = { 0 };
    REQUIRE_OK(subscribe(&w, &one, "test.a", 8, OTR_SUB_DROP_OLDEST, &e), e);
    REQUIRE_OK(subscribe(&w, &all, "*", 8, OTR_SUB_DROP_OLDEST, &e), e);
    uint64_t ids[3];
    REQUIRE(publish_from(&w, &topic_a, NULL, &ids[0]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_c, NULL, &ids[1]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_a, NULL, &ids[2]) == OTR_OK);
    CHECK_INT(one.calls + all.calls, 0);
    otr_loop_step(w.loop, 0);
    CHECK_INT(one.n, 2);
    CHECK(one.ids[0] == ids[0] && one.ids[1] == ids[2]);
    CHECK_INT(all.n, 3);
    CHECK(memcmp(all.ids, ids, sizeof(ids)) == 0);
    otr_bus_stats s;
    otr_bus_get_stats(w.bus, &s);
    CHECK_INT(s.published, 3);
    CHECK_INT(s.delivered, 5);
    CHECK_INT(s.unheard, 0);
    CHECK_INT(s.topics, 2);
    CHECK_INT(s.subscribers, 2);
}

T(a_first_publish_without_memory_delivers_nothing_and_works_later)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener l = { 0 };
    REQUIRE_OK(subscribe(&w, &l, "test.*", 8, OTR_SUB_DROP_OLDEST, &e), e);
    unsigned tries = 0;
    while (publish(&w, &topic_a) != OTR_OK && tries < 3) {
        tries++;
        otr_loop_step(w.loop, 0);
        REQUIRE(l.n == 0);
    }
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.n, 1);
    otr_bus_stats s;
    otr_bus_get_stats(w.bus, &s);
    CHECK_INT(s.published, 1);
}

T(overlapping_patterns_deliver_once)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    listener l = { .w = &w };
    otr_sub_spec spec = { "twice",
                          (const char *const[]){ "test.*", "*", "test.a", NULL },
                          OTR_SUB_DROP_OLDEST,
                          8,
                          on_ready,
                          &l };
    REQUIRE_OK(otr_bus_subscribe(w.bus, &spec, &l.sub, &e), e);
    CHECK_INT(publish(&w, &topic_a), OTR_OK);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.n, 1);
    free_listener(&l);
}

/* ---- policies ---- */

T(a_full_queue_drops_the_oldest_and_counts_it)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener l = { 0 };
    REQUIRE_OK(subscribe(&w, &l, "*", 3, OTR_SUB_DROP_OLDEST, &e), e);
    uint64_t ids[5] = { 0 };
    fill(&w, &l, OTR_COUNT(ids), ids);
    otr_sub_stats s = stats_of(&l);
    CHECK_INT(s.dropped, 2);
    CHECK_INT(s.depth, 3);
    CHECK_INT(s.depth_max, 3);
    CHECK_INT(s.capacity, 3);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.n, 3);
    CHECK(memcmp(l.ids, ids + 2, 3 * sizeof(ids[0])) == 0);
    s = stats_of(&l);
    CHECK_INT(s.taken, 3);
    CHECK_INT(s.depth, 0);
    CHECK(consistent(s));
}

T(a_queue_grows_to_its_capacity_and_keeps_order_round_and_round)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    static listener l;
    memset(&l, 0, sizeof(l));
    REQUIRE_OK(subscribe(&w, &l, "*", 100, OTR_SUB_DROP_OLDEST, &e), e);
    uint64_t ids[137] = { 0 };
    bool full = false;
    for (int round = 0; round < 5; round++) {
        l.n = 0;
        size_t n = 0;
        while (n < OTR_COUNT(ids) && publish_from(&w, &topic_a, NULL, &ids[n]) == OTR_OK) {
            n++;
        }
        otr_sub_stats s = stats_of(&l);
        otr_loop_step(w.loop, 0);
        full = full || (s.depth == 100 && s.dropped > 0);
        if (n < OTR_COUNT(ids) || s.depth != 100 || l.n != 100 || !consistent(s) ||
            memcmp(l.ids, ids + 37, 100 * sizeof(ids[0])) != 0) {
            CHECK(n == OTR_COUNT(ids));
            CHECK_INT(s.depth, 100);
            CHECK_INT(l.n, 100);
            break;
        }
    }
    CHECK(full);
    free_listener(&l);
}

T(a_queue_that_cannot_grow_drops_and_counts)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener l = { 0 };
    REQUIRE_OK(subscribe(&w, &l, "*", 64, OTR_SUB_DROP_OLDEST, &e), e);
    size_t n = 0;
    while (n < 40 && publish(&w, &topic_a) == OTR_OK) {
        n++;
    }
    otr_sub_stats s = stats_of(&l);
    CHECK_INT(s.received, 40);
    CHECK_INT(s.dropped, 0);
    otr_loop_step(w.loop, 0);
    s = stats_of(&l);
    if (!consistent(s) || s.received != n || l.n + s.dropped != n) {
        /* Holds whichever allocation failed. */
        (void)printf("# counters do not add up\n");
        abort();
    }
}

T(coalescing_replaces_the_waiting_message_of_the_topic_in_place)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener l = { 0 };
    REQUIRE_OK(subscribe(&w, &l, "*", 8, OTR_SUB_COALESCE_LATEST, &e), e);
    uint64_t id[5] = { 0 };
    REQUIRE(publish_from(&w, &topic_a, NULL, &id[0]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_b, NULL, &id[1]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_a, NULL, &id[2]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_c, NULL, &id[3]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_a, NULL, &id[4]) == OTR_OK);
    otr_sub_stats s = stats_of(&l);
    CHECK_INT(s.depth, 3);
    CHECK_INT(s.coalesced, 2);
    CHECK_INT(s.received, 5);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.n, 3);
    CHECK(l.ids[0] == id[4] && l.ids[1] == id[1] && l.ids[2] == id[3]);
    /* What was taken is no longer there to be replaced. */
    CHECK_INT(publish(&w, &topic_a), OTR_OK);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.n, 4);
    CHECK_INT(stats_of(&l).coalesced, 2);
    CHECK(consistent(stats_of(&l)));
}

T(a_full_coalescing_queue_drops_the_oldest_topic)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener l = { 0 };
    REQUIRE_OK(subscribe(&w, &l, "*", 2, OTR_SUB_COALESCE_LATEST, &e), e);
    uint64_t id[4] = { 0 };
    REQUIRE(publish_from(&w, &topic_a, NULL, &id[0]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_b, NULL, &id[1]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_c, NULL, &id[2]) == OTR_OK);
    /* a was dropped: it comes in anew, at the end, and b goes. */
    REQUIRE(publish_from(&w, &topic_a, NULL, &id[3]) == OTR_OK);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.n, 2);
    CHECK(l.ids[0] == id[2] && l.ids[1] == id[3]);
    otr_sub_stats s = stats_of(&l);
    CHECK_INT(s.dropped, 2);
    CHECK_INT(s.coalesced, 0);
    CHECK(consistent(s));
}

/* ---- queues that change hands ---- */

T(a_queue_that_may_hold_less_drops_its_oldest_at_once)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener l = { 0 };
    REQUIRE_OK(subscribe(&w, &l, "*", 20, OTR_SUB_DROP_OLDEST, &e), e);
    uint64_t id[12] = { 0 };
    for (size_t i = 0; i < OTR_COUNT(id); i++) {
        REQUIRE(publish_from(&w, &topic_a, NULL, &id[i]) == OTR_OK);
    }
    otr_sub_limit(l.sub, 2);
    otr_sub_stats s = stats_of(&l);
    CHECK_INT(s.depth, 2);
    CHECK_INT(s.dropped, 10);
    CHECK_INT(s.capacity, 2);
    CHECK(s.received == s.taken + s.dropped + s.depth);
    otr_sub_limit(l.sub, 20);
    REQUIRE(publish(&w, &topic_b) == OTR_OK);
    otr_loop_step(w.loop, 0);
    CHECK_INT(l.n, 3);
    CHECK(l.ids[0] == id[10] && l.ids[1] == id[11]);
    CHECK(consistent(stats_of(&l)));
}

T(what_waits_moves_to_a_subscriber_that_wants_it)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_listener) listener from = { 0 };
    OTR_CLEANUP(free_listener) listener to = { 0 };
    REQUIRE_OK(subscribe(&w, &from, "*", 20, OTR_SUB_DROP_OLDEST, &e), e);
    uint64_t id[4] = { 0 };
    REQUIRE(publish_from(&w, &topic_a, NULL, &id[0]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_c, NULL, &id[1]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_b, NULL, &id[2]) == OTR_OK);
    REQUIRE(publish_from(&w, &topic_a, NULL, &id[3]) == OTR_OK);
    REQUIRE_OK(subscribe(&w, &to, "test.*", 2, OTR_SUB_DROP_OLDEST, &e), e);
    otr_sub_move(from.sub, to.sub);
    otr_sub_stats a = stats_of(&from), b = stats_of(&to);
    CHECK(consistent(a) && consistent(b));
    CHECK_INT(a.depth, 0);
    CHECK_INT(a.received, 1); /* each in one of them only */
    CHECK_INT(a.dropped, 1);  /* other.c */
    CHECK_INT(b.received, 3);
    CHECK_INT(b.dropped, 1); /* it holds two */
    otr_loop_step(w.loop, 0);
    CHECK_INT(from.n, 0);
    CHECK_INT(to.n, 2);
    CHECK(to.ids[0] == id[2] && to.ids[1] == id[3]);
    uint64_t later = 0; /* what was moved was weighed: the next one finds an empty queue */
    REQUIRE(publish_from(&w, &topic_a, NULL, &later) == OTR_OK);
    CHECK_INT(stats_of(&to).dropped, 1);
    otr_loop_step(w.loop, 0);
    CHECK_INT(to.n, 3);
    CHECK(to.ids[2] == later);
}
