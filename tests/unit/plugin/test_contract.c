#include "plugin/contract.h"
#include "support/test.h"

static void info_deinit(otr_contract_info *info)
{
    otr_contract_info_deinit(info);
}

static void listp(void *slot)
{
    otr_contract_free_list(otr_steal(slot));
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
}

T(subscriptions_are_objects_or_plain_texts)
{
    OTR_CLEANUP(listp) char **topics = NULL;
    otr_err err = { 0 };
    const char *text = "{\"topics\":[{\"pattern\":\"nginx.*\",\"kind\":\"event\"},\"a.b\"]}";
    otr_code rc = otr_contract_read_topics(otr_bytes_of(text), &topics, &err);
    REQUIRE_OK(rc, err);
    CHECK_STR(topics[0], "nginx.*");
    CHECK_STR(topics[1], "a.b");
    CHECK(topics[2] == NULL);
}

T(no_subscriptions_are_fine)
{
    OTR_CLEANUP(listp) char **topics = NULL;
    otr_err err = { 0 };
    otr_code rc = otr_contract_read_topics(otr_bytes_of("[]"), &topics, &err);
    REQUIRE_OK(rc, err);
    CHECK(topics[0] == NULL);
}

T(malformed_subscriptions_are_refused)
{
    static const char *const bad[] = { "",           "{}",   "{\"topics\":1}",
                                       "[1]",        "[{}]", "[\"A B\"]",
                                       "[\"a..b\"]", "null", "[\"a.*b\"]" };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        OTR_CLEANUP(listp) char **topics = NULL;
        otr_err err = { 0 };
        CHECK(otr_contract_read_topics(otr_bytes_of(bad[i]), &topics, &err) != OTR_OK);
        CHECK_HAS(err.msg, "subscriptions");
    }
}

T(hooks_are_refused_by_name)
{
    OTR_CLEANUP(listp) char **topics = NULL;
    otr_err err = { 0 };
    const char *text = "[{\"pattern\":\"a.b\",\"kind\":\"hook\"}]";
    REQUIRE(otr_contract_read_topics(otr_bytes_of(text), &topics, &err) == OTR_EUNSUP);
    CHECK_HAS(err.msg, "hook");
}
