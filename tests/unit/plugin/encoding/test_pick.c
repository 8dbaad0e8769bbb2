#include "base/json.h"
#include "base/limits.h"
#include "base/texts.h"
#include "plugin/encoding/pick.h"
#include "support/test.h"

#define BUF(name)                             \
    OTR_CLEANUP(otr_buf_deinit) otr_buf name; \
    otr_buf_init(&name, OTR_LIMIT_JSON_BYTES)

static void texts_freep(void *slot)
{
    otr_texts_free(otr_steal((char ***)slot));
}

static void wrong(const char *path)
{
    otr_err err = { 0 };
    char **names = NULL;
    otr_code rc = otr_pick_path(path, &names, &err);
    CHECK(rc == OTR_EINVAL || rc == OTR_ENOMEM);
    otr_texts_free(names);
}

T(a_path_that_is_none_is_refused)
{
    static const char *const paths[] = { "", ".", "a.", ".a", "a..b", "a\\", "a\\b", "a\\.." };
    for (size_t i = 0; i < OTR_COUNT(paths); i++) {
        wrong(paths[i]);
    }
}

static void repeat(char *to, const char *what, size_t n, const char *last)
{
    to[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        memcpy(to + i * strlen(what), what, strlen(what) + 1);
    }
    memcpy(to + n * strlen(what), last, strlen(last) + 1);
}

T(a_path_may_be_as_long_as_its_limits_and_no_longer)
{
    char text[2 * OTR_PICK_BYTES];
    otr_err err = { 0 };
    OTR_CLEANUP(texts_freep) char **most = NULL;
    char **more = NULL;
    repeat(text, "a.", OTR_PICK_NAMES - 1, "a");
    REQUIRE_OK(otr_pick_path(text, &most, &err), err);
    CHECK_STR(most[OTR_PICK_NAMES - 1], "a");
    CHECK(most[OTR_PICK_NAMES] == NULL);
    repeat(text, "a.", OTR_PICK_NAMES, "a");
    CHECK(otr_pick_path(text, &more, &err) != OTR_OK);
    repeat(text, "a", OTR_PICK_BYTES, "");
    otr_texts_free(otr_steal(&most));
    REQUIRE_OK(otr_pick_path(text, &most, &err), err);
    CHECK_INT(strlen(most[0]), OTR_PICK_BYTES);
    repeat(text, "a", OTR_PICK_BYTES, "a");
    CHECK(otr_pick_path(text, &more, &err) != OTR_OK);
}

/* What the path finds in the text, as a guest is given it; "(none)" when there is nothing. */
static void finds(const char *json, const char *path, const char *given)
{
    otr_err err = { 0 };
    OTR_CLEANUP(texts_freep) char **names = NULL;
    BUF(scratch);
    REQUIRE(otr_json_valid(otr_bytes_of(json)));
    REQUIRE_OK(otr_pick_path(path, &names, &err), err);
    otr_bytes value = otr_pick(otr_bytes_of(json), names), plain = { NULL, 0 };
    if (value.p == NULL) {
        CHECK_STR("(none)", given);
        return;
    }
    REQUIRE_OK(otr_pick_plain(value, &scratch, &plain, &err), err);
    CHECK_INT(plain.n, strlen(given));
    CHECK(plain.n == strlen(given) && (plain.n == 0 || memcmp(plain.p, given, plain.n) == 0));
}

T(a_value_that_is_not_there_is_none)
{
    finds("{}", "a", "(none)");
    finds("[]", "0", "(none)");
    finds("1", "a", "(none)");
    finds("\"a\"", "a", "(none)");
    finds("{\"a\":1}", "b", "(none)");
    finds("{\"a\":1}", "a.b", "(none)");
    finds("{\"ab\":1,\"\":2}", "a", "(none)");
    finds("{\"a\":[1,2]}", "a.2", "(none)");
    finds("{\"a\":[1,2]}", "a.-1", "(none)");
    finds("{\"a\":[1,2]}", "a.01", "(none)");
    finds("{\"a\":[1,2]}", "a.99999999999999999999", "(none)");
    finds("{\"b\":{\"a\":1},\"c\":[{\"a\":2}],\"d\":\"a\"}", "a", "(none)");
    finds("{\"a\\u0000\":1}", "a", "(none)");
}

T(a_value_is_found_where_the_path_leads)
{
    finds(" { \"a\" : 1 } ", "a", "1");
    finds("{\"x\":\"}\\\"{,\",\"a\":{\"b\":[true,{\"c\":-1.5e3 }]}}", "a.b.1.c", "-1.5e3");
    finds("{\"x\":[1,[2]],\"a\":{\"b\":[true,{\"c\":null}]}}", "a.b", "[true,{\"c\":null}]");
    finds("{\"a\":[[1,2],[3,4]]}", "a.1.0", "3");
    finds("{\"0\":7}", "0", "7");
    finds("{\"a.b\":7,\"a\":{\"b\":8}}", "a\\.b", "7");
    finds("{\"a\\\\b\":7}", "a\\\\b", "7");
    finds("{\"a\\\\.b\":7}", "a\\\\\\.b", "7");
    finds("{\"\\u0061\\n\":7}", "a\n", "7");
    finds("{\"\\u00e9\\ud83d\\ude00\":7}", "\xc3\xa9\xf0\x9f\x98\x80", "7");
    finds("{\"a\":1,\"a\":2}", "a", "1");
    finds("{\"a\":null}", "a", "null");
}

T(a_string_is_given_as_its_bytes)
{
    finds("{\"a\":\"\"}", "a", "");
    finds("{\"a\":\"caf\xc3\xa9\"}", "a", "caf\xc3\xa9");
    finds("{\"a\":\"x\\\"\\\\\\/\\b\\f\\n\\r\\ty\"}", "a", "x\"\\/\b\f\n\r\ty");
    finds("{\"a\":\"\\u0041\\u00E9\\u20ac\\uD83D\\uDE00\"}", "a",
          "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    finds("{\"a\":\"\\ud83d!\\ude00\\ud83d\\u0041\"}", "a",
          "\xef\xbf\xbd!\xef\xbf\xbd\xef\xbf\xbd"
          "A");
}

T(a_nul_in_a_string_is_given)
{
    otr_err err = { 0 };
    BUF(scratch);
    otr_bytes plain;
    REQUIRE_OK(otr_pick_plain(otr_bytes_of("\"a\\u0000b\""), &scratch, &plain, &err), err);
    CHECK_INT(plain.n, 3);
    CHECK(memcmp(plain.p, "a\0b", 3) == 0);
}

static void becomes(otr_bytes bytes, const char *json)
{
    otr_err err = { 0 };
    BUF(scratch);
    otr_bytes value;
    REQUIRE_OK(otr_pick_value_of(bytes, &scratch, &value, &err), err);
    CHECK_INT(value.n, strlen(json));
    CHECK(value.n == strlen(json) && memcmp(value.p, json, value.n) == 0);
    CHECK(otr_json_valid(value));
}

T(what_is_json_stays_and_all_else_becomes_a_string)
{
    becomes(otr_bytes_of("{\"count\":3}"), "{\"count\":3}");
    becomes(otr_bytes_of("12"), "12");
    becomes(otr_bytes_of("\"x\""), "\"x\"");
    becomes(otr_bytes_of("007"), "\"007\"");
    becomes(otr_bytes_of("NaN"), "\"NaN\"");
    becomes(otr_bytes_of("{\"count\":3"), "\"{\\\"count\\\":3\"");
    becomes(otr_bytes_of("Hello, \xc3\xa9!\n"), "\"Hello, \xc3\xa9!\\n\"");
    becomes(otr_bytes_of(" "), "\" \"");
    becomes((otr_bytes){ (const uint8_t *)"a\0b", 3 }, "\"a\\u0000b\"");
    becomes((otr_bytes){ (const uint8_t *)"\xff\x00\xfe", 3 }, "\"/wD+\"");
    becomes((otr_bytes){ (const uint8_t *)"\xff", 1 }, "\"/w==\"");
    becomes((otr_bytes){ (const uint8_t *)"\"\xff\"", 3 }, "\"Iv8i\"");
}

T(json_that_is_nested_too_deep_is_a_string)
{
    char text[2 * OTR_LIMIT_JSON_DEPTH + 8] = "";
    memset(text, '[', OTR_LIMIT_JSON_DEPTH);
    memset(text + OTR_LIMIT_JSON_DEPTH, ']', OTR_LIMIT_JSON_DEPTH);
    becomes(otr_bytes_of(text), text);
    memset(text, '[', OTR_LIMIT_JSON_DEPTH + 1);
    memset(text + OTR_LIMIT_JSON_DEPTH + 1, ']', OTR_LIMIT_JSON_DEPTH + 1);
    otr_err err = { 0 };
    BUF(scratch);
    otr_bytes value;
    REQUIRE_OK(otr_pick_value_of(otr_bytes_of(text), &scratch, &value, &err), err);
    CHECK(value.p[0] == '"');
}
