#include <stdio.h>

#include "base/json.h"
#include "base/limits.h"
#include "plugin/contract.h"
#include "support/test.h"

static void info_deinit(otr_contract_info *info)
{
    otr_contract_info_deinit(info);
}

static void topics_deinit(otr_contract_topics *topics)
{
    otr_contract_topics_deinit(topics);
}

static otr_code read_info(const char *text, otr_contract_info *info, otr_err *err)
{
    return otr_contract_read_info(otr_bytes_of(text), info, err);
}

T(info_that_is_not_json_is_refused_with_the_operation_named)
{
    OTR_CLEANUP(info_deinit) otr_contract_info info = { 0 };
    otr_err err = { 0 };
    REQUIRE(read_info("hello", &info, &err) == OTR_EINVAL);
    CHECK_HAS(err.msg, "info");
}

T(info_needs_name_version_and_api)
{
    static const char *const bad[] = { "[]", "{}", "{\"name\":\"a\"}",
                                       "{\"name\":1,\"version\":\"1\",\"api\":\"1\"}", "null" };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        OTR_CLEANUP(info_deinit) otr_contract_info info = { 0 };
        otr_err err = { 0 };
        CHECK(read_info(bad[i], &info, &err) == OTR_EINVAL);
    }
}

T(info_of_another_api_says_which_one_is_served)
{
    OTR_CLEANUP(info_deinit) otr_contract_info info = { 0 };
    otr_err err = { 0 };
    REQUIRE(read_info("{\"name\":\"a\",\"version\":\"1\",\"api\":\"2\"}", &info, &err) ==
            OTR_EUNSUP);
    CHECK_HAS(err.msg, "\"2\"");
    CHECK_HAS(err.msg, "\"1\"");
}

T(info_may_list_its_operations)
{
    OTR_CLEANUP(info_deinit) otr_contract_info info = { 0 };
    otr_err err = { 0 };
    otr_code rc = read_info(
        "{\"name\":\"a\",\"version\":\"1.2\",\"api\":1,\"operations\":[\"init\",\"x\",7]}", &info,
        &err);
    REQUIRE_OK(rc, err);
    CHECK_STR(info.version, "1.2");
    CHECK_INT(info.operations, OTR_HAS_LIST | OTR_HAS_INIT);
    otr_contract_info_deinit(&info);
    CHECK(info.version == NULL && info.operations == 0);
}

T(a_version_has_at_most_64_bytes)
{
    static const char most[] = "1234567890123456789012345678901234567890123456789012345678901234";
    for (size_t more = 0; more < 2; more++) {
        OTR_CLEANUP(info_deinit) otr_contract_info info = { 0 };
        otr_err err = { 0 };
        char text[128];
        (void)snprintf(text, sizeof(text), "{\"name\":\"a\",\"api\":1,\"version\":\"%s%s\"}", most,
                       more > 0 ? "5" : "");
        otr_code rc = read_info(text, &info, &err);
        if (more > 0) {
            CHECK_INT(rc, OTR_EINVAL);
            CHECK_HAS(err.msg, "\"version\" is longer than 64 bytes");
        } else {
            REQUIRE_OK(rc, err);
            CHECK_STR(info.version, most);
        }
    }
}

#define TOPICS(text)                                               \
    OTR_CLEANUP(topics_deinit) otr_contract_topics topics = { 0 }; \
    otr_err err = { 0 };                                           \
    otr_code rc = otr_contract_read_topics(otr_bytes_of(text), &topics, &err)

T(subscriptions_are_objects_or_plain_texts)
{
    TOPICS("{\"topics\":[{\"pattern\":\"nginx.*\",\"kind\":\"event\"},\"a.b\"]}");
    REQUIRE_OK(rc, err);
    CHECK_STR(topics.events[0], "nginx.*");
    CHECK_STR(topics.events[1], "a.b");
    CHECK(topics.events[2] == NULL);
    CHECK(topics.hooks[0] == NULL);
}

T(hooks_are_kept_apart_from_events)
{
    TOPICS("[{\"pattern\":\"a.check\",\"kind\":\"hook\"},\"a.b\","
           "{\"pattern\":\"c.*\",\"kind\":\"hook\"}]");
    REQUIRE_OK(rc, err);
    CHECK_STR(topics.events[0], "a.b");
    CHECK(topics.events[1] == NULL);
    CHECK_STR(topics.hooks[0], "a.check");
    CHECK_STR(topics.hooks[1], "c.*");
    CHECK(topics.hooks[2] == NULL);
}

T(no_subscriptions_are_fine)
{
    TOPICS("[]");
    REQUIRE_OK(rc, err);
    CHECK(topics.events[0] == NULL && topics.hooks[0] == NULL);
}

T(malformed_subscriptions_are_refused)
{
    static const char *const bad[] = { "",           "{}",   "{\"topics\":1}",
                                       "[1]",        "[{}]", "[\"A B\"]",
                                       "[\"a..b\"]", "null", "[\"a.*b\"]" };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        TOPICS(bad[i]);
        CHECK(rc != OTR_OK);
        CHECK_HAS(err.msg, "subscriptions");
    }
}

T(another_kind_is_refused_by_name)
{
    TOPICS("[{\"pattern\":\"a.b\",\"kind\":\"query\"}]");
    REQUIRE(rc == OTR_EUNSUP);
    CHECK_HAS(err.msg, "query");
    CHECK_HAS(err.msg, "hook");
}

static otr_code verdict(const char *text, otr_contract_verdict *ret, otr_err *err)
{
    return otr_contract_read_verdict(otr_bytes_of(text), ret, err);
}

/* What it becomes takes many times its length, and none of that is the guest's memory. */
T(an_answer_that_is_too_long_is_refused_unread)
{
    static char text[OTR_LIMIT_PLUGIN_ANSWER_BYTES + 2];
    otr_contract_verdict v;
    otr_contract_info info;
    otr_contract_topics topics;
    otr_err err = { 0 };
    const char said[] = "{\"verdict\":\"deny\"}";
    memset(text, ' ', sizeof(text) - 1);
    memcpy(text, said, sizeof(said) - 1);
    CHECK_INT(verdict(text, &v, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "65537 bytes; the limit is 65536");
    CHECK_INT(otr_contract_read_info(otr_bytes_of(text), &info, &err), OTR_EINVAL);
    CHECK_INT(otr_contract_read_topics(otr_bytes_of(text), &topics, &err), OTR_EINVAL);
    text[sizeof(text) - 2] = '\0';
    REQUIRE_OK(verdict(text, &v, &err), err);
    CHECK_INT(v.verdict, OTR_VERDICT_DENY);
}

T(a_verdict_may_have_a_message)
{
    otr_contract_verdict v;
    otr_err err = { 0 };
    REQUIRE_OK(verdict("{\"verdict\":\"allow\"}", &v, &err), err);
    CHECK_INT(v.verdict, OTR_VERDICT_ALLOW);
    CHECK_STR(v.message, "");
    REQUIRE_OK(verdict("{\"verdict\":\"deny\",\"message\":\"no\"}", &v, &err), err);
    CHECK_INT(v.verdict, OTR_VERDICT_DENY);
    CHECK_STR(v.message, "no");
    REQUIRE_OK(verdict("{\"verdict\":\"allow\",\"message\":null}", &v, &err), err);
}

T(what_is_no_verdict_is_no_answer)
{
    static const char *const bad[] = { "",
                                       "null",
                                       "true",
                                       "\"allow\"",
                                       "{}",
                                       "{\"verdict\":true}",
                                       "{\"verdict\":\"Allow\"}",
                                       "{\"verdict\":\"allow\",\"message\":7}",
                                       "{\"verdict\":\"allow\"} x",
                                       "[{\"verdict\":\"allow\"}]" };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        otr_contract_verdict v;
        otr_err err = { 0 };
        CHECK(verdict(bad[i], &v, &err) != OTR_OK);
        CHECK_HAS(err.msg, "hook");
    }
}

T(a_long_message_is_cut_between_characters)
{
    char text[2048] = "{\"verdict\":\"deny\",\"message\":\"";
    for (int i = 0; i < 400; i++) {
        strncat(text, i == 0 ? "x" : "\xc3\xa4", 3);
    }
    strncat(text, "\"}", 3);
    otr_contract_verdict v;
    otr_err err = { 0 };
    REQUIRE_OK(verdict(text, &v, &err), err);
    CHECK_INT(strlen(v.message), 511);
    CHECK(otr_utf8_ok(otr_bytes_of(v.message)));
}

T(a_verdict_may_have_findings)
{
    otr_contract_verdict v;
    otr_err err;
    REQUIRE_OK(verdict("{\"verdict\":\"deny\",\"findings\":[{\"file\":\"/a\\u001b\",\"line\":3,"
                       "\"message\":\"m\",\"severity\":\"warning\"},{\"message\":\"n\",\"line\":-1,"
                       "\"severity\":\"dire\"},7,{},{\"line\":4}]}",
                       &v, &err),
               err);
    CHECK_INT(v.n_findings, 2);
    CHECK_STR(v.message, "m"); /* the first one's, as there is no other */
    CHECK_STR(v.findings[0].file, "/a\\x1b");
    CHECK_INT(v.findings[0].line, 3);
    CHECK_INT(v.findings[0].severity, OTR_FINDING_WARNING);
    CHECK_STR(v.findings[1].file, "");
    CHECK_INT(v.findings[1].line, 0);
    CHECK_INT(v.findings[1].severity, OTR_FINDING_ERROR);
}

T(a_verdict_may_name_one_place_beside_its_message)
{
    otr_contract_verdict v;
    otr_err err;
    REQUIRE_OK(
        verdict("{\"verdict\":\"deny\",\"message\":\"m\",\"file\":\"/a\",\"line\":4294967296}", &v,
                &err),
        err);
    CHECK_INT(v.n_findings, 1);
    CHECK_STR(v.findings[0].file, "/a");
    CHECK_STR(v.findings[0].message, "m");
    CHECK_INT(v.findings[0].line, 0);
}

T(findings_in_another_form_are_passed_over)
{
    static const char *const odd[] = { "{\"verdict\":\"deny\",\"findings\":7}",
                                       "{\"verdict\":\"deny\",\"findings\":[[],null,\"x\"]}",
                                       "{\"verdict\":\"deny\",\"file\":7,\"line\":\"x\"}" };
    for (size_t i = 0; i < OTR_COUNT(odd); i++) {
        otr_contract_verdict v;
        otr_err err;
        REQUIRE_OK(verdict(odd[i], &v, &err), err);
        CHECK_INT(v.verdict, OTR_VERDICT_DENY);
        CHECK_INT(v.n_findings, 0);
    }
}

T(more_findings_than_are_kept_are_counted)
{
    otr_contract_verdict v;
    otr_err err;
    char text[2048] = "{\"verdict\":\"deny\",\"findings\":[";
    for (int i = 0; i < 20; i++) {
        strncat(text, i == 0 ? "{\"message\":\"a\"}" : ",{\"message\":\"a\"}", 32);
    }
    strncat(text, "]}", 3);
    REQUIRE_OK(verdict(text, &v, &err), err);
    CHECK_INT(v.n_findings, OTR_VERDICT_FINDINGS);
    CHECK_INT(v.more_findings, 4);
}
