#include "base/json.h"
#include "base/limits.h"
#include "plugin/encoding/protobuf.h"
#include "support/test.h"

#define BUF(name)                             \
    OTR_CLEANUP(otr_buf_deinit) otr_buf name; \
    otr_buf_init(&name, 64U * OTR_MIB)

static const otr_pb_type *value(void)
{
    return otr_pb_find("google.protobuf.Value");
}

/* `json` as `type` and back, with nothing that was not there. */
static void comes_back_as(const char *type, const char *json, const char *expected)
{
    BUF(wire);
    BUF(text);
    otr_err err = { 0 };
    const otr_pb_type *t = otr_pb_find(type);
    REQUIRE(t != NULL);
    REQUIRE_OK(otr_pb_write(t, otr_bytes_of(json), &wire, &err), err);
    REQUIRE_OK(otr_pb_read(t, otr_buf_bytes(&wire), OTR_PB_ABSENT_NOTHING, &text, &err), err);
    CHECK_STR(otr_buf_text(&text), expected);
}

static otr_code read_wire(const char *type, const char *bytes, size_t n, otr_buf *out, otr_err *err)
{
    return otr_pb_read(otr_pb_find(type), (otr_bytes){ (const uint8_t *)bytes, n },
                       OTR_PB_ABSENT_NOTHING, out, err);
}

#define READ(type, bytes, out, err) read_wire((type), (bytes), sizeof(bytes) - 1, (out), (err))

T(what_is_not_json_or_does_not_fit_is_refused_by_name)
{
    static const struct {
        const char *type, *json, *said;
    } bad[] = {
        { "Envelope", "", "not JSON" },
        { "Envelope", "{", "not JSON" },
        { "Envelope", "[]", "an object" },
        { "Envelope", "{\"id\":-1}", "id" },
        { "Envelope", "{\"id\":18446744073709551616}", "id" },
        { "Envelope", "{\"id\":1.5}", "id" },
        { "Envelope", "{\"version\":4294967296}", "version" },
        { "Envelope", "{\"topic\":7}", "topic" },
        { "Envelope", "{\"time\":\"yesterday\"}", "time" },
        { "Envelope", "{\"time\":\"3025-08-01T12:00:00.123Z\"}", "time" },
        { "Envelope", "{\"time\":\"1969-12-31T23:59:59Z\"}", "time" },
        { "Envelope", "{\"health\":{\"status\":\"poorly\"}}", "poorly" },
        { "Envelope", "{\"instance\":{\"plus\":1}}", "plus" },
        { "Envelope", "{\"instance\":{\"workers\":7}}", "workers" },
        { "Envelope", "{\"instance\":{\"pid\":9223372036854775808}}", "pid" },
        { "Info", "{\"operations\":[1]}", "operations" },
        { "Metric", "{\"labels\":[]}", "object" },
        { "Metric", "{\"labels\":{\"a\":1}}", "value" },
        { "google.protobuf.Value", "1e999", "double" },
        { "google.protobuf.Struct", "7", "object" },
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        BUF(wire);
        otr_err err = { 0 };
        REQUIRE_OK(otr_buf_adds(&wire, "kept", &err), err);
        CHECK_INT(otr_pb_write(otr_pb_find(bad[i].type), otr_bytes_of(bad[i].json), &wire, &err),
                  OTR_EINVAL);
        CHECK_HAS(err.msg, bad[i].said);
        CHECK_STR(otr_buf_text(&wire), "kept");
    }
    CHECK(otr_pb_find("Nothing") == NULL);
}

T(wire_bytes_that_are_wrong_are_refused_and_leave_no_trace)
{
    static const struct {
        const char *type, *bytes;
        size_t n;
    } bad[] = {
        { "Info", "\x0a", 1 },                                          /* length missing */
        { "Info", "\x0a\x05name", 6 },                                  /* cut off */
        { "Info", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 }, /* length of 2^64 - 1 */
        { "Info", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11 }, /* a tag of 11 bytes */
        { "Info", "\x00\x00", 2 },                                      /* field 0 */
        { "Info", "\x0b", 1 },                                          /* a group */
        { "Info", "\x08\x01", 2 },                                      /* name as a number */
        { "Info", "\x0a\x01\xff", 3 },                                  /* not UTF-8 */
        { "Verdict", "\x08\x07", 2 },                                   /* no such decision */
        { "google.protobuf.Value", "\x11\0\0\0\0\0\0\xf0\x7f", 9 },     /* infinity */
        { "google.protobuf.Value", "\x10\x01", 2 },                     /* number as a varint */
        { "google.protobuf.Struct", "\x0a\x03\x0a\x01\0", 5 },          /* a key with a NUL */
        { "Envelope", "\x22\x02\x10\x7f\x22\x00", 6 },                  /* two times */
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        BUF(text);
        otr_err err = { 0 };
        REQUIRE_OK(otr_buf_adds(&text, "kept", &err), err);
        CHECK_INT(read_wire(bad[i].type, bad[i].bytes, bad[i].n, &text, &err), OTR_EINVAL);
        CHECK(err.msg[0] != '\0');
        CHECK_STR(otr_buf_text(&text), "kept");
    }
}

/* Field 6 (list) of field 1 (values), `depth` times around a number. */
static otr_code nest(otr_buf *wire, unsigned depth, otr_err *err)
{
    otr_buf inner;
    otr_buf_init(&inner, 64U * OTR_MIB);
    otr_code rc = otr_buf_add(&inner, (otr_bytes){ (const uint8_t *)"\x20\x01", 2 }, err);
    for (unsigned i = 0; i < depth && rc == OTR_OK; i++) {
        otr_buf outer;
        otr_buf_init(&outer, 64U * OTR_MIB);
        for (int k = 0; k < 2 && rc == OTR_OK; k++) {
            otr_buf_clear(&outer);
            rc = otr_buf_addc(&outer, k == 0 ? '\x0a' : '\x32', err);
            for (size_t n = inner.n; rc == OTR_OK; n >>= 7) {
                rc = otr_buf_addc(&outer, (char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0)), err);
                if (n <= 0x7f) {
                    break;
                }
            }
            rc = rc == OTR_OK ? otr_buf_add(&outer, otr_buf_bytes(&inner), err) : rc;
            otr_buf swap = inner;
            inner = outer;
            outer = swap;
        }
        otr_buf_deinit(&outer);
    }
    rc = rc == OTR_OK ? otr_buf_add(wire, otr_buf_bytes(&inner), err) : rc;
    otr_buf_deinit(&inner);
    return rc;
}

T_NO_OOM(nesting_is_as_deep_as_json_and_no_deeper)
{
    static const unsigned depths[] = { 1, OTR_LIMIT_JSON_DEPTH, OTR_LIMIT_JSON_DEPTH + 1, 10000 };
    for (size_t i = 0; i < OTR_COUNT(depths); i++) {
        BUF(wire);
        BUF(text);
        otr_err err = { 0 };
        REQUIRE_OK(nest(&wire, depths[i], &err), err);
        otr_code rc =
            otr_pb_read(value(), otr_buf_bytes(&wire), OTR_PB_ABSENT_NOTHING, &text, &err);
        CHECK_INT(rc, depths[i] <= OTR_LIMIT_JSON_DEPTH ? OTR_OK : OTR_EQUOTA);
        CHECK_INT(text.n, rc == OTR_OK ? 2 * depths[i] + 4 : 0);
    }
}

T_NO_OOM(records_are_counted)
{
    BUF(wire);
    BUF(text);
    otr_err err = { 0 };
    uint8_t *at;
    REQUIRE_OK(otr_buf_reserve(&wire, 2 * (OTR_LIMIT_PROTOBUF_RECORDS + 1), &at, &err), err);
    for (size_t i = 0; i <= OTR_LIMIT_PROTOBUF_RECORDS; i++) {
        memcpy(at + 2 * i, "\x0a\x00", 2); /* an empty value */
    }
    otr_buf_grew(&wire, 2 * (OTR_LIMIT_PROTOBUF_RECORDS + 1));
    CHECK_INT(otr_pb_read(otr_pb_find("KvListAnswer"), otr_buf_bytes(&wire), OTR_PB_ABSENT_NOTHING,
                          &text, &err),
              OTR_EQUOTA);
}

T(values_of_any_kind_come_back)
{
    static const char *const same[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "3",
        "1.5",
        "9007199254740992",
        "\"\"",
        "\"h\xc3\xa9\"",
        "[]",
        "{}",
        "[[],{},[null]]",
        "{\"a\":1,\"b\":[true,\"x\"],\"c\":{\"d\":{}}}",
    };
    for (size_t i = 0; i < OTR_COUNT(same); i++) {
        comes_back_as("google.protobuf.Value", same[i], same[i]);
    }
    comes_back_as("google.protobuf.Value", " [ 1 , { \"a\" : 2.50 } ] ", "[1,{\"a\":2.5}]");
    comes_back_as("google.protobuf.Value", "1e3", "1000");
    comes_back_as("google.protobuf.Struct", "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"c\"}}");
}

T(escapes_become_characters)
{
    comes_back_as("google.protobuf.Value", "\"\\u0041\\n\\/\\\\\\\"\\t\"", "\"A\\n/\\\\\\\"\\t\"");
    comes_back_as("google.protobuf.Value", "\"\\u00e9\\u20ac\\ud83d\\ude00\"",
                  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    comes_back_as("google.protobuf.Value", "\"\\u0000\"", "\"\\u0000\"");
    comes_back_as("google.protobuf.Value", "\"\\u007F\\u0080\\u07ff\\u0800\\uFFFD\"",
                  "\"\\u007f\\u0080\xdf\xbf\xe0\xa0\x80\xef\xbf\xbd\"");
    comes_back_as("google.protobuf.Value", "\"\\ud800\\udc00\\udbff\\udfff\"",
                  "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
    comes_back_as("google.protobuf.Value", "\"\\b\\f\\r\"", "\"\\b\\f\\r\"");
    comes_back_as("google.protobuf.Value", "{\"\\u0041b\":1}", "{\"Ab\":1}");
}

T(fields_have_their_types)
{
    comes_back_as("Envelope",
                  "{\"id\":18446744073709551615,\"topic\":\"a.b\",\"version\":4294967295,"
                  "\"time\":\"2026-08-01T12:00:00.123Z\",\"source\":\"x\",\"cause\":1}",
                  "{\"id\":18446744073709551615,\"topic\":\"a.b\",\"version\":4294967295,"
                  "\"time\":\"2026-08-01T12:00:00.123Z\",\"source\":\"x\",\"cause\":1}");
    comes_back_as(
        "Envelope",
        "{\"instance\":{\"pid\":-9223372036854775808,\"workers\":[1,-1,300],\"plus\":true,"
        "\"access_logs\":[\"\",\"/a\"]}}",
        "{\"instance\":{\"pid\":-9223372036854775808,\"workers\":[1,-1,300],\"plus\":true,"
        "\"access_logs\":[\"\",\"/a\"]}}");
    comes_back_as("Envelope",
                  "{\"metrics\":{\"requests_per_second\":0.1,\"responses\":{\"1xx\":0,"
                  "\"2xx\":18446744073709551615}}}",
                  "{\"metrics\":{\"requests_per_second\":0.1,\"responses\":{\"1xx\":0,"
                  "\"2xx\":18446744073709551615}}}");
    comes_back_as("Subscriptions",
                  "{\"topics\":[{\"pattern\":\"a\"},{\"pattern\":\"b\",\"kind\":"
                  "\"hook\"}]}",
                  "{\"topics\":[{\"pattern\":\"a\"},{\"pattern\":\"b\",\"kind\":\"hook\"}]}");
}

T(unknown_members_and_fields_are_left_out)
{
    comes_back_as("Info", "{\"colour\":[1,{\"a\":\"]}\"}],\"name\":\"x\",\"more\":null}",
                  "{\"name\":\"x\"}");
    comes_back_as("Info", "{\"version\":null,\"operations\":null,\"name\":\"x\"}",
                  "{\"name\":\"x\"}");
    BUF(text);
    otr_err err = { 0 };
    REQUIRE_OK(READ("Info", "\x0a\x01x\xf8\x01\x07\xfa\x01\x01z", &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "{\"name\":\"x\"}");
    otr_buf_clear(&text);
    REQUIRE_OK(READ("Info", "\xfd\x01\1\2\3\4\xf9\x01\1\2\3\4\5\6\7\10\x0a\x01y", &text, &err),
               err);
    CHECK_STR(otr_buf_text(&text), "{\"name\":\"y\"}");
}

T(the_last_of_a_field_or_of_a_oneof_counts)
{
    BUF(text);
    otr_err err = { 0 };
    REQUIRE_OK(READ("Info", "\x0a\x01x\x0a\x01y", &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "{\"name\":\"y\"}");
    otr_buf_clear(&text);
    REQUIRE_OK(READ("google.protobuf.Value", "\x20\x01\x1a\x01s", &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "\"s\"");
    otr_buf_clear(&text);
    /* data, then health */
    REQUIRE_OK(READ("Envelope", "\x3a\x02\x20\x01\x8a\x01\x03\x0a\x01z", &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "{\"health\":{\"id\":\"z\"}}");
}

T(numbers_of_a_list_may_be_packed_or_not)
{
    BUF(text);
    otr_err err = { 0 };
    REQUIRE_OK(READ("Envelope", "\x82\x01\x06\x18\x01\x1a\x02\x02\x03", &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "{\"instance\":{\"workers\":[1,2,3]}}");
}

T(absent_fields_are_said_as_asked)
{
    static const char *const expected[] = {
        "{}", "{\"name\":\"\",\"version\":\"\",\"api\":\"\"}",
        "{\"name\":\"\",\"version\":\"\",\"api\":\"\",\"operations\":[]}"
    };
    for (unsigned i = 0; i < OTR_COUNT(expected); i++) {
        BUF(text);
        otr_err err = { 0 };
        REQUIRE_OK(
            otr_pb_read(otr_pb_find("Info"), (otr_bytes){ NULL, 0 }, (otr_pb_absent)i, &text, &err),
            err);
        CHECK_STR(otr_buf_text(&text), expected[i]);
    }
}

T(bytes_have_no_json_and_are_found_by_name)
{
    BUF(wire);
    BUF(text);
    otr_err err = { 0 };
    otr_bytes body;
    bool found = true;
    const otr_pb_type *type = otr_pb_find("HttpRequest");
    REQUIRE_OK(otr_pb_write(type, otr_bytes_of("{\"url\":\"http://a/\"}"), &wire, &err), err);
    REQUIRE_OK(otr_pb_field(type, otr_buf_bytes(&wire), "body", &body, &found, &err), err);
    CHECK(!found);
    REQUIRE_OK(
        otr_pb_write_bytes(type, "body", (otr_bytes){ (const uint8_t *)"\xff\0", 2 }, &wire, &err),
        err);
    REQUIRE_OK(otr_pb_field(type, otr_buf_bytes(&wire), "body", &body, &found, &err), err);
    CHECK(found && body.n == 2 && body.p[0] == 0xff);
    REQUIRE_OK(otr_pb_read(type, otr_buf_bytes(&wire), OTR_PB_ABSENT_NOTHING, &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "{\"url\":\"http://a/\"}");
    CHECK_INT(otr_pb_write(type, otr_bytes_of("{\"body\":\"x\"}"), &wire, &err), OTR_EINVAL);
    otr_bytes x = otr_bytes_of("x");
    CHECK_INT(otr_pb_write_bytes(type, "nothing", x, &wire, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_pb_write_field(type, "nothing", otr_bytes_of("7"), &wire, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "HttpRequest has no field nothing");
    OTR_CLEANUP(otr_buf_deinit) otr_buf tiny;
    otr_buf_init(&tiny, 8);
    REQUIRE_OK(otr_buf_adds(&tiny, "kept", &err), err);
    CHECK_INT(otr_pb_write_bytes(type, "body", otr_bytes_of("too long"), &tiny, &err), OTR_EQUOTA);
    CHECK_INT(otr_pb_write_field(type, "url", otr_bytes_of("\"too long\""), &tiny, &err),
              OTR_EQUOTA);
    CHECK_INT(otr_pb_read(type, otr_buf_bytes(&wire), OTR_PB_ABSENT_NOTHING, &tiny, &err),
              OTR_EQUOTA);
    CHECK_STR(otr_buf_text(&tiny), "kept");
}

T_NO_OOM(a_megabyte_of_text_comes_back_also_with_escapes)
{
    for (int escaped = 0; escaped < 2; escaped++) {
        BUF(json);
        BUF(wire);
        BUF(text);
        otr_err err = { 0 };
        REQUIRE_OK(otr_buf_adds(&json, escaped ? "[\"\\n" : "[\"", &err), err);
        uint8_t *at;
        REQUIRE_OK(otr_buf_reserve(&json, OTR_MIB, &at, &err), err);
        memset(at, 'x', OTR_MIB);
        otr_buf_grew(&json, OTR_MIB);
        REQUIRE_OK(otr_buf_adds(&json, "\"]", &err), err);
        REQUIRE_OK(otr_pb_write(value(), otr_buf_bytes(&json), &wire, &err), err);
        REQUIRE_OK(otr_pb_read(value(), otr_buf_bytes(&wire), OTR_PB_ABSENT_NOTHING, &text, &err),
                   err);
        CHECK(text.n == json.n && memcmp(text.p, json.p, text.n) == 0);
    }
}
