#include <math.h>

#include "base/clock.h"
#include "base/json.h"
#include "config/config.h"
#include "config/scalar.h"
#include "support/test.h"

T(what_is_not_a_duration_is_refused)
{
    static const char *const bad[] = {
        "",
        " 5s",
        "5s ",
        "5",
        "-5s",
        "5 s",
        "s",
        ".s",
        "5x",
        "1m5",
        "+",
        "--5s",
        "1.2.3s",
        "5S",
        "0x5s",
        "1e3s",
        "5ms5",
        "9223372036854775808ns",
        "2562048h",
        "99999999999999999999s",
        "9223372036s9223372036s",
        "\xff",
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        uint64_t ns = 77;
        otr_err e = { 0 };
        CHECK_INT(otr_duration_parse(bad[i], &ns, &e), OTR_EINVAL);
        CHECK_INT(ns, 77);
        CHECK_HAS(e.msg, "expected a duration");
    }
}

T(durations_are_those_of_go)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {
        { "0", 0 },
        { "+0", 0 },
        { "0s", 0 },
        { "5s", 5 * OTR_NS_PER_S },
        { "+5s", 5 * OTR_NS_PER_S },
        { "1m30s", 90 * OTR_NS_PER_S },
        { "500ms", 500 * OTR_NS_PER_MS },
        { "1h15m30.918273645s", UINT64_C(4530918273645) },
        { ".5s", 500 * OTR_NS_PER_MS },
        { "1.s", OTR_NS_PER_S },
        { "1.5h", 5400 * OTR_NS_PER_S },
        { "10ns", 10 },
        { "10us", 10000 },
        { "10\xc2\xb5s", 10000 },
        { "10\xce\xbcs", 10000 },
        { "0.9ns", 0 },
        { "0.100000000000000000000h", 360 * OTR_NS_PER_S },
        { "9223372036854775807ns", INT64_MAX },
        { "1s1s", 2 * OTR_NS_PER_S },
    };
    for (size_t i = 0; i < OTR_COUNT(good); i++) {
        uint64_t ns = 0;
        otr_err e;
        REQUIRE_OK(otr_duration_parse(good[i].text, &ns, &e), e);
        CHECK_INT(ns, good[i].ns);
    }
}

T(whole_numbers_end_at_64_bits)
{
    static const char *const bad[] = { "",
                                       "-",
                                       "+",
                                       "1.0",
                                       " 1",
                                       "1 ",
                                       "0x",
                                       "0o8",
                                       "1_0",
                                       "--1",
                                       "0xg",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "99999999999999999999" };
    int64_t v = 0;
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK(!otr_scalar_int(bad[i], &v));
    }
    CHECK(otr_scalar_int("9223372036854775807", &v) && v == INT64_MAX);
    CHECK(otr_scalar_int("-9223372036854775808", &v) && v == INT64_MIN);
    CHECK(otr_scalar_int("0x1F", &v) && v == 31);
    CHECK(otr_scalar_int("0o17", &v) && v == 15);
    CHECK(otr_scalar_int("+0042", &v) && v == 42);
    CHECK(otr_scalar_int("-1", &v) && v == -1);
}

T(numbers_are_decimal_and_finite)
{
    static const char *const bad[] = { "",    ".",     "-.",    "1e", "e5",   "nan",
                                       "inf", "0x1p3", "1e999", "1 ", "1.5.5" };
    double v = 0;
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK(!otr_scalar_float(bad[i], &v));
    }
    CHECK(otr_scalar_float("0.5", &v) && v == 0.5);
    CHECK(otr_scalar_float("-.5e1", &v) && v == -5);
    CHECK(otr_scalar_float("3", &v) && v == 3);
    CHECK(otr_scalar_float("3.", &v) && v == 3);
}

T(truth_has_several_names)
{
    bool v = false;
    CHECK(otr_scalar_bool("TRUE", &v) && v);
    CHECK(otr_scalar_bool("yes", &v) && v);
    CHECK(otr_scalar_bool("1", &v) && v);
    CHECK(otr_scalar_bool("off", &v) && !v);
    CHECK(otr_scalar_bool("F", &v) && !v);
    CHECK(!otr_scalar_bool("", &v));
    CHECK(!otr_scalar_bool("2", &v));
    CHECK(!otr_scalar_bool("true ", &v));
}

T(sizes_have_unambiguous_units)
{
    static const char *const bad[] = { "",
                                       "MiB",
                                       "64m",
                                       "64M",
                                       "1.5MiB",
                                       "-1",
                                       "1  MB",
                                       "1 ",
                                       "1MBs",
                                       "18446744073709551616",
                                       "18446744073709551615KiB",
                                       "111111111111111111111111111111" };
    uint64_t v = 0;
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK(!otr_scalar_bytes(bad[i], &v));
    }
    CHECK(otr_scalar_bytes("65536", &v) && v == 65536);
    CHECK(otr_scalar_bytes("64MiB", &v) && v == 64U << 20);
    CHECK(otr_scalar_bytes("1 MB", &v) && v == 1000000);
    CHECK(otr_scalar_bytes("2 GiB", &v) && v == UINT64_C(2) << 30);
    CHECK(otr_scalar_bytes("3kB", &v) && v == 3000);
    CHECK(otr_scalar_bytes("3KB", &v) && v == 3000);
    CHECK(otr_scalar_bytes("3GB", &v) && v == 3000000000);
    CHECK(otr_scalar_bytes("3KiB", &v) && v == 3072);
    CHECK(otr_scalar_bytes("5B", &v) && v == 5);
    CHECK(otr_scalar_bytes("18446744073709551615", &v) && v == UINT64_MAX);
}

T(unquoted_text_has_the_type_of_the_core_schema)
{
    static const struct {
        const char *text;
        otr_scalar_kind kind;
    } cases[] = {
        { "", OTR_SCALAR_NULL },
        { "~", OTR_SCALAR_NULL },
        { "Null", OTR_SCALAR_NULL },
        { "nULL", OTR_SCALAR_STRING },
        { "True", OTR_SCALAR_BOOL },
        { "yes", OTR_SCALAR_STRING },
        { "12", OTR_SCALAR_INT },
        { "-0", OTR_SCALAR_INT },
        { "0xff", OTR_SCALAR_INT },
        { "0o7", OTR_SCALAR_INT },
        { "-0x1", OTR_SCALAR_STRING },
        { "1.", OTR_SCALAR_FLOAT },
        { ".5", OTR_SCALAR_FLOAT },
        { "1e5", OTR_SCALAR_FLOAT },
        { ".inf", OTR_SCALAR_FLOAT },
        { "-.INF", OTR_SCALAR_FLOAT },
        { ".NaN", OTR_SCALAR_FLOAT },
        { ".", OTR_SCALAR_STRING },
        { "1.2.3", OTR_SCALAR_STRING },
        { "0x", OTR_SCALAR_STRING },
        { "99999999999999999999", OTR_SCALAR_INT },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        CHECK_INT(otr_scalar_kind_of(cases[i].text), cases[i].kind);
    }
}

T(shown_text_is_short_and_printable)
{
    char out[OTR_SCALAR_SHOW_BYTES];
    CHECK_STR(otr_scalar_show("a\nb\x1b\xff\xc2\x9b", out), "a?b???");
    CHECK_STR(otr_scalar_show(" ~\x7f\xc2\x80\xc2\x9f\xc2\xa0", out), " ~???\xc2\xa0");
    char big[200];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    CHECK(strlen(otr_scalar_show(big, out)) < OTR_SCALAR_SHOW_BYTES);
    CHECK_STR(out + strlen(out) - 4, "x...");
    for (size_t shift = 0; shift < 4; shift++) {
        for (size_t i = shift; i + 4 < sizeof(big); i += 4) {
            memcpy(big + i, "\xf0\x9f\x98\x80", 5);
        }
        CHECK(otr_utf8_ok(otr_bytes_of(otr_scalar_show(big, out))));
    }
}

T(the_nearest_name_is_a_plausible_slip)
{
    static const char *const names[] = { "level", "path", "labels", "features", NULL };
    static const char *const none[] = { NULL };
    CHECK_STR(otr_nearest("levle", names), "level");
    CHECK_STR(otr_nearest("labesl", names), "labels");
    CHECK_STR(otr_nearest("feature", names), "features");
    CHECK_STR(otr_nearest("levelxx", names), "level");
    static const char *const near[] = { "level", "levels", NULL };
    CHECK_STR(otr_nearest("levl", near), "level");
    CHECK(otr_nearest("levelxxx", names) == NULL);
    CHECK_STR(otr_nearest("path", names), "path");
    CHECK(otr_nearest("x", names) == NULL);
    CHECK(otr_nearest("", names) == NULL);
    CHECK(otr_nearest("completely", names) == NULL);
    CHECK(otr_nearest("level", none) == NULL);
    static const char *const shifted[] = { "abcdef", NULL };
    CHECK(otr_nearest("xyabcd", shifted) == NULL);
    CHECK_STR(otr_nearest("xabcdf", shifted), "abcdef");
    char big[500];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    CHECK(otr_nearest(big, names) == NULL);
    const char *const one[] = { big, NULL };
    char word[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                  "aaaaaaaaaa";
    big[97] = '\0'; /* one longer than what is compared */
    CHECK(otr_nearest(word, one) == NULL);
    big[96] = '\0';
    CHECK_STR(otr_nearest(word, one), big);
}

T(labels_get_the_type_that_nginx_agent_gives_them)
{
    static const struct {
        const char *text;
        otr_label_type type;
    } cases[] = {
        { "", OTR_LABEL_NULL },
        { "nil", OTR_LABEL_NULL },
        { "1", OTR_LABEL_INT },
        { "-12", OTR_LABEL_INT },
        { "0x1", OTR_LABEL_TEXT },
        { "1.5", OTR_LABEL_FLOAT },
        { "1e3", OTR_LABEL_FLOAT },
        { "true", OTR_LABEL_BOOL },
        { "T", OTR_LABEL_BOOL },
        { "{\"a\":1}", OTR_LABEL_JSON },
        { "[1,2]", OTR_LABEL_JSON },
        { "\"x\"", OTR_LABEL_JSON },
        { "null", OTR_LABEL_TEXT },
        { "prod-1.eu_w", OTR_LABEL_TEXT },
        { "a", OTR_LABEL_TEXT },
        { "-a", OTR_LABEL_BAD },
        { "a-", OTR_LABEL_BAD },
        { "a b", OTR_LABEL_BAD },
        { "{a", OTR_LABEL_BAD },
        { "gr\xc3\xbcn", OTR_LABEL_BAD },
        { "99999999999999999999", OTR_LABEL_FLOAT },
        { "9223372036854775807", OTR_LABEL_INT },
        { "-9223372036854775808", OTR_LABEL_INT },
        { "1e999", OTR_LABEL_TEXT },
        { "NaN", OTR_LABEL_TEXT },
        { "yes", OTR_LABEL_TEXT },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        CHECK_INT(otr_label_type_of(cases[i].text), cases[i].type);
    }
    char big[258];
    memset(big, 'a', sizeof(big) - 1);
    big[257] = '\0';
    CHECK_INT(otr_label_type_of(big), OTR_LABEL_BAD);
    big[256] = '\0';
    CHECK_INT(otr_label_type_of(big), OTR_LABEL_TEXT);
}
