#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "plugin/guest/dead.h"
#include "support/test.h"

enum { MANY = OTR_DEAD_LETTERS + 8 };

static const otr_topic topic = { "test.letter", 1, NULL, NULL };

/* Letters of messages msgs[0], msgs[1], … and a batch to bury them from. */
typedef struct world {
    otr_dead_letters dead;
    otr_guest_job job;
    otr_msg *msgs[MANY];
} world;

static void end_world(world *w)
{
    otr_dead_deinit(&w->dead);
    for (size_t i = 0; i < OTR_COUNT(w->msgs); i++) {
        (void)otr_msg_unref(w->msgs[i]);
    }
    for (size_t i = 0; i < OTR_GUEST_BATCH; i++) {
        otr_free(w->job.failed[i].reason);
    }
    otr_clock_fake(0);
}

static otr_code begin_world(world *w, otr_err *err)
{
    otr_clock_fake(UINT64_C(1767323045678) * OTR_NS_PER_MS);
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(w->msgs); i++) {
        rc = otr_msg_new(&topic, NULL, "tester", NULL, &w->msgs[i], err);
    }
    return rc;
}

#define WORLD                                               \
    OTR_CLEANUP(end_world) world w = { .job = { .n = 0 } }; \
    otr_err err = { 0 };                                    \
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;                \
    otr_buf_init(&out, OTR_LIMIT_JSON_BYTES);               \
    REQUIRE_OK(begin_world(&w, &err), err)

/* Buries message `i` as the second of a batch whose first one was processed. */
static otr_code bury(world *w, size_t i, const char *reason, otr_err *err)
{
    w->job.batch[0] = (otr_guest_item){ .msg = w->msgs[0] };
    w->job.batch[1] = (otr_guest_item){ .msg = w->msgs[i] };
    w->job.n = 2;
    w->job.n_failed = 1;
    w->job.failed[0].index = 1;
    w->job.failed[0].reason = otr_strdup(reason);
    if (w->job.failed[0].reason == NULL) {
        return otr_fail_nomem(err);
    }
    otr_dead_bury(&w->dead, &w->job);
    return OTR_OK;
}

T(a_letter_has_number_time_reason_and_message)
{
    WORLD;
    REQUIRE_OK(otr_dead_write(&w.dead, &out, &err), err);
    CHECK_STR(otr_buf_text(&out), "[]");
    REQUIRE_OK(bury(&w, 3, "it said no", &err), err);
    CHECK(w.job.failed[0].reason == NULL);
    otr_buf_clear(&out);
    REQUIRE_OK(otr_dead_write(&w.dead, &out, &err), err);
    char want[128];
    (void)snprintf(want, sizeof(want),
                   "[{\"number\":1,\"time\":\"2026-01-02T03:04:05.678Z\",\"reason\":\"it said no\","
                   "\"message\":{\"id\":%llu,",
                   (unsigned long long)w.msgs[3]->id);
    CHECK(strncmp(otr_buf_text(&out), want, strlen(want)) == 0);
    CHECK(otr_json_valid(otr_buf_bytes(&out)));
    CHECK(otr_dead_has(&w.dead, w.msgs[3]));
    CHECK(!otr_dead_has(&w.dead, w.msgs[0]));
}

T(the_oldest_letter_goes_when_there_are_too_many)
{
    WORLD;
    for (size_t i = 0; i < MANY; i++) {
        REQUIRE_OK(bury(&w, i, "late", &err), err);
        size_t first = i < OTR_DEAD_LETTERS ? 0 : i - OTR_DEAD_LETTERS + 1;
        CHECK(otr_dead_has(&w.dead, w.msgs[first]) && otr_dead_has(&w.dead, w.msgs[i]));
        CHECK(first == 0 || !otr_dead_has(&w.dead, w.msgs[first - 1]));
    }
    CHECK_INT(w.dead.n, MANY);
    REQUIRE_OK(otr_dead_write(&w.dead, &out, &err), err);
    OTR_CLEANUP(otr_json_freep) otr_json *all = NULL;
    REQUIRE_OK(otr_json_parse(otr_buf_bytes(&out), &all, &err), err);
    REQUIRE(otr_json_size(all) == OTR_DEAD_LETTERS);
    for (size_t i = 0; i < OTR_DEAD_LETTERS; i++) {
        CHECK_INT(otr_json_int(otr_json_get(otr_json_at(all, i), "number"), 0),
                  MANY - OTR_DEAD_LETTERS + 1 + i);
    }
}

T(a_replay_takes_every_letter_and_the_oldest_comes_first)
{
    WORLD;
    static const size_t counts[] = { 1, 5, OTR_DEAD_LETTERS, MANY };
    for (size_t k = 0; k < OTR_COUNT(counts); k++) {
        for (size_t i = 0; i < counts[k]; i++) {
            REQUIRE_OK(bury(&w, i, "late", &err), err);
        }
        size_t n = counts[k] < OTR_DEAD_LETTERS ? counts[k] : OTR_DEAD_LETTERS;
        otr_dead_replay(&w.dead);
        REQUIRE(w.dead.n_again == n);
        for (size_t i = 0; i < n; i++) {
            otr_msg *next = otr_dead_take(&w.dead);
            CHECK(next == w.msgs[counts[k] - n + i]);
            CHECK(!otr_dead_has(&w.dead, next));
            (void)otr_msg_unref(next);
        }
        otr_buf_clear(&out);
        REQUIRE_OK(otr_dead_write(&w.dead, &out, &err), err);
        CHECK_STR(otr_buf_text(&out), "[]");
    }
}

T(the_rest_of_a_batch_is_kept_without_its_questions)
{
    WORLD;
    static const uint64_t deadlines[] = { 0, 1, 0, 99 };
    for (size_t i = 0; i < OTR_COUNT(deadlines); i++) {
        w.job.batch[i] = (otr_guest_item){ .msg = w.msgs[i], .deadline_ns = deadlines[i] };
    }
    w.job.n = OTR_COUNT(deadlines);
    otr_dead_bury_rest(&w.dead, &w.job, "it ended");
    CHECK_INT(w.dead.n, 2);
    for (size_t i = 0; i < OTR_COUNT(deadlines); i++) {
        CHECK(otr_dead_has(&w.dead, w.msgs[i]) == (deadlines[i] == 0));
    }
    REQUIRE_OK(otr_dead_write(&w.dead, &out, &err), err);
    CHECK_HAS(otr_buf_text(&out), "\"reason\":\"it ended\"");
}

/* ---- weights ---- */

/* A message of `bytes` on a run-time topic. */
static otr_code heavy(otr_bus *bus, size_t bytes, otr_msg **ret, otr_err *err)
{
    const otr_topic *made = NULL;
    otr_code rc = otr_bus_topic(bus, "heavy.letter", &made, err);
    otr_bus_json *json = rc == OTR_OK ? otr_zalloc(sizeof(*json) + bytes) : NULL;
    if (rc != OTR_OK || json == NULL) {
        return rc != OTR_OK ? rc : otr_fail_nomem(err);
    }
    json->n = bytes;
    memset(json->bytes, 'x', bytes);
    json->bytes[0] = json->bytes[bytes - 1] = '"';
    rc = otr_msg_new(made, json, "tester", NULL, ret, err);
    if (rc != OTR_OK) {
        otr_free(json);
    }
    return rc;
}

typedef struct heavies { /* letters of several plugins that share a room */
    otr_loop *loop;
    otr_bus *bus;
    otr_dead_room room;
    otr_dead_letters dead[4];
    otr_guest_job job;
} heavies;

static void end_heavies(heavies *w)
{
    for (size_t i = 0; i < OTR_COUNT(w->dead); i++) {
        otr_dead_deinit(&w->dead[i]);
    }
    otr_bus_free(w->bus);
    otr_loop_free(w->loop);
}

#define HEAVIES                                         \
    OTR_CLEANUP(end_heavies) heavies w = { 0 };         \
    otr_err err = { 0 };                                \
    REQUIRE_OK(otr_loop_new(&w.loop, &err), err);       \
    REQUIRE_OK(otr_bus_new(w.loop, &w.bus, &err), err); \
    for (size_t i = 0; i < OTR_COUNT(w.dead); i++) {    \
        otr_dead_enter(&w.dead[i], &w.room);            \
    }                                                   \
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;            \
    otr_buf_init(&out, OTR_LIMIT_JSON_BYTES)

/* One more letter of `bytes`, whose message the guest had as JSON. */
static otr_code bury_heavy(heavies *w, size_t who, size_t bytes, otr_err *err)
{
    otr_msg *msg = NULL;
    otr_bytes text;
    otr_code rc = heavy(w->bus, bytes, &msg, err);
    rc = rc == OTR_OK ? otr_msg_json(msg, &text, err) : rc;
    if (rc == OTR_OK) {
        w->job.batch[0] = (otr_guest_item){ .msg = msg };
        w->job.n = 1;
        otr_dead_bury_rest(&w->dead[who], &w->job, "too much");
    }
    (void)otr_msg_unref(msg);
    return rc;
}

/* How many are listed, and how many of them can be replayed. */
static size_t listed(const otr_dead_letters *d, otr_buf *out, size_t *ret_whole)
{
    otr_json *all = NULL;
    otr_buf_clear(out);
    *ret_whole = 0;
    if (otr_dead_write(d, out, NULL) != OTR_OK ||
        otr_json_parse(otr_buf_bytes(out), &all, NULL) != OTR_OK) {
        return SIZE_MAX;
    }
    size_t n = otr_json_size(all);
    for (size_t i = 0; i < n; i++) {
        *ret_whole += otr_json_bool(otr_json_get(otr_json_at(all, i), "replayable"), true);
    }
    otr_json_free(all);
    return n;
}

/* Megabytes, and the same allocations as above. */
T_NO_OOM(letters_of_one_plugin_are_bounded_by_their_bytes_and_leave_notes)
{
    HEAVIES;
    size_t whole = 0;
    for (size_t i = 0; i < OTR_DEAD_LETTERS + 4; i++) {
        REQUIRE_OK(bury_heavy(&w, 0, 2 * OTR_MIB, &err), err);
        CHECK(w.dead[0].bytes <= OTR_LIMIT_PLUGIN_DEAD_BYTES);
        CHECK_INT(w.room.bytes, w.dead[0].bytes);
    }
    CHECK_INT(listed(&w.dead[0], &out, &whole), OTR_DEAD_LETTERS);
    CHECK_INT(whole, 9); /* of 2 MiB and a little, without what was encoded of them */
    CHECK(out.n < 100000);
    CHECK_HAS(otr_buf_text(&out), "\"omitted_bytes\":");
    CHECK_HAS(otr_buf_text(&out), "\"topic\":\"heavy.letter\"");
    CHECK(w.dead[0].bytes < 19 * OTR_MIB); /* and to list them encodes nothing that stays */
    CHECK(otr_msg_weight(w.dead[0].kept[OTR_DEAD_LETTERS - 1].msg) < 2 * OTR_MIB + 4096);
    otr_dead_replay(&w.dead[0]);
    CHECK_INT(listed(&w.dead[0], &out, &whole), OTR_DEAD_LETTERS - 9); /* the notes */
    CHECK_INT(whole, 0);
    CHECK(w.dead[0].bytes > 18 * OTR_MIB); /* until they are taken */
    REQUIRE_OK(bury_heavy(&w, 0, 4 * OTR_MIB, &err), err);
    CHECK(w.dead[0].kept[w.dead[0].n_kept - 1].msg == NULL);
    for (otr_msg *msg; (msg = otr_dead_take(&w.dead[0])) != NULL;) {
        (void)otr_msg_unref(msg);
    }
    CHECK_INT(w.room.bytes, 0);
}

T_NO_OOM(one_letter_above_the_bound_is_a_note_and_others_stay)
{
    HEAVIES;
    size_t whole = 0;
    otr_msg *shared = NULL;
    otr_bytes text;
    REQUIRE_OK(bury_heavy(&w, 0, 1000, &err), err);
    /* Somebody else has it, with its encoded copy: that cannot go. */
    REQUIRE_OK(heavy(w.bus, 12 * OTR_MIB, &shared, &err), err);
    REQUIRE_OK(otr_msg_json(shared, &text, &err), err);
    otr_msg *other = otr_msg_ref(shared);
    w.job.batch[0] = (otr_guest_item){ .msg = shared };
    w.job.n = 1;
    otr_dead_bury_rest(&w.dead[0], &w.job, "shared");
    CHECK_INT(listed(&w.dead[0], &out, &whole), 2);
    CHECK_INT(whole, 0);
    CHECK_INT(w.room.bytes, 0);
    CHECK(text.p[text.n - 1] == '}');
    (void)otr_msg_unref(other);
    (void)otr_msg_unref(shared);
}

T_NO_OOM(all_plugins_share_a_room_and_the_heaviest_makes_way)
{
    HEAVIES;
    size_t whole = 0;
    REQUIRE_OK(bury_heavy(&w, 3, 1000, &err), err); /* the oldest of all, and light */
    for (size_t i = 0; i < 27; i++) {
        REQUIRE_OK(bury_heavy(&w, i % 3, 3 * OTR_MIB, &err), err);
        CHECK(w.room.bytes <= OTR_LIMIT_DEAD_BYTES);
    }
    for (size_t i = 0; i < 5; i++) {
        REQUIRE_OK(bury_heavy(&w, 3, 3 * OTR_MIB, &err), err);
        CHECK(w.room.bytes <= OTR_LIMIT_DEAD_BYTES);
    }
    CHECK_INT(listed(&w.dead[3], &out, &whole), 6);
    CHECK(whole >= 5);
    otr_dead_deinit(&w.dead[1]);
    CHECK_INT(w.room.bytes, w.dead[0].bytes + w.dead[2].bytes + w.dead[3].bytes);
}
