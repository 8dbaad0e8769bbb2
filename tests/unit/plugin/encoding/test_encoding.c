#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "bus/msg.h"
#include "plugin/encoding/encoding.h"
#include "plugin/encoding/protobuf.h"
#include "support/test.h"

#define BUF(name)                             \
    OTR_CLEANUP(otr_buf_deinit) otr_buf name; \
    otr_buf_init(&name, OTR_LIMIT_PLUGIN_OUTPUT_BYTES)

/* A host that notes what it is asked in JSON and answers what it was told to. */
typedef struct asked {
    char op[64];
    otr_buf question;
    otr_bytes answer;
    otr_code rc;
    unsigned calls;
} asked;

static void asked_deinit(asked *a)
{
    otr_buf_deinit(&a->question);
}

static otr_code note(asked *a, const char *op, otr_bytes in, otr_err *err)
{
    a->calls++;
    (void)snprintf(a->op, sizeof(a->op), "%s", op);
    otr_buf_clear(&a->question);
    otr_code rc = otr_buf_add(&a->question, in, err);
    return rc == OTR_OK && a->rc != OTR_OK ? otr_fail(err, a->rc, "refused") : rc;
}

static otr_code fake_publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    return note(host, topic, payload, err);
}

static otr_code fake_config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    otr_code rc = note(host, key, (otr_bytes){ NULL, 0 }, err);
    return rc == OTR_OK ? otr_buf_adds(out, "text", err) : rc;
}

static otr_code fake_call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    asked *a = host;
    otr_code rc = note(a, op, in, err);
    return rc == OTR_OK ? otr_buf_add(out, a->answer, err) : rc;
}

static void fake_log(void *host, int level, otr_bytes text)
{
    (void)level;
    otr_code dropped = note(host, "log", text, NULL);
    (void)dropped;
}

static const otr_host_ops fake_ops = {
    .publish = fake_publish, .config = fake_config, .call = fake_call, .log = fake_log
};

#define HOST                                                          \
    OTR_CLEANUP(asked_deinit) asked a = { .calls = 0 };               \
    otr_err err = { 0 };                                              \
    otr_buf_init(&a.question, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);         \
    otr_encoded_host host = { OTR_ENCODING_PROTOBUF, &fake_ops, &a }; \
    otr_guest_spec spec = { .name = "test" };                         \
    otr_encoding_host(&host, &spec);                                  \
    BUF(wire);                                                        \
    BUF(out)

/* Asks `op` with `question` (JSON of message `type`, or text when that is NULL); leaves the answer,
 * read as `answer_type`, in `out`. */
typedef struct question {
    const char *op, *type, *json, *answer_type;
} question;

static otr_code ask(const otr_guest_spec *spec, const question *q, otr_buf *out, otr_err *err)
{
    otr_buf in, answer;
    otr_buf_init(&in, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_init(&answer, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_clear(out);
    otr_code rc = q->type != NULL
                      ? otr_pb_write(otr_pb_find(q->type), otr_bytes_of(q->json), &in, err)
                      : otr_buf_adds(&in, q->json, err);
    rc = rc == OTR_OK ? spec->ops->call(spec->host, q->op, otr_buf_bytes(&in), &answer, err) : rc;
    if (rc == OTR_OK && q->answer_type != NULL) {
        rc = otr_pb_read(otr_pb_find(q->answer_type), otr_buf_bytes(&answer), OTR_PB_ABSENT_SCALARS,
                         out, err);
    } else if (rc == OTR_OK) {
        rc = otr_buf_add(out, otr_buf_bytes(&answer), err);
    }
    otr_buf_deinit(&in);
    otr_buf_deinit(&answer);
    return rc;
}

T(json_guests_are_given_the_operations_themselves)
{
    HOST;
    host.encoding = OTR_ENCODING_JSON;
    otr_encoding_host(&host, &spec);
    CHECK(spec.ops == &fake_ops && spec.host == &a);
    otr_bytes ret;
    otr_bytes in = otr_bytes_of("{\"a\":1}");
    REQUIRE_OK(otr_encoding_input(OTR_ENCODING_JSON, "init", in, &wire, &ret, &err), err);
    CHECK(ret.p == in.p && ret.n == in.n);
    REQUIRE_OK(otr_encoding_answer(OTR_ENCODING_JSON, "info", in, &wire, &ret, &err), err);
    CHECK(ret.p == in.p && ret.n == in.n);
    CHECK_INT(out.n, 0);
}

T(an_encoding_has_a_name)
{
    otr_encoding found = OTR_ENCODING_PROTOBUF;
    CHECK(otr_encoding_find("json", &found) && found == OTR_ENCODING_JSON);
    CHECK(otr_encoding_find("protobuf", &found) && found == OTR_ENCODING_PROTOBUF);
    CHECK(!otr_encoding_find("xml", &found) && found == OTR_ENCODING_PROTOBUF);
}

T(a_wit_component_has_no_choice_of_encodings)
{
    otr_err err = { 0 };
    CHECK_INT(otr_encoding_check(OTR_ENCODING_JSON, "wit", &err), OTR_OK);
    CHECK_INT(otr_encoding_check(OTR_ENCODING_PROTOBUF, "extism", &err), OTR_OK);
    CHECK_INT(otr_encoding_check(OTR_ENCODING_PROTOBUF, "wapc", &err), OTR_OK);
    CHECK_INT(otr_encoding_check(OTR_ENCODING_PROTOBUF, "wit", &err), OTR_EUNSUP);
    CHECK_HAS(err.msg, "encoding");
}

T(answers_of_the_contract_become_its_json)
{
    static const struct {
        const char *op, *type, *json, *expected;
    } good[] = {
        { "info", "Info", "{\"name\":\"a\",\"version\":\"1\",\"api\":\"1\"}",
          "{\"name\":\"a\",\"version\":\"1\",\"api\":\"1\"}" },
        { "info", "Info", "{\"name\":\"a\",\"operations\":[\"init\"]}",
          "{\"name\":\"a\",\"version\":\"\",\"api\":\"\",\"operations\":[\"init\"]}" },
        { "subscriptions", "Subscriptions", "{}", "{\"topics\":[]}" },
        { "subscriptions", "Subscriptions", "{\"topics\":[{\"pattern\":\"a.*\"}]}",
          "{\"topics\":[{\"pattern\":\"a.*\",\"kind\":\"event\"}]}" },
        { "process", "Verdict", "{\"verdict\":\"deny\",\"message\":\"no\"}",
          "{\"verdict\":\"deny\",\"message\":\"no\"}" },
        { "process", "Verdict", "{}", "{\"verdict\":\"undecided\",\"message\":\"\"}" },
    };
    for (size_t i = 0; i < OTR_COUNT(good); i++) {
        otr_err err = { 0 };
        otr_bytes json;
        BUF(wire);
        BUF(scratch);
        REQUIRE_OK(otr_pb_write(otr_pb_find(good[i].type), otr_bytes_of(good[i].json), &wire, &err),
                   err);
        REQUIRE_OK(otr_encoding_answer(OTR_ENCODING_PROTOBUF, good[i].op, otr_buf_bytes(&wire),
                                       &scratch, &json, &err),
                   err);
        CHECK(json.p == scratch.p);
        CHECK_STR(otr_buf_text(&scratch), good[i].expected);
    }
}

T(an_answer_that_is_no_message_names_operation_and_message)
{
    otr_err err = { 0 };
    otr_bytes json;
    BUF(scratch);
    CHECK_INT(otr_encoding_answer(OTR_ENCODING_PROTOBUF, "info", otr_bytes_of("{\"name\":1}"),
                                  &scratch, &json, &err),
              OTR_EINVAL);
    CHECK_HAS(err.msg, "info");
    CHECK_HAS(err.msg, "outrider.plugin.v1.Info");
    otr_bytes any = otr_bytes_of("\xff any bytes"); /* no message is known for this one */
    REQUIRE_OK(otr_encoding_answer(OTR_ENCODING_PROTOBUF, "echo", any, &scratch, &json, &err), err);
    CHECK(json.p == any.p && json.n == any.n);
}

T(configuration_is_a_struct_and_other_input_stays)
{
    otr_err err = { 0 };
    otr_bytes in;
    BUF(scratch);
    BUF(json);
    REQUIRE_OK(otr_encoding_input(OTR_ENCODING_PROTOBUF, "init", otr_bytes_of("{\"a\":[1]}"),
                                  &scratch, &in, &err),
               err);
    REQUIRE_OK(
        otr_pb_read(otr_pb_find("google.protobuf.Struct"), in, OTR_PB_ABSENT_NOTHING, &json, &err),
        err);
    CHECK_STR(otr_buf_text(&json), "{\"a\":[1]}");
    otr_buf_clear(&json);
    REQUIRE_OK(otr_encoding_input(OTR_ENCODING_PROTOBUF, "reconfigure", otr_bytes_of("{\"b\":2}"),
                                  &scratch, &in, &err),
               err);
    REQUIRE_OK(
        otr_pb_read(otr_pb_find("google.protobuf.Struct"), in, OTR_PB_ABSENT_NOTHING, &json, &err),
        err);
    CHECK_STR(otr_buf_text(&json), "{\"b\":2}"); /* nothing is left of what was in `scratch` */
    otr_bytes text = otr_bytes_of("as it is");
    REQUIRE_OK(otr_encoding_input(OTR_ENCODING_PROTOBUF, "echo", text, &scratch, &in, &err), err);
    CHECK(in.p == text.p);
    CHECK_INT(otr_encoding_input(OTR_ENCODING_PROTOBUF, "reconfigure", otr_bytes_of("7"), &scratch,
                                 &in, &err),
              OTR_EINVAL);
}

T(a_written_envelope_has_the_member_of_its_topic)
{
    static const struct {
        const char *json, *expected;
    } all[] = {
        { "{\"topic\":\"nginx.health.changed\",\"data\":{\"id\":\"x\",\"status\":\"degraded\"}}",
          "{\"topic\":\"nginx.health.changed\",\"health\":{\"id\":\"x\",\"status\":\"degraded\"}"
          "}" },
        { "{\"id\":7,\"topic\":\"my.own\",\"data\":[1]}",
          "{\"id\":7,\"topic\":\"my.own\",\"data\":[1]}" },
        { "{\"data\":null}", "{\"data\":null}" },
        { "{}", "{}" },
    };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        otr_err err = { 0 };
        otr_bytes in;
        BUF(scratch);
        BUF(json);
        REQUIRE_OK(otr_encoding_input(OTR_ENCODING_PROTOBUF, "process", otr_bytes_of(all[i].json),
                                      &scratch, &in, &err),
                   err);
        REQUIRE_OK(otr_pb_read(otr_pb_find("Envelope"), in, OTR_PB_ABSENT_NOTHING, &json, &err),
                   err);
        CHECK_STR(otr_buf_text(&json), all[i].expected);
    }
}

static otr_code encode_health(const void *payload, otr_buf *out, otr_err *err)
{
    return otr_buf_adds(out, payload, err);
}

static const otr_topic health = { "nginx.health.changed", 3, NULL, encode_health };

static void real_clock(const int *unused)
{
    (void)unused;
    otr_clock_fake(0);
}

T(a_message_of_the_bus_is_the_envelope_that_its_json_says)
{
    OTR_CLEANUP(real_clock) int restore = 0;
    (void)restore;
    otr_clock_fake(UINT64_C(1767323045678) * OTR_NS_PER_MS);
    otr_err err = { 0 };
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *first = NULL;
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *second = NULL;
    char data[] = "{\"id\":\"x\",\"status\":\"degraded\"}";
    REQUIRE_OK(otr_msg_new(&health, data, "health", NULL, &first, &err), err);
    REQUIRE_OK(otr_msg_new(&health, data, NULL, first, &second, &err), err);
    otr_bytes wire, json, again;
    BUF(text);
    char want[256];
    REQUIRE_OK(otr_encoding_message(OTR_ENCODING_PROTOBUF, first, &wire, &err), err);
    REQUIRE_OK(otr_encoding_message(OTR_ENCODING_PROTOBUF, first, &again, &err), err);
    CHECK(again.p == wire.p && again.n == wire.n);
    REQUIRE_OK(otr_pb_read(otr_pb_find("Envelope"), wire, OTR_PB_ABSENT_NOTHING, &text, &err), err);
    (void)snprintf(want, sizeof(want),
                   "{\"id\":%llu,\"topic\":\"nginx.health.changed\",\"version\":3,"
                   "\"time\":\"2026-01-02T03:04:05.678Z\",\"source\":\"health\","
                   "\"health\":{\"id\":\"x\",\"status\":\"degraded\"}}",
                   (unsigned long long)first->id);
    CHECK_STR(otr_buf_text(&text), want);
    otr_buf_clear(&text);
    REQUIRE_OK(otr_encoding_message(OTR_ENCODING_PROTOBUF, second, &wire, &err), err);
    REQUIRE_OK(otr_pb_read(otr_pb_find("Envelope"), wire, OTR_PB_ABSENT_NOTHING, &text, &err), err);
    (void)snprintf(want, sizeof(want), "\"cause\":%llu,\"health\":", (unsigned long long)first->id);
    CHECK_HAS(otr_buf_text(&text), want);
    CHECK(strstr(otr_buf_text(&text), "\"source\"") == NULL);
    REQUIRE_OK(otr_encoding_message(OTR_ENCODING_JSON, first, &json, &err), err);
    REQUIRE_OK(otr_msg_json(first, &again, &err), err);
    CHECK(json.p == again.p && json.n == again.n);
}

T(published_values_reach_the_host_as_json)
{
    HOST;
    REQUIRE_OK(otr_pb_write(otr_pb_find("google.protobuf.Value"), otr_bytes_of("{\"a\":[1,2.5]}"),
                            &wire, &err),
               err);
    REQUIRE_OK(spec.ops->publish(spec.host, "a.b", otr_buf_bytes(&wire), &err), err);
    CHECK_STR(a.op, "a.b");
    CHECK_STR(otr_buf_text(&a.question), "{\"a\":[1,2.5]}");
    unsigned before = a.calls;
    CHECK_INT(spec.ops->publish(spec.host, "a.b", otr_bytes_of("{\"a\":1}"), &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "a.b");
    CHECK_INT(a.calls, before);
    CHECK_INT(out.n, 0);
}

T(a_published_message_has_topic_and_data)
{
    HOST;
    static const char *const bad[] = { "{}", "{\"topic\":\"x\"}", "{\"data\":1}",
                                       "{\"topic\":\"a\\u0000b\",\"data\":1}" };
    const otr_pb_type *type = otr_pb_find("Publish");
    REQUIRE_OK(otr_pb_write(type, otr_bytes_of("{\"topic\":\"x.y\",\"data\":\"z\"}"), &wire, &err),
               err);
    REQUIRE_OK(spec.ops->publish_message(spec.host, otr_buf_bytes(&wire), &err), err);
    CHECK_STR(a.op, "x.y");
    CHECK_STR(otr_buf_text(&a.question), "\"z\"");
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        otr_buf_clear(&wire);
        REQUIRE_OK(otr_pb_write(type, otr_bytes_of(bad[i]), &wire, &err), err);
        CHECK_INT(spec.ops->publish_message(spec.host, otr_buf_bytes(&wire), &err), OTR_EINVAL);
    }
    CHECK_INT(spec.ops->publish_message(spec.host, otr_bytes_of("\x0a\x7f"), &err), OTR_EINVAL);
    CHECK_INT(a.calls, 1);
    CHECK_INT(out.n, 0);
}

T(operations_are_asked_in_json_and_answered_in_protobuf)
{
    static const struct {
        question q;
        const char *answer; /* the host's */
        const char *asked;  /* what the host saw */
        const char *got;
    } all[] = {
        { { "kv.get", NULL, "k", "KvGetAnswer" }, "{\"n\":1}", "k", "{\"value\":{\"n\":1}}" },
        { { "kv.get", NULL, "k", "KvGetAnswer" }, "not json", "k", "{}" },
        { { "kv.delete", NULL, "k", "KvDeleteAnswer" }, "true", "k", "{\"found\":true}" },
        { { "kv.delete", NULL, "k", "KvDeleteAnswer" }, "false", "k", "{\"found\":false}" },
        { { "kv.list", NULL, "p", "KvListAnswer" },
          "[\"pa\",\"pb\"]",
          "p",
          "{\"keys\":[\"pa\",\"pb\"],\"more\":false}" },
        { { "kv.list", NULL, "", "KvListAnswer" }, "[]", "", "{\"more\":false}" },
        { { "kv.list", NULL, "{\"limit\":1}", "KvListAnswer" },
          "{\"keys\":[\"pa\"],\"more\":true}",
          "{\"limit\":1}",
          "{\"keys\":[\"pa\"],\"more\":true}" },
        { { "clock.now", NULL, "", "ClockAnswer" },
          "{\"unix_ns\":18446744073709551615,\"monotonic_ns\":2}",
          "",
          "{\"unix_ns\":18446744073709551615,\"monotonic_ns\":2}" },
        { { "metric.gauge", "Metric", "{\"name\":\"m\",\"labels\":{\"a\":\"b\"}}", NULL },
          "",
          "{\"name\":\"m\",\"value\":0,\"labels\":{\"a\":\"b\"}}",
          "" },
        { { "metric.counter", "Metric", "{\"name\":\"m\",\"value\":2.5}", NULL },
          "",
          "{\"name\":\"m\",\"value\":2.5}",
          "" },
        { { "instances.list", NULL, "", "InstancesAnswer" },
          "[{\"id\":\"x\",\"pid\":1,\"workers\":[2,3],\"colour\":\"red\"}]",
          "",
          "{\"instances\":[{\"id\":\"x\",\"pid\":1,\"workers\":[2,3],\"version\":\"\",\"plus\":"
          "false,"
          "\"binary\":\"\",\"replaced\":false,\"config\":\"\",\"config_error\":\"\",\"prefix\":"
          "\"\","
          "\"error_log\":\"\",\"stub_status\":\"\",\"uid\":0,\"stranger\":false,\"net_ns\":0,\"own_"
          "net\":false,"
          "\"maker\":\"\",\"config_changed\":false}]}" },
        { { "random.bytes", NULL, "4", NULL }, "\xff\x01\x02\x03", "4", "\xff\x01\x02\x03" },
        { { "env.get", NULL, "HOME", NULL }, "/root", "HOME", "/root" },
    };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        HOST;
        a.answer = otr_bytes_of(all[i].answer);
        REQUIRE_OK(ask(&spec, &all[i].q, &out, &err), err);
        CHECK_STR(a.op, all[i].q.op);
        CHECK_STR(otr_buf_text(&a.question), all[i].asked);
        CHECK_STR(otr_buf_text(&out), all[i].got);
        CHECK_INT(wire.n, 0);
    }
}

T(what_a_guest_stores_is_json_or_any_bytes)
{
    HOST;
    const question json = { "kv.set", "KvSet", "{\"key\":\"kk\",\"value\":[true]}", NULL };
    REQUIRE_OK(ask(&spec, &json, &out, &err), err);
    CHECK_STR(a.op, "kv.put");
    CHECK(a.question.n == 4 + 2 + 6 && memcmp(a.question.p, "\2\0\0\0kk[true]", 12) == 0);
    const otr_pb_type *type = otr_pb_find("KvSet");
    REQUIRE_OK(otr_pb_write(type, otr_bytes_of("{\"key\":\"k\"}"), &wire, &err), err);
    CHECK_INT(spec.ops->call(spec.host, "kv.set", otr_buf_bytes(&wire), &out, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "value");
    REQUIRE_OK(otr_pb_write_bytes(type, "raw", otr_bytes_of("\xff"), &wire, &err), err);
    REQUIRE_OK(spec.ops->call(spec.host, "kv.set", otr_buf_bytes(&wire), &out, &err), err);
    CHECK(a.question.n == 6 && memcmp(a.question.p, "\1\0\0\0k\xff", 6) == 0);
    enum { LONG = 0x010203 };
    otr_buf_clear(&wire);
    REQUIRE_OK(otr_buf_adds(&wire, "{\"value\":7,\"key\":\"", &err), err);
    uint8_t *at;
    REQUIRE_OK(otr_buf_reserve(&wire, LONG, &at, &err), err);
    memset(at, 'k', LONG);
    otr_buf_grew(&wire, LONG);
    REQUIRE_OK(otr_buf_adds(&wire, "\"}", &err), err);
    const question large = { "kv.set", "KvSet", otr_buf_text(&wire), NULL };
    REQUIRE_OK(ask(&spec, &large, &out, &err), err);
    CHECK(a.question.n == 4 + LONG + 1 && memcmp(a.question.p, "\3\2\1\0kkk", 7) == 0);

    otr_bytes raw;
    bool found = false;
    BUF(answer);
    a.answer = otr_bytes_of("\xff\xfe");
    REQUIRE_OK(spec.ops->call(spec.host, "kv.get", otr_bytes_of("k"), &answer, &err), err);
    REQUIRE_OK(
        otr_pb_field(otr_pb_find("KvGetAnswer"), otr_buf_bytes(&answer), "raw", &raw, &found, &err),
        err);
    CHECK(found && raw.n == 2);
}

T(requests_have_a_body_beside_them_in_both_directions)
{
    HOST;
    const otr_pb_type *type = otr_pb_find("HttpRequest");
    REQUIRE_OK(otr_pb_write(type,
                            otr_bytes_of("{\"url\":\"http://a/\",\"headers\":{\"x-y\":\"1\"}}"),
                            &wire, &err),
               err);
    REQUIRE_OK(otr_pb_write_bytes(type, "body", otr_bytes_of("\xff body"), &wire, &err), err);
    static const char sent[] = "\x25\0\0\0{\"status\":204,\"headers\":{\"a\":\"b, c\"}}"
                               "\xfe";
    a.answer = (otr_bytes){ (const uint8_t *)sent, sizeof(sent) - 1 };
    REQUIRE_OK(spec.ops->call(spec.host, "http.request", otr_buf_bytes(&wire), &out, &err), err);
    static const char seen[] =
        "\x2b\0\0\0{\"url\":\"http://a/\",\"headers\":{\"x-y\":\"1\"}}\xff body";
    CHECK(a.question.n == sizeof(seen) - 1 &&
          memcmp(a.question.p + 4, seen + 4, sizeof(seen) - 5) == 0);
    CHECK_INT(a.question.p[0], sizeof(seen) - 1 - 4 - 6);
    BUF(text);
    const otr_pb_type *answer = otr_pb_find("HttpAnswer");
    REQUIRE_OK(otr_pb_read(answer, otr_buf_bytes(&out), OTR_PB_ABSENT_NOTHING, &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "{\"status\":204,\"headers\":{\"a\":\"b, c\"}}");
    otr_bytes body;
    bool found = false;
    REQUIRE_OK(otr_pb_field(answer, otr_buf_bytes(&out), "body", &body, &found, &err), err);
    CHECK(found && body.n == 1 && body.p[0] == 0xfe);
}

T(the_head_of_an_answer_may_be_long)
{
    HOST;
    enum { LONG = 0x010203 };
    static const char before[] = "{\"status\":200,\"headers\":{\"a\":\"", after[] = "\"}}";
    const size_t fill = LONG - strlen(before) - strlen(after);
    uint8_t *at;
    BUF(sent);
    REQUIRE_OK(otr_buf_add(&sent, (otr_bytes){ (const uint8_t *)"\3\2\1\0", 4 }, &err), err);
    REQUIRE_OK(otr_buf_adds(&sent, before, &err), err);
    REQUIRE_OK(otr_buf_reserve(&sent, fill, &at, &err), err);
    memset(at, 'h', fill);
    otr_buf_grew(&sent, fill);
    REQUIRE_OK(otr_buf_adds(&sent, after, &err), err);
    REQUIRE_OK(otr_buf_adds(&sent, "body", &err), err);
    a.answer = otr_buf_bytes(&sent);
    REQUIRE_OK(otr_pb_write(otr_pb_find("HttpRequest"), otr_bytes_of("{\"url\":\"http://a/\"}"),
                            &wire, &err),
               err);
    REQUIRE_OK(spec.ops->call(spec.host, "http.request", otr_buf_bytes(&wire), &out, &err), err);
    otr_bytes body;
    bool found = false;
    REQUIRE_OK(
        otr_pb_field(otr_pb_find("HttpAnswer"), otr_buf_bytes(&out), "body", &body, &found, &err),
        err);
    CHECK(found && body.n == 4 && memcmp(body.p, "body", 4) == 0);
}

T(a_refusal_reaches_the_guest_and_nothing_else_does)
{
    HOST;
    const question q = { "kv.get", NULL, "k", NULL };
    a.rc = OTR_EDENIED;
    CHECK_INT(ask(&spec, &q, &out, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "refused");
    REQUIRE_OK(otr_buf_adds(&out, "kept", &err), err);
    CHECK_INT(spec.ops->call(spec.host, "metric.gauge", otr_bytes_of("\x0a\x7f"), &out, &err),
              OTR_EINVAL);
    CHECK_STR(otr_buf_text(&out), "kept");
    CHECK_INT(wire.n, 0);
}

T(configuration_and_logs_are_text_in_every_encoding)
{
    HOST;
    REQUIRE_OK(spec.ops->config(spec.host, "key", &out, &err), err);
    CHECK_STR(otr_buf_text(&out), "text");
    CHECK_STR(a.op, "key");
    spec.ops->log(spec.host, 1, otr_bytes_of("a line"));
    CHECK_STR(otr_buf_text(&a.question), "a line");
    CHECK_INT(wire.n, 0);
}
