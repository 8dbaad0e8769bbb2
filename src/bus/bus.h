/*
 * The bus: publish/subscribe between compiled-in modules and guests.
 *
 * A subscriber names topic patterns and owns one bounded queue. Publishing puts a reference to the
 * message into the queue of each subscriber that matches and returns at once: it never blocks and
 * never calls a subscriber. Later in the same round of the loop each subscriber with messages is
 * called in turn ("ready") and takes some; one that is busy (a guest in a call) takes later and
 * calls otr_sub_wake(). When a queue is full its policy decides what is lost, and every loss is
 * counted. A queue is also full when what it holds exceeds OTR_LIMIT_BUS_QUEUE_BYTES; then
 * the oldest messages go. A message is delivered to its own publisher too if it subscribes to the
 * topic.
 *
 * Patterns: dot-separated words; "*" matches one word, or all that is left when it stands last.
 * "*" alone matches every topic.
 *
 * A subscriber hears what is published from then on. For what was said before there are facts.
 *
 * Thread: loop.
 */
#ifndef OTR_BUS_BUS_H
#define OTR_BUS_BUS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "bus/facts.h"
#include "bus/msg.h"
#include "loop/loop.h"

typedef struct otr_bus otr_bus;
typedef struct otr_sub otr_sub;

typedef enum otr_sub_policy {
    OTR_SUB_DROP_OLDEST,     /* full: the oldest message goes */
    OTR_SUB_COALESCE_LATEST, /* a newer message replaces a waiting one of the same topic, in place
                              */
} otr_sub_policy;

typedef struct otr_sub_spec {
    const char *name;            /* of the participant: for stats and errors */
    const char *const *patterns; /* NULL-terminated; copied */
    otr_sub_policy policy;
    size_t capacity; /* 1 … OTR_LIMIT_BUS_QUEUE */
    /* Required. There is something to take; may publish, subscribe and free any subscriber. */
    void (*ready)(void *arg, otr_sub *sub);
    void *arg;
} otr_sub_spec;

typedef struct otr_sub_stats {
    uint64_t received;  /* put into the queue */
    uint64_t taken;     /* handed out */
    uint64_t dropped;   /* lost to a full queue */
    uint64_t coalesced; /* replaced by a newer one */
    size_t depth;       /* waiting now */
    size_t depth_max;   /* most that ever waited */
    size_t capacity;
} otr_sub_stats;

typedef struct otr_bus_stats {
    uint64_t published;
    uint64_t delivered; /* queue entries made */
    uint64_t unheard;   /* published without a subscriber */
    size_t topics, subscribers;
} otr_bus_stats;

otr_code otr_bus_new(otr_loop *loop, otr_bus **ret, otr_err *err) OTR_MUST_CHECK;
/* After its subscribers are freed. */
void otr_bus_free(otr_bus *bus);

typedef struct otr_topic_owner { /* zeroed: none so far */
    size_t n;                    /* run-time topics that it made first */
} otr_topic_owner;

/* A topic made at run time, for what guests publish: its payload is JSON bytes (otr_bus_json).
 * The same name gives the same topic; the name of a compiled-in topic that was ever published or
 * declared gives OTR_EDENIED. OTR_EINVAL for a malformed name, OTR_EQUOTA when `owner` (borrowed
 * until otr_bus_release(); NULL: nobody) has OTR_LIMIT_PLUGIN_TOPICS. It lives until `owner` is
 * released, and beside that as long as a message of it. */
otr_code otr_bus_topic_of(otr_bus *bus, otr_topic_owner *owner, const char *name,
                          const otr_topic **ret, otr_err *err) OTR_MUST_CHECK;
static inline OTR_MUST_CHECK otr_code otr_bus_topic(otr_bus *bus, const char *name,
                                                    const otr_topic **ret, otr_err *err)
{
    return otr_bus_topic_of(bus, NULL, name, ret, err);
}
/* The bus forgets the topics of `owner`, whose messages are delivered all the same. Who else
 * publishes under one of their names makes it anew, as its own. */
void otr_bus_release(otr_bus *bus, otr_topic_owner *owner);
/* Reserves a compiled-in topic's name so that no guest can publish under it. `topic` outlives the
 * bus. OTR_ESTATE when a guest or another compiled-in topic has the name already. */
otr_code otr_bus_declare(otr_bus *bus, const otr_topic *topic, otr_err *err) OTR_MUST_CHECK;

/* Messages of `topic`, which is declared by this, too, are facts of this kind: see facts.h. */
otr_code otr_bus_keep(otr_bus *bus, const otr_topic *topic, otr_fact fact, otr_about_fn *about,
                      otr_err *err) OTR_MUST_CHECK;
/* What is kept now; a reference, or NULL: nothing so far. */
otr_facts *otr_bus_facts(const otr_bus *bus);

typedef struct otr_bus_json { /* payload of run-time topics */
    size_t n;
    uint8_t bytes[]; /* valid JSON */
} otr_bus_json;
/* A payload for otr_msg_new() on a run-time topic: copies `json`, which must be valid JSON. NULL
 * when memory is out or there is more than OTR_LIMIT_BUS_PAYLOAD_BYTES. */
otr_bus_json *otr_bus_json_new(otr_bytes json) OTR_MUST_CHECK;

/* Queues `msg` for all that match; the caller keeps its own reference. OTR_ENOMEM only the first
 * time a topic is seen, and for facts: nothing was delivered then. */
otr_code otr_bus_publish(otr_bus *bus, const otr_msg *msg, otr_err *err) OTR_MUST_CHECK;

otr_code otr_bus_subscribe(otr_bus *bus, const otr_sub_spec *spec, otr_sub **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_sub_free(otr_sub *sub); /* drops what waits; safe inside `ready` */
/* The next message, whose reference is now the caller's, or NULL: nothing waits, or `ready` has
 * taken its share of this turn and is called again after the others. */
otr_msg *otr_sub_take(otr_sub *sub);
/* Asks for another `ready` if something waits; for a subscriber that stopped taking. One whose
 * `ready` takes nothing is otherwise called again only when more arrives. */
void otr_sub_wake(otr_sub *sub);
/* 1 … OTR_LIMIT_BUS_QUEUE may wait from now on; the oldest beyond that are dropped. */
void otr_sub_limit(otr_sub *sub, size_t capacity);
/* What waits in `from` and suits `to`, which nobody has given anything yet, goes there in its
 * order; the rest is dropped there. It counts as received in one of them only. */
void otr_sub_move(otr_sub *from, otr_sub *to);
/* Does `msg` itself wait in the queue? Looks through all of it. */
bool otr_sub_holds(const otr_sub *sub, const otr_msg *msg);
void otr_sub_get_stats(const otr_sub *sub, otr_sub_stats *ret);
void otr_bus_get_stats(const otr_bus *bus, otr_bus_stats *ret);

/* The pattern rule above, also used for grants. */
bool otr_topic_match(const char *pattern, const char *name);
/* 1 to OTR_LIMIT_BUS_TOPIC_BYTES of [a-z0-9_-] words joined by dots; with `*` words for a pattern.
 */
otr_code otr_topic_check(const char *name, bool pattern, otr_err *err) OTR_MUST_CHECK;

#endif
