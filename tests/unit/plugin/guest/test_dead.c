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
            otr_msg *next = w.dead.again[--w.dead.n_again];
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
