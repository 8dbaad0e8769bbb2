#include <stdio.h>

#include "nginx/status/regex.h"
#include "support/test.h"

static void regex_freep(otr_regex **slot)
{
    otr_regex_free(*slot);
}

T(what_is_not_simple_is_refused)
{
    static const char *const hard[] = { "(?=a)",   "a(?!b)",      "(a)\\1", "\\bword", "a++",
                                        "*a",      "a**",         "(a",     "a)",      "[a",
                                        "[b-a]",   "[[:alpha:]]", "a{3,1}", "\\",      "(?i:a)",
                                        "(*UTF8)", "[\\" };
    for (size_t i = 0; i < OTR_COUNT(hard); i++) {
        otr_regex *r = NULL;
        otr_err err = { 0 };
        CHECK_INT(otr_regex_new(hard[i], OTR_REGEX_EXACT_CASE, &r, &err), OTR_EUNSUP);
        CHECK_STR(err.msg, "the regular expression is not a simple one");
    }
    otr_regex *r = NULL;
    otr_err err;
    CHECK_INT(otr_regex_new("((a{100}){100})", OTR_REGEX_EXACT_CASE, &r, &err), OTR_EQUOTA);
}

T(matches_are_those_of_pcre)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        { "^/nginx_status$", "/nginx_status", true },
        { "^/nginx_status$", "/nginx_status/", false },
        { "^/(status|ping)$", "/ping", true },
        { "^/(status|ping)$", "/pong", false },
        { "b", "abc", true },
        { "", "", true },
        { "^$", "", true },
        { "^$", "a", false },
        { "a|b|", "x", true },
        { "^(a|b|cd)+$", "abcdba", true },
        { "^(a|b|cd)+$", "abcba", false },
        { "^a{2,3}$", "a", false },
        { "^a{2,3}$", "aaa", true },
        { "^a{2,3}$", "aaaa", false },
        { "^a{2,}$", "aaaaa", true },
        { "^a{0}b$", "b", true },
        { "^a{0}b$", "ab", false },
        { "^a{,2}$", "a{,2}", true },
        { "^(a*)*$", "aaaa", true },
        { "^x?y??z$", "z", true },
        { "\\.php$", "/a.php", true },
        { "\\.php$", "/aphp", false },
        { "^[a-c]+[^a-c]$", "abcd", true },
        { "^[a-c]+[^a-c]$", "abca", false },
        { "^[]a]$", "]", true },
        { "^[a\\]-]+$", "]-a", true },
        { "^\\d+\\D\\w\\W\\s$", "12x_- ", true },
        { "^(?<name>\\w+)\\.(?:x|y)$", "ab.y", true },
        { "^(?P<n>a)(?'m'b)$", "ab", true },
        { "\\Aab\\z", "ab", true },
        { "^a.c$", "a\nc", false },
        { "(?i)^ABC$", "abc", true },
        { "^ABC$", "abc", false },
        { "a/b", "/a/b/", true },
    };
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        OTR_CLEANUP(regex_freep) otr_regex *r = NULL;
        otr_err err = { 0 };
        REQUIRE_OK(otr_regex_new(rows[i].pattern, OTR_REGEX_EXACT_CASE, &r, &err), err);
        if (otr_regex_matches(r, otr_bytes_of(rows[i].text)) != rows[i].matches) {
            CHECK_STR(rows[i].pattern, rows[i].text);
        }
    }
}

static bool keep(void *arg, otr_bytes text)
{
    char *out = arg;
    size_t n = strlen(out);
    snprintf(out + n, 256 - n, "%s%.*s", n > 0 ? " " : "", (int)text.n, (const char *)text.p);
    return true;
}

static void check_samples(const char *pattern, otr_regex_case how, const char *expected)
{
    OTR_CLEANUP(regex_freep) otr_regex *r = NULL;
    otr_err err = { 0 };
    REQUIRE_OK(otr_regex_new(pattern, how, &r, &err), err);
    char all[256] = "";
    otr_regex_samples(r, 3, keep, all);
    CHECK_STR(all, expected);
}

T(samples_are_short_texts_that_match)
{
    check_samples("^/nginx_status$", OTR_REGEX_EXACT_CASE, "/nginx_status");
    check_samples("^/(nginx_status|basic_status)$", OTR_REGEX_EXACT_CASE,
                  "/nginx_status /basic_status");
    check_samples("/Status", OTR_REGEX_ANY_CASE, "/status");
    check_samples("^status\\.", OTR_REGEX_EXACT_CASE, "status.");
    check_samples("^/s[0-9]{3}\\.x*(/|$)", OTR_REGEX_EXACT_CASE, "/s111./ /s111. /s111.x/");
    check_samples("a^b", OTR_REGEX_EXACT_CASE, "");
}

/* Nothing but time could go wrong: a backtracking matcher would need for ever. */
T(nested_repetition_takes_linear_time)
{
    OTR_CLEANUP(regex_freep) otr_regex *r = NULL;
    otr_err err;
    REQUIRE_OK(otr_regex_new("^((a+)+)+$", OTR_REGEX_EXACT_CASE, &r, &err), err);
    char text[4096];
    memset(text, 'a', sizeof(text));
    CHECK(otr_regex_matches(r, (otr_bytes){ (uint8_t *)text, sizeof(text) }));
    text[sizeof(text) - 1] = 'b';
    CHECK(!otr_regex_matches(r, (otr_bytes){ (uint8_t *)text, sizeof(text) }));
}
