#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "bus/msg.h"
#include "support/test.h"

typedef struct counted {
    atomic_int encodes, drops;
    atomic_bool fail;
} counted;

static void drop_counted(void *payload)
{
    counted *c = payload;
    atomic_fetch_add(&c->drops, 1);
}

static otr_code encode_counted(const void *payload, otr_buf *out, otr_err *err)
{
    counted *c = (counted *)payload;
    atomic_fetch_add(&c->encodes, 1);
    if (atomic_load(&c->fail)) {
        return otr_fail(err, OTR_EINVAL, "no such luck");
    }
    return otr_buf_adds(out, "{\"n\":[1,2]}", err);
}

static const otr_topic topic = { "test.counted", 3, drop_counted, encode_counted };
static const otr_topic bare = { "test.bare", 1, NULL, NULL };

T(unref_of_null_is_fine)
{
    CHECK(otr_msg_unref(NULL) == NULL);
}

T(the_last_reference_drops_the_payload)
{
    counted c = { 0 };
    otr_err e = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&topic, &c, "tester", NULL, &msg, &e), e);
    otr_msg *again = otr_msg_ref(msg);
    CHECK(again == msg);
    (void)otr_msg_unref(again);
    CHECK_INT(atomic_load(&c.drops), 0);
    msg = otr_msg_unref(msg);
    CHECK(msg == NULL);
    CHECK_INT(atomic_load(&c.drops), 1);
}

/* As the question of a hook has it. */
typedef struct with_topic {
    otr_topic topic;
    atomic_int *drops;
} with_topic;

static void drop_with_topic(void *payload)
{
    with_topic *p = payload;
    atomic_fetch_add(p->drops, 1);
    otr_free(p);
}

T(a_topic_may_be_part_of_the_payload)
{
    atomic_int drops = 0;
    otr_err e = { 0 };
    with_topic *p = otr_zalloc(sizeof(*p));
    REQUIRE(p != NULL);
    p->topic = (otr_topic){ "test.own", 1, drop_with_topic, NULL };
    p->drops = &drops;
    otr_msg *msg = NULL;
    otr_code rc = otr_msg_new(&p->topic, p, "tester", NULL, &msg, &e);
    if (rc != OTR_OK) {
        otr_free(p);
    }
    REQUIRE_OK(rc, e);
    (void)otr_msg_unref(msg);
    CHECK_INT(atomic_load(&drops), 1);
}

T(what_was_encoded_is_weighed_and_goes_when_nobody_else_has_the_message)
{
    counted c = { 0 };
    otr_err e = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&topic, &c, "tester", NULL, &msg, &e), e);
    otr_bytes text;
    size_t light = otr_msg_weight(msg);
    REQUIRE_OK(otr_msg_json(msg, &text, &e), e);
    CHECK(otr_msg_weight(msg) > light + text.n);
    otr_msg *other = otr_msg_ref(msg);
    otr_msg_trim(msg, 1);
    CHECK(otr_msg_weight(msg) > light + text.n);
    (void)otr_msg_unref(other);
    otr_msg_trim(msg, 1);
    CHECK_INT(otr_msg_weight(msg), light);
    REQUIRE_OK(otr_msg_json(msg, &text, &e), e);
    CHECK_INT(atomic_load(&c.encodes), 2);
}

T(a_payload_stays_the_callers_when_no_message_was_made)
{
    counted c = { 0 };
    otr_msg *msg = NULL;
    if (otr_msg_new(&topic, &c, "tester", NULL, &msg, NULL) != OTR_OK) {
        CHECK_INT(atomic_load(&c.drops), 0);
        CHECK(msg == NULL);
        return;
    }
    (void)otr_msg_unref(msg);
    CHECK_INT(atomic_load(&c.drops), 1);
}

T(ids_are_unique_and_causes_are_chained_to_a_limit)
{
    otr_err e = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&bare, NULL, "tester", NULL, &msg, &e), e);
    CHECK(msg->id > 0);
    CHECK_INT(msg->cause, 0);
    for (unsigned depth = 1; depth <= OTR_LIMIT_BUS_CAUSE_DEPTH; depth++) {
        otr_msg *answer = NULL;
        REQUIRE_OK(otr_msg_new(&bare, NULL, "tester", msg, &answer, &e), e);
        bool right =
            answer->cause == msg->id && answer->id != msg->id && answer->cause_depth == depth;
        (void)otr_msg_unref(msg);
        msg = answer;
        REQUIRE(right);
    }
    otr_msg *answer = NULL;
    CHECK_INT(otr_msg_new(&bare, NULL, "tester", msg, &answer, &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "test.bare");
    CHECK_HAS(e.msg, "tester");
    CHECK(answer == NULL);
}

static void real_clock(const int *unused)
{
    (void)unused;
    otr_clock_fake(0);
}

T(the_envelope_is_exactly_as_documented)
{
    OTR_CLEANUP(real_clock) int restore = 0;
    (void)restore;
    counted c = { 0 };
    otr_err e = { 0 };
    otr_clock_fake(UINT64_C(1767323045678) * OTR_NS_PER_MS);
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *first = NULL;
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *second = NULL;
    REQUIRE_OK(otr_msg_new(&topic, &c, "tester", NULL, &first, &e), e);
    REQUIRE_OK(otr_msg_new(&bare, NULL, "a\"b", first, &second, &e), e);
    otr_bytes json;
    char want[256];
    REQUIRE_OK(otr_msg_json(first, &json, &e), e);
    int n = snprintf(want, sizeof(want),
                     "{\"id\":%" PRIu64 ",\"topic\":\"test.counted\",\"version\":3,"
                     "\"time\":\"2026-01-02T03:04:05.678Z\",\"source\":\"tester\",\"cause\":0,"
                     "\"data\":{\"n\":[1,2]}}",
                     first->id);
    CHECK(json.n == (size_t)n && memcmp(json.p, want, json.n) == 0);
    REQUIRE_OK(otr_msg_json(second, &json, &e), e);
    n = snprintf(want, sizeof(want),
                 "{\"id\":%" PRIu64 ",\"topic\":\"test.bare\",\"version\":1,"
                 "\"time\":\"2026-01-02T03:04:05.678Z\",\"source\":\"a\\\"b\",\"cause\":%" PRIu64
                 ",\"data\":null}",
                 second->id, first->id);
    CHECK(json.n == (size_t)n && memcmp(json.p, want, json.n) == 0);
}

T(a_message_keeps_the_name_of_who_published_it)
{
    char name[] = "gone";
    otr_err e = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&bare, NULL, name, NULL, &msg, &e), e);
    memset(name, 'x', sizeof(name) - 1); /* a plugin that was removed meanwhile */
    CHECK_STR(msg->source, "gone");
}

static void deinit_text(void *buf)
{
    otr_buf_deinit(buf);
}

T(an_envelope_that_is_too_long_shows_without_its_data)
{
    counted c = { 0 };
    otr_err e = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&topic, &c, "tester", NULL, &msg, &e), e);
    otr_bytes json;
    REQUIRE_OK(otr_msg_json(msg, &json, &e), e);
    OTR_CLEANUP(deinit_text) otr_buf whole;
    otr_buf_init(&whole, 1024);
    REQUIRE_OK(otr_msg_json_most(msg, json.n, &whole, &e), e);
    CHECK(whole.n == json.n && memcmp(whole.p, json.p, json.n) == 0);
    OTR_CLEANUP(deinit_text) otr_buf less;
    otr_buf_init(&less, 1024);
    REQUIRE_OK(otr_msg_json_most(msg, json.n - 1, &less, &e), e);
    OTR_CLEANUP(otr_json_freep) otr_json *doc = NULL;
    REQUIRE_OK(otr_json_parse(otr_buf_bytes(&less), &doc, &e), e);
    CHECK_STR(otr_json_str(otr_json_get(doc, "topic"), ""), "test.counted");
    CHECK_INT(otr_json_int(otr_json_get(doc, "id"), 0), (int64_t)msg->id);
    CHECK_INT(otr_json_kind(otr_json_get(doc, "data")), OTR_JSON_NULL);
    CHECK_INT(otr_json_int(otr_json_get(doc, "omitted_bytes"), 0), (int64_t)json.n);
}

T(the_time_is_when_the_message_was_made_not_when_it_was_written)
{
    OTR_CLEANUP(real_clock) int restore = 0;
    (void)restore;
    otr_err e = { 0 };
    otr_clock_fake(UINT64_C(1767323045000) * OTR_NS_PER_MS);
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&bare, NULL, NULL, NULL, &msg, &e), e);
    otr_clock_fake(UINT64_C(1767323046000) * OTR_NS_PER_MS);
    otr_bytes json;
    REQUIRE_OK(otr_msg_json(msg, &json, &e), e);
    OTR_CLEANUP(otr_json_freep) otr_json *doc = NULL;
    REQUIRE_OK(otr_json_parse(json, &doc, &e), e);
    CHECK_STR(otr_json_str(otr_json_get(doc, "time"), ""), "2026-01-02T03:04:05.000Z");
    CHECK_INT(otr_json_kind(otr_json_get(doc, "source")), OTR_JSON_NULL);
}

T(json_is_encoded_once_and_kept)
{
    counted c = { 0 };
    otr_err e = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&topic, &c, "tester", NULL, &msg, &e), e);
    otr_bytes a, b;
    REQUIRE_OK(otr_msg_json(msg, &a, &e), e);
    REQUIRE_OK(otr_msg_json(msg, &b, &e), e);
    CHECK(a.p == b.p && a.n == b.n);
    CHECK_INT(atomic_load(&c.encodes), 1);
}

T(an_encoding_error_names_the_topic_and_is_not_kept)
{
    counted c = { .fail = true };
    otr_err e = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&topic, &c, "tester", NULL, &msg, &e), e);
    otr_bytes json;
    CHECK_INT(otr_msg_json(msg, &json, &e), OTR_EINVAL);
    CHECK_HAS(e.msg, "test.counted");
    CHECK_HAS(e.msg, "no such luck");
    atomic_store(&c.fail, false);
    CHECK_INT(otr_msg_json(msg, &json, &e), OTR_OK);
}

/* ---- several threads ---- */

enum { READERS = 4, ROUNDS = 300 };

typedef struct shared {
    pthread_barrier_t start;
    otr_msg *msg[ROUNDS];
    const uint8_t *seen[READERS][ROUNDS];
    atomic_int next, failures;
} shared;

static void *read_all(void *arg)
{
    shared *s = arg;
    int me = atomic_fetch_add(&s->next, 1);
    for (int i = 0; i < ROUNDS; i++) {
        (void)pthread_barrier_wait(&s->start);
        otr_bytes json = { 0 };
        if (otr_msg_json(s->msg[i], &json, NULL) != OTR_OK || json.n < 2 ||
            json.p[json.n - 1] != '}') {
            atomic_fetch_add(&s->failures, 1);
        }
        s->seen[me][i] = json.p;
        (void)otr_msg_unref(s->msg[i]);
    }
    return NULL;
}

T(threads_that_encode_at_once_share_one_text_and_one_drop)
{
    static shared s;
    memset(&s, 0, sizeof(s));
    counted c = { 0 };
    otr_err e = { 0 };
    for (int i = 0; i < ROUNDS; i++) {
        if (otr_msg_new(&topic, &c, "tester", NULL, &s.msg[i], &e) != OTR_OK) {
            while (i-- > 0) {
                (void)otr_msg_unref(s.msg[i]);
            }
            REQUIRE_OK(e.code, e);
        }
    }
    for (int i = 0; i < ROUNDS * (READERS - 1); i++) {
        (void)otr_msg_ref(s.msg[i % ROUNDS]);
    }
    if (pthread_barrier_init(&s.start, NULL, READERS) != 0) {
        abort();
    }
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++) {
        if (pthread_create(&threads[i], NULL, read_all, &s) != 0) {
            abort();
        }
    }
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&s.start);
    CHECK_INT(atomic_load(&s.failures), 0);
    CHECK_INT(atomic_load(&c.drops), ROUNDS);
    CHECK(atomic_load(&c.encodes) >= ROUNDS);
    int torn = 0;
    for (int i = 0; i < ROUNDS; i++) {
        for (int r = 1; r < READERS; r++) {
            torn += s.seen[r][i] != s.seen[0][i];
        }
    }
    CHECK_INT(torn, 0);
}

static otr_code encode_other(const otr_msg *msg, otr_buf *out, otr_err *err)
{
    otr_bytes data;
    otr_code rc = otr_msg_data(msg, &data, err);
    rc = rc == OTR_OK ? otr_buf_adds(out, "other:", err) : rc;
    return rc == OTR_OK ? otr_buf_add(out, data, err) : rc;
}

T(the_payload_alone_is_a_part_of_the_envelope)
{
    counted c = { 0 };
    otr_err e = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *empty = NULL;
    REQUIRE_OK(otr_msg_new(&topic, &c, "tester", NULL, &msg, &e), e);
    REQUIRE_OK(otr_msg_new(&bare, NULL, "tester", NULL, &empty, &e), e);
    otr_bytes data, json;
    REQUIRE_OK(otr_msg_data(msg, &data, &e), e);
    REQUIRE_OK(otr_msg_json(msg, &json, &e), e);
    CHECK(data.n == 11 && memcmp(data.p, "{\"n\":[1,2]}", 11) == 0);
    CHECK(data.p > json.p && data.p + data.n + 1 == json.p + json.n);
    CHECK_INT(atomic_load(&c.encodes), 1);
    REQUIRE_OK(otr_msg_data(empty, &data, &e), e);
    CHECK(data.n == 4 && memcmp(data.p, "null", 4) == 0);
}

T(a_second_encoding_is_made_once_and_kept_beside_json)
{
    counted c = { 0 };
    otr_err e = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    REQUIRE_OK(otr_msg_new(&topic, &c, "tester", NULL, &msg, &e), e);
    otr_bytes once, again, json;
    atomic_store(&c.fail, true);
    CHECK(otr_msg_encoded(msg, encode_other, &once, &e) != OTR_OK);
    CHECK_HAS(e.msg, "test.counted");
    atomic_store(&c.fail, false);
    REQUIRE_OK(otr_msg_encoded(msg, encode_other, &once, &e), e);
    REQUIRE_OK(otr_msg_encoded(msg, encode_other, &again, &e), e);
    CHECK(once.p == again.p && once.n == again.n);
    CHECK(once.n == 17 && memcmp(once.p, "other:{\"n\":[1,2]}", 17) == 0);
    REQUIRE_OK(otr_msg_json(msg, &json, &e), e);
    CHECK_INT(atomic_load(&c.encodes), 2);
}
