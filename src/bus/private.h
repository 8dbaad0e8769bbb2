/*
 * What the files of src/bus share: the topic table and references in bulk.
 *
 * The table finds a topic by its address, for publishing, and by its name, for guests. Each entry
 * keeps the list of subscribers that match, so that publishing compares no strings.
 *
 * Thread: loop.
 */
#ifndef OTR_BUS_PRIVATE_H
#define OTR_BUS_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "bus/bus.h"
#include "bus/msg.h"

/* One subscriber of one topic. */
typedef struct otr_route {
    otr_sub *sub;
    /* For coalescing: one past the place in the subscriber's queue that holds this topic's latest
     * message. Places are never reused, so one that was taken or dropped lies before the head. */
    uint64_t waiting_at;
} otr_route;

typedef struct otr_routes {
    otr_route *items;
    size_t n, cap;
} otr_routes;

typedef struct otr_topic_entry {
    const otr_topic *topic;
    otr_topic *run_time;    /* the same, when it was made here, with a reference; else NULL */
    otr_topic_owner *owner; /* who is charged for `run_time` */
    otr_routes routes;
    otr_fact fact;
    otr_about_fn *about; /* with a fact */
} otr_topic_entry;

typedef struct otr_topics {
    otr_topic_entry **entries;
    size_t n, cap;
    uint32_t *by_address; /* open addressing, `slots` of each; index into entries + 1, or 0 */
    uint32_t *by_name;
    size_t slots; /* power of two, at least twice cap */
    uint64_t seed;
} otr_topics;

/* May it subscribe to a bus that has `n_subs`? */
otr_code otr_sub_spec_check(const otr_sub_spec *spec, size_t n_subs, otr_err *err) OTR_MUST_CHECK;

void otr_topics_init(otr_topics *topics);
void otr_topics_deinit(otr_topics *topics);
otr_topic_entry *otr_topics_find(const otr_topics *topics, const otr_topic *topic);
otr_topic_entry *otr_topics_named(const otr_topics *topics, const char *name);
/* Takes `entry` on success. A compiled-in topic takes a name over from a run-time one. */
otr_code otr_topics_add(otr_topics *topics, otr_topic_entry *entry, otr_err *err) OTR_MUST_CHECK;
/* otr_topic.encode of run-time topics, which tells them apart: their payload is otr_bus_json. */
otr_code otr_bus_json_encode(const void *payload, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
otr_code otr_topic_make(const char *name, otr_topic **ret, otr_err *err) OTR_MUST_CHECK;
/* Takes the entries of `owner` out of the table. */
void otr_topics_release(otr_topics *topics, const otr_topic_owner *owner);

static inline bool otr_topic_is_run_time(const otr_topic *topic)
{
    return topic->encode == otr_bus_json_encode;
}

otr_topic_entry *otr_topic_entry_free(otr_topic_entry *entry); /* returns NULL */
/* Room for one more, so that the next otr_routes_append() cannot fail. */
otr_code otr_routes_reserve(otr_routes *routes, otr_err *err) OTR_MUST_CHECK;
void otr_routes_append(otr_routes *routes, otr_sub *sub);
void otr_routes_remove(otr_routes *routes, const otr_sub *sub);

/* A payload whose size a guest chose. */
static inline size_t otr_msg_bytes(const otr_msg *msg)
{
    const otr_bus_json *json = msg->payload;
    return otr_topic_is_run_time(msg->topic) && json != NULL ? json->n : 0;
}

/* What counts against OTR_LIMIT_BUS_QUEUE_BYTES: the message, and its payload twice, as whoever
 * hears it has it encoded; that stays while it waits anywhere. */
static inline size_t otr_msg_charge(const otr_msg *msg)
{
    enum { USUAL_BYTES = 256 }; /* of what is around it, or of a payload that is compiled in */
    return sizeof(*msg) + USUAL_BYTES + 2 * otr_msg_bytes(msg);
}

/* `n` more references at the price of one. The caller holds one itself: if that is the only one,
 * nobody else can be counting. */
static inline void otr_msg_ref_many(const otr_msg *msg, size_t n)
{
    otr_msg *m = (otr_msg *)msg;
    if (atomic_load_explicit(&m->refs, memory_order_relaxed) == 1) {
        atomic_store_explicit(&m->refs, (unsigned)(n + 1), memory_order_relaxed);
    } else {
        (void)atomic_fetch_add_explicit(&m->refs, (unsigned)n, memory_order_relaxed);
    }
}

#endif
