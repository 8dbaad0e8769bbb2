#include "modules/topics.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"

/* ---- instances ---- */

static void drop_instance(void *payload)
{
    otr_instance_event *event = payload;
    otr_nginx_instance_free(event->instance);
    otr_free(event);
}

/* A list that is cut at an item once its texts have taken so much. JSON may write six bytes for
 * one. */
typedef struct budget {
    size_t left;
    size_t more; /* items that found no room */
} budget;

static bool spend(budget *b, const char *text)
{
    size_t n = strlen(text) + 3; /* quotes and comma */
    if (b->more > 0 || n > b->left) {
        b->more++;
        return false;
    }
    b->left -= n;
    return true;
}

static size_t write_workers(otr_jw *w, const otr_nginx_instance *i)
{
    size_t n =
        i->n_workers < OTR_LIMIT_INSTANCE_WORKERS ? i->n_workers : OTR_LIMIT_INSTANCE_WORKERS;
    otr_jw_arr(w, "workers");
    for (size_t j = 0; j < n; j++) {
        otr_jw_i64(w, NULL, i->workers[j]);
    }
    otr_jw_arr_end(w);
    return i->n_workers - n;
}

static size_t write_access_logs(otr_jw *w, const otr_nginx_instance *i)
{
    budget room = { .left = OTR_LIMIT_INSTANCE_LOGS_BYTES };
    otr_jw_arr(w, "access_logs");
    for (size_t j = 0; j < i->n_access_logs; j++) {
        if (spend(&room, i->access_logs[j].path)) {
            otr_jw_bytes(w, NULL, otr_bytes_of(i->access_logs[j].path));
        }
    }
    otr_jw_arr_end(w);
    return room.more;
}

static size_t write_remarks(otr_jw *w, const otr_nginx_instance *i)
{
    budget room = { .left = OTR_LIMIT_INSTANCE_REMARKS_BYTES };
    otr_jw_arr(w, "remarks");
    for (size_t j = 0; j < i->n_remarks; j++) {
        if (spend(&room, i->remarks[j])) {
            otr_jw_bytes(w, NULL, otr_bytes_of(i->remarks[j]));
        }
    }
    otr_jw_arr_end(w);
    return room.more;
}

static void write_more(otr_jw *w, const char *key, size_t more)
{
    if (more > 0) {
        otr_jw_u64(w, key, more);
    }
}

static otr_code encode_instance(const void *payload, otr_buf *out, otr_err *err)
{
    const otr_nginx_instance *i = ((const otr_instance_event *)payload)->instance;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "id", i->id);
    otr_jw_i64(&w, "pid", i->pid);
    otr_jw_u64(&w, "uid", i->uid);
    otr_jw_bool(&w, "stranger", i->stranger);
    otr_jw_u64(&w, "net_ns", i->net_ns);
    otr_jw_bool(&w, "own_net", i->own_net);
    size_t more_workers = write_workers(&w, i);
    otr_jw_bytes(&w, "maker", otr_bytes_of(i->maker));
    otr_jw_bytes(&w, "version", otr_bytes_of(i->version));
    otr_jw_bool(&w, "plus", i->plus);
    otr_jw_bytes(&w, "binary", otr_bytes_of(i->binary));
    otr_jw_bool(&w, "replaced", i->replaced);
    otr_jw_bytes(&w, "config", otr_bytes_of(i->config));
    otr_jw_bytes(&w, "config_error", otr_bytes_of(i->config_error));
    otr_jw_bool(&w, "config_changed", i->config_changed);
    otr_jw_bytes(&w, "prefix", otr_bytes_of(i->prefix));
    otr_jw_bytes(&w, "error_log", otr_bytes_of(i->error_log));
    otr_jw_bytes(&w, "stub_status", otr_bytes_of(i->stub_status));
    size_t more_logs = write_access_logs(&w, i);
    size_t more_remarks = write_remarks(&w, i);
    otr_jw_obj(&w, "truncated");
    write_more(&w, "workers", more_workers);
    write_more(&w, "access_logs", more_logs);
    write_more(&w, "remarks", more_remarks);
    otr_jw_obj_end(&w);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

const char *otr_instance_event_id(const void *payload)
{
    return ((const otr_instance_event *)payload)->instance->id;
}

const otr_topic otr_topic_instance_started = { "nginx.instance.started", 1, drop_instance,
                                               encode_instance };
const otr_topic otr_topic_instance_changed = { "nginx.instance.changed", 1, drop_instance,
                                               encode_instance };
const otr_topic otr_topic_instance_stopped = { "nginx.instance.stopped", 1, drop_instance,
                                               encode_instance };

/* ---- health ---- */

const char *otr_health_name(otr_health health)
{
    switch (health) {
    case OTR_HEALTH_HEALTHY:
        return "healthy";
    case OTR_HEALTH_UNHEALTHY:
        return "unhealthy";
    case OTR_HEALTH_DEGRADED:
        return "degraded";
    case OTR_HEALTH_UNKNOWN:
    default:
        return "unknown";
    }
}

static void drop_health(void *payload)
{
    otr_health_event *event = payload;
    otr_free(event->description);
    otr_free(event);
}

static otr_code encode_health(const void *payload, otr_buf *out, otr_err *err)
{
    const otr_health_event *event = payload;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "id", event->id);
    otr_jw_str(&w, "status", otr_health_name(event->status));
    otr_jw_bytes(&w, "description", otr_bytes_of(event->description));
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

const char *otr_health_event_id(const void *payload)
{
    return ((const otr_health_event *)payload)->id;
}

const otr_topic otr_topic_health_changed = { "nginx.health.changed", 1, drop_health,
                                             encode_health };

/* ---- metrics ---- */

static void write_responses(otr_jw *w, const otr_metrics_event *event)
{
    static const char *const names[] = { "1xx", "2xx", "3xx", "4xx", "5xx" };
    otr_jw_obj(w, "responses");
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        otr_jw_u64(w, names[i], event->responses[i]);
    }
    otr_jw_obj_end(w);
}

static void write_times(otr_jw *w, const otr_histogram *h)
{
    otr_jw_obj(w, "request_time");
    otr_jw_u64(w, "count", h->count);
    otr_jw_f64(w, "mean", (double)h->sum_ms / 1000.0 / (double)h->count);
    otr_jw_f64(w, "p50", otr_histogram_quantile(h, 0.5));
    otr_jw_f64(w, "p90", otr_histogram_quantile(h, 0.9));
    otr_jw_f64(w, "p99", otr_histogram_quantile(h, 0.99));
    otr_jw_f64(w, "max", (double)h->most_ms / 1000.0);
    otr_jw_obj_end(w);
}

static void write_errors(otr_jw *w, const otr_log_errors *errors)
{
    otr_jw_obj(w, "errors");
    otr_jw_obj(w, "levels");
    for (unsigned i = OTR_LEVEL_EMERG; i < OTR_LEVELS; i++) {
        otr_jw_u64(w, otr_level_name((otr_level)i), errors->levels[i]);
    }
    otr_jw_obj_end(w);
    otr_jw_obj(w, "causes");
    for (size_t i = 0; i < OTR_ERROR_CAUSES; i++) {
        if (errors->causes[i] > 0) {
            otr_jw_u64(w, otr_error_cause_name(i), errors->causes[i]);
        }
    }
    otr_jw_obj_end(w);
    otr_jw_obj_end(w);
}

static otr_code encode_metrics(const void *payload, otr_buf *out, otr_err *err)
{
    const otr_metrics_event *event = payload;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "id", event->id);
    otr_jw_u64(&w, "interval_ms", event->interval_ns / 1000000);
    otr_jw_bool(&w, "status_ok", event->status_ok);
    otr_jw_bytes(&w, "status_error", otr_bytes_of(event->status_error));
    otr_jw_u64(&w, "active", event->active);
    otr_jw_u64(&w, "reading", event->reading);
    otr_jw_u64(&w, "writing", event->writing);
    otr_jw_u64(&w, "waiting", event->waiting);
    otr_jw_u64(&w, "accepted", event->accepted);
    otr_jw_u64(&w, "handled", event->handled);
    otr_jw_u64(&w, "requests", event->requests);
    otr_jw_u64(&w, "requests_delta", event->requests_delta);
    otr_jw_f64(&w, "requests_per_second", event->requests_per_second);
    otr_jw_bool(&w, "logs_ok", event->logs_ok);
    write_responses(&w, event);
    otr_jw_u64(&w, "log_lines", event->log_lines);
    otr_jw_u64(&w, "log_unparsed", event->log_unparsed);
    if (event->times != NULL && event->times->count > 0) {
        write_times(&w, event->times);
    }
    if (event->errors != NULL) {
        write_errors(&w, event->errors);
    }
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

static void drop_metrics(void *payload)
{
    otr_metrics_event *event = payload;
    otr_free(event->times);
    otr_free(event->errors);
    otr_free(event);
}

const otr_topic otr_topic_metrics_sampled = { "nginx.metrics.sampled", 1, drop_metrics,
                                              encode_metrics };

/* ---- the agent itself ---- */

static void drop_reload(void *payload)
{
    otr_reload_event *event = payload;
    otr_free(event->file);
    otr_free(event);
}

static otr_code encode_reload(const void *payload, otr_buf *out, otr_err *err)
{
    const otr_reload_event *event = payload;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_bytes(&w, "file", otr_bytes_of(event->file));
    otr_jw_u64(&w, "generation", event->generation);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

const otr_topic otr_topic_config_reloaded = { "agent.config.reloaded", 1, drop_reload,
                                              encode_reload };

static void drop_plugin(void *payload)
{
    otr_plugin_event *event = payload;
    otr_free(event->name);
    otr_free(event->reason);
    otr_free(event);
}

static otr_code encode_plugin(const void *payload, otr_buf *out, otr_err *err)
{
    const otr_plugin_event *event = payload;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_bytes(&w, "name", otr_bytes_of(event->name));
    otr_jw_str(&w, "state", event->state);
    otr_jw_bytes(&w, "reason", otr_bytes_of(event->reason));
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

const otr_topic otr_topic_plugin_changed = { "agent.plugin.changed", 1, drop_plugin,
                                             encode_plugin };

/* ---- hooks ---- */

const otr_topic otr_topic_config_validate = { "agent.config.validate", 1, NULL, NULL };
const otr_topic otr_topic_nginx_validate = { "nginx.config.validate", 1, NULL, NULL };
