/*
 * A loop, a bus and listeners that behave in a chosen manner, for the tests of src/bus.
 *
 * Thread: loop.
 */
#ifndef OTR_TESTS_BUS_WORLD_H
#define OTR_TESTS_BUS_WORLD_H

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

static inline void free_world(void *slot)
{
    world *w = slot;
    otr_bus_free(w->bus);
    otr_loop_free(w->loop);
}

static inline otr_code make_world(world *w, otr_err *e)
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

static inline void free_listener(void *slot)
{
    listener *l = slot;
    otr_sub_free(l->sub);
}

static inline otr_code publish_from(world *w, const otr_topic *topic, const otr_msg *cause,
                                    uint64_t *ret)
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

static inline otr_code publish(world *w, const otr_topic *topic)
{
    return publish_from(w, topic, NULL, NULL);
}

static inline void on_ready(void *arg, otr_sub *sub);

static inline otr_code subscribe(world *w, listener *l, const char *pattern, size_t capacity,
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

static inline unsigned take(listener *l, unsigned most)
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

static inline void free_own(listener *l)
{
    otr_sub_free(l->sub);
    l->sub = NULL;
}

static inline void on_ready(void *arg, otr_sub *sub)
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

static inline otr_sub_stats stats_of(const listener *l)
{
    otr_sub_stats s;
    otr_sub_get_stats(l->sub, &s);
    return s;
}

static inline bool consistent(otr_sub_stats s)
{
    return s.received == s.taken + s.dropped + s.coalesced + s.depth && s.depth <= s.depth_max &&
           s.depth_max <= s.capacity;
}

static inline void fill(world *w, listener *l, size_t n, uint64_t *ids)
{
    for (size_t i = 0; i < n; i++) {
        REQUIRE(publish_from(w, &topic_a, NULL, &ids[i]) == OTR_OK);
    }
    CHECK_INT(stats_of(l).received, n);
}

#endif
