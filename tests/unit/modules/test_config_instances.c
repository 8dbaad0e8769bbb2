#include <stdio.h>

#include "modules/config_instances.h"
#include "modules/topics.h"
#include "support/test.h"

static otr_code hear(otr_config_instances *list, const otr_topic *topic, const char *id,
                     const char *config, otr_err *err)
{
    otr_nginx_instance from = { .config = (char *)(uintptr_t)config };
    otr_instance_event *event = otr_zalloc(sizeof(*event));
    otr_msg *msg = NULL;
    (void)snprintf(from.id, sizeof(from.id), "%s", id);
    otr_code rc =
        event != NULL ? otr_nginx_instance_copy(&from, &event->instance, err) : otr_fail_nomem(err);
    rc = rc == OTR_OK ? otr_msg_new(topic, event, "test", NULL, &msg, err) : rc;
    if (rc != OTR_OK) {
        if (event != NULL) {
            otr_nginx_instance_free(event->instance);
        }
        otr_free(event);
        return rc;
    }
    rc = otr_config_instances_hear(list, msg, err);
    otr_msg_unref(msg);
    return rc;
}

#define ONE "11112222-0000-0000-0000-000000000001"
#define TWO "11113333-0000-0000-0000-000000000002"

static otr_code hear_two(otr_config_instances *list, otr_err *err)
{
    otr_code rc = hear(list, &otr_topic_instance_started, ONE, "/etc/nginx/nginx.conf", err);
    return rc == OTR_OK ? hear(list, &otr_topic_instance_started, TWO, "/srv/nginx.conf", err) : rc;
}

#define LIST                                                                         \
    OTR_CLEANUP(otr_config_instances_deinit) otr_config_instances list = { .n = 0 }; \
    otr_msg *found = NULL;                                                           \
    otr_err err = { 0 }

T(without_any_that_is_said)
{
    LIST;
    CHECK_INT(otr_config_instances_find(&list, "nginx", &found, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "no NGINX is known");
}

T(a_word_means_the_only_one)
{
    LIST;
    REQUIRE_OK(hear(&list, &otr_topic_instance_started, ONE, "/etc/nginx/nginx.conf", &err), err);
    static const char *const words[] = { "nginx", "", NULL, ONE, "1111", "/etc/nginx/nginx.conf" };
    for (size_t i = 0; i < OTR_COUNT(words); i++) {
        REQUIRE_OK(otr_config_instances_find(&list, words[i], &found, &err), err);
        CHECK_STR(otr_config_instance_of(found)->id, ONE);
    }
    CHECK_INT(otr_config_instances_find(&list, "111", &found, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_config_instances_find(&list, "/etc/nginx", &found, &err), OTR_ENOTFOUND);
}

T(several_are_named)
{
    LIST;
    REQUIRE_OK(hear_two(&list, &err), err);
    CHECK_INT(otr_config_instances_find(&list, "nginx", &found, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "11112222 (/etc/nginx/nginx.conf)");
    CHECK_HAS(err.msg, "11113333 (/srv/nginx.conf)");
    CHECK_INT(otr_config_instances_find(&list, "1111", &found, &err), OTR_EINVAL);
    REQUIRE_OK(otr_config_instances_find(&list, "11113", &found, &err), err);
    CHECK_STR(otr_config_instance_of(found)->id, TWO);
    CHECK_INT(otr_config_instances_find(&list, "nope", &found, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "\"nope\"");
}

T(one_that_ends_is_forgotten_and_one_that_changes_is_one)
{
    LIST;
    REQUIRE_OK(hear_two(&list, &err), err);
    REQUIRE_OK(hear(&list, &otr_topic_instance_changed, TWO, "/new/nginx.conf", &err), err);
    CHECK_INT(list.n, 2);
    REQUIRE_OK(otr_config_instances_find(&list, "/new/nginx.conf", &found, &err), err);
    REQUIRE_OK(hear(&list, &otr_topic_instance_stopped, ONE, "", &err), err);
    REQUIRE_OK(hear(&list, &otr_topic_instance_stopped, ONE, "", &err), err);
    REQUIRE_OK(otr_config_instances_find(&list, "nginx", &found, &err), err);
    CHECK_STR(otr_config_instance_of(found)->id, TWO);
}
