#include <stdio.h>

#include "plugin/guest_metrics.h"
#include "support/test.h"

static otr_code take(otr_guest_metrics *m, otr_guest_metric_kind kind, const char *json,
                     otr_err *err)
{
    return otr_guest_metrics_take(m, kind, otr_bytes_of(json), 3, err);
}

#define TABLE                                                               \
    OTR_CLEANUP(otr_guest_metrics_deinit) otr_guest_metrics m = { .n = 0 }; \
    otr_err err = { 0 }

T(malformed_metrics_are_refused)
{
    TABLE;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"name\":\"a\"}",
        "{\"name\":\"A\",\"value\":1}",
        "{\"name\":\"a.\",\"value\":1}",
        "{\"name\":\"\",\"value\":1}",
        "{\"name\":\"a\",\"value\":\"1\"}",
        "{\"name\":\"a\",\"value\":-1}",
        "{\"name\":\"a\",\"value\":1,\"labels\":{\"b\":1}}",
        "{\"name\":\"a\",\"value\":1,\"labels\":{\"B-\":\"x\"}}",
        "{\"name\":\"a\",\"value\":1,\"labels\":{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\","
        "\"e\":\"\",\"f\":\"\",\"g\":\"\",\"h\":\"\",\"i\":\"\"}}",
    };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK_INT(take(&m, OTR_GUEST_COUNTER, bad[i], &err), OTR_EINVAL);
    }
    CHECK_INT(m.n, 0);
}

T(a_name_keeps_its_kind_and_its_labels)
{
    TABLE;
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER, "{\"name\":\"a\",\"value\":1}", &err), err);
    CHECK_INT(take(&m, OTR_GUEST_GAUGE, "{\"name\":\"a\",\"value\":1}", &err), OTR_EINVAL);
    CHECK_INT(
        take(&m, OTR_GUEST_COUNTER, "{\"name\":\"a\",\"value\":1,\"labels\":{\"k\":\"v\"}}", &err),
        OTR_EINVAL);
    CHECK_INT(m.n, 1);
}

T(series_are_bounded)
{
    TABLE;
    REQUIRE_OK(take(&m, OTR_GUEST_GAUGE, "{\"name\":\"a\",\"value\":1}", &err), err);
    REQUIRE_OK(take(&m, OTR_GUEST_GAUGE, "{\"name\":\"b\",\"value\":1}", &err), err);
    REQUIRE_OK(take(&m, OTR_GUEST_GAUGE, "{\"name\":\"c\",\"value\":1}", &err), err);
    CHECK_INT(take(&m, OTR_GUEST_GAUGE, "{\"name\":\"d\",\"value\":1}", &err), OTR_EQUOTA);
    CHECK_INT(take(&m, OTR_GUEST_GAUGE, "{\"name\":\"a\",\"value\":2}", &err), OTR_OK);
}

T(labels_are_the_same_in_any_order)
{
    TABLE;
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER,
                    "{\"name\":\"a\",\"value\":1,\"labels\":{\"x\":\"1\",\"b\":\"2\"}}", &err),
               err);
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER,
                    "{\"name\":\"a\",\"value\":2,\"labels\":{\"b\":\"2\",\"x\":\"1\"}}", &err),
               err);
    REQUIRE(m.n == 1);
    CHECK_INT(m.items[0]->value, 3);
    CHECK_STR(m.items[0]->keys[0], "b");
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER,
                    "{\"name\":\"n\",\"value\":1,\"labels\":{\"b\":\"2\",\"a\":\"1\"}}", &err),
               err);
    REQUIRE(m.n == 2);
    CHECK_STR(m.items[1]->keys[0], "a");
    CHECK_STR(m.items[1]->values[0], "1");
    CHECK_STR(m.items[1]->keys[1], "b");
}

T(a_label_is_escaped_and_two_that_look_alike_are_one_series)
{
    TABLE;
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER,
                    "{\"name\":\"a\",\"value\":1,\"labels\":{\"k\":\"\\u001b[2J\\u202e\\n\"}}",
                    &err),
               err);
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER,
                    "{\"name\":\"a\",\"value\":1,\"labels\":{\"k\":\"\\\\x1b[2J\\\\u202e\\\\n\"}}",
                    &err),
               err);
    CHECK_INT(m.n, 1);
    CHECK_STR(m.items[0]->values[0], "\\x1b[2J\\u202e\\n");
    char json[320] = "{\"name\":\"a\",\"value\":1,\"labels\":{\"k\":\"";
    for (size_t i = 0; i < 32; i++) { /* four bytes each: as long as a label may be */
        (void)snprintf(json + strlen(json), 8, "\\u001b");
    }
    size_t n = strlen(json);
    (void)snprintf(json + n, sizeof(json) - n, "\"}}");
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER, json, &err), err);
    (void)snprintf(json + n, sizeof(json) - n, "x\"}}");
    CHECK_INT(take(&m, OTR_GUEST_COUNTER, json, &err), OTR_EINVAL);
}

T(a_name_has_at_most_64_bytes)
{
    static const char most[] = "a234567890123456789012345678901234567890123456789012345678901234";
    TABLE;
    char json[128];
    (void)snprintf(json, sizeof(json), "{\"name\":\"%s5\",\"value\":1}", most);
    CHECK_INT(take(&m, OTR_GUEST_COUNTER, json, &err), OTR_EINVAL);
    (void)snprintf(json, sizeof(json), "{\"name\":\"%s\",\"value\":1}", most);
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER, json, &err), err);
    CHECK_STR(m.items[0]->name, most);
}

T(merging_adds_counters_once_and_takes_the_last_gauge)
{
    TABLE;
    OTR_CLEANUP(otr_guest_metrics_deinit) otr_guest_metrics all = { .n = 0 };
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER, "{\"name\":\"c\",\"value\":2}", &err), err);
    REQUIRE_OK(take(&m, OTR_GUEST_GAUGE, "{\"name\":\"g\",\"value\":7}", &err), err);
    REQUIRE_OK(take(&m, OTR_GUEST_HISTOGRAM, "{\"name\":\"h\",\"value\":0.2}", &err), err);
    otr_guest_metrics_merge(&all, &m, 3);
    otr_guest_metrics_merge(&all, &m, 3);
    REQUIRE_OK(take(&m, OTR_GUEST_COUNTER, "{\"name\":\"c\",\"value\":1}", &err), err);
    REQUIRE_OK(take(&m, OTR_GUEST_GAUGE, "{\"name\":\"g\",\"value\":5}", &err), err);
    REQUIRE_OK(take(&m, OTR_GUEST_HISTOGRAM, "{\"name\":\"h\",\"value\":99}", &err), err);
    otr_guest_metrics_merge(&all, &m, 3);
    REQUIRE(all.n == 3);
    CHECK_INT(all.items[0]->value, 3);
    CHECK_INT(all.items[1]->value, 5);
    CHECK_INT(all.items[2]->counts[7], 1);
    CHECK_INT(all.items[2]->counts[OTR_GUEST_METRIC_BUCKETS], 1);
}

T(a_value_is_counted_in_the_first_bucket_that_holds_it)
{
    static const double bounds[OTR_GUEST_METRIC_BUCKETS] = { 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                             0.05,  0.1,    0.25,  0.5,  1,
                                                             2.5,   5,      10,    60 };
    TABLE;
    for (size_t i = 0; i < OTR_GUEST_METRIC_BUCKETS; i++) {
        char json[96];
        (void)snprintf(json, sizeof(json), "{\"name\":\"h\",\"value\":%g}", bounds[i]);
        REQUIRE_OK(take(&m, OTR_GUEST_HISTOGRAM, json, &err), err);
        REQUIRE(m.n == 1);
        CHECK(otr_guest_metric_bounds[i] == bounds[i]);
        CHECK_INT(m.items[0]->counts[i], 1);
        CHECK_INT(m.items[0]->counts[i + 1], 0);
    }
    CHECK(otr_guest_metric_bounds[OTR_GUEST_METRIC_BUCKETS] == 0);
    REQUIRE_OK(take(&m, OTR_GUEST_HISTOGRAM, "{\"name\":\"h\",\"value\":60.5}", &err), err);
    CHECK_INT(m.items[0]->counts[OTR_GUEST_METRIC_BUCKETS], 1);
    REQUIRE_OK(take(&m, OTR_GUEST_HISTOGRAM, "{\"name\":\"h\",\"value\":0}", &err), err);
    CHECK_INT(m.items[0]->counts[0], 2);
}
