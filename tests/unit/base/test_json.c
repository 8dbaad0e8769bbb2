#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "support/test.h"

static void deinit(void *buf)
{
    otr_buf_deinit(buf);
}

#define BUF(name)                     \
    OTR_CLEANUP(deinit) otr_buf name; \
    otr_buf_init(&name, 1 << 20)

/* `depth` opening brackets and, when `closed`, as many closing ones. */
static void nest(char *out, size_t depth, size_t closed)
{
    memset(out, '[', depth);
    memset(out + depth, ']', closed);
    out[depth + closed] = '\0';
}

/* ---- writer ---- */

T(the_writer_stops_at_the_first_failure)
{
    OTR_CLEANUP(deinit) otr_buf b;
    otr_buf_init(&b, 8);
    otr_err e = { 0 };
    otr_jw w;
    otr_jw_begin(&w, &b, &e);
    otr_jw_arr(&w, NULL);
    otr_jw_str(&w, NULL, "this is too long");
    otr_jw_u64(&w, NULL, 1);
    otr_jw_arr_end(&w);
    CHECK_INT(otr_jw_end(&w), OTR_EQUOTA);
    CHECK_HAS(e.msg, "8 bytes");
    CHECK(strstr(otr_buf_text(&b), "1") == NULL);
}

T(the_writer_has_a_depth_ceiling)
{
    BUF(b);
    otr_err e = { 0 };
    for (int depth = OTR_LIMIT_JSON_DEPTH; depth <= OTR_LIMIT_JSON_DEPTH + 5; depth++) {
        otr_buf_clear(&b);
        otr_jw w;
        otr_jw_begin(&w, &b, &e);
        for (int i = 0; i < depth; i++) {
            otr_jw_arr(&w, NULL);
        }
        for (int i = 0; i < depth; i++) {
            otr_jw_arr_end(&w);
        }
        CHECK_INT(otr_jw_end(&w), depth <= OTR_LIMIT_JSON_DEPTH ? OTR_OK : OTR_EQUOTA);
    }
}

T(values_are_separated_at_every_depth)
{
    BUF(b);
    otr_err e = { 0 };
    otr_jw w;
    otr_jw_begin(&w, &b, &e);
    otr_jw_obj(&w, NULL);
    otr_jw_arr(&w, "a");
    otr_jw_u64(&w, NULL, 1);
    otr_jw_obj(&w, NULL);
    otr_jw_obj_end(&w);
    otr_jw_arr(&w, NULL);
    otr_jw_null(&w, NULL);
    otr_jw_bool(&w, NULL, true);
    otr_jw_arr_end(&w);
    otr_jw_arr_end(&w);
    otr_jw_bool(&w, "b", false);
    otr_jw_i64(&w, "c", INT64_MIN);
    otr_jw_u64(&w, "d", UINT64_MAX);
    otr_jw_str(&w, "e", NULL);
    otr_jw_raw(&w, "f", otr_bytes_of("{\"x\":[]}"));
    otr_jw_obj_end(&w);
    REQUIRE_OK(otr_jw_end(&w), e);
    CHECK_STR(otr_buf_text(&b), "{\"a\":[1,{},[null,true]],\"b\":false,\"c\":-9223372036854775808,"
                                "\"d\":18446744073709551615,\"e\":null,\"f\":{\"x\":[]}}");
}

static const char *as_string(otr_buf *b, const char *bytes, size_t n)
{
    otr_jw w;
    otr_buf_clear(b);
    otr_jw_begin(&w, b, NULL);
    otr_jw_bytes(&w, NULL, (otr_bytes){ (const uint8_t *)bytes, n });
    return otr_jw_end(&w) == OTR_OK ? otr_buf_text(b) : "failed";
}

T(strings_are_escaped)
{
    BUF(b);
    CHECK_STR(as_string(&b, NULL, 0), "\"\"");
    CHECK_STR(as_string(&b, "a\"b\\c/d", 7), "\"a\\\"b\\\\c/d\"");
    CHECK_STR(as_string(&b, "\b\f\n\r\t", 5), "\"\\b\\f\\n\\r\\t\"");
    CHECK_STR(as_string(&b, "\0\x01\x1f\x7f", 4), "\"\\u0000\\u0001\\u001f\\u007f\"");
    CHECK_STR(as_string(&b, "gr\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", 11),
              "\"gr\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

T(what_is_not_utf8_becomes_the_replacement_character)
{
    BUF(b);
    CHECK_STR(as_string(&b, "a\xff", 2), "\"a\xef\xbf\xbd\"");
    CHECK_STR(as_string(&b, "\xc3", 1), "\"\xef\xbf\xbd\"");
    CHECK_STR(as_string(&b, "\xe2\x82z", 3), "\"\xef\xbf\xbd\xef\xbf\xbdz\"");
    CHECK_STR(as_string(&b, "\x80\x80", 2), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
}

T(a_key_is_escaped_like_a_value)
{
    BUF(b);
    otr_err e = { 0 };
    otr_jw w;
    otr_jw_begin(&w, &b, &e);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "a\"\n", "x");
    otr_jw_obj_end(&w);
    REQUIRE_OK(otr_jw_end(&w), e);
    CHECK_STR(otr_buf_text(&b), "{\"a\\\"\\n\":\"x\"}");
}

T(reals_are_short_and_lose_nothing)
{
    BUF(b);
    otr_err e = { 0 };
    otr_jw w;
    otr_jw_begin(&w, &b, &e);
    otr_jw_arr(&w, NULL);
    otr_jw_f64(&w, NULL, 0.5);
    otr_jw_f64(&w, NULL, (double)NAN);
    otr_jw_f64(&w, NULL, (double)-INFINITY);
    otr_jw_arr_end(&w);
    REQUIRE_OK(otr_jw_end(&w), e);
    CHECK_STR(otr_buf_text(&b), "[0.5,null,null]");
}

/* ---- reader ---- */

#define PARSE(name, text)                              \
    OTR_CLEANUP(otr_json_freep) otr_json *name = NULL; \
    REQUIRE_OK(otr_json_parse(otr_bytes_of(text), &name, &e), e)

static otr_code parse_only(const char *text, size_t n, otr_err *e)
{
    OTR_CLEANUP(otr_json_freep) otr_json *v = NULL;
    return otr_json_parse((otr_bytes){ (const uint8_t *)text, n }, &v, e);
}

T(an_error_names_line_and_column)
{
    otr_err e;
    CHECK_INT(parse_only("{\n  \"a\": tru\n}", 14, &e), OTR_EINVAL);
    CHECK_HAS(e.msg, "line 2, column");
}

T(a_nul_byte_is_refused_wherever_it_stands)
{
    static const char *const spoilt[] = { "@{}", "{@}", "{\"a\":3@}", "[1@,2]", "true@", "\"@\"" };
    for (size_t i = 0; i < OTR_COUNT(spoilt); i++) {
        char text[16];
        size_t n = strlen(spoilt[i]);
        memcpy(text, spoilt[i], n);
        *(char *)memchr(text, '@', n) = '\0';
        otr_err e = { 0 };
        CHECK_INT(parse_only(text, n, &e), OTR_EINVAL);
        CHECK_HAS(e.msg, "NUL");
    }
}

T(what_is_not_json_is_refused)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\"}",
        "{\"a\":1,}",
        "'a'",
        "01",
        "+1",
        "1.",
        ".5",
        "nan",
        "Infinity",
        "\"\\x\"",
        "\"\n\"",
        "[1] x",
        "1 2",
        "{a:1}",
        "// c\n1",
        "\"\\ud800\"",
        "1e999",
        "tru",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xed\xa0\x80\"",
        "{\"a\":1,\"a\":2}",
        "99999999999999999999",
        "[}",
        "\"open",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        otr_err e = { 0 };
        CHECK_INT(parse_only(bad[i], strlen(bad[i]), &e), OTR_EINVAL);
        CHECK(e.msg[0] != '\0');
    }
    CHECK_INT(parse_only(NULL, 0, NULL), OTR_EINVAL);
    CHECK_INT(parse_only("[1]\0", 4, NULL), OTR_EINVAL);
}

T(nesting_has_a_ceiling)
{
    static char text[200001];
    otr_err e;
    nest(text, OTR_LIMIT_JSON_DEPTH, OTR_LIMIT_JSON_DEPTH);
    CHECK_INT(parse_only(text, strlen(text), &e), OTR_OK);
    nest(text, OTR_LIMIT_JSON_DEPTH + 1, OTR_LIMIT_JSON_DEPTH + 1);
    CHECK_INT(parse_only(text, strlen(text), &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "64");
    nest(text, 100000, 100000);
    CHECK_INT(parse_only(text, strlen(text), &e), OTR_EQUOTA);
    nest(text, 100000, 0);
    CHECK_INT(parse_only(text, strlen(text), &e), OTR_EQUOTA);
}

T(brackets_in_strings_are_not_nesting)
{
    otr_err e;
    char text[300] = "[\"\\\"";
    memset(text + 4, '[', 100);
    (void)snprintf(text + 104, sizeof(text) - 104, "%s", "\\\\\",\"]\"]");
    CHECK_INT(parse_only(text, strlen(text), &e), OTR_OK);
}

T(the_number_of_values_has_a_ceiling)
{
    size_t n = (size_t)OTR_LIMIT_JSON_VALUES * 2 + 2;
    OTR_CLEANUP(otr_freep) char *text = otr_alloc(n + 1);
    REQUIRE(text != NULL);
    for (size_t i = 0; i < n; i += 2) {
        memcpy(text + i, "0,", 2);
    }
    text[0] = '[';
    text[1] = '0';
    text[n - 1] = ']';
    otr_err e;
    CHECK_INT(parse_only(text, n, &e), OTR_EQUOTA);
    CHECK_HAS(e.msg, "values");
}

T(the_size_of_a_text_has_a_ceiling)
{
    otr_err e;
    otr_bytes huge = { (const uint8_t *)"1", (size_t)OTR_LIMIT_JSON_BYTES + 1 };
    otr_json *v = NULL;
    CHECK_INT(otr_json_parse(huge, &v, &e), OTR_EQUOTA);
    CHECK(v == NULL);
}

T(a_value_of_another_type_gives_the_default)
{
    otr_err e;
    PARSE(v, "{\"s\":\"x\",\"i\":7,\"r\":1.5,\"b\":true,\"n\":null,\"a\":[1]}");
    CHECK_STR(otr_json_str(otr_json_get(v, "i"), "d"), "d");
    CHECK_STR(otr_json_str(otr_json_get(v, "missing"), "d"), "d");
    CHECK_INT(otr_json_int(otr_json_get(v, "r"), -1), -1);
    CHECK_INT(otr_json_int(NULL, -1), -1);
    CHECK(otr_json_num(otr_json_get(v, "s"), 2.5) == 2.5);
    CHECK(otr_json_num(otr_json_get(v, "i"), 2.5) == 7);
    CHECK(otr_json_bool(otr_json_get(v, "i"), true));
    CHECK_INT(otr_json_size(NULL), 0);
    CHECK_INT(otr_json_size(otr_json_get(v, "s")), 0);
    CHECK(otr_json_at(NULL, 0) == NULL);
    CHECK(otr_json_at(otr_json_get(v, "a"), 1) == NULL);
    CHECK(otr_json_get(otr_json_get(v, "a"), "x") == NULL);
    CHECK_INT(otr_json_kind(NULL), OTR_JSON_NULL);
    otr_json_free(NULL);
}

static bool count_two(void *arg, const char *key, const otr_json *v)
{
    unsigned *n = arg;
    (void)key;
    (void)v;
    return ++*n < 2;
}

T(values_of_every_type_are_read)
{
    otr_err e;
    PARSE(v, "{\"s\":\"x\",\"i\":-7,\"r\":1.5,\"b\":true,\"n\":null,\"a\":[1,2]}");
    CHECK_INT(otr_json_kind(v), OTR_JSON_OBJECT);
    CHECK_INT(otr_json_size(v), 6);
    CHECK_STR(otr_json_str(otr_json_get(v, "s"), "d"), "x");
    CHECK_INT(otr_json_int(otr_json_get(v, "i"), 0), -7);
    CHECK(otr_json_num(otr_json_get(v, "r"), 0) == 1.5);
    CHECK(otr_json_bool(otr_json_get(v, "b"), false));
    CHECK_INT(otr_json_kind(otr_json_get(v, "s")), OTR_JSON_STRING);
    CHECK_INT(otr_json_kind(otr_json_get(v, "i")), OTR_JSON_INT);
    CHECK_INT(otr_json_kind(otr_json_get(v, "r")), OTR_JSON_REAL);
    CHECK_INT(otr_json_kind(otr_json_get(v, "b")), OTR_JSON_BOOL);
    CHECK_INT(otr_json_kind(otr_json_get(v, "n")), OTR_JSON_NULL);
    CHECK_INT(otr_json_kind(otr_json_get(v, "a")), OTR_JSON_ARRAY);
    CHECK_INT(otr_json_int(otr_json_at(otr_json_get(v, "a"), 1), 0), 2);
    unsigned n = 0;
    otr_json_each(v, count_two, &n);
    CHECK_INT(n, 2);
    otr_json_each(NULL, count_two, &n);
    CHECK_INT(n, 2);
}

T(a_text_is_written_as_it_was_read)
{
    static const char text[] =
        "{\"z\":[1,-2,1.5,0.1,1e+300,2.0,-0.0,0.30000000000000004],"
        "\"a\":{\"\":\"\\u0000\\\"\xc3\xa4\"},\"t\":[true,false,null,{},[]]}";
    otr_err e;
    PARSE(v, text);
    BUF(b);
    REQUIRE_OK(otr_json_write(v, &b, &e), e);
    CHECK_STR(otr_buf_text(&b), text);
}

T(a_text_of_the_greatest_depth_can_be_written)
{
    char text[2 * OTR_LIMIT_JSON_DEPTH + 1];
    nest(text, OTR_LIMIT_JSON_DEPTH, OTR_LIMIT_JSON_DEPTH);
    otr_err e;
    PARSE(v, text);
    BUF(b);
    REQUIRE_OK(otr_json_write(v, &b, &e), e);
    CHECK_STR(otr_buf_text(&b), text);
}

T(a_failed_write_leaves_the_buffer_as_it_was)
{
    otr_err e;
    PARSE(v, "[\"a text that does not fit\"]");
    OTR_CLEANUP(deinit) otr_buf b;
    otr_buf_init(&b, 8);
    REQUIRE_OK(otr_buf_adds(&b, "abc", &e), e);
    CHECK_INT(otr_json_write(v, &b, &e), OTR_EQUOTA);
    CHECK_STR(otr_buf_text(&b), "abc");
}

T(the_checker_agrees_with_the_reader)
{
    static const char *const texts[] = {
        "{\"a\":[1,2,{\"b\":null}]}",
        "[]",
        "true",
        "\"x\"",
        "-1.5e-7",
        "0",
        "[1,]",
        "{,}",
        "[1 2]",
        "{\"a\" 1}",
        "tru",
        "\"\\u12g4\"",
        "\"\t\"",
        "01",
        "",
        "[",
        "]",
        "{\"a\":}",
    };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        bool parsed = parse_only(texts[i], strlen(texts[i]), NULL) == OTR_OK;
        CHECK_INT(otr_json_valid(otr_bytes_of(texts[i])), parsed);
    }
}

/* ---- UTF-8 ---- */

T(the_edges_of_utf8_are_exact)
{
    static const struct {
        const char *bytes;
        uint32_t code; /* 0: not UTF-8 */
    } cases[] = {
        { "\x7f", 0x7f },
        { "\xc2\x80", 0x80 },
        { "\xdf\xbf", 0x7ff },
        { "\xe0\xa0\x80", 0x800 },
        { "\xed\x9f\xbf", 0xd7ff },
        { "\xee\x80\x80", 0xe000 },
        { "\xef\xbf\xbf", 0xffff },
        { "\xf0\x90\x80\x80", 0x10000 },
        { "\xf4\x8f\xbf\xbf", 0x10ffff },
        { "\x80", 0 },             /* a continuation alone */
        { "\xbf", 0 },             /* likewise */
        { "\xc0\x80", 0 },         /* NUL in two bytes */
        { "\xc1\xbf", 0 },         /* too long a form */
        { "\xe0\x9f\xbf", 0 },     /* likewise */
        { "\xf0\x8f\xbf\xbf", 0 }, /* likewise */
        { "\xed\xa0\x80", 0 },     /* surrogates */
        { "\xed\xbf\xbf", 0 },
        { "\xf4\x90\x80\x80", 0 }, /* beyond U+10FFFF */
        { "\xf5\x80\x80\x80", 0 },
        { "\xfe", 0 },
        { "\xff", 0 },
        { "\xc2", 0 }, /* cut off */
        { "\xe2\x82", 0 },
        { "\xf0\x9f\x98", 0 },
        { "\xe2\x28\xa1", 0 }, /* a wrong continuation */
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        otr_bytes text = otr_bytes_of(cases[i].bytes);
        uint32_t code = 0;
        size_t len = otr_utf8_next(text, &code);
        CHECK_INT(code, cases[i].code);
        CHECK_INT(len, cases[i].code != 0 ? text.n : 0);
        CHECK_INT(otr_utf8_ok(text), cases[i].code != 0);
    }
    CHECK_INT(otr_utf8_next((otr_bytes){ NULL, 0 }, NULL), 0);
    CHECK(otr_utf8_ok((otr_bytes){ NULL, 0 }));
    CHECK(otr_utf8_ok((otr_bytes){ (const uint8_t *)"a\0b", 3 }));
    CHECK(!otr_utf8_ok(otr_bytes_of("ok \xe2\x82\xac then \xe2\x82")));
}

static bool members(const char *text, otr_bytes ret[2])
{
    static const char *const keys[] = { "topic", "data" };
    return otr_json_members(otr_bytes_of(text), keys, OTR_COUNT(keys), ret);
}

static void check_view(otr_bytes view, const char *expected)
{
    CHECK_INT(view.n, strlen(expected));
    CHECK(view.p != NULL && view.n == strlen(expected) && memcmp(view.p, expected, view.n) == 0);
}

T(members_are_refused_where_a_view_would_not_do)
{
    static const char *const bad[] = {
        "",
        "[]",
        "1",
        "\"topic\"",
        "[\"topic\",1]",
        "{\"topic\":1",
        "{topic:1}",
        "{} {}",
        "{\"a\"}",
        "{\"topic\":\"a\",}",
        "{\"t\\u006fpic\":1}",
        "{\"a\":[1}]",
        "{\"data\":1,\"data\":1}",
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        otr_bytes found[2];
        CHECK(!members(bad[i], found));
    }
}

T(members_are_views_of_the_outermost_object)
{
    otr_bytes found[2];
    REQUIRE(members(
        " {\"topic\" : \"a.b\" ,\"x\":{\"topic\":1,\"data\":[2]}, \"data\":{\"data\": [1, {}]} } ",
        found));
    check_view(found[0], "\"a.b\"");
    check_view(found[1], "{\"data\": [1, {}]}");
    REQUIRE(members("{\"data\":{},\"topic\":null}", found));
    check_view(found[0], "null");
    check_view(found[1], "{}");
    REQUIRE(members("{\"x\":1,\"x\":{},\"data\":-2.5e3}", found));
    CHECK(found[0].p == NULL);
    check_view(found[1], "-2.5e3");
    REQUIRE(members("{}", found));
    CHECK(found[0].p == NULL && found[1].p == NULL);
    REQUIRE(members("{\"a\":{\"d\\u0061ta\":1},\"topics\":\"x\\ny\",\"data\":[]}", found));
    CHECK(found[0].p == NULL);
    check_view(found[1], "[]");
}
