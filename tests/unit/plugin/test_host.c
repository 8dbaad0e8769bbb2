#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/agent_keys.h"
#include "loop/worker.h"
#include "plugin/host.h"
#include "plugin/internal.h"
#include "support/test.h"

static const otr_key *const tables[] = { otr_agent_keys, NULL };

typedef struct fixture {
    otr_loop *loop;
    otr_bus *bus;
    otr_pool *pool;
    otr_config *cfg;
    otr_plugin_host *host;
    char trace[256];  /* what the modules were asked, in order */
    char states[256]; /* what was told of changed ones */
    bool ready, stopped;
    bool fail_init, fail_message, fail_reload;
} fixture;

static void note(fixture *f, const char *word, const otr_plugin *p)
{
    size_t n = strlen(f->trace);
    (void)snprintf(f->trace + n, sizeof(f->trace) - n, "%s%s-%s", n > 0 ? " " : "",
                   otr_plugin_name(p), word);
}

static fixture *of(otr_plugin *p)
{
    return otr_plugin_services(p);
}

static otr_code m_init(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)cfg;
    note(of(p), "init", p);
    bool fail = of(p)->fail_init && strcmp(otr_plugin_name(p), "b") == 0;
    return fail ? otr_fail(err, OTR_EINVAL, "b does not want to") : OTR_OK;
}

static otr_code m_start(otr_plugin *p, otr_err *err)
{
    (void)err;
    note(of(p), "start", p);
    return OTR_OK;
}

static otr_code m_message(otr_plugin *p, const otr_msg *msg, otr_err *err)
{
    (void)msg;
    note(of(p), "message", p);
    return of(p)->fail_message ? otr_fail(err, OTR_EINVAL, "not today") : OTR_OK;
}

static otr_code m_reload(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)cfg;
    note(of(p), "reload", p);
    return of(p)->fail_reload ? otr_fail(err, OTR_ESTATE, "not now") : OTR_OK;
}

static void m_fini(otr_plugin *p)
{
    note(of(p), "fini", p);
}

static const char *const wanted[] = { "test.*", NULL };
static const otr_topic topic = { .name = "test.ping", .version = 1 };
static const otr_topic *const published[] = { &topic, NULL };

static const otr_plugin_ops module_a = { .name = "a",
                                         .summary = "first",
                                         .publishes = published,
                                         .state_size = 8,
                                         .init = m_init,
                                         .start = m_start,
                                         .reload = m_reload,
                                         .fini = m_fini };
static const otr_plugin_ops module_b = { .name = "b",
                                         .summary = "second",
                                         .subscribes = wanted,
                                         .init = m_init,
                                         .start = m_start,
                                         .message = m_message,
                                         .fini = m_fini };

static void on_ready(void *arg)
{
    fixture *f = arg;
    f->ready = true;
}

static void on_changed(void *arg, const otr_plugin_view *view)
{
    fixture *f = arg;
    size_t n = strlen(f->states);
    (void)snprintf(f->states + n, sizeof(f->states) - n, "%s%s-%s", n > 0 ? " " : "", view->name,
                   otr_plugin_state_name(view->state));
}

static void on_stopped(void *arg)
{
    fixture *f = arg;
    f->stopped = true;
}

static otr_code setup(fixture *f, otr_err *err)
{
    otr_log_set_level(OTR_LOG_ERROR);
    otr_config_source source = { .tables = tables,
                                 .file = OTR_SOURCE_DIR "/tests/unit/plugin/empty.yaml" };
    otr_code rc = otr_config_load(&source, &f->cfg, err);
    rc = rc == OTR_OK ? otr_loop_new(&f->loop, err) : rc;
    rc = rc == OTR_OK ? otr_bus_new(f->loop, &f->bus, err) : rc;
    rc = rc == OTR_OK ? otr_pool_new(f->loop, 1, &f->pool, err) : rc;
    otr_plugin_host_spec spec = { .loop = f->loop,
                                  .bus = f->bus,
                                  .pool = f->pool,
                                  .services = f,
                                  .changed = on_changed,
                                  .ready = on_ready,
                                  .arg = f };
    rc = rc == OTR_OK ? otr_plugin_host_new(&spec, &f->host, err) : rc;
    rc = rc == OTR_OK ? otr_plugin_host_add(f->host, &module_a, err) : rc;
    return rc == OTR_OK ? otr_plugin_host_add(f->host, &module_b, err) : rc;
}

static void teardown(fixture *f)
{
    otr_plugin_host_free(f->host);
    otr_pool_free(f->pool);
    otr_bus_free(f->bus);
    otr_loop_free(f->loop);
    otr_config_unref(f->cfg);
}

#define SETUP                                \
    OTR_CLEANUP(teardown) fixture f = { 0 }; \
    otr_err err = { 0 };                     \
    REQUIRE_OK(setup(&f, &err), err)

T(a_failing_init_names_the_module_and_still_runs_fini)
{
    SETUP;
    f.fail_init = true;
    REQUIRE(otr_plugin_host_start(f.host, f.cfg, &err) == OTR_EINVAL);
    CHECK_HAS(err.msg, "module b: b does not want to");
    CHECK(!f.ready);
    otr_plugin_host_free(f.host);
    f.host = NULL;
    CHECK_STR(f.trace, "a-init b-init b-fini a-fini");
}

T(the_same_name_twice_is_refused)
{
    SETUP;
    REQUIRE(otr_plugin_host_add(f.host, &module_a, &err) == OTR_EINVAL);
    CHECK_HAS(err.msg, "\"a\"");
}

T(modules_start_in_order_after_all_are_initialised)
{
    SETUP;
    REQUIRE_OK(otr_plugin_host_start(f.host, f.cfg, &err), err);
    CHECK_STR(f.trace, "a-init b-init a-start b-start");
    CHECK_STR(f.states, "a-running b-running");
    CHECK(f.ready);
}

T(no_guest_gets_the_topic_that_a_module_publishes)
{
    SETUP;
    const otr_topic *taken = NULL;
    REQUIRE_OK(otr_plugin_host_start(f.host, f.cfg, &err), err);
    CHECK_INT(otr_bus_topic(f.bus, "test.ping", &taken, &err), OTR_EDENIED);
    CHECK(taken == NULL);
    CHECK_INT(otr_bus_topic(f.bus, "test.pong", &taken, &err), OTR_OK);
}

static bool count_errors(void *arg, const otr_plugin_view *view)
{
    *(uint64_t *)arg += view->stats.errors;
    return true;
}

T(a_failed_message_is_counted_and_the_next_one_comes)
{
    SETUP;
    REQUIRE_OK(otr_plugin_host_start(f.host, f.cfg, &err), err);
    f.trace[0] = '\0';
    f.fail_message = true;
    for (int i = 0; i < 2; i++) {
        OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
        REQUIRE_OK(otr_msg_new(&topic, NULL, "t", NULL, &msg, &err), err);
        REQUIRE_OK(otr_bus_publish(f.bus, msg, &err), err);
    }
    otr_loop_step(f.loop, 0);
    CHECK_STR(f.trace, "b-message b-message");
    uint64_t errors = 0;
    otr_plugin_host_each(f.host, count_errors, &errors);
    CHECK_INT(errors, 2);
}

static void count_drop(void *payload)
{
    ++*(unsigned *)payload;
}

T(a_published_payload_is_dropped_once_with_its_message)
{
    static const otr_topic counted = { .name = "test.counted", .version = 1, .drop = count_drop };
    SETUP;
    REQUIRE_OK(otr_plugin_host_start(f.host, f.cfg, &err), err);
    unsigned drops = 0;
    otr_plugin_publish(otr_plugin_find(f.host, "a"), &counted, &drops, NULL);
    CHECK_INT(drops, otr_alloc_failed() > 0); /* a message that could not be made takes it along */
    otr_loop_step(f.loop, 0);
    CHECK_INT(drops, 1);
}

T(a_reload_asks_the_module_or_builds_it_again)
{
    SETUP;
    REQUIRE_OK(otr_plugin_host_start(f.host, f.cfg, &err), err);
    f.trace[0] = '\0';
    REQUIRE_OK(otr_plugin_host_reload(f.host, f.cfg, &err), err);
    CHECK_STR(f.trace, "a-reload b-fini b-init b-start");
    f.trace[0] = '\0';
    f.fail_reload = true;
    CHECK_INT(otr_plugin_host_reload(f.host, f.cfg, &err), OTR_ESTATE);
    CHECK_STR(err.msg, "module a: not now");
    CHECK_STR(f.trace, "a-reload b-fini b-init b-start"); /* one that fails holds up no other */
}

T(stop_reports_once_all_have_stopped)
{
    SETUP;
    REQUIRE_OK(otr_plugin_host_start(f.host, f.cfg, &err), err);
    otr_plugin_host_stop(f.host, otr_now_ns() + OTR_NS_PER_S, on_stopped, &f);
    for (int i = 0; i < 10 && !f.stopped; i++) {
        otr_loop_step(f.loop, 10);
    }
    CHECK(f.stopped);
    CHECK(!otr_plugin_host_stuck(f.host));
}

T(a_call_is_counted_in_the_first_bucket_that_holds_it)
{
    static const uint64_t bounds_us[OTR_PLUGIN_BUCKETS] = { 1,      5,      25,      100,
                                                            250,    1000,   5000,    25000,
                                                            100000, 250000, 1000000, 5000000 };
    otr_plugin_stats stats = { .calls = 0 };
    for (size_t i = 0; i < OTR_PLUGIN_BUCKETS; i++) {
        CHECK(otr_plugin_bucket_bounds[i] == (double)bounds_us[i] / 1e6);
        otr_plugin_count_call(&stats, bounds_us[i] * 1000);
        CHECK_INT(stats.time_counts[i], i == 0 ? 1 : 2);
        otr_plugin_count_call(&stats, bounds_us[i] * 1000 + 1);
        CHECK_INT(stats.time_counts[i + 1], 1);
    }
    CHECK(otr_plugin_bucket_bounds[OTR_PLUGIN_BUCKETS] == 0);
    CHECK_INT(stats.calls, 2 * OTR_PLUGIN_BUCKETS);
    CHECK_INT(stats.call_ns, 2 * UINT64_C(6381381000) + OTR_PLUGIN_BUCKETS);
}
