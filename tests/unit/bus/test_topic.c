#include <stdio.h>

#include "base/limits.h"
#include "bus/bus.h"
#include "support/test.h"

T(malformed_topics_are_refused_with_a_reason)
{
    static const char *const bad[] = {
        "",    ".", "a.",  ".a",       "a..b", "A.b",  "a b",  "a/b",
        "a.*", "*", "a\n", "\xc3\xa4", "a.*b", "a.b*", "a.**", "a.b."
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        otr_err e = { 0 };
        CHECK_INT(otr_topic_check(bad[i], false, &e), OTR_EINVAL);
        CHECK_HAS(e.msg, "topic");
    }
}

T(malformed_patterns_are_refused)
{
    static const char *const bad[] = { "", "**", "a*", "*a", "a.*b.c", "a..*", ".*", "*.", "A.*" };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        otr_err e = { 0 };
        CHECK_INT(otr_topic_check(bad[i], true, &e), OTR_EINVAL);
        CHECK_HAS(e.msg, "pattern");
    }
}

T(a_topic_may_have_the_most_bytes_and_not_one_more)
{
    char name[OTR_LIMIT_BUS_TOPIC_BYTES + 2];
    memset(name, 'a', sizeof(name));
    name[OTR_LIMIT_BUS_TOPIC_BYTES + 1] = '\0';
    CHECK_INT(otr_topic_check(name, false, NULL), OTR_EINVAL);
    name[OTR_LIMIT_BUS_TOPIC_BYTES] = '\0';
    CHECK_INT(otr_topic_check(name, false, NULL), OTR_OK);
}

T(well_formed_topics_and_patterns_are_accepted)
{
    static const char *const good[] = { "a", "nginx.config.updated", "a-b_c.0.9", "alert.x" };
    for (size_t i = 0; i < OTR_COUNT(good); i++) {
        CHECK_INT(otr_topic_check(good[i], false, NULL), OTR_OK);
        CHECK_INT(otr_topic_check(good[i], true, NULL), OTR_OK);
    }
    static const char *const patterns[] = { "*", "*.*", "a.*", "*.a", "a.*.b" };
    for (size_t i = 0; i < OTR_COUNT(patterns); i++) {
        CHECK_INT(otr_topic_check(patterns[i], true, NULL), OTR_OK);
    }
}

T(patterns_match_by_words)
{
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {
        { "*", "a", true },           { "*", "a.b.c", true },        { "a", "a", true },
        { "a", "ab", false },         { "ab", "a", false },          { "a", "a.b", false },
        { "a.b", "a", false },        { "a.b", "a.b", true },        { "a.*", "a.b", true },
        { "a.*", "a.b.c", true },     { "a.*", "a", false },         { "a.*", "ab.c", false },
        { "a.*", "b.a", false },      { "*.b", "a.b", true },        { "*.b", "b", false },
        { "*.b", "a.a.b", false },    { "*.b", "a.b.c", false },     { "a.*.c", "a.b.c", true },
        { "a.*.c", "a.b.d", false },  { "a.*.c", "a.b.b.c", false }, { "a.*.c", "a.c", false },
        { "*.*", "a", false },        { "*.*", "a.b", true },        { "*.*", "a.b.c", true },
        { "*.b.*", "a.b.c.d", true }, { "*.b.*", "a.b", false },
    };
    for (size_t i = 0; i < OTR_COUNT(cases); i++) {
        if (otr_topic_match(cases[i].pattern, cases[i].name) != cases[i].match) {
            CHECK_STR(cases[i].pattern, cases[i].name);
        }
    }
}
