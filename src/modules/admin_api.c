#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "modules/admin.h"
#include "modules/command.h"
#include "modules/self.h"

enum { DATA_BYTES = OTR_MIB, REASON_BYTES = 768 };

/* ---- instances ---- */

/* The payload as the bus shows it; null for one that is too large, which fails no other item. */
static void write_data(otr_jw *w, const char *key, const otr_msg *msg)
{
    otr_buf data;
    otr_err err = { 0 };
    otr_buf_init(&data, DATA_BYTES);
    otr_code rc = msg != NULL ? msg->topic->encode(msg->payload, &data, &err) : OTR_EQUOTA;
    if (rc == OTR_OK) {
        otr_jw_raw(w, key, otr_buf_bytes(&data));
    } else if (rc == OTR_EQUOTA) {
        otr_jw_null(w, key);
    } else if (w->rc == OTR_OK) {
        w->rc = otr_wrap(&err, rc, "%s", key);
        if (w->err != NULL) {
            *w->err = err;
        }
    }
    otr_buf_deinit(&data);
}

static void write_instance(otr_jw *w, const otr_admin_instance *i)
{
    otr_jw_str(w, "id", i->id);
    otr_admin_write_time(w, "since", i->since_ns);
    write_data(w, "instance", i->instance);
    write_data(w, "health", i->health);
    write_data(w, "metrics", i->metrics);
}

static const otr_admin_sample *sample_at(const otr_admin_instance *i, size_t n)
{
    return &i->samples[(i->first_sample + n) % i->cap_samples];
}

static void write_history(otr_jw *w, const otr_admin_instance *i)
{
    otr_jw_arr(w, "history");
    for (size_t n = 0; n < i->n_samples; n++) {
        const otr_admin_sample *s = sample_at(i, n);
        otr_jw_obj(w, NULL);
        otr_jw_u64(w, "time_ms", otr_wall_of(s->at_ns) / OTR_NS_PER_MS);
        otr_jw_f64(w, "requests_per_second", round((double)s->requests_per_second * 1000) / 1000);
        otr_jw_u64(w, "active", s->active);
        otr_jw_arr(w, "responses");
        for (size_t k = 0; k < OTR_COUNT(s->responses); k++) {
            otr_jw_u64(w, NULL, s->responses[k]);
        }
        otr_jw_arr_end(w);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

otr_code otr_admin_get_instances(void *admin, const otr_http_request *req, otr_http_reply *reply,
                                 otr_err *err)
{
    const otr_admin *a = admin;
    (void)req;
    otr_jw w;
    otr_jw_begin(&w, &reply->body, err);
    otr_jw_arr(&w, NULL);
    for (size_t i = 0; i < a->n_instances; i++) {
        otr_jw_obj(&w, NULL);
        write_instance(&w, a->instances[i]);
        write_history(&w, a->instances[i]);
        otr_jw_obj_end(&w);
    }
    otr_jw_arr_end(&w);
    return otr_jw_end(&w);
}

/* ---- plugins ---- */

static void write_queue(otr_jw *w, const otr_sub_stats *q)
{
    otr_jw_obj(w, "queue");
    otr_jw_u64(w, "depth", q->depth);
    otr_jw_u64(w, "depth_max", q->depth_max);
    otr_jw_u64(w, "capacity", q->capacity);
    otr_jw_u64(w, "received", q->received);
    otr_jw_u64(w, "taken", q->taken);
    otr_jw_u64(w, "dropped", q->dropped);
    otr_jw_u64(w, "coalesced", q->coalesced);
    otr_jw_obj_end(w);
}

static void write_counters(otr_jw *w, const otr_plugin_stats *s)
{
    otr_jw_u64(w, "calls", s->calls);
    otr_jw_u64(w, "errors", s->errors);
    otr_jw_u64(w, "skipped", s->skipped);
    otr_jw_u64(w, "traps", s->traps);
    otr_jw_u64(w, "timeouts", s->timeouts);
    otr_jw_u64(w, "restarts", s->restarts);
    otr_jw_u64(w, "recycled", s->recycled);
    otr_jw_u64(w, "published", s->published);
    otr_jw_u64(w, "publish_dropped", s->publish_dropped);
    otr_jw_u64(w, "dead_letters", s->dead_letters);
    otr_jw_u64(w, "handled", s->handled);
    otr_jw_u64(w, "given_again", s->given_again);
    otr_jw_u64(w, "in_hand", s->in_hand);
    otr_jw_u64(w, "denials", s->denials);
    otr_jw_u64(w, "hooks_asked", s->hooks_asked);
    otr_jw_u64(w, "hooks_denied", s->hooks_denied);
    otr_jw_u64(w, "hooks_unanswered", s->hooks_unanswered);
    otr_jw_obj(w, "denials_by");
    for (size_t i = 0; i < OTR_DENIAL_KINDS; i++) {
        if (s->denials_by[i] > 0) {
            otr_jw_u64(w, otr_denial_kind(i), s->denials_by[i]);
        }
    }
    otr_jw_obj_end(w);
    otr_jw_u64(w, "logs", s->logs);
    otr_jw_u64(w, "logs_dropped", s->logs_dropped);
    otr_jw_f64(w, "call_seconds", (double)s->call_ns / (double)OTR_NS_PER_S);
    otr_jw_u64(w, "memory_bytes", s->memory_bytes);
    otr_jw_u64(w, "memory_max_bytes", s->memory_max_bytes);
    write_queue(w, &s->queue);
}

static void write_texts(otr_jw *w, const char *key, const char *const *texts)
{
    otr_jw_arr(w, key);
    for (; texts != NULL && *texts != NULL; texts++) {
        otr_jw_str(w, NULL, *texts);
    }
    otr_jw_arr_end(w);
}

/* What the entry says in the place of the contract. */
static void write_mapping(otr_jw *w, const otr_plugin_view *v)
{
    otr_jw_obj(w, "operations");
    for (const char *const *pair = v->operations; pair != NULL && *pair != NULL; pair += 2) {
        otr_jw_str(w, pair[0], pair[1]);
    }
    otr_jw_obj_end(w);
    otr_jw_str(w, "input", v->input);
    otr_jw_str(w, "publish", v->publishes);
}

static void write_plugin(otr_jw *w, const otr_plugin_view *v)
{
    otr_jw_str(w, "name", v->name);
    otr_jw_str(w, "summary", v->summary);
    otr_jw_str(w, "kind", v->kind);
    otr_jw_str(w, "version", v->version);
    otr_jw_str(w, "abi", v->abi);
    otr_jw_str(w, "engine", v->engine);
    otr_jw_str(w, "encoding", v->encoding);
    otr_jw_str(w, "source", v->source);
    otr_jw_str(w, "sha256", v->sha256);
    otr_jw_str(w, "state", otr_plugin_state_name(v->state));
    otr_jw_str(w, "reason", v->reason);
    otr_admin_write_time(w, "since", v->state_since_ns);
    otr_jw_bool(w, "quarantined", v->quarantined);
    otr_jw_u64(w, "instances", v->instances);
    otr_jw_u64(w, "instances_running", v->running);
    write_texts(w, "subscribes", v->subscribes);
    write_texts(w, "hooks", v->hooks);
    write_mapping(w, v);
    write_counters(w, &v->stats);
}

static bool write_each_plugin(void *arg, const otr_plugin_view *v)
{
    otr_jw *w = arg;
    otr_jw_obj(w, NULL);
    write_plugin(w, v);
    otr_jw_obj_end(w);
    return true;
}

static void write_plugins(otr_jw *w, const char *key, const otr_admin *a)
{
    otr_jw_arr(w, key);
    otr_plugin_host_each(a->services->plugins, write_each_plugin, w);
    otr_jw_arr_end(w);
}

otr_code otr_admin_get_plugins(void *admin, const otr_http_request *req, otr_http_reply *reply,
                               otr_err *err)
{
    (void)req;
    otr_jw w;
    otr_jw_begin(&w, &reply->body, err);
    write_plugins(&w, NULL, admin);
    return otr_jw_end(&w);
}

typedef struct wanted { /* one plugin, or the names of those that there are */
    const char *name;
    otr_jw w;
    bool found;
    char names[REASON_BYTES];
} wanted;

static void write_durations(otr_jw *w, const otr_plugin_stats *s)
{
    otr_jw_arr(w, "durations");
    for (size_t i = 0; i <= OTR_PLUGIN_BUCKETS; i++) {
        otr_jw_obj(w, NULL);
        if (i < OTR_PLUGIN_BUCKETS) {
            otr_jw_f64(w, "le", otr_plugin_bucket_bounds[i]);
        } else {
            otr_jw_null(w, "le");
        }
        otr_jw_u64(w, "count", s->time_counts[i]);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

static bool write_if_wanted(void *arg, const otr_plugin_view *v)
{
    wanted *x = arg;
    if (strcmp(v->name, x->name) != 0) {
        size_t n = strlen(x->names);
        (void)snprintf(x->names + n, sizeof(x->names) - n, "%s%s", n > 0 ? ", " : "", v->name);
        return true;
    }
    x->found = true;
    otr_jw_obj(&x->w, NULL);
    write_plugin(&x->w, v);
    write_durations(&x->w, &v->stats);
    otr_jw_obj_end(&x->w);
    return false;
}

otr_code otr_admin_get_plugin(void *admin, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err)
{
    const otr_admin *a = admin;
    if (strchr(req->tail, '/') != NULL) {
        return otr_admin_get_dead_letters(a, req->tail, reply, err);
    }
    wanted x = { .name = req->tail };
    otr_jw_begin(&x.w, &reply->body, err);
    otr_plugin_host_each(a->services->plugins, write_if_wanted, &x);
    if (!x.found) {
        return otr_fail(err, OTR_ENOTFOUND, "there is no plugin \"%s\", only %s", req->tail,
                        x.names);
    }
    return otr_jw_end(&x.w);
}

/* ---- the whole picture ---- */

void otr_admin_write_config(otr_jw *w, const otr_admin *a)
{
    const otr_services *s = a->services;
    otr_jw_obj(w, "config");
    otr_jw_str(w, "file", s->config != NULL ? otr_config_file(s->config) : "");
    otr_jw_u64(w, "generation", s->config_generation);
    otr_admin_write_time(w, "reloaded", a->reloaded_ns);
    otr_jw_str(w, "waits_for_restart", s->waiting);
    otr_jw_obj_end(w);
}

static void write_process(otr_jw *w)
{
    otr_self_usage usage;
    otr_self_usage_read(&usage);
    otr_jw_obj(w, "process");
    otr_jw_u64(w, "memory_bytes", usage.memory_bytes);
    otr_jw_f64(w, "cpu_seconds", usage.cpu_user_s + usage.cpu_system_s);
    otr_jw_obj_end(w);
}

static void write_bus(otr_jw *w, const otr_admin *a)
{
    otr_bus_stats bus;
    otr_bus_get_stats(otr_plugin_bus(a->plugin), &bus);
    otr_jw_obj(w, "bus");
    otr_jw_u64(w, "published", bus.published);
    otr_jw_u64(w, "delivered", bus.delivered);
    otr_jw_u64(w, "unheard", bus.unheard);
    otr_jw_u64(w, "topics", bus.topics);
    otr_jw_u64(w, "subscribers", bus.subscribers);
    otr_jw_u64(w, "events_seen", a->events_seen);
    otr_jw_u64(w, "events_kept", a->n_events);
    otr_jw_u64(w, "streams", a->n_streams);
    otr_jw_obj_end(w);
}

otr_code otr_admin_get_status(void *admin, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err)
{
    const otr_admin *a = admin;
    (void)req;
    uint64_t now = otr_now_ns();
    otr_jw w;
    otr_jw_begin(&w, &reply->body, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "name", "outrider");
    otr_jw_str(&w, "version", OTR_VERSION);
    otr_jw_i64(&w, "pid", getpid());
    otr_admin_write_time(&w, "time", now);
    uint64_t up_ms = (now - a->services->started_ns) / OTR_NS_PER_MS;
    otr_jw_f64(&w, "uptime_seconds", (double)up_ms / 1e3);
    otr_admin_write_reasons(&w, a);
    otr_admin_write_config(&w, a);
    otr_command_write(&w, a->services->command);
    write_process(&w);
    write_bus(&w, a);
    otr_jw_arr(&w, "instances");
    for (size_t i = 0; i < a->n_instances; i++) {
        otr_jw_obj(&w, NULL);
        write_instance(&w, a->instances[i]);
        otr_jw_obj_end(&w);
    }
    otr_jw_arr_end(&w);
    write_plugins(&w, "plugins", a);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

otr_code otr_admin_get_metrics(void *admin, const otr_http_request *req, otr_http_reply *reply,
                               otr_err *err)
{
    const otr_admin *a = admin;
    (void)req;
    return otr_registry_json(a->services->metrics, &reply->body, err);
}
