#include <stdio.h>

#include "base/limits.h"
#include "unit/bus/world.h"

static const char *about(const void *payload)
{
    return payload;
}

static const otr_topic began = { "thing.began", 1, NULL, NULL };
static const otr_topic state = { "thing.state", 1, NULL, NULL };
static const otr_topic color = { "thing.color", 1, NULL, NULL };
static const otr_topic ended = { "thing.ended", 1, NULL, NULL };

static otr_code keep_all(world *w, otr_err *e)
{
    otr_code rc = otr_bus_keep(w->bus, &began, OTR_FACT_BEGINS, about, e);
    rc = rc == OTR_OK ? otr_bus_keep(w->bus, &state, OTR_FACT_IS, about, e) : rc;
    rc = rc == OTR_OK ? otr_bus_keep(w->bus, &color, OTR_FACT_IS, about, e) : rc;
    return rc == OTR_OK ? otr_bus_keep(w->bus, &ended, OTR_FACT_ENDS, about, e) : rc;
}

static otr_code tell(world *w, const otr_topic *topic, const char *name, otr_err *e)
{
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    otr_code rc = otr_msg_new(topic, (void *)(uintptr_t)name, "t", NULL, &msg, e);
    return rc == OTR_OK ? otr_bus_publish(w->bus, msg, e) : rc;
}

/* `expected`: "began:a state:a " and so on. */
static void check_kept(world *w, const char *expected)
{
    char out[256] = "";
    otr_facts *facts = otr_bus_facts(w->bus);
    for (size_t i = 0, n = 0; facts != NULL && i < facts->n; i++) {
        const otr_msg *msg = facts->items[i].msg;
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s:%s ", msg->topic->name + 6,
                              (const char *)msg->payload);
    }
    (void)otr_facts_unref(facts);
    CHECK_STR(out, expected);
}

#define WORLD                                   \
    OTR_CLEANUP(free_world) world w = { NULL }; \
    otr_err e = { 0 };                          \
    REQUIRE_OK(make_world(&w, &e), e);          \
    REQUIRE_OK(keep_all(&w, &e), e)

T(an_event_is_not_kept)
{
    WORLD;
    REQUIRE_OK(tell(&w, &topic_a, "a", &e), e);
    check_kept(&w, "");
}

T(the_latest_of_each_topic_is_kept_in_order)
{
    WORLD;
    REQUIRE_OK(tell(&w, &began, "a", &e), e);
    REQUIRE_OK(tell(&w, &state, "a", &e), e);
    REQUIRE_OK(tell(&w, &color, "a", &e), e);
    REQUIRE_OK(tell(&w, &began, "b", &e), e);
    REQUIRE_OK(tell(&w, &state, "a", &e), e);
    check_kept(&w, "began:a color:a began:b state:a ");
}

T(what_ends_is_forgotten_and_a_new_beginning_starts_anew)
{
    WORLD;
    REQUIRE_OK(tell(&w, &began, "a", &e), e);
    REQUIRE_OK(tell(&w, &state, "a", &e), e);
    REQUIRE_OK(tell(&w, &began, "b", &e), e);
    REQUIRE_OK(tell(&w, &ended, "a", &e), e);
    check_kept(&w, "began:b ");
    REQUIRE_OK(tell(&w, &state, "b", &e), e);
    REQUIRE_OK(tell(&w, &began, "b", &e), e);
    check_kept(&w, "began:b ");
}

T(nothing_is_kept_about_what_does_not_exist)
{
    WORLD;
    REQUIRE_OK(tell(&w, &state, "a", &e), e);
    REQUIRE_OK(tell(&w, &ended, "a", &e), e);
    check_kept(&w, "");
}

T(a_list_that_was_handed_out_does_not_change)
{
    WORLD;
    REQUIRE_OK(tell(&w, &began, "a", &e), e);
    otr_facts *facts = otr_bus_facts(w.bus);
    otr_code rc = tell(&w, &ended, "a", &e);
    CHECK_INT(facts->n, 1);
    CHECK_STR((const char *)facts->items[0].msg->payload, "a");
    (void)otr_facts_unref(facts);
    REQUIRE_OK(rc, e);
}

/* No failing allocation: hundreds of rounds of the same two allocations. */
T_NO_OOM(the_number_of_facts_is_bounded)
{
    WORLD;
    static char names[OTR_LIMIT_BUS_FACTS + 10][8];
    for (unsigned i = 0; i < OTR_COUNT(names); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%u", i);
        REQUIRE_OK(tell(&w, &began, names[i], &e), e);
    }
    otr_facts *facts = otr_bus_facts(w.bus);
    CHECK_INT(facts->n, OTR_LIMIT_BUS_FACTS);
    CHECK_STR((const char *)facts->items[0].msg->payload, "n10");
    (void)otr_facts_unref(facts);
}

static void ignore(void *arg, otr_sub *sub)
{
    (void)arg;
    (void)sub;
}

T(a_queue_knows_whether_it_holds_a_message)
{
    WORLD;
    static const char *const patterns[] = { "thing.*", NULL };
    otr_sub_spec spec = { .name = "t", .patterns = patterns, .capacity = 8, .ready = ignore };
    otr_sub *sub = NULL;
    REQUIRE_OK(otr_bus_subscribe(w.bus, &spec, &sub, &e), e);
    otr_code rc = tell(&w, &began, "a", &e);
    otr_facts *facts = otr_bus_facts(w.bus);
    if (rc == OTR_OK) {
        CHECK(otr_sub_holds(sub, facts->items[0].msg));
        otr_msg_unref(otr_sub_take(sub));
        CHECK(!otr_sub_holds(sub, facts->items[0].msg));
    }
    (void)otr_facts_unref(facts);
    otr_sub_free(sub);
    REQUIRE_OK(rc, e);
}
