#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "bus/bus.h"
#include "support/test.h"

enum { SEEN_MOST = 4096 };

static const otr_topic topic_a = { "test.a", 1, NULL, NULL };
static const otr_topic topic_b = { "test.b", 1, NULL, NULL };
static const otr_topic topic_c = { "other.c", 1, NULL, NULL };

/* The loop outlives the bus, which outlives its subscribers. */
typedef struct world {
    otr_loop *loop;
    otr_bus *bus;
} world;

static void free_world(void *slot)
{
    world *w = slot;
    otr_bus_free(w->bus);
    otr_loop_free(w->loop);
}

static otr_code make_world(world *w, otr_err *e)
{
    otr_code rc = otr_loop_new(&w->loop, e);
    return rc == OTR_OK ? otr_bus_new(w->loop, &w->bus, e) : rc;
}

typedef enum manner {
    TAKE_ALL,
    TAKE_ONE,
    TAKE_NOTHING,
    TAKE_AND_FREE_SELF,
    FREE_SELF_AT_ONCE,
    FREE_PEER,
    REPUBLISH,
    SUBSCRIBE_PEER,
} manner;

typedef struct listener {
    world *w;
    otr_sub *sub;
    struct listener *peer;
    manner manner;
    unsigned calls;
    unsigned longest; /* most messages taken in one call */
    size_t n;
    uint64_t ids[SEEN_MOST]; /* of the first so many messages */
    char *trace;             /* shared: one letter a call */
    char letter;
    const otr_topic *publish;
    bool with_cause;
    otr_code publish_rc;
} listener;

static void free_listener(void *slot)
{
    listener *l = slot;
    otr_sub_free(l->sub);
}

static otr_code publish_from(world *w, const otr_topic *topic, const otr_msg *cause, uint64_t *ret)
{
    otr_msg *msg = NULL;
    otr_code rc = otr_msg_new(topic, NULL, "tester", cause, &msg, NULL);
    if (rc == OTR_OK) {
        if (ret != NULL) {
            *ret = msg->id;
        }
        rc = otr_bus_publish(w->bus, msg, NULL);
        (void)otr_msg_unref(msg);
    }
    return rc;
}

static otr_code publish(world *w, const otr_topic *topic)
{
    return publish_from(w, topic, NULL, NULL);
}

static void on_ready(void *arg, otr_sub *sub);

static otr_code subscribe(world *w, listener *l, const char *pattern, size_t capacity,
                          otr_sub_policy policy, otr_err *e)
{
    otr_sub_spec spec = {
        .name = "listener",
        .patterns = (const char *const[]){ pattern, NULL },
        .policy = policy,
        .capacity = capacity,
        .ready = on_ready,
        .arg = l,
    };
    l->w = w;
    return otr_bus_subscribe(w->bus, &spec, &l->sub, e);
}

static unsigned take(listener *l, unsigned most)
{
    unsigned n = 0;
    for (otr_msg *msg; n < most && (msg = otr_sub_take(l->sub)) != NULL; n++) {
        if (l->n < SEEN_MOST) {
            l->ids[l->n] = msg->id;
        }
        l->n++;
        if (l->publish != NULL) {
            l->publish_rc = publish_from(l->w, l->publish, l->with_cause ? msg : NULL, NULL);
        }
        (void)otr_msg_unref(msg);
    }
    return n;
}

static void free_own(listener *l)
{
    otr_sub_free(l->sub);
    l->sub = NULL;
}

static void on_ready(void *arg, otr_sub *sub)
{
    listener *l = arg;
    l->calls++;
    if (sub != l->sub) {
        CHECK(sub == l->sub);
        return;
    }
    if (l->trace != NULL && strlen(l->trace) < 60) {
        l->trace[strlen(l->trace)] = l->letter;
    }
    unsigned n = 0;
    switch (l->manner) {
    case TAKE_ALL:
    case REPUBLISH:
        n = take(l, UINT32_MAX);
        break;
    case TAKE_ONE:
        n = take(l, 1);
        break;
    case TAKE_NOTHING:
        break;
    case TAKE_AND_FREE_SELF:
        n = take(l, 1);
        free_own(l);
        break;
    case FREE_SELF_AT_ONCE:
        free_own(l);
        break;
    case FREE_PEER:
        n = take(l, UINT32_MAX);
        free_own(l->peer);
        break;
    case SUBSCRIBE_PEER:
        n = take(l, UINT32_MAX);
        if (l->peer->sub == NULL) {
            l->publish_rc = subscribe(l->w, l->peer, "test.*", 8, OTR_SUB_DROP_OLDEST, NULL);
        }
        break;
    }
    l->longest = n > l->longest ? n : l->longest;
}

static otr_sub_stats stats_of(const listener *l)
{
    otr_sub_stats s;
    otr_sub_get_stats(l->sub, &s);
    return s;
}

static bool consistent(otr_sub_stats s)
{
    return s.received == s.taken + s.dropped + s.coalesced + s.depth && s.depth <= s.depth_max &&
           s.depth_max <= s.capacity;
}

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

static void fill(world *w, listener *l, size_t n, uint64_t *ids)
{
    for (size_t i = 0; i < n; i++) {
        REQUIRE(publish_from(w, &topic_a, NULL, &ids[i]) == OTR_OK);
    }
    CHECK_INT(stats_of(l).received, n);
}

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
