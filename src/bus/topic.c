#include <sys/random.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "bus/private.h"

enum { SLOTS_PER_ENTRY = 2 };

/* ---- names and patterns ---- */

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* The end of the word at `p`: a dot or the NUL. */
static const char *word_end(const char *p)
{
    return p + strcspn(p, ".");
}

static bool word_ok(const char *p, const char *end, bool pattern)
{
    if (pattern && end - p == 1 && *p == '*') {
        return true;
    }
    bool ok = p < end;
    for (; p < end; p++) {
        ok = ok && word_byte(*p);
    }
    return ok;
}

otr_code otr_topic_check(const char *name, bool pattern, otr_err *err)
{
    const char *what = pattern ? "topic pattern" : "topic";
    size_t n = strnlen(name, OTR_LIMIT_BUS_TOPIC_BYTES + 1);
    if (n == 0 || n > OTR_LIMIT_BUS_TOPIC_BYTES) {
        return otr_fail(err, OTR_EINVAL, "%s \"%.*s%s\" must have 1 to %d bytes", what, (int)n,
                        name, n == 0 ? "" : "...", OTR_LIMIT_BUS_TOPIC_BYTES);
    }
    for (const char *p = name;; p++) {
        const char *end = word_end(p);
        if (!word_ok(p, end, pattern)) {
            return otr_fail(err, OTR_EINVAL,
                            "%s \"%s\" must be words of a-z, 0-9, _ and -%s, "
                            "joined by dots, as in \"%s\"",
                            what, name, pattern ? " or * alone" : "",
                            pattern ? "nginx.*" : "alert.request-rate");
        }
        if (*end == '\0') {
            return OTR_OK;
        }
        p = end;
    }
}

bool otr_topic_match(const char *pattern, const char *name)
{
    for (;;) {
        if (pattern[0] == '*' && pattern[1] == '\0') {
            return name[0] != '\0';
        }
        size_t p = strcspn(pattern, "."), n = strcspn(name, ".");
        bool any = p == 1 && pattern[0] == '*' && n > 0;
        if (!any && (p != n || memcmp(pattern, name, n) != 0)) {
            return false;
        }
        if (pattern[p] == '\0' || name[n] == '\0') {
            return pattern[p] == name[n];
        }
        pattern += p + 1;
        name += n + 1;
    }
}

/* ---- run-time topics ---- */

static void drop_json(void *payload)
{
    otr_free(payload);
}

otr_code otr_bus_json_encode(const void *payload, otr_buf *out, otr_err *err)
{
    const otr_bus_json *json = payload;
    return otr_buf_add(out, (otr_bytes){ json->bytes, json->n }, err);
}

otr_bus_json *otr_bus_json_new(otr_bytes json)
{
    if (json.n > OTR_LIMIT_BUS_PAYLOAD_BYTES) {
        return NULL;
    }
    otr_bus_json *payload = otr_alloc(sizeof(*payload) + json.n);
    if (payload != NULL) {
        payload->n = json.n;
        if (json.n > 0) {
            memcpy(payload->bytes, json.p, json.n);
        }
    }
    return payload;
}

typedef struct made_topic {
    otr_topic topic; /* first: it is the address of all */
    _Atomic unsigned refs;
    char name[];
} made_topic;

otr_code otr_topic_make(const char *name, otr_topic **ret, otr_err *err)
{
    size_t n = strlen(name) + 1;
    made_topic *made = otr_zalloc(sizeof(*made) + n);
    if (made == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(made->name, name, n);
    atomic_init(&made->refs, 1);
    made->topic = (otr_topic){ made->name, 1, drop_json, otr_bus_json_encode };
    *ret = &made->topic;
    return OTR_OK;
}

void otr_topic_ref(const otr_topic *topic)
{
    if (topic != NULL && otr_topic_is_run_time(topic)) {
        made_topic *made = (made_topic *)(void *)(uintptr_t)topic;
        (void)atomic_fetch_add_explicit(&made->refs, 1, memory_order_relaxed);
    }
}

void otr_topic_unref(const otr_topic *topic)
{
    if (topic != NULL && otr_topic_is_run_time(topic)) {
        made_topic *made = (made_topic *)(void *)(uintptr_t)topic;
        if (atomic_fetch_sub_explicit(&made->refs, 1, memory_order_acq_rel) == 1) {
            otr_free(made);
        }
    }
}

/* ---- routes ---- */

otr_code otr_routes_reserve(otr_routes *routes, otr_err *err)
{
    return otr_grow(&routes->items, routes->n, &routes->cap, sizeof(*routes->items), err);
}

void otr_routes_append(otr_routes *routes, otr_sub *sub)
{
    routes->items[routes->n++] = (otr_route){ .sub = sub };
}

void otr_routes_remove(otr_routes *routes, const otr_sub *sub)
{
    for (size_t i = 0; i < routes->n; i++) {
        if (routes->items[i].sub == sub) {
            routes->n--;
            memmove(&routes->items[i], &routes->items[i + 1],
                    (routes->n - i) * sizeof(routes->items[0]));
            return;
        }
    }
}

/* ---- table ---- */

otr_topic_entry *otr_topic_entry_free(otr_topic_entry *entry)
{
    if (entry != NULL) {
        otr_free(entry->routes.items);
        otr_topic_unref(entry->run_time);
        otr_free(entry);
    }
    return NULL;
}

void otr_topics_init(otr_topics *topics)
{
    *topics = (otr_topics){ 0 };
    /* A guest chooses names: what it cannot guess it cannot make collide. Without entropy yet, the
     * limit on topics still bounds a search. */
    if (getrandom(&topics->seed, sizeof(topics->seed), GRND_NONBLOCK) < 0) {
        topics->seed = 0;
    }
}

void otr_topics_deinit(otr_topics *topics)
{
    for (size_t i = 0; i < topics->n; i++) {
        topics->entries[i] = otr_topic_entry_free(topics->entries[i]);
    }
    otr_free(topics->entries);
    otr_free(topics->by_address);
    otr_free(topics->by_name);
    *topics = (otr_topics){ 0 };
}

static size_t address_slot(const otr_topics *topics, const otr_topic *topic)
{
    uint64_t h = (uint64_t)(uintptr_t)topic * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h >> 32) & (topics->slots - 1);
}

static size_t name_slot(const otr_topics *topics, const char *name)
{
    uint64_t h = topics->seed ^ UINT64_C(0xcbf29ce484222325);
    for (; *name != '\0'; name++) {
        h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    }
    return (size_t)(h ^ (h >> 32)) & (topics->slots - 1);
}

otr_topic_entry *otr_topics_find(const otr_topics *topics, const otr_topic *topic)
{
    if (topics->slots == 0) {
        return NULL;
    }
    for (size_t at = address_slot(topics, topic); topics->by_address[at] != 0;
         at = (at + 1) & (topics->slots - 1)) {
        otr_topic_entry *entry = topics->entries[topics->by_address[at] - 1];
        if (entry->topic == topic) {
            return entry;
        }
    }
    return NULL;
}

/* The slot that holds `name`, or the free one where it belongs. */
static uint32_t *find_name(const otr_topics *topics, const char *name)
{
    size_t at = name_slot(topics, name);
    while (topics->by_name[at] != 0 &&
           strcmp(topics->entries[topics->by_name[at] - 1]->topic->name, name) != 0) {
        at = (at + 1) & (topics->slots - 1);
    }
    return &topics->by_name[at];
}

otr_topic_entry *otr_topics_named(const otr_topics *topics, const char *name)
{
    if (topics->slots == 0) {
        return NULL;
    }
    uint32_t found = *find_name(topics, name);
    return found != 0 ? topics->entries[found - 1] : NULL;
}

static void index_entry(otr_topics *topics, size_t i)
{
    const otr_topic_entry *entry = topics->entries[i];
    size_t at = address_slot(topics, entry->topic);
    while (topics->by_address[at] != 0) {
        at = (at + 1) & (topics->slots - 1);
    }
    topics->by_address[at] = (uint32_t)i + 1;
    uint32_t *name = find_name(topics, entry->topic->name);
    if (*name == 0 || entry->run_time == NULL) {
        *name = (uint32_t)i + 1;
    }
}

void otr_topics_release(otr_topics *topics, const otr_topic_owner *owner)
{
    size_t kept = 0;
    for (size_t i = 0; i < topics->n; i++) {
        if (topics->entries[i]->owner == owner) {
            (void)otr_topic_entry_free(topics->entries[i]);
        } else {
            topics->entries[kept++] = topics->entries[i];
        }
    }
    topics->n = kept;
    if (topics->slots > 0) {
        memset(topics->by_address, 0, topics->slots * sizeof(topics->by_address[0]));
        memset(topics->by_name, 0, topics->slots * sizeof(topics->by_name[0]));
    }
    for (size_t i = 0; i < kept; i++) {
        index_entry(topics, i);
    }
}

static otr_code grow(otr_topics *topics, otr_err *err)
{
    size_t cap = topics->cap;
    otr_code rc = otr_grow(&topics->entries, topics->n, &cap, sizeof(otr_topic_entry *), err);
    if (rc != OTR_OK) {
        return rc;
    }
    /* The entries are more than topics->cap says, if what follows fails. */
    size_t slots = cap * SLOTS_PER_ENTRY;
    uint32_t *by_address = otr_calloc(slots, sizeof(by_address[0]));
    uint32_t *by_name = otr_calloc(slots, sizeof(by_name[0]));
    if (by_address == NULL || by_name == NULL) {
        otr_free(by_address);
        otr_free(by_name);
        return otr_fail_nomem(err);
    }
    otr_free(topics->by_address);
    otr_free(topics->by_name);
    topics->by_address = by_address;
    topics->by_name = by_name;
    topics->cap = cap;
    topics->slots = slots;
    for (size_t i = 0; i < topics->n; i++) {
        index_entry(topics, i);
    }
    return OTR_OK;
}

otr_code otr_topics_add(otr_topics *topics, otr_topic_entry *entry, otr_err *err)
{
    if (topics->n == topics->cap) {
        otr_code rc = grow(topics, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    topics->entries[topics->n] = entry;
    index_entry(topics, topics->n++);
    return OTR_OK;
}

otr_code otr_sub_spec_check(const otr_sub_spec *spec, size_t n_subs, otr_err *err)
{
    if (spec->capacity == 0 || spec->capacity > OTR_LIMIT_BUS_QUEUE) {
        return otr_fail(err, OTR_EINVAL, "a queue of %zu messages: give 1 to %d", spec->capacity,
                        OTR_LIMIT_BUS_QUEUE);
    }
    if (n_subs >= OTR_LIMIT_BUS_SUBSCRIBERS) {
        return otr_fail(err, OTR_EQUOTA, "the bus has its most, %d, subscribers",
                        OTR_LIMIT_BUS_SUBSCRIBERS);
    }
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && spec->patterns[i] != NULL; i++) {
        rc = i < OTR_LIMIT_BUS_PATTERNS
                 ? otr_topic_check(spec->patterns[i], true, err)
                 : otr_fail(err, OTR_EINVAL, "more than %d topic patterns", OTR_LIMIT_BUS_PATTERNS);
    }
    return rc;
}
