#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/texts.h"
#include "bus/bus.h"
#include "loop/loop.h"
#include "plugin/encoding/pick.h"
#include "plugin/encoding/protobuf.h"
#include "plugin/guest/map.h"
#include "support/test.h"

#define TEXT "{\"text\":\"a\\u00e9\",\"topic\":7,\"in\":{\"n\":[1,{\"x\":null}]}}"

typedef struct fixture {
    otr_loop *loop;
    otr_bus *bus;
    otr_sub *sub;
    otr_hostcalls hc;
    otr_manifest manifest;
    otr_msg *msg;
    otr_buf scratch;
    char **path;
    char last[128]; /* what was published latest, and from whom it came */
    uint64_t cause;
} fixture;

static char *granted[] = { "test.*", NULL };

static void hear(void *arg, otr_sub *sub)
{
    fixture *f = arg;
    for (otr_msg *msg; (msg = otr_sub_take(sub)) != NULL; otr_msg_unref(msg)) {
        const otr_bus_json *json = msg->payload;
        (void)snprintf(f->last, sizeof(f->last), "%s %.*s", msg->topic->name, (int)json->n,
                       (const char *)json->bytes);
        f->cause = msg->cause;
    }
}

static otr_code make_message(fixture *f, otr_err *err)
{
    const otr_topic *topic;
    otr_code rc = otr_bus_topic(f->bus, "in.x", &topic, err);
    otr_bus_json *payload = rc == OTR_OK ? otr_bus_json_new(otr_bytes_of(TEXT)) : NULL;
    if (rc == OTR_OK && payload == NULL) {
        return otr_fail_nomem(err);
    }
    rc = rc == OTR_OK ? otr_msg_new(topic, payload, "me", NULL, &f->msg, err) : rc;
    if (rc != OTR_OK) {
        otr_free(payload);
    }
    return rc;
}

static otr_code setup(fixture *f, otr_err *err)
{
    static const char *const all[] = { "*", NULL };
    otr_sub_spec spec = {
        .name = "test", .patterns = all, .capacity = 64, .ready = hear, .arg = f
    };
    otr_log_set_level(OTR_LOG_ERROR);
    otr_buf_init(&f->scratch, OTR_LIMIT_JSON_BYTES);
    f->manifest = (otr_manifest){ .name = "g", .publish = granted, .where = "x.yaml:1:1" };
    otr_hostcalls_init(&f->hc, "g", &f->manifest);
    otr_code rc = otr_loop_new(&f->loop, err);
    rc = rc == OTR_OK ? otr_bus_new(f->loop, &f->bus, err) : rc;
    rc = rc == OTR_OK ? otr_bus_subscribe(f->bus, &spec, &f->sub, err) : rc;
    return rc == OTR_OK ? make_message(f, err) : rc;
}

static void teardown(fixture *f)
{
    otr_msg_unref(f->msg);
    otr_hostcalls_deinit(&f->hc);
    otr_sub_free(f->sub);
    otr_bus_free(f->bus);
    otr_loop_free(f->loop);
    otr_texts_free(f->path);
    otr_buf_deinit(&f->scratch);
}

#define SETUP                                \
    OTR_CLEANUP(teardown) fixture f = { 0 }; \
    otr_err err = { 0 };                     \
    REQUIRE_OK(setup(&f, &err), err)

static otr_code input(fixture *f, const char *text, otr_bytes *ret, otr_err *err)
{
    otr_plugin_mapping *map = &f->manifest.mapping;
    otr_code rc = OTR_OK;
    map->input_text = (char *)(uintptr_t)text;
    map->input = strcmp(text, "message") == 0 ? OTR_INPUT_MESSAGE
                 : strcmp(text, "data") == 0  ? OTR_INPUT_DATA
                                              : OTR_INPUT_FIELD;
    if (map->input == OTR_INPUT_FIELD) {
        otr_texts_free(otr_steal(&f->path));
        rc = otr_pick_path(text, &f->path, err);
        map->path = f->path;
    }
    return rc == OTR_OK ? otr_guest_map_input(&f->manifest, f->msg, &f->scratch, ret, err) : rc;
}

static void gives(const char *text, const char *bytes)
{
    SETUP;
    otr_bytes in = { NULL, 0 };
    REQUIRE_OK(input(&f, text, &in, &err), err);
    CHECK_INT(in.n, strlen(bytes));
    CHECK(in.n == strlen(bytes) && memcmp(in.p, bytes, in.n) == 0);
}

T(a_field_that_is_not_there_is_told)
{
    static const char *const paths[] = { "data.no",     "no",        "data.text.x",
                                         "data.in.n.2", "data.data", "id.x" };
    for (size_t i = 0; i < OTR_COUNT(paths); i++) {
        SETUP;
        otr_bytes in = { NULL, 0 };
        otr_code rc = input(&f, paths[i], &in, &err);
        CHECK(rc == OTR_ENOTFOUND || rc == OTR_ENOMEM);
        CHECK(rc == OTR_ENOMEM || strstr(err.msg, paths[i]) != NULL);
    }
}

T(a_field_is_looked_for_in_the_envelope_and_then_in_the_data)
{
    gives("data", TEXT);
    gives("text", "a\xc3\xa9");
    gives("data.text", "a\xc3\xa9");
    gives("topic", "in.x");
    gives("data.topic", "7");
    gives("source", "me");
    gives("in.n.1", "{\"x\":null}");
    gives("in.n.1.x", "null");
}

T(the_message_is_the_envelope)
{
    SETUP;
    otr_bytes in, json;
    REQUIRE_OK(input(&f, "message", &in, &err), err);
    REQUIRE_OK(otr_msg_json(f.msg, &json, &err), err);
    CHECK(in.p == json.p && in.n == json.n);
}

T(in_protobuf_the_data_are_the_topics_message)
{
    SETUP;
    otr_bytes in;
    OTR_CLEANUP(otr_buf_deinit) otr_buf json;
    otr_buf_init(&json, OTR_LIMIT_JSON_BYTES);
    f.manifest.encoding = OTR_ENCODING_PROTOBUF;
    REQUIRE_OK(input(&f, "data", &in, &err), err);
    REQUIRE_OK(
        otr_pb_read(otr_pb_find("google.protobuf.Value"), in, OTR_PB_ABSENT_NOTHING, &json, &err),
        err);
    CHECK_STR(otr_buf_text(&json),
              "{\"text\":\"a\xc3\xa9\",\"topic\":7,\"in\":{\"n\":[1,{\"x\":null}]}}");
    REQUIRE_OK(input(&f, "text", &in, &err), err);
    CHECK(in.n == 3 && memcmp(in.p, "a\xc3\xa9", 3) == 0);
}

static otr_code answer(fixture *f, otr_bytes bytes, otr_err *err)
{
    otr_hostcalls_begin(&f->hc, f->msg);
    otr_code rc = otr_guest_map_output(&f->hc, bytes, &f->scratch, err);
    (void)otr_hostcalls_flush(&f->hc, f->bus);
    otr_loop_step(f->loop, 0);
    return rc;
}

T(an_answer_without_a_grant_is_denied_and_counted)
{
    SETUP;
    f.manifest.mapping.publish = "other.out";
    otr_code rc = answer(&f, otr_bytes_of("1"), &err);
    CHECK_INT(rc, OTR_EDENIED);
    CHECK_HAS(err.msg, "publish");
    CHECK_HAS(err.msg, "other.out");
    CHECK_INT(otr_gate_denials(&f.hc.gate), 1);
    CHECK_STR(f.last, "");
}

T(an_answer_of_nothing_and_one_without_a_topic_are_not_published)
{
    SETUP;
    REQUIRE_OK(answer(&f, otr_bytes_of("1"), &err), err);
    f.manifest.mapping.publish = "test.out";
    REQUIRE_OK(answer(&f, (otr_bytes){ NULL, 0 }, &err), err);
    CHECK_STR(f.last, "");
}

static void publishes(otr_bytes bytes, const char *json)
{
    SETUP;
    f.manifest.mapping.publish = "test.out";
    REQUIRE_OK(answer(&f, bytes, &err), err);
    CHECK_STR(f.last, json);
    CHECK_INT(f.cause, f.msg->id);
}

T_NO_OOM(an_answer_is_published_as_json_text_or_base64)
{
    publishes(otr_bytes_of("{\"count\":3}"), "test.out {\"count\":3}");
    publishes(otr_bytes_of("Hello, \"you\""), "test.out \"Hello, \\\"you\\\"\"");
    publishes((otr_bytes){ (const uint8_t *)"\xff\xfe", 2 }, "test.out \"//4=\"");
}

T_NO_OOM(an_answer_above_the_limits_of_the_bus_is_refused_and_counted)
{
    SETUP;
    f.manifest.mapping.publish = "test.out";
    f.manifest.publish_per_s = 1;
    unsigned refused = 0;
    for (unsigned i = 0; i < OTR_LIMIT_PLUGIN_PUBLISH_CALL + 2; i++) {
        refused += answer(&f, otr_bytes_of("1"), &err) == OTR_EQUOTA;
    }
    CHECK(refused >= 1);
    CHECK_INT(f.hc.outbox.dropped, refused);
}

T_NO_OOM(an_answer_of_16_mib_is_published_and_one_more_byte_is_not)
{
    SETUP;
    OTR_CLEANUP(otr_freep) uint8_t *bytes = otr_alloc(OTR_LIMIT_BUS_PAYLOAD_BYTES + 1);
    REQUIRE(bytes != NULL);
    memset(bytes, ' ', OTR_LIMIT_BUS_PAYLOAD_BYTES + 1);
    f.manifest.mapping.publish = "test.out";
    bytes[0] = '1'; /* JSON with much space behind it */
    CHECK_INT(answer(&f, (otr_bytes){ bytes, OTR_LIMIT_BUS_PAYLOAD_BYTES + 1 }, &err), OTR_EQUOTA);
    CHECK_STR(f.last, "");
    REQUIRE_OK(answer(&f, (otr_bytes){ bytes, OTR_LIMIT_BUS_PAYLOAD_BYTES }, &err), err);
    CHECK_HAS(f.last, "test.out 1 ");
    bytes[0] = 'x'; /* two quotes too long */
    CHECK_INT(answer(&f, (otr_bytes){ bytes, OTR_LIMIT_BUS_PAYLOAD_BYTES - 1 }, &err), OTR_EQUOTA);
    CHECK_INT(f.hc.outbox.dropped, 2);
    CHECK_INT(f.scratch.max_bytes, OTR_LIMIT_JSON_BYTES);
}

T(a_given_version_says_that_nothing_else_is_asked)
{
    SETUP;
    otr_contract_info info = { 0 };
    f.manifest.mapping.version = "1.2";
    REQUIRE_OK(otr_guest_map_info(&f.manifest, &info, &err), err);
    CHECK_STR(info.version, "1.2");
    CHECK_INT(info.operations, OTR_HAS_LIST);
    otr_contract_info_deinit(&info);
}

T(a_failed_load_names_the_operation_that_it_speaks_of)
{
    char process[] = "process", own[] = "cuont";
    char *names[] = { process, own, NULL };
    otr_manifest m = { .where = "x.yaml:3:5", .mapping = { .any = true, .names = names } };
    otr_err err = { 0 };
    (void)otr_fail(&err, OTR_EINVAL, "export cuont is missing");
    CHECK_INT(otr_guest_map_blame(&m, OTR_EINVAL, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "operations.process at x.yaml:3:5: export cuont is missing");
    (void)otr_fail(&err, OTR_EINVAL, "no Wasm");
    CHECK_INT(otr_guest_map_blame(&m, OTR_EINVAL, &err), OTR_EINVAL);
    CHECK_STR(err.msg, "no Wasm");
    CHECK_INT(otr_guest_map_blame(&m, OTR_OK, &err), OTR_OK);
}
