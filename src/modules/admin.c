#include "modules/admin.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "modules/modules.h"

enum { FIRST_SAMPLES = 15 };

static const char instances_problem[] = "instances shown";

/* ---- instances ---- */

static otr_admin_instance *find_instance(const otr_admin *a, const char *id)
{
    for (size_t i = 0; i < a->n_instances; i++) {
        if (strcmp(a->instances[i]->id, id) == 0) {
            return a->instances[i];
        }
    }
    return NULL;
}

static otr_code need_instance(otr_admin *a, const char *id, otr_admin_instance **ret, otr_err *err)
{
    *ret = find_instance(a, id);
    if (*ret != NULL) {
        return OTR_OK;
    }
    if (a->n_instances == OTR_LIMIT_NGINX_INSTANCES) {
        otr_problem_set(a->services->problems, "", instances_problem,
                        "there are more than %d NGINX instances: the others are not shown",
                        OTR_LIMIT_NGINX_INSTANCES);
        return otr_fail(err, OTR_EQUOTA, "there are %d instances already, %s is not shown",
                        OTR_LIMIT_NGINX_INSTANCES, id);
    }
    otr_admin_instance *fresh = otr_zalloc(sizeof(*fresh));
    if (fresh == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(fresh->id, id, strlen(id) + 1);
    fresh->since_ns = otr_now_ns();
    a->instances[a->n_instances++] = fresh;
    *ret = fresh;
    return OTR_OK;
}

static void free_instance(otr_admin_instance *i)
{
    otr_msg_unref(i->instance);
    otr_msg_unref(i->health);
    otr_msg_unref(i->metrics);
    otr_free(i->samples);
    otr_free(i);
}

static void forget_instance(otr_admin *a, const char *id)
{
    for (size_t i = 0; i < a->n_instances; i++) {
        if (strcmp(a->instances[i]->id, id) == 0) {
            free_instance(a->instances[i]);
            otr_problem_clear(a->services->problems, "", instances_problem);
            a->n_instances--;
            memmove(a->instances + i, a->instances + i + 1,
                    (a->n_instances - i) * sizeof(otr_admin_instance *));
            return;
        }
    }
}

static void replace(otr_msg **slot, const otr_msg *msg)
{
    otr_msg_unref(*slot);
    *slot = otr_msg_ref(msg);
}

/* The ring has the size that its samples need, up to its most: there may be many instances. */
static bool grow_samples(otr_admin_instance *i)
{
    size_t cap = i->cap_samples > 0 ? i->cap_samples * 2 : FIRST_SAMPLES;
    cap = cap < OTR_LIMIT_INSTANCE_SAMPLES ? cap : OTR_LIMIT_INSTANCE_SAMPLES;
    otr_admin_sample *grown = otr_realloc(i->samples, cap * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    i->samples = grown; /* first_sample is 0 until it is full at its most */
    i->cap_samples = cap;
    return true;
}

static uint32_t at_most_u32(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void add_sample(otr_admin_instance *i, const otr_metrics_event *m, uint64_t at_ns)
{
    if (i->n_samples == i->cap_samples && i->cap_samples < OTR_LIMIT_INSTANCE_SAMPLES &&
        !grow_samples(i)) {
        return; /* a gap in a chart */
    }
    size_t at = (i->first_sample + i->n_samples) % i->cap_samples;
    if (i->n_samples == i->cap_samples) {
        i->first_sample = (i->first_sample + 1) % i->cap_samples;
    } else {
        i->n_samples++;
    }
    i->samples[at] = (otr_admin_sample){ .at_ns = at_ns,
                                         .requests_per_second = (float)m->requests_per_second,
                                         .active = at_most_u32(m->active) };
    for (size_t k = 0; k < OTR_COUNT(m->responses); k++) {
        i->samples[at].responses[k] = at_most_u32(m->responses[k]);
    }
}

static otr_code learn(otr_admin *a, const otr_msg *msg, otr_err *err)
{
    otr_admin_instance *i = NULL;
    otr_code rc = OTR_OK;
    if (msg->topic == &otr_topic_instance_started || msg->topic == &otr_topic_instance_changed) {
        const otr_instance_event *event = msg->payload;
        rc = need_instance(a, event->instance->id, &i, err);
        if (rc == OTR_OK) {
            replace(&i->instance, msg);
        }
    } else if (msg->topic == &otr_topic_instance_stopped) {
        forget_instance(a, ((const otr_instance_event *)msg->payload)->instance->id);
    } else if (msg->topic == &otr_topic_health_changed) {
        i = find_instance(a, ((const otr_health_event *)msg->payload)->id);
        if (i != NULL) {
            replace(&i->health, msg);
        }
    } else if (msg->topic == &otr_topic_metrics_sampled) {
        const otr_metrics_event *event = msg->payload;
        i = find_instance(a, event->id);
        if (i != NULL) {
            replace(&i->metrics, msg);
            add_sample(i, event, msg->created_ns);
        }
    } else if (msg->topic == &otr_topic_config_reloaded) {
        a->reloaded_ns = msg->created_ns;
    }
    return rc;
}

/* ---- the plugin ---- */

static const struct {
    const char *method, *path;
    otr_http_fn *fn;
    bool changes; /* offered on the admin socket only */
} routes[] = {
    { "GET", "/", otr_admin_get_page, false },
    { "GET", "/api/v1/status", otr_admin_get_status, false },
    { "GET", "/api/v1/instances", otr_admin_get_instances, false },
    { "GET", "/api/v1/plugins", otr_admin_get_plugins, false },
    { "GET", "/api/v1/plugins/*", otr_admin_get_plugin, false },
    { "GET", "/api/v1/metrics", otr_admin_get_metrics, false },
    { "GET", "/api/v1/events", otr_admin_get_events, false },
    { "GET", "/api/v1/events/stream", otr_admin_get_stream, false },
    { "POST", "/api/v1/reload", otr_admin_post_reload, true },
    { "POST", "/api/v1/plugins/*", otr_admin_post_plugin, true },
    { "POST", "/api/v1/hooks/*", otr_admin_post_hook, true },
};

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)cfg;
    otr_admin *a = otr_plugin_state(p);
    a->plugin = p;
    a->services = otr_plugin_services(p);
    otr_admin_page_init(a);
    otr_code rc = otr_admin_reasons_init(a, err);
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(routes); i++) {
        rc = otr_http_route(a->services->admin_routes, routes[i].method, routes[i].path,
                            routes[i].fn, a, err);
        if (rc == OTR_OK && !routes[i].changes) {
            rc = otr_http_route(a->services->status_routes, routes[i].method, routes[i].path,
                                routes[i].fn, a, err);
        }
    }
    return rc;
}

static otr_code message(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    otr_admin *a = otr_plugin_state(p);
    otr_code rc = learn(a, msg, err);
    /* An event that cannot be kept is no reason not to know the instance, and the reverse. */
    otr_code kept = otr_admin_event_add(a, msg, err);
    return rc != OTR_OK ? rc : kept;
}

static otr_code reload(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)p;
    (void)cfg;
    (void)err;
    return OTR_OK; /* nothing of it is configurable */
}

static void stop(otr_plugin *p, uint64_t deadline_ns)
{
    (void)deadline_ns;
    otr_admin_end_streams(otr_plugin_state(p));
    otr_plugin_stopped(p);
}

static void fini(otr_plugin *p)
{
    otr_admin *a = otr_plugin_state(p);
    if (a->services == NULL) {
        return;
    }
    otr_http_unroute(a->services->admin_routes, a);
    otr_http_unroute(a->services->status_routes, a);
    otr_admin_end_streams(a);
    otr_admin_drop_events(a);
    otr_admin_reasons_fini(a);
    for (size_t i = 0; i < a->n_instances; i++) {
        free_instance(a->instances[i]);
    }
    a->n_instances = 0;
}

static const char *const everything[] = { "*", NULL };

const otr_plugin_ops otr_module_admin = {
    .name = "admin",
    .summary = "answers the status page and the command line",
    .subscribes = everything,
    .state_size = sizeof(otr_admin),
    .queue = OTR_LIMIT_EVENTS_KEPT * 4,
    .init = init,
    .message = message,
    .reload = reload,
    .stop = stop,
    .fini = fini,
};
