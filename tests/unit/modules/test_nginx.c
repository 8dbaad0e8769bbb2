/*
 * The modules "health" and "metrics", fed with instances by hand: an NGINX is played by a file and
 * a unix socket.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/agent_keys.h"
#include "modules/modules.h"
#include "modules/services.h"
#include "modules/topics.h"
#include "nginx/proc.h"
#include "support/test.h"

enum { PATIENCE_MS = 5000, OOM_PATIENCE_MS = 30 };

static const otr_key *const tables[] = { otr_agent_keys, NULL };

typedef struct rig {
    otr_loop *loop;
    otr_bus *bus;
    otr_pool *pool;
    otr_config *cfg;
    otr_plugin_host *host;
    otr_services services;
    bool stopped;
    otr_sub *sub;
    unsigned healths, samples;
    otr_health health;
    char why[256];
    otr_metrics_event sample;

    char dir[64], log[128], url[160], sock[128];
    int listener;
    otr_watch *watch;
    unsigned requests; /* what the played status says */
    char prometheus[65536];
} rig;

/* Answers on a connection of its own and closes it. */
static void on_connection(void *arg, int events)
{
    (void)events;
    rig *r = arg;
    int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
    char text[512], got[1024];
    (void)!read(fd, got, sizeof(got));
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.0 200 OK\r\n\r\nActive connections: 3 \nserver accepts handled "
                     "requests\n %u %u %u \nReading: 0 Writing: 1 Waiting: 2 \n",
                     r->requests, r->requests, r->requests);
    (void)!send(fd, text, (size_t)n, MSG_NOSIGNAL); /* the client may be gone */
    close(fd);
}

static bool play_status(rig *r)
{
    snprintf(r->dir, sizeof(r->dir), "/tmp/otr-modules-XXXXXX");
    if (mkdtemp(r->dir) == NULL) {
        return false;
    }
    snprintf(r->log, sizeof(r->log), "%s/access.log", r->dir);
    snprintf(r->sock, sizeof(r->sock), "%s/s", r->dir);
    snprintf(r->url, sizeof(r->url), "unix:%s:/status", r->sock);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, r->sock, strlen(r->sock) + 1);
    r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bind(r->listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
           listen(r->listener, 8) == 0 &&
           otr_watch_new(r->loop, r->listener, OTR_WATCH_READ, on_connection, r, &r->watch, NULL) ==
               OTR_OK;
}

static void on_message(void *arg, otr_sub *sub)
{
    rig *r = arg;
    for (otr_msg *msg; (msg = otr_sub_take(sub)) != NULL; otr_msg_unref(msg)) {
        if (msg->topic == &otr_topic_health_changed) {
            const otr_health_event *event = msg->payload;
            r->healths++;
            r->health = event->status;
            snprintf(r->why, sizeof(r->why), "%s", event->description);
        } else if (msg->topic == &otr_topic_metrics_sampled) {
            r->samples++;
            r->sample = *(const otr_metrics_event *)msg->payload;
        }
    }
}

static void on_stopped(void *arg)
{
    ((rig *)arg)->stopped = true;
}

static void rig_deinit(rig *r)
{
    if (r->host != NULL) {
        otr_plugin_host_stop(r->host, otr_now_ns() + OTR_NS_PER_S, on_stopped, r);
        for (int i = 0; i < 500 && !r->stopped; i++) {
            otr_loop_step(r->loop, 5);
        }
    }
    otr_plugin_host_free(r->host);
    otr_sub_free(r->sub);
    otr_watch_free(r->watch);
    if (r->listener >= 0) {
        close(r->listener);
    }
    unlink(r->sock);
    unlink(r->log);
    rmdir(r->dir);
    otr_registry_free(r->services.metrics);
    otr_problems_free(r->services.problems);
    otr_pool_free(r->pool);
    otr_bus_free(r->bus);
    otr_loop_free(r->loop);
    otr_config_unref(r->cfg);
}

static otr_code load(const char *const *env, otr_config **ret, otr_err *err)
{
    otr_config_source source = { .tables = tables, .file = "", .env = env };
    return otr_config_load(&source, ret, err);
}

static otr_code rig_init(rig *r, otr_err *err)
{
    static const char *const patterns[] = { "nginx.*", NULL };
    static const char *const env[] = {
        "NGINX_AGENT_WATCHERS_INSTANCE_HEALTH_WATCHER_MONITORING_FREQUENCY=10ms",
        "NGINX_AGENT_OUTRIDER_METRICS_INTERVAL=20ms", NULL
    };
    otr_log_set_level(OTR_LOG_ERROR);
    memset(r, 0, sizeof(*r));
    r->listener = -1;
    r->requests = 10;
    otr_code rc = load(env, &r->cfg, err);
    rc = rc == OTR_OK ? otr_loop_new(&r->loop, err) : rc;
    rc = rc == OTR_OK ? otr_bus_new(r->loop, &r->bus, err) : rc;
    rc = rc == OTR_OK ? otr_pool_new(r->loop, 1, &r->pool, err) : rc;
    rc = rc == OTR_OK ? otr_registry_new(&r->services.metrics, err) : rc;
    rc = rc == OTR_OK ? otr_problems_new(&r->services.problems, err) : rc;
    r->services.pool = r->pool;
    otr_plugin_host_spec spec = {
        .loop = r->loop, .bus = r->bus, .pool = r->pool, .services = &r->services, .arg = r
    };
    otr_sub_spec sub = {
        .name = "test", .patterns = patterns, .capacity = 64, .ready = on_message, .arg = r
    };
    rc = rc == OTR_OK ? otr_bus_subscribe(r->bus, &sub, &r->sub, err) : rc;
    rc = rc == OTR_OK ? otr_plugin_host_new(&spec, &r->host, err) : rc;
    rc = rc == OTR_OK ? otr_plugin_host_add(r->host, &otr_module_health, err) : rc;
    rc = rc == OTR_OK ? otr_plugin_host_add(r->host, &otr_module_metrics, err) : rc;
    rc = rc == OTR_OK ? otr_plugin_host_start(r->host, r->cfg, err) : rc;
    return rc == OTR_OK && !play_status(r) ? otr_fail(err, OTR_EIO, "no socket") : rc;
}

#define RIG(r)                     \
    otr_err err = { 0 };           \
    OTR_CLEANUP(rig_deinit) rig r; \
    REQUIRE_OK(rig_init(&(r), &err), err)

static uint64_t patience_ns(void)
{
    return (otr_alloc_failed() > 0 ? OOM_PATIENCE_MS : PATIENCE_MS) * OTR_NS_PER_MS;
}

static bool reach(rig *r, const unsigned *what, unsigned n)
{
    uint64_t begin = otr_now_ns();
    /* The failure may come while this waits, and what it took away is not waited for. */
    while (*what < n && otr_now_ns() - begin < patience_ns()) {
        otr_loop_step(r->loop, 5);
    }
    return *what >= n;
}

/* Tells of an instance with `pid` as its master; `with_log` 0 or 1. */
static void tell(rig *r, const otr_topic *topic, pid_t pid, size_t with_log)
{
    char empty[] = "";
    char *urls[] = { r->url };
    char format[] = "$status $uri";
    otr_nginx_log logs[] = { { .path = r->log, .format = format } };
    otr_proc_stat st = { 0 };
    (void)otr_proc_stat_read("/proc", pid, &st);
    otr_nginx_instance i = { .pid = pid,
                             .started_ticks = st.started_ticks,
                             .binary = empty,
                             .maker = empty,
                             .version = empty,
                             .config = empty,
                             .prefix = empty,
                             .configure = empty,
                             .error_log = empty,
                             .stub_status = r->url,
                             .status_urls = urls,
                             .n_status_urls = 1,
                             .status_given = true, /* our loop both asks and answers */
                             .access_logs = logs,
                             .n_access_logs = with_log,
                             .root = empty,
                             .config_error = empty };
    memcpy(i.id, "an-id", 6);
    otr_instance_event *event = otr_zalloc(sizeof(*event));
    OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
    if (event == NULL || otr_nginx_instance_copy(&i, &event->instance, NULL) != OTR_OK ||
        otr_msg_new(topic, event, "test", NULL, &msg, NULL) != OTR_OK) {
        if (event != NULL) {
            topic->drop(event);
        }
        return;
    }
    (void)!otr_bus_publish(r->bus, msg, NULL);
}

static void append(rig *r, const char *text)
{
    FILE *f = fopen(r->log, "a");
    CHECK(f != NULL && fputs(text, f) >= 0);
    if (f != NULL) {
        fclose(f);
    }
}

static const char *scrape(rig *r)
{
    otr_buf out;
    otr_buf_init(&out, sizeof(r->prometheus) - 1);
    (void)!otr_registry_prometheus(r->services.metrics, &out, NULL);
    snprintf(r->prometheus, sizeof(r->prometheus), "%s", otr_buf_text(&out));
    otr_buf_deinit(&out);
    return r->prometheus;
}

/* ---- health ---- */

T(master_that_is_gone_is_unhealthy_with_the_first_report)
{
    RIG(r);
    tell(&r, &otr_topic_instance_started, 999999, 0);
    REQUIRE(reach(&r, &r.healths, 1));
    CHECK_INT(r.health, OTR_HEALTH_UNHEALTHY);
    CHECK_STR(r.why, "PID: 999999 is not running");
}

T(master_without_workers_is_degraded)
{
    RIG(r);
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.healths, 1));
    CHECK_INT(r.health, OTR_HEALTH_DEGRADED);
    CHECK_HAS(r.why, "instance does not have enough children");
}

T_NO_OOM(zombie_is_unhealthy_and_health_is_told_on_change_only) /* forks */
{
    RIG(r);
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.healths, 1));
    CHECK_INT(r.health, OTR_HEALTH_HEALTHY); /* we have a child */
    tell(&r, &otr_topic_instance_changed, child, 0);
    REQUIRE(reach(&r, &r.healths, 2));
    CHECK_INT(r.health, OTR_HEALTH_DEGRADED);
    kill(child, SIGKILL);
    REQUIRE(reach(&r, &r.healths, 3));
    CHECK_INT(r.health, OTR_HEALTH_UNHEALTHY);
    CHECK_HAS(r.why, "is unhealthy, status: zombie");
    waitpid(child, NULL, 0);
    REQUIRE(reach(&r, &r.healths, 4));
    CHECK_HAS(r.why, "is not running");
    unsigned samples = r.samples;
    REQUIRE(reach(&r, &r.samples, samples + 3));
    CHECK_INT(r.healths, 4);
    tell(&r, &otr_topic_instance_stopped, child, 0);
    REQUIRE(reach(&r, &r.healths, 5));
    CHECK_STR(r.why, "instance an-id not found");
}

/* A process that lives until it is killed. */
static pid_t start_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    return child;
}

static void end_child(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

T_NO_OOM(workers_that_are_stopped_answer_nobody) /* forks */
{
    RIG(r);
    pid_t one = start_child(), two = start_child();
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.healths, 1));
    CHECK_INT(r.health, OTR_HEALTH_HEALTHY);
    kill(one, SIGSTOP);
    REQUIRE(reach(&r, &r.healths, 2));
    CHECK_INT(r.health, OTR_HEALTH_DEGRADED);
    CHECK_HAS(r.why, "1 of 2 worker processes are stopped");
    kill(two, SIGSTOP);
    REQUIRE(reach(&r, &r.healths, 3));
    CHECK_INT(r.health, OTR_HEALTH_UNHEALTHY);
    CHECK_HAS(r.why, "2 of 2 worker processes are stopped");
    CHECK_HAS(r.why, "no request is answered");
    CHECK_HAS(scrape(&r), "nginx_health{status=\"unhealthy\",instance_id=\"an-id\","
                          "instance_type=\"nginx\"} 1\n");
    CHECK_HAS(scrape(&r), "nginx_health{status=\"healthy\",instance_id=\"an-id\","
                          "instance_type=\"nginx\"} 0\n");
    kill(one, SIGCONT);
    kill(two, SIGCONT);
    REQUIRE(reach(&r, &r.healths, 4));
    CHECK_INT(r.health, OTR_HEALTH_HEALTHY);
    end_child(one);
    end_child(two);
}

T_NO_OOM(master_that_cannot_be_looked_at_is_unknown_and_not_dead) /* takes all descriptors */
{
    RIG(r);
    pid_t child = start_child();
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.healths, 1));
    CHECK_INT(r.health, OTR_HEALTH_HEALTHY);
    struct rlimit old, low;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
    low = old;
    low.rlim_cur = 0;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
    bool told = reach(&r, &r.healths, 2);
    setrlimit(RLIMIT_NOFILE, &old);
    REQUIRE(told);
    CHECK_INT(r.health, OTR_HEALTH_UNKNOWN);
    CHECK_HAS(r.why, "exists, but cannot be looked at");
    CHECK_HAS(r.why, "Too many open files");
    CHECK(strstr(r.why, "not running") == NULL);
    REQUIRE(reach(&r, &r.healths, 3));
    CHECK_INT(r.health, OTR_HEALTH_HEALTHY);
    end_child(child);
}

T_NO_OOM(silence_after_answers_makes_it_degraded_with_the_reason) /* forks */
{
    RIG(r);
    pid_t child = start_child();
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.samples, 2));
    CHECK(r.sample.status_ok);
    CHECK_HAS(scrape(&r), "nginx_up{instance_id=\"an-id\",instance_type=\"nginx\"} 1\n");
    unlink(r.sock); /* nobody listens any more */
    unsigned before = r.healths;
    REQUIRE(reach(&r, &r.healths, before + 1));
    CHECK_INT(r.health, OTR_HEALTH_DEGRADED);
    CHECK_HAS(r.why, "stub_status answered before and does not any more: ");
    CHECK(r.sample.status_error[0] != '\0');
    CHECK_HAS(scrape(&r), "nginx_up{instance_id=\"an-id\",instance_type=\"nginx\"} 0\n");
    CHECK(strstr(scrape(&r), "nginx_http_requests") == NULL);
    unsigned told = r.healths;
    REQUIRE(reach(&r, &r.samples, r.samples + 5));
    CHECK_INT(r.healths, told); /* once, as long as it lasts */
    end_child(child);
}

T_NO_OOM(one_that_never_answered_is_not_called_silent) /* forks */
{
    RIG(r);
    pid_t child = start_child();
    snprintf(r.url, sizeof(r.url), "unix:/nonexistent:/s");
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.samples, 6));
    CHECK_INT(r.health, OTR_HEALTH_HEALTHY);
    CHECK_HAS(scrape(&r), "nginx_up{instance_id=\"an-id\",instance_type=\"nginx\"} 0\n");
    end_child(child);
}

T_NO_OOM(series_about_an_instance_come_and_go_with_it)
{
    RIG(r);
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.healths, 1));
    CHECK_HAS(scrape(&r), "nginx_instance_info{instance_id=\"an-id\",instance_type=\"nginx\","
                          "maker=\"\",version=\"\",config=\"\"} 1\n");
    tell(&r, &otr_topic_instance_stopped, getpid(), 0);
    REQUIRE(reach(&r, &r.healths, 2));
    for (int i = 0; i < 10; i++) {
        otr_loop_step(r.loop, 5);
    }
    CHECK(strstr(scrape(&r), "nginx_") == NULL);
}

/* ---- metrics ---- */

/* What the counter of 2xx responses says; -1: there is none. */
static int counted_2xx(rig *r)
{
    static const char name[] = "nginx_http_responses_total{nginx_status_range=\"2xx\","
                               "instance_id=\"an-id\",instance_type=\"nginx\"} ";
    const char *at = strstr(scrape(r), name);
    return at != NULL ? (int)strtol(at + sizeof(name) - 1, NULL, 10) : -1;
}

T_NO_OOM(responses_are_counted_for_whoever_looks_less_often_than_samples_are_taken)
{
    RIG(r);
    append(&r, "");
    tell(&r, &otr_topic_instance_started, getpid(), 1);
    REQUIRE(reach(&r, &r.samples, 2));
    CHECK_INT(counted_2xx(&r), 0);
    for (int i = 0; i < 5; i++) {
        append(&r, "200 /\n201 /\n404 /\n");
        REQUIRE(reach(&r, &r.samples, r.samples + 2));
    }
    CHECK_INT(counted_2xx(&r), 10);
    tell(&r, &otr_topic_instance_stopped, getpid(), 1);
    for (int i = 0; i < 10; i++) {
        otr_loop_step(r.loop, 5);
    }
    CHECK_INT(counted_2xx(&r), -1);
    unsigned before = r.samples;
    tell(&r, &otr_topic_instance_started, getpid(), 1);
    REQUIRE(reach(&r, &r.samples, before + 1));
    CHECK_INT(counted_2xx(&r), 10); /* goes on */
}

T(responses_without_a_log_are_unknown_and_not_zero)
{
    RIG(r);
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.samples, 2));
    CHECK(!r.sample.logs_ok);
    CHECK(strstr(scrape(&r), "nginx_http_response") == NULL);
}

T(status_that_cannot_be_read_leaves_a_sample_without_it)
{
    RIG(r);
    snprintf(r.url, sizeof(r.url), "unix:/nonexistent:/s");
    append(&r, "200 /\n");
    tell(&r, &otr_topic_instance_started, getpid(), 1);
    REQUIRE(reach(&r, &r.samples, 1));
    CHECK(!r.sample.status_ok);
    CHECK_INT(r.sample.interval_ns, 0);
    append(&r, "200 /\n503 /\n");
    unsigned before = r.samples;
    uint64_t lines = 0, ok = 0;
    for (int i = 0; i < 100 && lines < 2 && reach(&r, &r.samples, before + 1); i++) {
        before = r.samples;
        lines += r.sample.log_lines;
        ok += r.sample.responses[1];
    }
    CHECK_INT(lines, 2);
    CHECK_INT(ok, 1);
    CHECK(strstr(scrape(&r), "nginx_http_requests") == NULL);
    CHECK_HAS(scrape(&r), "nginx_http_response_count_responses{");
}

T(sample_holds_what_changed_since_the_one_before)
{
    RIG(r);
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.samples, 1));
    CHECK(r.sample.status_ok);
    CHECK_INT(r.sample.active, 3);
    CHECK_INT(r.sample.waiting, 2);
    CHECK_INT(r.sample.requests, 10);
    CHECK_INT(r.sample.requests_delta, 0); /* the first */
    r.requests = 15;
    unsigned before = r.samples;
    REQUIRE(reach(&r, &r.samples, before + 1));
    CHECK_INT(r.sample.requests_delta, 5);
    CHECK(r.sample.interval_ns > 0 && r.sample.requests_per_second > 0);
    r.requests = 4; /* somebody else's, or begun anew: what is not known is not counted */
    before = r.samples;
    REQUIRE(reach(&r, &r.samples, before + 1));
    CHECK_INT(r.sample.requests_delta, 0);
    r.requests = 6;
    before = r.samples;
    REQUIRE(reach(&r, &r.samples, before + 1));
    CHECK_INT(r.sample.requests_delta, 2);
    CHECK_INT(r.sample.requests, 17);
}

T(series_have_the_names_of_nginx_agent)
{
    RIG(r);
    append(&r, "");
    tell(&r, &otr_topic_instance_started, getpid(), 1);
    REQUIRE(reach(&r, &r.samples, 1));
    const char *text = scrape(&r);
    CHECK_HAS(text, "nginx_http_connection_count_connections{");
    CHECK_HAS(text, "nginx_connections_outcome=\"ACTIVE\"");
    CHECK_HAS(text, "nginx_http_connections_total{");
    CHECK_HAS(text, "nginx_connections_outcome=\"ACCEPTED\"");
    CHECK_HAS(text, "nginx_http_request_count_requests{");
    CHECK_HAS(text, "nginx_http_requests_total{");
    CHECK_HAS(text, "nginx_http_response_count_responses{");
    CHECK_HAS(text, "nginx_status_range=\"2xx\"");
    CHECK_HAS(text, "instance_id=\"an-id\"");
    CHECK_HAS(text, "instance_type=\"nginx\"");
}

T(counters_go_on_after_a_restart_and_series_go_with_the_instance)
{
    RIG(r);
    tell(&r, &otr_topic_instance_started, getpid(), 0);
    REQUIRE(reach(&r, &r.samples, 1));
    CHECK_HAS(scrape(&r), "instance_type=\"nginx\"} 10\n");
    tell(&r, &otr_topic_instance_stopped, getpid(), 0);
    for (int i = 0; i < 10; i++) {
        otr_loop_step(r.loop, 5);
    }
    CHECK(strstr(scrape(&r), "an-id") == NULL);
    r.requests = 7;
    unsigned before = r.samples;
    tell(&r, &otr_topic_instance_started, getppid(), 0);
    REQUIRE(reach(&r, &r.samples, before + 1));
    CHECK_INT(r.sample.requests, 7);
    CHECK_INT(r.sample.requests_delta, 0);
    CHECK_HAS(scrape(&r), "instance_type=\"nginx\"} 17\n");
}

T(pattern_that_is_no_regular_expression_is_refused_and_the_old_ones_stay)
{
    RIG(r);
    static const char *const bad[] = { "NGINX_AGENT_DATA_PLANE_CONFIG_NGINX_EXCLUDE_LOGS=[a",
                                       NULL };
    static const char *const good[] = { "NGINX_AGENT_DATA_PLANE_CONFIG_NGINX_EXCLUDE_LOGS=access",
                                        "NGINX_AGENT_OUTRIDER_METRICS_INTERVAL=20ms", NULL };
    otr_config *cfg = NULL;
    REQUIRE_OK(load(bad, &cfg, &err), err);
    CHECK(otr_plugin_host_reload(r.host, cfg, &err) != OTR_OK);
    CHECK_HAS(err.msg, "data_plane_config.nginx.exclude_logs: \"[a\" is no regular expression");
    otr_config_unref(cfg);
    append(&r, "");
    tell(&r, &otr_topic_instance_started, getpid(), 1);
    REQUIRE(reach(&r, &r.samples, 1));
    CHECK_HAS(scrape(&r), "nginx_http_response_count_responses{");
    cfg = NULL;
    REQUIRE_OK(load(good, &cfg, &err), err);
    CHECK(otr_plugin_host_reload(r.host, cfg, &err) == OTR_OK);
    otr_config_unref(cfg);
    CHECK(strstr(scrape(&r), "nginx_http_response_count") == NULL);
}
