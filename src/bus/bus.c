#include "bus/bus.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "bus/private.h"
#include "bus/sub.h"

enum {
    KEPT_SLOTS = 1024,  /* an empty queue with more gives them back */
    TURN_MESSAGES = 64, /* most that a subscriber takes in one turn */
    /* A round of the bus is over after this long, or after so many turns when the clock stands:
     * timers and I/O come next, then the bus goes on where it stopped. */
    ROUND_NS = 500000,
    ROUND_TURNS = 1024,
    SLOW_TURN_NS = OTR_NS_PER_MS,
};

struct otr_bus {
    otr_loop *loop;
    otr_defer defer;
    otr_sub *current; /* in its turn; NULL as soon as it is freed */
    otr_link ready;   /* ring of subscribers that are to be called */
    otr_link all;
    size_t n_subs;
    otr_topic_entry *last; /* of the latest publish: the next is often on the same topic */
    otr_topics topics;
    otr_topic_owner nobody; /* of topics that no plugin is charged for */
    otr_facts *facts;
    uint64_t published, delivered, unheard;
};

static void ring_append(otr_link *head, otr_link *item)
{
    item->next = head;
    item->prev = head->prev;
    head->prev->next = item;
    head->prev = item;
}

static void ring_remove(otr_link *item)
{
    if (item->next != NULL) {
        item->prev->next = item->next;
        item->next->prev = item->prev;
        item->next = item->prev = NULL;
    }
}

static otr_sub *sub_of_all(otr_link *item)
{
    return (otr_sub *)(void *)((char *)item - offsetof(otr_sub, all_link));
}

/* ---- queues ---- */

static bool grow_ring(otr_sub *sub)
{
    size_t slots = (sub->mask + 1) * 2;
    const otr_msg **ring = otr_alloc(slots * sizeof(const otr_msg *));
    if (ring == NULL) {
        return false;
    }
    for (uint64_t place = sub->head; place != sub->tail; place++) {
        ring[place & (slots - 1)] = sub->ring[place & sub->mask];
    }
    if (sub->ring != sub->few) {
        otr_free(sub->ring);
    }
    sub->ring = ring;
    sub->mask = slots - 1;
    return true;
}

static void release_ring(otr_sub *sub)
{
    if (sub->ring != sub->few) {
        otr_free(sub->ring);
    }
    sub->ring = sub->few;
    sub->mask = OTR_SUB_FEW - 1;
}

static void unref_const(const otr_msg *msg)
{
    (void)otr_msg_unref((otr_msg *)msg);
}

static void drop_oldest(otr_sub *sub)
{
    const otr_msg *msg = sub->ring[sub->head++ & sub->mask];
    sub->bytes -= otr_msg_charge(msg);
    sub->dropped++;
    unref_const(msg);
}

static void append(otr_sub *sub, const otr_msg *msg)
{
    size_t depth = (size_t)(sub->tail - sub->head);
    if (OTR_UNLIKELY(depth == sub->capacity || (depth > sub->mask && !grow_ring(sub)))) {
        drop_oldest(sub);
        depth--;
    }
    sub->ring[sub->tail++ & sub->mask] = msg;
    if (++depth > sub->depth_max) {
        sub->depth_max = depth;
    }
}

/* No payload alone is above the limit on bytes, so the newest message always stays. */
static void bound(otr_sub *sub)
{
    while (OTR_UNLIKELY(sub->bytes > OTR_LIMIT_BUS_QUEUE_BYTES)) {
        assert(sub->head != sub->tail);
        drop_oldest(sub);
    }
}

/* Takes over one reference. Never fails: without memory to grow, the queue is full earlier. */
static void push(otr_route *route, const otr_msg *msg, size_t bytes)
{
    otr_sub *sub = route->sub;
    sub->bytes += bytes;
    if (route->waiting_at > sub->head) {
        const otr_msg **slot = &sub->ring[(route->waiting_at - 1) & sub->mask];
        const otr_msg *old = *slot;
        *slot = msg;
        sub->bytes -= otr_msg_charge(old);
        sub->coalesced++;
        unref_const(old);
    } else {
        append(sub, msg);
        if (sub->policy == OTR_SUB_COALESCE_LATEST) {
            route->waiting_at = sub->tail;
        }
    }
    bound(sub);
}

otr_msg *otr_sub_take(otr_sub *sub)
{
    if (sub->head == sub->tail) {
        return NULL;
    }
    if (sub->bus->current == sub) {
        if (sub->turn_left == 0) {
            return NULL;
        }
        sub->turn_left--;
    }
    const otr_msg *msg = sub->ring[sub->head++ & sub->mask];
    sub->bytes -= otr_msg_charge(msg);
    if (sub->head == sub->tail && sub->mask >= KEPT_SLOTS) {
        release_ring(sub);
    }
    return (otr_msg *)msg;
}

/* ---- dispatch ---- */

static void dispatch(void *arg);

static void make_ready(otr_sub *sub)
{
    if (sub->ready_link.next == NULL) {
        ring_append(&sub->bus->ready, &sub->ready_link);
    }
}

static void schedule(otr_bus *bus)
{
    otr_loop_defer(bus->loop, &bus->defer, dispatch, bus);
}

/* False when the subscriber is gone. One that takes nothing is busy: it is called again when it
 * wakes itself or when more arrives. */
static bool give_turn(otr_bus *bus, otr_sub *sub)
{
    sub->turn_left = TURN_MESSAGES;
    bus->current = sub;
    sub->ready(sub->arg, sub);
    if (bus->current == NULL) {
        return false; /* it freed itself */
    }
    bus->current = NULL;
    if (sub->turn_left < TURN_MESSAGES && sub->head != sub->tail) {
        make_ready(sub);
    }
    return true;
}

static void dispatch(void *arg)
{
    otr_bus *bus = arg;
    uint64_t now_ns = otr_now_ns(), end_ns = now_ns + ROUND_NS;
    for (unsigned turns = 0; bus->ready.next != &bus->ready; turns++) {
        if (turns == ROUND_TURNS || now_ns > end_ns) {
            schedule(bus);
            return;
        }
        otr_sub *sub = (otr_sub *)(void *)bus->ready.next;
        ring_remove(&sub->ready_link);
        bool alive = give_turn(bus, sub);
        uint64_t before_ns = now_ns;
        now_ns = otr_now_ns();
        if (OTR_UNLIKELY(now_ns - before_ns > SLOW_TURN_NS) && alive) {
            otr_log_debug("slow subscriber on the bus", "name", sub->name, "us",
                          OTR_U64((now_ns - before_ns) / 1000));
        }
    }
}

void otr_sub_wake(otr_sub *sub)
{
    if (sub->head != sub->tail) {
        make_ready(sub);
        schedule(sub->bus);
    }
}

/* ---- bus ---- */

otr_code otr_bus_new(otr_loop *loop, otr_bus **ret, otr_err *err)
{
    otr_bus *bus = otr_zalloc(sizeof(*bus));
    if (bus == NULL) {
        return otr_fail_nomem(err);
    }
    bus->loop = loop;
    bus->ready.next = bus->ready.prev = &bus->ready;
    bus->all.next = bus->all.prev = &bus->all;
    otr_topics_init(&bus->topics);
    *ret = bus;
    return OTR_OK;
}

void otr_bus_free(otr_bus *bus)
{
    if (bus != NULL) {
        assert(bus->n_subs == 0);
        otr_loop_defer_cancel(&bus->defer);
        (void)otr_facts_unref(bus->facts);
        otr_topics_deinit(&bus->topics);
        otr_free(bus);
    }
}

static bool wants(const otr_sub *sub, const char *topic)
{
    for (size_t i = 0; i < sub->n_patterns; i++) {
        if (otr_topic_match(sub->patterns[i], topic)) {
            return true;
        }
    }
    return false;
}

/* Makes `topic` known and finds who listens. All or nothing; `run_time` is taken on success. */
static otr_code learn(otr_bus *bus, const otr_topic *topic, otr_topic *run_time,
                      otr_topic_entry **ret, otr_err *err)
{
    otr_topic_entry *entry = otr_zalloc(sizeof(*entry));
    if (entry == NULL) {
        return otr_fail_nomem(err);
    }
    entry->topic = topic;
    otr_code rc = OTR_OK;
    for (otr_link *at = bus->all.next; rc == OTR_OK && at != &bus->all; at = at->next) {
        otr_sub *sub = sub_of_all(at);
        if (wants(sub, topic->name)) {
            rc = otr_routes_reserve(&entry->routes, err);
            if (rc == OTR_OK) {
                otr_routes_append(&entry->routes, sub);
            }
        }
    }
    entry->run_time = run_time;
    if (rc == OTR_OK) {
        rc = otr_topics_add(&bus->topics, entry, err);
    }
    if (rc != OTR_OK) {
        entry->run_time = NULL;
        otr_topic_entry_free(entry);
        return rc;
    }
    *ret = entry;
    return OTR_OK;
}

otr_code otr_bus_topic_of(otr_bus *bus, otr_topic_owner *owner, const char *name,
                          const otr_topic **ret, otr_err *err)
{
    size_t most = owner != NULL ? OTR_LIMIT_PLUGIN_TOPICS : OTR_LIMIT_BUS_TOPICS;
    owner = owner != NULL ? owner : &bus->nobody;
    otr_topic_entry *entry = otr_topics_named(&bus->topics, name);
    if (entry != NULL) {
        if (entry->run_time == NULL) {
            return otr_fail(err, OTR_EDENIED,
                            "topic \"%s\" belongs to the agent: publish under another name", name);
        }
        *ret = entry->topic;
        return OTR_OK;
    }
    otr_code rc = otr_topic_check(name, false, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (owner->n >= most) {
        return otr_fail(err, OTR_EQUOTA,
                        "topic \"%s\" would be one more than the limit of %zu of one plugin: put "
                        "what varies into the data",
                        name, most);
    }
    otr_topic *made = NULL;
    rc = otr_topic_make(name, &made, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = learn(bus, made, made, &entry, err);
    if (rc != OTR_OK) {
        otr_topic_unref(made);
        return rc;
    }
    entry->owner = owner;
    owner->n++;
    *ret = made;
    return OTR_OK;
}

void otr_bus_release(otr_bus *bus, otr_topic_owner *owner)
{
    if (owner->n > 0) {
        bus->last = NULL;
        otr_topics_release(&bus->topics, owner);
        owner->n = 0;
    }
}

otr_code otr_bus_declare(otr_bus *bus, const otr_topic *topic, otr_err *err)
{
    if (otr_topics_find(&bus->topics, topic) != NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_topic_check(topic->name, false, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_topic_entry *other = otr_topics_named(&bus->topics, topic->name);
    if (other != NULL) {
        return otr_fail(err, OTR_ESTATE, "topic \"%s\" is already %s", topic->name,
                        other->run_time != NULL ? "published by a plugin" : "declared");
    }
    otr_topic_entry *entry;
    return learn(bus, topic, NULL, &entry, err);
}

otr_code otr_bus_keep(otr_bus *bus, const otr_topic *topic, otr_fact fact, otr_about_fn *about,
                      otr_err *err)
{
    otr_code rc = otr_bus_declare(bus, topic, err);
    if (rc == OTR_OK) {
        otr_topic_entry *entry = otr_topics_find(&bus->topics, topic);
        entry->fact = fact;
        entry->about = about;
    }
    return rc;
}

otr_facts *otr_bus_facts(const otr_bus *bus)
{
    return otr_facts_ref(bus->facts);
}

otr_code otr_bus_publish(otr_bus *bus, const otr_msg *msg, otr_err *err)
{
    otr_topic_entry *entry = bus->last;
    if (entry == NULL || entry->topic != msg->topic) {
        entry = otr_topics_find(&bus->topics, msg->topic);
        if (entry == NULL) {
            otr_code rc = learn(bus, msg->topic, NULL, &entry, err);
            if (rc != OTR_OK) {
                return rc;
            }
        }
        bus->last = entry;
    }
    if (OTR_UNLIKELY(entry->fact != OTR_FACT_NONE)) {
        otr_code rc = otr_facts_note(&bus->facts, msg, entry->fact, entry->about, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    bus->published++;
    size_t n = entry->routes.n;
    if (n == 0) {
        bus->unheard++;
        return OTR_OK;
    }
    bus->delivered += n;
    size_t bytes = otr_msg_charge(msg);
    otr_msg_ref_many(msg, n);
    for (size_t i = 0; i < n; i++) {
        otr_route *route = &entry->routes.items[i];
        push(route, msg, bytes);
        make_ready(route->sub);
    }
    schedule(bus);
    return OTR_OK;
}

void otr_bus_get_stats(const otr_bus *bus, otr_bus_stats *ret)
{
    *ret = (otr_bus_stats){
        .published = bus->published,
        .delivered = bus->delivered,
        .unheard = bus->unheard,
        .topics = bus->topics.n,
        .subscribers = bus->n_subs,
    };
}

/* ---- subscribers ---- */

static const char *pack(char **at, const char *text)
{
    char *copy = *at;
    size_t n = strlen(text) + 1;
    memcpy(copy, text, n);
    *at += n;
    return copy;
}

static otr_code make_sub(otr_bus *bus, const otr_sub_spec *spec, otr_sub **ret, otr_err *err)
{
    size_t n = 0, text_bytes = strlen(spec->name) + 1;
    for (; spec->patterns[n] != NULL; n++) {
        text_bytes += strlen(spec->patterns[n]) + 1;
    }
    otr_sub *sub = otr_zalloc(sizeof(*sub) + n * sizeof(sub->patterns[0]) + text_bytes);
    if (sub == NULL) {
        return otr_fail_nomem(err);
    }
    sub->bus = bus;
    sub->ring = sub->few;
    sub->mask = OTR_SUB_FEW - 1;
    sub->capacity = spec->capacity;
    sub->policy = spec->policy;
    sub->ready = spec->ready;
    sub->arg = spec->arg;
    char *at = (char *)&sub->patterns[n];
    sub->name = pack(&at, spec->name);
    for (; sub->n_patterns < n; sub->n_patterns++) {
        sub->patterns[sub->n_patterns] = pack(&at, spec->patterns[sub->n_patterns]);
    }
    *ret = sub;
    return OTR_OK;
}

/* All memory first, so that nothing has to be undone. */
static otr_code connect_routes(otr_bus *bus, otr_sub *sub, otr_err *err)
{
    for (size_t i = 0; i < bus->topics.n; i++) {
        otr_topic_entry *entry = bus->topics.entries[i];
        if (wants(sub, entry->topic->name)) {
            otr_code rc = otr_routes_reserve(&entry->routes, err);
            if (rc != OTR_OK) {
                return rc;
            }
        }
    }
    for (size_t i = 0; i < bus->topics.n; i++) {
        otr_topic_entry *entry = bus->topics.entries[i];
        if (wants(sub, entry->topic->name)) {
            otr_routes_append(&entry->routes, sub);
        }
    }
    return OTR_OK;
}

otr_code otr_bus_subscribe(otr_bus *bus, const otr_sub_spec *spec, otr_sub **ret, otr_err *err)
{
    otr_code rc = otr_sub_spec_check(spec, bus->n_subs, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "%s cannot subscribe", spec->name);
    }
    otr_sub *sub = NULL;
    rc = make_sub(bus, spec, &sub, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = connect_routes(bus, sub, err);
    if (rc != OTR_OK) {
        otr_free(sub);
        return rc;
    }
    ring_append(&bus->all, &sub->all_link);
    bus->n_subs++;
    *ret = sub;
    return OTR_OK;
}

void otr_sub_free(otr_sub *sub)
{
    if (sub == NULL) {
        return;
    }
    otr_bus *bus = sub->bus;
    if (bus->current == sub) {
        bus->current = NULL;
    }
    ring_remove(&sub->ready_link);
    ring_remove(&sub->all_link);
    bus->n_subs--;
    for (size_t i = 0; i < bus->topics.n; i++) {
        otr_routes_remove(&bus->topics.entries[i]->routes, sub);
    }
    while (sub->head != sub->tail) {
        unref_const(sub->ring[sub->head++ & sub->mask]);
    }
    release_ring(sub);
    otr_free(sub);
}

void otr_sub_limit(otr_sub *sub, size_t capacity)
{
    sub->capacity = capacity;
    while (sub->tail - sub->head > capacity) {
        drop_oldest(sub);
    }
}

void otr_sub_move(otr_sub *from, otr_sub *to)
{
    uint64_t moved = 0;
    while (from->head != from->tail) {
        const otr_msg *msg = from->ring[from->head & from->mask];
        if (!wants(to, msg->topic->name)) {
            drop_oldest(from);
            continue;
        }
        from->head++;
        from->bytes -= otr_msg_charge(msg);
        to->bytes += otr_msg_charge(msg);
        append(to, msg);
        bound(to);
        moved++;
    }
    from->head -= moved;
    from->tail -= moved;
    otr_sub_wake(to);
}
