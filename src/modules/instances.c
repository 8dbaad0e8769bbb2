/*
 * Module "instances": publishes the NGINX instances of this host as they start, change and stop.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "modules/modules.h"
#include "modules/services.h"
#include "modules/topics.h"
#include "net/http/client.h"
#include "nginx/instance/inventory.h"
#include "nginx/instance/rights.h"

enum { URL_BYTES = 8192 };

static const char rescan_key[] = "watchers.instance_watcher.monitoring_frequency";
static const char exclude_key[] = "data_plane_config.nginx.exclude_logs";
static const char allowed_key[] = "allowed_directories";
static const char url_key[] = "data_plane_config.nginx.api.url";
static const char socket_key[] = "data_plane_config.nginx.api.socket";
static const char strangers_key[] = "outrider.nginx.strangers";

static const char proc_root[] = "/proc";
static const char hidden_problem[] = "processes";
static const char missing_problem[] = "instances";

typedef struct state {
    otr_inventory *inventory;
} state;

static void publish(otr_plugin *p, const otr_topic *topic, const otr_nginx_instance *instance)
{
    otr_instance_event *event = otr_zalloc(sizeof(*event));
    if (event == NULL || otr_nginx_instance_copy(instance, &event->instance, NULL) != OTR_OK) {
        otr_free(event);
        otr_log_warn("no memory to tell of an NGINX instance", "instance", instance->id);
        return;
    }
    otr_plugin_publish(p, topic, event, NULL);
}

static void log_event(const char *what, const otr_nginx_instance *i)
{
    otr_log_info(what, "instance", i->id, "pid", OTR_I64(i->pid), "maker", i->maker, "version",
                 i->version, "user", OTR_I64(i->uid), "config", i->config, "stub_status",
                 i->stub_status);
    if (i->config_error[0] != '\0') {
        otr_log_warn("NGINX configuration is not fully understood", "instance", i->id, "err",
                     i->config_error);
    }
}

static void on_event(void *arg, otr_inventory_event event, const otr_nginx_instance *instance)
{
    otr_plugin *p = arg;
    switch (event) {
    case OTR_INSTANCE_STARTED:
        log_event("NGINX instance found", instance);
        publish(p, &otr_topic_instance_started, instance);
        break;
    case OTR_INSTANCE_CHANGED:
        log_event("NGINX instance changed", instance);
        publish(p, &otr_topic_instance_changed, instance);
        break;
    case OTR_INSTANCE_STOPPED:
    default:
        otr_log_info("NGINX instance stopped", "instance", instance->id, "pid",
                     OTR_I64(instance->pid));
        publish(p, &otr_topic_instance_stopped, instance);
        break;
    }
}

/* What stands in the way of seeing every NGINX. */
static void on_surveyed(void *arg)
{
    otr_plugin *p = arg;
    const state *s = otr_plugin_state(p);
    const otr_services *services = otr_plugin_services(p);
    otr_problems *problems = services->problems;
    otr_survey_lack lack = otr_inventory_get_lack(s->inventory);
    if (lack.missing > 0) {
        otr_problem_set(problems, "", missing_problem,
                        "%zu more NGINX masters run than the %d (%d of users other than root) that "
                        "are watched: they are not shown",
                        lack.missing, OTR_LIMIT_NGINX_INSTANCES, OTR_LIMIT_NGINX_STRANGERS);
    } else {
        otr_problem_clear(problems, "", missing_problem);
    }
    char why[OTR_RIGHTS_BYTES];
    if (otr_rights_hidden(proc_root, why)) {
        otr_problem_set(problems, "", hidden_problem, "%s", why);
    } else {
        otr_problem_clear(problems, "", hidden_problem);
    }
}

/* The socket takes the place of the host in the URL, whose path stays. */
static otr_code url_from_config(const otr_config *cfg, otr_buf *out, otr_err *err)
{
    const char *url = otr_config_str(cfg, url_key);
    const char *socket_path = otr_config_str(cfg, socket_key);
    otr_http_url parsed = { 0 };
    otr_code rc;
    if (socket_path[0] == '\0') {
        rc = otr_buf_adds(out, url, err);
    } else {
        rc = url[0] != '\0' ? otr_http_url_parse(url, &parsed, err) : OTR_OK;
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "%s", url_key);
        }
        rc = otr_buf_addf(out, err, "%s%s:%s",
                          strncmp(socket_path, "unix:", 5) == 0 ? "" : "unix:", socket_path,
                          parsed.path != NULL ? parsed.path : "/");
        otr_http_url_deinit(&parsed);
    }
    if (rc == OTR_OK && out->n > 0) {
        rc = otr_http_url_parse(otr_buf_text(out), &parsed, err);
        otr_http_url_deinit(&parsed);
    }
    return rc == OTR_OK ? rc
                        : otr_wrap(err, rc, "%s", socket_path[0] != '\0' ? socket_key : url_key);
}

static otr_code read_settings(const otr_config *cfg, otr_buf *url, otr_inventory_settings *ret,
                              otr_err *err)
{
    otr_code rc = url_from_config(cfg, url, err);
    if (rc == OTR_OK) {
        ret->rescan_ms = otr_config_duration_ns(cfg, rescan_key) / OTR_NS_PER_MS;
        ret->status_url = otr_buf_text(url);
        ret->excluded = otr_config_strings(cfg, exclude_key);
        ret->allowed = otr_config_origin(cfg, allowed_key) != OTR_FROM_DEFAULT
                           ? otr_config_strings(cfg, allowed_key)
                           : NULL;
        ret->strangers = strcmp(otr_config_str(cfg, strangers_key), "ignore") == 0
                             ? OTR_STRANGERS_IGNORE
                             : OTR_STRANGERS_SHOW;
    }
    return rc;
}

/* Who comes later hears of the instances that are there. */
static otr_code keep_facts(otr_bus *bus, otr_err *err)
{
    static const struct {
        const otr_topic *topic;
        otr_fact fact;
    } facts[] = { { &otr_topic_instance_started, OTR_FACT_BEGINS },
                  { &otr_topic_instance_changed, OTR_FACT_IS },
                  { &otr_topic_instance_stopped, OTR_FACT_ENDS } };
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(facts); i++) {
        rc = otr_bus_keep(bus, facts[i].topic, facts[i].fact, otr_instance_event_id, err);
    }
    return rc;
}

static otr_code init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    const otr_services *services = otr_plugin_services(p);
    otr_inventory_settings settings;
    otr_buf url;
    otr_buf_init(&url, URL_BYTES);
    otr_code rc = read_settings(cfg, &url, &settings, err);
    rc = rc == OTR_OK ? keep_facts(otr_plugin_bus(p), err) : rc;
    if (rc == OTR_OK) {
        otr_inventory_spec spec = { .loop = otr_plugin_loop(p),
                                    .pool = services->pool,
                                    .proc_root = proc_root,
                                    .event = on_event,
                                    .surveyed = on_surveyed,
                                    .arg = p };
        rc = otr_inventory_new(&spec, &settings, &s->inventory, err);
    }
    otr_buf_deinit(&url);
    return rc;
}

static otr_code start(otr_plugin *p, otr_err *err)
{
    (void)err;
    otr_inventory_start(((state *)otr_plugin_state(p))->inventory);
    return OTR_OK;
}

static otr_code reload(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    state *s = otr_plugin_state(p);
    otr_inventory_settings settings;
    otr_buf url;
    otr_buf_init(&url, URL_BYTES);
    otr_code rc = read_settings(cfg, &url, &settings, err);
    if (rc == OTR_OK) {
        rc = otr_inventory_configure(s->inventory, &settings, err);
    }
    otr_buf_deinit(&url);
    return rc;
}

static void fini(otr_plugin *p)
{
    state *s = otr_plugin_state(p);
    otr_inventory_free(s->inventory);
    s->inventory = NULL;
}

static const otr_topic *const published[] = { &otr_topic_instance_started,
                                              &otr_topic_instance_changed,
                                              &otr_topic_instance_stopped, NULL };

const otr_plugin_ops otr_module_instances = {
    .name = "instances",
    .summary = "Finds the NGINX instances of this host and tells how they change",
    .publishes = published,
    .state_size = sizeof(state),
    .init = init,
    .start = start,
    .reload = reload,
    .fini = fini,
};
