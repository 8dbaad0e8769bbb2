#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "bus/bus.h"
#include "support/test.h"

static const otr_topic compiled = { "test.compiled", 1, NULL, NULL };
static const otr_topic twin = { "test.compiled", 1, NULL, NULL };
static const otr_topic malformed = { "Test", 1, NULL, NULL };

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

static void free_sub(void *slot)
{
    otr_sub_free(otr_steal(slot));
}

static void on_ready(void *arg, otr_sub *sub)
{
    otr_msg **got = arg;
    (void)otr_msg_unref(*got);
    *got = otr_sub_take(sub);
}

static otr_code subscribe(world *w, otr_msg **got, const char *pattern, otr_sub **ret, otr_err *e)
{
    otr_sub_spec spec = {
        "reader", (const char *const[]){ pattern, NULL }, OTR_SUB_DROP_OLDEST, 8, on_ready, got
    };
    return otr_bus_subscribe(w->bus, &spec, ret, e);
}

T(malformed_names_are_refused)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    const otr_topic *topic = NULL;
    CHECK_INT(otr_bus_topic(w.bus, "Alert", &topic, &e), OTR_EINVAL);
    CHECK_INT(otr_bus_topic(w.bus, "alert.*", &topic, &e), OTR_EINVAL);
    CHECK_INT(otr_bus_topic(w.bus, "", &topic, &e), OTR_EINVAL);
    CHECK_INT(otr_bus_declare(w.bus, &malformed, &e), OTR_EINVAL);
    CHECK(topic == NULL);
}

T(a_declared_topic_cannot_be_made_at_run_time)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    REQUIRE_OK(otr_bus_declare(w.bus, &compiled, &e), e);
    REQUIRE_OK(otr_bus_declare(w.bus, &compiled, &e), e);
    const otr_topic *topic = NULL;
    CHECK_INT(otr_bus_topic(w.bus, "test.compiled", &topic, &e), OTR_EDENIED);
    CHECK_HAS(e.msg, "test.compiled");
    CHECK(topic == NULL);
    CHECK_INT(otr_bus_declare(w.bus, &twin, &e), OTR_ESTATE);
}

T(a_published_topic_cannot_be_made_at_run_time)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&compiled, NULL, "tester", NULL, &msg, &e), e);
    REQUIRE_OK(otr_bus_publish(w.bus, msg, &e), e);
    const otr_topic *topic = NULL;
    CHECK_INT(otr_bus_topic(w.bus, "test.compiled", &topic, &e), OTR_EDENIED);
}

T(a_compiled_in_topic_takes_its_name_back)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    const otr_topic *early = NULL, *late = NULL;
    REQUIRE_OK(otr_bus_topic(w.bus, "test.compiled", &early, &e), e);
    CHECK_INT(otr_bus_declare(w.bus, &compiled, &e), OTR_ESTATE);
    CHECK_HAS(e.msg, "plugin");
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&compiled, NULL, "tester", NULL, &msg, &e), e);
    REQUIRE_OK(otr_bus_publish(w.bus, msg, &e), e);
    CHECK_INT(otr_bus_topic(w.bus, "test.compiled", &late, &e), OTR_EDENIED);
    CHECK(late == NULL);
}

T(the_same_name_gives_the_same_topic)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    const otr_topic *a = NULL, *b = NULL, *c = NULL;
    char name[] = "alert.request-rate";
    REQUIRE_OK(otr_bus_topic(w.bus, name, &a, &e), e);
    name[0] = 'b';
    REQUIRE_OK(otr_bus_topic(w.bus, "alert.request-rate", &b, &e), e);
    REQUIRE_OK(otr_bus_topic(w.bus, "alert.other", &c, &e), e);
    CHECK(a == b && a != c);
    CHECK_STR(a->name, "alert.request-rate");
    otr_bus_stats s;
    otr_bus_get_stats(w.bus, &s);
    CHECK_INT(s.topics, 2);
}

T(json_of_a_guest_reaches_subscribers_inside_the_envelope)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *got = NULL;
    OTR_CLEANUP(free_sub) otr_sub *sub = NULL;
    REQUIRE_OK(subscribe(&w, &got, "alert.*", &sub, &e), e);
    const otr_topic *topic = NULL;
    REQUIRE_OK(otr_bus_topic(w.bus, "alert.rate", &topic, &e), e);
    otr_bus_json *payload = otr_bus_json_new(otr_bytes_of("{\"rate\": 3.5}"));
    REQUIRE(payload != NULL);
    otr_msg *msg = NULL;
    otr_code rc = otr_msg_new(topic, payload, "guest", NULL, &msg, &e);
    if (rc != OTR_OK) {
        topic->drop(payload);
        REQUIRE_OK(rc, e);
    }
    rc = otr_bus_publish(w.bus, msg, &e);
    (void)otr_msg_unref(msg);
    REQUIRE_OK(rc, e);
    otr_loop_step(w.loop, 0);
    REQUIRE(got != NULL);
    otr_bytes json;
    REQUIRE_OK(otr_msg_json(got, &json, &e), e);
    OTR_CLEANUP(otr_json_freep) otr_json *doc = NULL;
    REQUIRE_OK(otr_json_parse(json, &doc, &e), e);
    CHECK_STR(otr_json_str(otr_json_get(doc, "topic"), ""), "alert.rate");
    CHECK(otr_json_num(otr_json_get(otr_json_get(doc, "data"), "rate"), 0) == 3.5);
}

T(a_payload_beyond_the_limit_is_refused)
{
    static const uint8_t byte = '1';
    CHECK(otr_bus_json_new((otr_bytes){ &byte, OTR_LIMIT_BUS_PAYLOAD_BYTES + 1 }) == NULL);
    OTR_CLEANUP(otr_freep) otr_bus_json *empty = otr_bus_json_new((otr_bytes){ 0 });
    REQUIRE(empty != NULL);
    CHECK_INT(empty->n, 0);
}

static void ignore(void *arg, otr_sub *sub)
{
    (void)arg;
    (void)sub;
}

static otr_code publish_zeros(world *w, const otr_topic *topic, size_t bytes, otr_err *e)
{
    otr_bus_json *payload = otr_zalloc(sizeof(*payload) + bytes);
    if (payload == NULL) {
        return otr_fail_nomem(e);
    }
    payload->n = bytes;
    otr_msg *msg = NULL;
    otr_code rc = otr_msg_new(topic, payload, "guest", NULL, &msg, e);
    if (rc != OTR_OK) {
        otr_free(payload);
        return rc;
    }
    rc = otr_bus_publish(w->bus, msg, e);
    (void)otr_msg_unref(msg);
    return rc;
}

T(large_payloads_fill_a_queue_before_its_messages_do)
{
    static const otr_sub_policy policies[] = { OTR_SUB_DROP_OLDEST, OTR_SUB_COALESCE_LATEST };
    enum { TOPICS = 4 }; /* one payload and a little of another fit: each counts twice */
    for (size_t i = 0; i < OTR_COUNT(policies); i++) {
        OTR_CLEANUP(free_world) world w = { 0 };
        otr_err e = { 0 };
        REQUIRE_OK(make_world(&w, &e), e);
        OTR_CLEANUP(free_sub) otr_sub *sub = NULL;
        otr_sub_spec spec = { "slow", (const char *const[]){ "*", NULL }, policies[i], 100, ignore,
                              NULL };
        REQUIRE_OK(otr_bus_subscribe(w.bus, &spec, &sub, &e), e);
        for (int n = 0; n < TOPICS; n++) {
            char name[] = "big.a";
            name[4] = (char)('a' + n);
            const otr_topic *topic = NULL;
            REQUIRE_OK(otr_bus_topic(w.bus, name, &topic, &e), e);
            REQUIRE_OK(publish_zeros(&w, topic, OTR_LIMIT_BUS_PAYLOAD_BYTES, &e), e);
            REQUIRE_OK(publish_zeros(&w, topic, 10, &e), e);
            REQUIRE_OK(publish_zeros(&w, topic, OTR_LIMIT_BUS_PAYLOAD_BYTES, &e), e);
        }
        otr_sub_stats s;
        otr_sub_get_stats(sub, &s);
        CHECK(s.dropped > 0);
        CHECK(s.depth == 1 || s.depth == 2);
        CHECK_INT(s.received, s.dropped + s.coalesced + s.depth);
        while (s.depth-- > 0) {
            (void)otr_msg_unref(otr_sub_take(sub));
        }
        /* Empty again, it takes as much as before. */
        const otr_topic *topic = NULL;
        REQUIRE_OK(otr_bus_topic(w.bus, "big.a", &topic, &e), e);
        REQUIRE_OK(publish_zeros(&w, topic, OTR_LIMIT_BUS_PAYLOAD_BYTES, &e), e);
        otr_sub_get_stats(sub, &s);
        CHECK_INT(s.depth, 1);
    }
}

/* Publishes {} under `name` as `owner`'s. */
static otr_code publish_of(world *w, otr_topic_owner *owner, const char *name, otr_err *e)
{
    const otr_topic *topic = NULL;
    otr_code rc = otr_bus_topic_of(w->bus, owner, name, &topic, e);
    return rc == OTR_OK ? publish_zeros(w, topic, 2, e) : rc;
}

/* Hundreds of allocations alike, as below. */
T_NO_OOM(each_owner_has_a_ceiling_of_its_own)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    otr_topic_owner flooder = { 0 }, honest = { 0 };
    char name[64];
    for (int i = 0; i < OTR_LIMIT_PLUGIN_TOPICS; i++) {
        (void)snprintf(name, sizeof(name), "many.topic-%d", i);
        REQUIRE_OK(publish_of(&w, &flooder, name, &e), e);
    }
    CHECK_INT(publish_of(&w, &flooder, "one.more", &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "256");
    CHECK_INT(flooder.n, OTR_LIMIT_PLUGIN_TOPICS);
    REQUIRE_OK(publish_of(&w, &flooder, "many.topic-0", &e), e); /* those it has */
    REQUIRE_OK(publish_of(&w, &honest, "one.more", &e), e);
    REQUIRE_OK(publish_of(&w, &honest, "many.topic-1", &e), e); /* another's is free of charge */
    CHECK_INT(honest.n, 1);
    REQUIRE_OK(publish_of(&w, &flooder, "one.more", &e), e);
    otr_bus_release(w.bus, &flooder);
    otr_bus_release(w.bus, &flooder);
    CHECK_INT(flooder.n, 0);
    otr_bus_stats s;
    otr_bus_get_stats(w.bus, &s);
    CHECK_INT(s.topics, 1);
    REQUIRE_OK(publish_of(&w, &honest, "many.topic-1", &e), e); /* made anew, now its own */
    CHECK_INT(honest.n, 2);
    REQUIRE_OK(publish_of(&w, &flooder, "one.more.again", &e), e);
    otr_bus_release(w.bus, &flooder);
    otr_bus_release(w.bus, &honest);
    otr_bus_get_stats(w.bus, &s);
    CHECK_INT(s.topics, 0);
}

T(messages_outlive_their_topic_and_their_publisher)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(free_sub) otr_sub *sub = NULL;
    otr_sub_spec spec = {
        "slow", (const char *const[]){ "a.*", NULL }, OTR_SUB_DROP_OLDEST, 10, ignore, NULL
    };
    REQUIRE_OK(otr_bus_subscribe(w.bus, &spec, &sub, &e), e);
    otr_topic_owner owner = { 0 };
    const otr_topic *topic = NULL;
    char source[] = "short-lived";
    REQUIRE_OK(otr_bus_topic_of(w.bus, &owner, "a.b", &topic, &e), e);
    otr_bus_json *json = otr_bus_json_new(otr_bytes_of("[1]"));
    REQUIRE(json != NULL || e.code == OTR_OK);
    otr_msg *msg = NULL;
    otr_code rc =
        json != NULL ? otr_msg_new(topic, json, source, NULL, &msg, &e) : otr_fail_nomem(&e);
    if (rc != OTR_OK) {
        otr_free(json);
    }
    rc = rc == OTR_OK ? otr_bus_publish(w.bus, msg, &e) : rc;
    (void)otr_msg_unref(msg);
    memset(source, '!', sizeof(source) - 1);
    otr_bus_release(w.bus, &owner);
    REQUIRE_OK(rc, e);
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *late = otr_sub_take(sub);
    REQUIRE(late != NULL);
    CHECK_STR(late->topic->name, "a.b");
    CHECK_STR(late->source, "short-lived");
    otr_bytes text;
    REQUIRE_OK(otr_msg_json(late, &text, &e), e);
    otr_sub_free(otr_steal(&sub));
    otr_bus_free(otr_steal(&w.bus));
    CHECK_STR(late->topic->name, "a.b"); /* the bus, too */
}

/* Thousands of allocations alike: the smaller tests above fail each kind of them. */
T_NO_OOM(run_time_topics_stop_at_the_ceiling_and_compiled_in_ones_do_not)
{
    OTR_CLEANUP(free_world) world w = { 0 };
    otr_err e = { 0 };
    REQUIRE_OK(make_world(&w, &e), e);
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *got = NULL;
    OTR_CLEANUP(free_sub) otr_sub *sub = NULL;
    REQUIRE_OK(subscribe(&w, &got, "*", &sub, &e), e);
    static const otr_topic *made[OTR_LIMIT_BUS_TOPICS];
    char name[64];
    for (int i = 0; i < OTR_LIMIT_BUS_TOPICS; i++) {
        (void)snprintf(name, sizeof(name), "many.topic-%d", i);
        REQUIRE_OK(otr_bus_topic(w.bus, name, &made[i], &e), e);
    }
    const otr_topic *more = NULL;
    CHECK_INT(otr_bus_topic(w.bus, "one.more", &more, &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "one.more");
    int wrong = 0;
    for (int i = 0; i < OTR_LIMIT_BUS_TOPICS; i++) {
        (void)snprintf(name, sizeof(name), "many.topic-%d", i);
        wrong += otr_bus_topic(w.bus, name, &more, &e) != OTR_OK || more != made[i];
    }
    CHECK_INT(wrong, 0);
    otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&compiled, NULL, "tester", NULL, &msg, &e), e);
    otr_code rc = otr_bus_publish(w.bus, msg, &e);
    (void)otr_msg_unref(msg);
    REQUIRE_OK(rc, e);
    otr_loop_step(w.loop, 0);
    CHECK(got != NULL && got->topic == &compiled);
}
