/* The guests' JSON reader and writer, compiled for the host: plugins must survive any input. */
#include <stdio.h>

#include "../../../sdk/outrider_json.h"
#include "base/json.h"
#include "support/test.h"

static og_str text(const char *s)
{
    return og_text(s);
}

/* The raw value at `path`, NUL-terminated; "(absent)" when there is none. */
static const char *get(const char *doc, const char *path)
{
    static char out[256];
    og_str v = og_json_get(text(doc), path);
    if (v.at == NULL) {
        return "(absent)";
    }
    (void)snprintf(out, sizeof out, "%.*s", (int)v.len, v.at);
    return out;
}

T(malformed_text_makes_values_absent)
{
    CHECK_STR(get("", "a"), "(absent)");
    CHECK_STR(get("{", "a"), "(absent)");
    CHECK_STR(get("{\"a\"", "a"), "(absent)");
    CHECK_STR(get("{\"a\":", "a"), "(absent)");
    CHECK_STR(get("{\"a\":}", "a"), "(absent)");
    CHECK_STR(get("{\"a\":\"x}", "a"), "(absent)");
    CHECK_STR(get("{\"a\":\"\\q\"}", "a"), "(absent)");
    CHECK_STR(get("{\"a\":\"\\u12g4\"}", "a"), "(absent)");
    CHECK_STR(get("{\"a\":\"\\u12", "a"), "(absent)");
    CHECK_STR(get("{\"a\":\"x\\", "a"), "(absent)");
    CHECK_STR(get("{\"b\":1 \"a\":2}", "a"), "(absent)");
    CHECK_STR(get("{\"b\":[1,],\"a\":2}", "a"), "(absent)");
    CHECK_STR(get("{\"b\":[1}],\"a\":2}", "a"), "(absent)");
    CHECK_STR(get("{\"b\":01,\"a\":2}", "a"), "(absent)");
    CHECK_STR(get("{\"b\":1.,\"a\":2}", "a"), "(absent)");
    CHECK_STR(get("{\"b\":1e,\"a\":2}", "a"), "(absent)");
    CHECK_STR(get("{\"b\":nul,\"a\":2}", "a"), "(absent)");
    CHECK_STR(get("{\"b\":tru", "b"), "(absent)");
    CHECK_STR(get("{,\"a\":2}", "a"), "(absent)");
    CHECK_STR(get("[1,2", "5"), "(absent)");
}

T(depth_is_bounded)
{
    char doc[400];
    memset(doc, '[', sizeof doc);
    CHECK(!og_json_valid((og_str){ doc, sizeof doc }));
    memset(doc + 64, ']', 64);
    CHECK(og_json_valid((og_str){ doc, 128 }));
    doc[64] = '[';
    memset(doc + 65, ']', 65);
    CHECK(!og_json_valid((og_str){ doc, 130 }));
}

T(a_path_leads_to_the_value)
{
    const char *doc =
        " { \"a\" : { \"b\" : [ 10 , { \"5xx\" : \"x,]}\\\"\" } , null ] } , \"c\":-1.5e3 }";
    CHECK_STR(get(doc, "a.b.0"), "10");
    CHECK_STR(get(doc, "a.b.1.5xx"), "\"x,]}\\\"\"");
    CHECK_STR(get(doc, "a.b.2"), "null");
    CHECK_STR(get(doc, "a.b.3"), "(absent)");
    CHECK_STR(get(doc, "a.b.x"), "(absent)");
    CHECK_STR(get(doc, "a.b.4294967296"), "(absent)");
    CHECK_STR(get(doc, "c"), "-1.5e3");
    CHECK_STR(get(doc, "c.d"), "(absent)");
    CHECK_STR(get("{\"a\\u0062\":1}", "ab"), "1");
    CHECK_STR(get("{\"a\\u0062\":1}", "abc"), "(absent)");
    CHECK_STR(get("{\"abc\":1}", "ab"), "(absent)");
    CHECK_STR(get("7", ""), "7");
}

T(each_visits_every_member_once)
{
    og_json_iter it = og_json_each(text("{\"a\":1,\"b\":[2,3],\"c\":{}}"));
    char seen[64];
    size_t len = 0;
    while (og_json_next(&it)) {
        len += (size_t)snprintf(seen + len, sizeof seen - len, "%.*s=%.*s;", (int)it.key.len,
                                it.key.at, (int)it.value.len, it.value.at);
    }
    CHECK_STR(seen, "a=1;b=[2,3];c={};");
    it = og_json_each(text("[]"));
    CHECK(!og_json_next(&it));
    CHECK(!og_json_next(&it));
    it = og_json_each((og_str){ NULL, 0 });
    CHECK(!og_json_next(&it));
}

T(strings_are_decoded_whole_or_not_at_all)
{
    char buf[16];
    og_str s = og_json_string(text("\"a\\n\\u00e9\\ud83d\\ude00\\/\""), buf, sizeof buf);
    REQUIRE(s.at != NULL);
    CHECK_INT(s.len, 9);
    CHECK(memcmp(s.at, "a\n\xC3\xA9\xF0\x9F\x98\x80/", 9) == 0);
    s = og_json_string(text("\"\\ud83dx\""), buf, sizeof buf);
    REQUIRE(s.at != NULL);
    CHECK(s.len == 4 && memcmp(s.at, "\xEF\xBF\xBDx", 4) == 0);
    CHECK(og_json_string(text("\"0123456789abcdef\""), buf, sizeof buf).at != NULL);
    CHECK(og_json_string(text("\"0123456789abcdefg\""), buf, sizeof buf).at == NULL);
    CHECK(og_json_string(text("12"), buf, sizeof buf).at == NULL);
    CHECK(og_json_string((og_str){ NULL, 0 }, buf, sizeof buf).at == NULL);
    CHECK(og_json_string(text("\"a\"b"), buf, sizeof buf).at == NULL);
}

T(numbers_keep_their_value)
{
    CHECK(og_json_double(text("0"), 9) == 0);
    CHECK(og_json_double(text("-12.25"), 9) == -12.25);
    CHECK(og_json_double(text("1e3"), 9) == 1000);
    CHECK(og_json_double(text("125E-3"), 9) == 0.125);
    CHECK(og_json_double(text("18446744073709551615"), 9) > 1.8e19);
    CHECK(og_json_double(text("1e300"), 9) > 0.99e300);
    CHECK(og_json_double(text("1e-400"), 9) == 0);
    CHECK(og_json_double(text("1e99999999999"), 9) > 1e300);
    CHECK(og_json_double(text("\"1\""), 9) == 9);
    CHECK(og_json_double(text("1x"), 9) == 9);
    CHECK(og_json_double((og_str){ NULL, 0 }, 9) == 9);
    CHECK(og_json_u64(text("18446744073709551615"), 9) == UINT64_MAX);
    CHECK(og_json_u64(text("18446744073709551616"), 9) == 9);
    CHECK(og_json_u64(text("-1"), 9) == 9);
    CHECK(og_json_u64(text("1.0"), 9) == 9);
    CHECK(og_json_bool(text("true"), false));
    CHECK(!og_json_bool(text("false"), true));
    CHECK(og_json_bool(text("1"), true));
}

T(a_text_that_does_not_fit_is_absent)
{
    char buf[8];
    og_writer w = og_json_object(buf, sizeof buf);
    og_put_text(&w, "k", "long enough");
    CHECK(og_json_end(&w).at == NULL);
    w = og_json_object(buf, 0);
    CHECK(og_json_end(&w).at == NULL);
    w = og_json_object(buf, sizeof buf);
    og_put_close(&w);
    og_put_close(&w);
    CHECK(og_json_end(&w).at == NULL);
}

T(what_is_written_reads_back)
{
    char buf[512];
    og_writer w = og_json_object(buf, sizeof buf);
    og_put_text(&w, "s", "a\"b\\c\n\x01é");
    og_put_num(&w, "n", 12.5);
    og_put_num(&w, "tiny", 0.000001);
    og_put_num(&w, "round", 0.9999999);
    og_put_num(&w, "negative", -3);
    og_put_num(&w, "huge", 1.5e20);
    og_put_num(&w, "nan", 0.0 / (double)(w.len - w.len));
    og_put_u64(&w, "u", UINT64_MAX);
    og_put_array(&w, "list");
    og_put_bool(&w, NULL, true);
    og_put_object(&w, NULL);
    og_put_close(&w);
    og_put_raw(&w, NULL, (og_str){ NULL, 0 });
    og_str out = og_json_end(&w);
    REQUIRE(out.at != NULL);
    REQUIRE(out.len < sizeof buf);
    buf[out.len] = '\0';
    CHECK_STR(buf, "{\"s\":\"a\\\"b\\\\c\\u000a\\u0001é\",\"n\":12.5,\"tiny\":0.000001,"
                   "\"round\":1,\"negative\":-3,\"huge\":150000000000000e6,\"nan\":null,"
                   "\"u\":18446744073709551615,\"list\":[true,{},null]}");
    CHECK(og_json_valid(out));
}
