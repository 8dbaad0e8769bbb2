#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "config/agent_keys.h"
#include "modules/modules.h"
#include "modules/services.h"
#include "modules/topics.h"
#include "plugin/internal.h"
#include "support/test.h"

enum { PATIENCE_MS = 5000, OOM_PATIENCE_MS = 50, TEXT_BYTES = 1 << 20 };

static const otr_key *const tables[] = { otr_agent_keys, NULL };

/* ---- an agent of two modules, served on a loopback port ---- */

typedef struct rig {
    otr_loop *loop;
    otr_bus *bus;
    otr_pool *pool;
    otr_config *cfg;
    otr_plugin_host *host;
    otr_http_server *status, *admin;
    otr_services services;
    bool stopped, reload_fails;
    otr_reload_done_fn *reload_done;
    void *reload_arg;
    otr_defer reload_end;
    unsigned reloads;
    char *text; /* what the last question was answered with */
} rig;

static void on_stopped(void *arg)
{
    ((rig *)arg)->stopped = true;
}

static void stop_host(rig *r)
{
    otr_plugin_host_stop(r->host, otr_now_ns() + OTR_NS_PER_S, on_stopped, r);
    uint64_t until = otr_now_ns() + PATIENCE_MS * OTR_NS_PER_MS;
    while (!r->stopped && otr_now_ns() < until) {
        otr_loop_step(r->loop, 5);
    }
}

static void rig_deinit(void *slot)
{
    rig *r = slot;
    if (r->host != NULL && !r->stopped) {
        stop_host(r);
    }
    otr_http_server_free(r->status);
    otr_http_server_free(r->admin);
    otr_plugin_host_free(r->host);
    otr_http_routes_free(r->services.admin_routes);
    otr_http_routes_free(r->services.status_routes);
    otr_registry_free(r->services.metrics);
    otr_problems_free(r->services.problems);
    otr_pool_free(r->pool);
    otr_bus_free(r->bus);
    otr_loop_free(r->loop);
    otr_config_unref(r->cfg);
    otr_free(r->text);
}

static void end_reload(void *arg)
{
    rig *r = arg;
    otr_err err = { 0 };
    otr_code rc =
        r->reload_fails ? otr_fail(&err, OTR_EINVAL, "agent.conf:3:1: no such key") : OTR_OK;
    r->reload_done(r->reload_arg, rc, &err);
}

static otr_code reload(void *daemon, otr_reload_done_fn *done, void *arg, otr_err *err)
{
    rig *r = daemon;
    (void)err;
    r->reloads++;
    r->services.config_generation++;
    r->reload_done = done;
    r->reload_arg = arg;
    otr_loop_defer(r->loop, &r->reload_end, end_reload, r);
    return OTR_OK;
}

static otr_code make_parts(rig *r, otr_err *err)
{
    otr_services *s = &r->services;
    otr_config_source source = { .tables = tables, .file = "" };
    otr_code rc = otr_config_load(&source, &r->cfg, err);
    rc = rc == OTR_OK ? otr_loop_new(&r->loop, err) : rc;
    rc = rc == OTR_OK ? otr_bus_new(r->loop, &r->bus, err) : rc;
    rc = rc == OTR_OK ? otr_pool_new(r->loop, 1, &r->pool, err) : rc;
    rc = rc == OTR_OK ? otr_registry_new(&s->metrics, err) : rc;
    rc = rc == OTR_OK ? otr_problems_new(&s->problems, err) : rc;
    rc = rc == OTR_OK ? otr_http_routes_new(&s->admin_routes, err) : rc;
    rc = rc == OTR_OK ? otr_http_routes_new(&s->status_routes, err) : rc;
    *s = (otr_services){ .pool = r->pool,
                         .metrics = s->metrics,
                         .problems = s->problems,
                         .admin_routes = s->admin_routes,
                         .status_routes = s->status_routes,
                         .config = r->cfg,
                         .started_ns = otr_now_ns(),
                         .reload = reload,
                         .daemon = r };
    return rc;
}

static otr_code rig_init(rig *r, otr_err *err)
{
    otr_log_set_level(OTR_LOG_ERROR);
    otr_services *s = &r->services;
    otr_http_listen any = { .host = "127.0.0.1" };
    otr_code rc = make_parts(r, err);
    otr_plugin_host_spec spec = {
        .loop = r->loop, .bus = r->bus, .pool = r->pool, .services = s, .arg = r
    };
    rc = rc == OTR_OK ? otr_plugin_host_new(&spec, &r->host, err) : rc;
    s->plugins = r->host;
    rc = rc == OTR_OK ? otr_plugin_host_add(r->host, &otr_module_prometheus, err) : rc;
    rc = rc == OTR_OK ? otr_plugin_host_add(r->host, &otr_module_admin, err) : rc;
    rc = rc == OTR_OK ? otr_plugin_host_start(r->host, r->cfg, err) : rc;
    rc = rc == OTR_OK ? otr_http_server_new(r->loop, s->status_routes, &any, &r->status, err) : rc;
    rc = rc == OTR_OK ? otr_http_server_new(r->loop, s->admin_routes, &any, &r->admin, err) : rc;
    r->text = rc == OTR_OK ? otr_zalloc(TEXT_BYTES) : NULL;
    return rc == OTR_OK && r->text == NULL ? otr_fail_nomem(err) : rc;
}

#define RIG(r, e)                          \
    otr_err e = { 0 };                     \
    OTR_CLEANUP(rig_deinit) rig r = { 0 }; \
    REQUIRE_OK(rig_init(&(r), &(e)), e)

static void close_fd(void *slot)
{
    if (*(int *)slot >= 0) {
        close(*(int *)slot);
    }
}

static int send_request(const otr_http_server *server, const char *method, const char *target)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(otr_http_server_port(server)),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char text[1024];
    int n =
        snprintf(text, sizeof(text),
                 "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method, target);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        send(fd, text, (size_t)n, MSG_NOSIGNAL) != n || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        close_fd(&fd);
        return -1;
    }
    return fd;
}

/* After an injected failure an answer may rightly never come. */
static uint64_t patience_end(void)
{
    uint64_t ms = otr_alloc_failed() > 0 ? OOM_PATIENCE_MS : PATIENCE_MS;
    return otr_now_ns() + ms * OTR_NS_PER_MS;
}

/* Appends to r->text until `end` was seen there or the peer closed. */
static const char *hear(rig *r, int fd, const char *end)
{
    uint64_t until = patience_end();
    size_t n = strlen(r->text);
    while (otr_now_ns() < until && n + 1 < TEXT_BYTES) {
        ssize_t got = recv(fd, r->text + n, TEXT_BYTES - n - 1, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            break;
        }
        if (got > 0) {
            n += (size_t)got;
            r->text[n] = '\0';
        }
        if (end != NULL && strstr(r->text, end) != NULL) {
            break;
        }
        otr_loop_step(r->loop, 5);
    }
    return r->text;
}

static const char *ask_of(rig *r, const otr_http_server *server, const char *method,
                          const char *target)
{
    OTR_CLEANUP(close_fd) int fd = send_request(server, method, target);
    r->text[0] = '\0';
    return fd >= 0 ? hear(r, fd, NULL) : r->text;
}

static const char *get(rig *r, const char *target)
{
    return ask_of(r, r->status, "GET", target);
}

/* Asks and parses; also checks that the answer is a 200 with valid JSON. */
static otr_json *get_json(rig *r, const char *target)
{
    const char *text = get(r, target), *body = strstr(text, "\r\n\r\n");
    otr_json *root = NULL;
    if (strstr(text, "HTTP/1.1 200 ") == NULL || body == NULL ||
        otr_json_parse(otr_bytes_of(body + 4), &root, NULL) != OTR_OK) {
        (void)otr_test_check(false, __FILE__, __LINE__, text);
    }
    return root;
}

static const char *text_at(const otr_json *v, const char *key)
{
    return otr_json_str(otr_json_get(v, key), "?");
}

/* ---- what the bus says ---- */

static void publish(rig *r, const otr_topic *topic, void *payload)
{
    otr_err err = { 0 };
    otr_msg *msg = NULL;
    if (payload == NULL) {
        return; /* out of memory */
    }
    if (otr_msg_new(topic, payload, "test", NULL, &msg, &err) != OTR_OK) {
        if (topic->drop != NULL) {
            topic->drop(payload);
        }
        return;
    }
    CHECK(otr_bus_publish(r->bus, msg, &err) == OTR_OK);
    otr_msg_unref(msg);
    for (int i = 0; i < 4; i++) {
        otr_loop_step(r->loop, 0);
    }
}

static void publish_named(rig *r, const otr_topic *topic, const char *id, char *config_error)
{
    pid_t workers[] = { 43, 44 };
    otr_nginx_instance it = { .pid = 42,
                              .workers = workers,
                              .n_workers = 2,
                              .binary = "/usr/sbin/nginx",
                              .version = "1.22.1",
                              .config = "/etc/nginx/nginx.conf",
                              .prefix = "/usr/share/nginx",
                              .configure = "",
                              .error_log = "",
                              .stub_status = "",
                              .config_error = config_error };
    snprintf(it.id, sizeof(it.id), "%s", id);
    otr_instance_event *event = otr_zalloc(sizeof(*event));
    if (event != NULL && otr_nginx_instance_copy(&it, &event->instance, NULL) != OTR_OK) {
        otr_free(event);
        event = NULL;
    }
    publish(r, topic, event);
}

static void publish_instance(rig *r, const otr_topic *topic, char *config_error)
{
    publish_named(r, topic, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", config_error);
}

static void publish_health(rig *r, otr_health status, const char *description)
{
    otr_health_event *event = otr_zalloc(sizeof(*event));
    if (event != NULL) {
        *event =
            (otr_health_event){ .id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", .status = status };
        event->description = otr_strdup(description);
        if (event->description == NULL) {
            otr_free(event);
            return;
        }
    }
    publish(r, &otr_topic_health_changed, event);
}

static void publish_metrics(rig *r, double rate)
{
    otr_metrics_event *event = otr_zalloc(sizeof(*event));
    if (event != NULL) {
        *event = (otr_metrics_event){ .id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                                      .status_ok = true,
                                      .active = 7,
                                      .requests_per_second = rate,
                                      .responses = { 0, 5, 0, 1, 0 } };
    }
    publish(r, &otr_topic_metrics_sampled, event);
}

static void publish_json(rig *r, const char *name, const char *json)
{
    const otr_topic *topic = NULL;
    if (otr_bus_topic(r->bus, name, &topic, NULL) == OTR_OK) {
        publish(r, topic, otr_bus_json_new(otr_bytes_of(json)));
    }
}

/* ---- tests ---- */

T_NO_OOM(an_agent_without_nginx_is_degraded_and_says_so)
{
    RIG(r, e);
    OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/status");
    REQUIRE(root != NULL);
    CHECK_STR(text_at(root, "state"), "degraded");
    CHECK_STR(otr_json_str(otr_json_at(otr_json_get(root, "reasons"), 0), ""),
              "no running NGINX was found");
    CHECK_STR(text_at(root, "version"), OTR_VERSION);
    CHECK_INT(otr_json_int(otr_json_get(root, "pid"), 0), getpid());
    CHECK_INT(otr_json_size(otr_json_get(root, "plugins")), 2);
    CHECK(otr_json_int(otr_json_get(otr_json_get(root, "process"), "memory_bytes"), 0) > 0);
}

T(an_instance_is_shown_until_it_stops)
{
    RIG(r, e);
    publish_instance(&r, &otr_topic_instance_started, "");
    publish_health(&r, OTR_HEALTH_HEALTHY, "");
    publish_metrics(&r, 12.5);
    {
        OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/status");
        REQUIRE(root != NULL);
        CHECK_STR(text_at(root, "state"), "ok");
        const otr_json *i = otr_json_at(otr_json_get(root, "instances"), 0);
        CHECK_STR(text_at(otr_json_get(i, "instance"), "config"), "/etc/nginx/nginx.conf");
        CHECK_STR(text_at(otr_json_get(i, "health"), "status"), "healthy");
        CHECK_INT(otr_json_int(otr_json_get(otr_json_get(i, "metrics"), "active"), 0), 7);
    }
    publish_instance(&r, &otr_topic_instance_stopped, "");
    OTR_CLEANUP(otr_json_freep) otr_json *left = get_json(&r, "/api/v1/instances");
    REQUIRE(left != NULL);
    CHECK_INT(otr_json_size(left), 0);
}

T_NO_OOM(reasons_name_the_instance_and_what_is_wrong)
{
    RIG(r, e);
    publish_instance(&r, &otr_topic_instance_started, "");
    publish_instance(&r, &otr_topic_instance_changed, "/etc/nginx/nginx.conf:3: no \"}\"");
    publish_health(&r, OTR_HEALTH_UNHEALTHY, "no workers");
    OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/status");
    REQUIRE(root != NULL);
    const otr_json *reasons = otr_json_get(root, "reasons");
    CHECK_INT(otr_json_size(reasons), 2);
    CHECK_STR(otr_json_str(otr_json_at(reasons, 0), ""),
              "NGINX of /etc/nginx/nginx.conf: its configuration cannot be read: "
              "/etc/nginx/nginx.conf:3: no \"}\"");
    CHECK_STR(otr_json_str(otr_json_at(reasons, 1), ""),
              "NGINX of /etc/nginx/nginx.conf is unhealthy: no workers");
}

static bool has_reason(const otr_json *root, const char *text)
{
    const otr_json *reasons = otr_json_get(root, "reasons");
    for (size_t i = 0; i < otr_json_size(reasons); i++) {
        if (strcmp(otr_json_str(otr_json_at(reasons, i), ""), text) == 0) {
            return true;
        }
    }
    return false;
}

T_NO_OOM(what_modules_say_that_does_not_work_is_a_reason_with_its_kind_and_is_counted)
{
    RIG(r, e);
    publish_instance(&r, &otr_topic_instance_started, "");
    publish_health(&r, OTR_HEALTH_UNKNOWN, "no descriptor left");
    otr_problem_set(r.services.problems, "", "status page", "port 9180 is taken");
    otr_problem_set(r.services.problems, "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                    "access_log /var/a.log", "/var/a.log cannot be read");
    {
        OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/status");
        REQUIRE(root != NULL);
        CHECK_STR(text_at(root, "state"), "degraded");
        CHECK(has_reason(root, "port 9180 is taken"));
        CHECK(has_reason(root, "NGINX of /etc/nginx/nginx.conf: /var/a.log cannot be read"));
        CHECK(has_reason(root, "the health of NGINX of /etc/nginx/nginx.conf is unknown: "
                               "no descriptor left"));
        CHECK_INT(otr_json_size(otr_json_get(root, "reasons")), 3);
        const otr_json *problems = otr_json_get(root, "problems");
        CHECK_INT(otr_json_size(problems), 3);
        const otr_json *last = otr_json_at(problems, 2);
        CHECK_STR(text_at(last, "kind"), "access_log");
        CHECK_STR(text_at(last, "instance"), "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
        CHECK(otr_json_kind(otr_json_get(last, "since")) == OTR_JSON_STRING);
    }
    const char *text = get(&r, "/metrics");
    CHECK_HAS(text, "\noutrider_problems 3\n");
    CHECK_HAS(text, "\noutrider_problems_by_kind{kind=\"status\"} 1\n");
    CHECK_HAS(text, "\noutrider_problems_by_kind{kind=\"nginx_health\"} 1\n");
    otr_problem_clear(r.services.problems, "", "status page");
    text = get(&r, "/metrics");
    CHECK_HAS(text, "\noutrider_problems 2\n");
    CHECK_HAS(text, "\noutrider_problems_by_kind{kind=\"status\"} 0\n");
}

T_NO_OOM(reasons_beyond_their_most_are_counted)
{
    RIG(r, e);
    char id[OTR_NGINX_ID_BYTES];
    for (int i = 0; i < OTR_LIMIT_REASONS; i++) {
        snprintf(id, sizeof(id), "%d", i);
        publish_named(&r, &otr_topic_instance_started, id, "broken");
        otr_problem_set(r.services.problems, id, "x", "y"); /* past its ceiling too */
    }
    OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/status");
    REQUIRE(root != NULL);
    CHECK_INT(otr_json_size(otr_json_get(root, "instances")), OTR_LIMIT_NGINX_INSTANCES);
    size_t all = OTR_LIMIT_NGINX_INSTANCES + OTR_LIMIT_PROBLEMS + 1;
    size_t shown = all < OTR_LIMIT_REASONS ? all : OTR_LIMIT_REASONS;
    CHECK_INT(otr_json_size(otr_json_get(root, "reasons")), shown);
    CHECK_INT(otr_json_int(otr_json_get(root, "reasons_more"), -1), all - shown);
}

T_NO_OOM(more_instances_than_are_shown_are_a_reason_until_there_is_room)
{
    RIG(r, e);
    char id[OTR_NGINX_ID_BYTES], text[160];
    for (int i = 0; i <= OTR_LIMIT_NGINX_INSTANCES; i++) {
        snprintf(id, sizeof(id), "%d", i);
        publish_named(&r, &otr_topic_instance_started, id, "");
    }
    snprintf(text, sizeof(text), "there are more than %d NGINX instances: the others are not shown",
             OTR_LIMIT_NGINX_INSTANCES);
    {
        OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/status");
        REQUIRE(root != NULL);
        CHECK(has_reason(root, text));
    }
    publish_named(&r, &otr_topic_instance_stopped, "0", "");
    OTR_CLEANUP(otr_json_freep) otr_json *after = get_json(&r, "/api/v1/status");
    REQUIRE(after != NULL);
    CHECK(!has_reason(after, text));
    CHECK_INT(otr_json_size(otr_json_get(after, "instances")), OTR_LIMIT_NGINX_INSTANCES - 1);
}

T_NO_OOM(the_history_of_an_instance_is_a_bounded_ring)
{
    RIG(r, e);
    publish_instance(&r, &otr_topic_instance_started, "");
    for (int i = 0; i < OTR_LIMIT_INSTANCE_SAMPLES + 5; i++) {
        publish_metrics(&r, i);
    }
    OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/instances");
    REQUIRE(root != NULL);
    const otr_json *history = otr_json_get(otr_json_at(root, 0), "history");
    CHECK_INT(otr_json_size(history), OTR_LIMIT_INSTANCE_SAMPLES);
    CHECK(otr_json_num(otr_json_get(otr_json_at(history, 0), "requests_per_second"), 0) == 5);
}

T_NO_OOM(one_plugin_is_shown_whole_and_an_unknown_one_names_those_there_are)
{
    RIG(r, e);
    {
        OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/plugins/admin");
        REQUIRE(root != NULL);
        CHECK_STR(text_at(root, "state"), "running");
        CHECK_STR(text_at(root, "kind"), "module");
        CHECK_INT(otr_json_size(otr_json_get(root, "durations")), OTR_PLUGIN_BUCKETS + 1);
    }
    const char *text = get(&r, "/api/v1/plugins/nope");
    CHECK_HAS(text, "HTTP/1.1 404 ");
    CHECK_HAS(text, "there is no plugin \\\"nope\\\", only prometheus, admin");
}

T_NO_OOM(events_are_kept_filtered_and_limited)
{
    RIG(r, e);
    publish_json(&r, "alert.one", "{\"a\":1}");
    publish_json(&r, "digest.window", "{\"b\":2}");
    publish_json(&r, "alert.two", "{\"c\":3}");
    {
        OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/events?topic=alert.*");
        REQUIRE(root != NULL);
        const otr_json *events = otr_json_get(root, "events");
        CHECK_INT(otr_json_size(events), 2);
        CHECK_STR(text_at(otr_json_at(events, 1), "topic"), "alert.two");
        CHECK_STR(text_at(otr_json_at(events, 1), "source"), "test");
    }
    OTR_CLEANUP(otr_json_freep) otr_json *last =
        get_json(&r, "/api/v1/events?last=1&topic=alert.*");
    REQUIRE(last != NULL);
    CHECK_INT(otr_json_size(otr_json_get(last, "events")), 1);
    CHECK_HAS(r.text, "alert.two");
}

T_NO_OOM(bad_queries_are_refused_with_what_was_wrong)
{
    RIG(r, e);
    const char *text = get(&r, "/api/v1/events?last=-1");
    CHECK_HAS(text, "HTTP/1.1 400 ");
    CHECK_HAS(text, "last=\\\"-1\\\" is not a number");
    CHECK_HAS(get(&r, "/api/v1/events?topic=NO%20WAY"), "HTTP/1.1 400 ");
    CHECK_HAS(get(&r, "/api/v1/events/stream?last=x"), "HTTP/1.1 400 ");
}

T_NO_OOM(the_ring_forgets_the_oldest)
{
    RIG(r, e);
    for (int i = 0; i < OTR_LIMIT_EVENTS_KEPT + 10; i++) {
        publish_json(&r, i < 10 ? "early.word" : "late.word", "{}");
    }
    OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/events");
    REQUIRE(root != NULL);
    CHECK_INT(otr_json_int(otr_json_get(root, "kept"), 0), OTR_LIMIT_EVENTS_KEPT);
    CHECK(strstr(r.text, "early.word") == NULL);
}

T_NO_OOM(a_large_event_is_kept_without_its_data)
{
    RIG(r, e);
    static char json[100000];
    memset(json, 'x', sizeof(json) - 1);
    json[0] = json[sizeof(json) - 2] = '"';
    publish_json(&r, "big.one", json);
    OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/events");
    REQUIRE(root != NULL);
    const otr_json *event = otr_json_at(otr_json_get(root, "events"), 0);
    CHECK_STR(text_at(event, "topic"), "big.one");
    CHECK(otr_json_kind(otr_json_get(event, "data")) == OTR_JSON_NULL);
    CHECK(otr_json_int(otr_json_get(event, "omitted_bytes"), 0) > 99000);
}

T_NO_OOM(an_event_outlives_the_plugin_whose_topic_it_has)
{
    RIG(r, e);
    otr_topic_owner owner = { 0 };
    const otr_topic *topic = NULL;
    REQUIRE_OK(otr_bus_topic_of(r.bus, &owner, "gone.word", &topic, &e), e);
    publish(&r, topic, otr_bus_json_new(otr_bytes_of("1")));
    otr_bus_release(r.bus, &owner);
    OTR_CLEANUP(otr_json_freep) otr_json *root = get_json(&r, "/api/v1/events?topic=gone.*");
    REQUIRE(root != NULL);
    CHECK_STR(text_at(otr_json_at(otr_json_get(root, "events"), 0), "topic"), "gone.word");
}

T(a_stream_replays_then_goes_live_and_keeps_to_its_topic)
{
    RIG(r, e);
    publish_json(&r, "alert.old", "{\"n\":1}");
    OTR_CLEANUP(close_fd) int fd =
        send_request(r.status, "GET", "/api/v1/events/stream?last=5&topic=alert.*");
    REQUIRE(fd >= 0);
    const char *text = hear(&r, fd, "alert.old");
    CHECK_HAS(text, "Content-Type: text/event-stream\r\n");
    CHECK_HAS(text, "\"data\":{\"n\":1}}\n\n");
    publish_json(&r, "digest.not", "{}");
    publish_json(&r, "alert.new", "{\n\"n\":\r\n2}");
    text = hear(&r, fd, "alert.new");
    CHECK_HAS(text, "alert.new");
    CHECK(strstr(text, "digest.not") == NULL);
    CHECK(strstr(text, "{\n\"n\"") == NULL); /* one event, one line */
}

T_NO_OOM(stopping_the_agent_ends_its_streams)
{
    RIG(r, e);
    OTR_CLEANUP(close_fd) int fd = send_request(r.status, "GET", "/api/v1/events/stream");
    REQUIRE(fd >= 0);
    hear(&r, fd, ":\n\n");
    otr_plugin_host_stop(r.host, otr_now_ns() + OTR_NS_PER_S, on_stopped, &r);
    CHECK_HAS(hear(&r, fd, NULL), "0\r\n\r\n"); /* the proper end, not a reset */
    CHECK(r.stopped);
}

T_NO_OOM(reload_is_offered_on_the_admin_socket_only)
{
    RIG(r, e);
    CHECK_HAS(ask_of(&r, r.status, "POST", "/api/v1/reload"), "HTTP/1.1 404 ");
    CHECK_INT(r.reloads, 0);
    const char *text = ask_of(&r, r.admin, "POST", "/api/v1/reload");
    CHECK_HAS(text, "HTTP/1.1 200 ");
    CHECK_HAS(text, "\"generation\":1");
    CHECK_INT(r.reloads, 1);
    r.reload_fails = true;
    text = ask_of(&r, r.admin, "POST", "/api/v1/reload");
    CHECK_HAS(text, "HTTP/1.1 400 ");
    CHECK_HAS(text, "agent.conf:3:1: no such key");
    CHECK_HAS(ask_of(&r, r.admin, "GET", "/api/v1/reload"), "Allow: POST\r\n");
}

T_NO_OOM(the_page_may_run_nothing_but_its_own_script)
{
    RIG(r, e);
    const char *text = get(&r, "/");
    CHECK_HAS(text, "Content-Type: text/html; charset=utf-8\r\n");
    CHECK_HAS(text, "script-src 'sha256-");
    CHECK(strstr(text, "unsafe-inline") == NULL && strstr(text, "sha256-'") == NULL);
    CHECK_HAS(text, "\r\n\r\n<!doctype html>");
    CHECK_HAS(text, "</html>");
}

T_NO_OOM(the_agents_own_metrics_are_served_and_promtool_accepts_them)
{
    RIG(r, e);
    publish_json(&r, "alert.one", "{}");
    const char *text = get(&r, "/metrics");
    CHECK_HAS(text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    CHECK_HAS(text, "outrider_build_info{version=\"" OTR_VERSION "\"} 1\n");
    CHECK_HAS(text, "outrider_bus_published_messages_total 1\n");
    CHECK_HAS(text, "outrider_plugin_calls_total{plugin=\"admin\"} 1\n");
    CHECK_HAS(text, "outrider_plugin_running{plugin=\"prometheus\"} 1\n");
    CHECK_HAS(text, "outrider_plugin_call_duration_seconds_count{plugin=\"admin\"} 1\n");
    CHECK_HAS(text, "outrider_process_cpu_time_seconds_total{state=\"user\"} ");
    if (access("/usr/bin/promtool", X_OK) != 0) {
        otr_test_skip("promtool (package prometheus) is not installed");
        return;
    }
    FILE *p = popen("/usr/bin/promtool check metrics", "w");
    REQUIRE(p != NULL);
    (void)fputs(strstr(text, "\r\n\r\n") + 4, p);
    CHECK_INT(pclose(p), 0);
}

static const char *export_now(rig *r, otr_buf *out, otr_err *err)
{
    otr_buf_clear(out);
    return otr_registry_prometheus(r->services.metrics, out, err) == OTR_OK ? otr_buf_text(out)
                                                                            : "";
}

static otr_guest_metrics *take_metric(otr_guest_metrics *m, otr_guest_metric_kind kind,
                                      const char *json)
{
    otr_err err = { 0 };
    CHECK_INT(otr_guest_metrics_take(m, kind, otr_bytes_of(json), 10, &err), OTR_OK);
    return m;
}

T_NO_OOM(what_a_plugin_counts_is_exported_under_its_name_until_it_goes)
{
    RIG(r, err);
    otr_buf out;
    otr_buf_init(&out, OTR_LIMIT_METRIC_OUTPUT_BYTES);
    otr_plugin *p = r.host->first;
    otr_guest_metrics *m = otr_zalloc(sizeof(*m));
    REQUIRE(m != NULL);
    p->stats.metrics = m;
    m->born_ns = 1;
    take_metric(m, OTR_GUEST_COUNTER, "{\"name\":\"hits\",\"value\":2,\"labels\":{\"to\":\"a\"}}");
    CHECK_HAS(export_now(&r, &out, &err), "plugin_prometheus_hits_total{to=\"a\"} 2");
    take_metric(m, OTR_GUEST_COUNTER, "{\"name\":\"hits\",\"value\":3,\"labels\":{\"to\":\"b\"}}");
    take_metric(m, OTR_GUEST_GAUGE, "{\"name\":\"level\",\"value\":-1.5}");
    take_metric(m, OTR_GUEST_HISTOGRAM, "{\"name\":\"took\",\"value\":0.2}");
    const char *text = export_now(&r, &out, &err);
    CHECK_HAS(text, "plugin_prometheus_hits_total{to=\"b\"} 3");
    CHECK_HAS(text, "plugin_prometheus_level -1.5");
    CHECK_HAS(text, "plugin_prometheus_took_bucket{le=\"0.25\"} 1");
    CHECK_HAS(text, "plugin_prometheus_took_sum 0.2");
    otr_guest_metrics_deinit(m); /* another table in its place */
    m->born_ns = 2;
    take_metric(m, OTR_GUEST_GAUGE, "{\"name\":\"other\",\"value\":1}");
    text = export_now(&r, &out, &err);
    CHECK(strstr(text, "hits") == NULL);
    CHECK_HAS(text, "plugin_prometheus_other 1");
    otr_buf_deinit(&out);
}
