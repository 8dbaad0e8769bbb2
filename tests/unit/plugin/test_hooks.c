/* Hooks: a question, its deadline and its verdict, without a real guest. */
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "plugin/internal.h"
#include "unit/plugin/asked.h"

typedef struct fixture {
    otr_loop *loop;
    otr_bus *bus;
    otr_plugin_host *host;
    bool stopped;
} fixture;

/* ---- a guest that never runs ---- */

struct otr_guests {
    otr_plugin_host *host;
};

typedef struct guest { /* its state */
    char *hooks[2];
} guest;

static otr_code nothing(otr_plugin *p, const otr_config *cfg, otr_err *err)
{
    (void)p;
    (void)cfg;
    (void)err;
    return OTR_OK;
}

static void ignore(otr_plugin *p)
{
    (void)p;
}

static const otr_plugin_ops guest_ops = {
    .name = "stub", .state_size = sizeof(guest), .init = nothing, .fini = ignore
};

static otr_code open_all(otr_plugin_host *host, otr_guests **ret, otr_err *err)
{
    otr_guests *all = otr_zalloc(sizeof(*all));
    if (all == NULL) {
        return otr_fail_nomem(err);
    }
    all->host = host;
    *ret = all;
    return OTR_OK;
}

static void close_all(otr_guests *all)
{
    otr_free(all);
}

static void end(otr_guests *all)
{
    (void)all;
}

static void stop(otr_plugin *p, uint64_t deadline_ns)
{
    (void)deadline_ns;
    otr_plugin_stopped(p);
}

static void describe(const otr_plugin *p, otr_plugin_view *view)
{
    (void)p;
    view->abi = "none";
}

static char *const *hooks(const otr_plugin *p)
{
    return ((guest *)p->state)->hooks;
}

static bool fail_closed(const otr_plugin *p)
{
    (void)p;
    return true;
}

static const otr_guests_ops guests = { .open = open_all,
                                       .close = close_all,
                                       .end = end,
                                       .stop_more = end,
                                       .stop = stop,
                                       .describe = describe,
                                       .hooks = hooks,
                                       .fail_closed = fail_closed };

static otr_code add_guest(fixture *f, const char *hook, otr_err *err)
{
    otr_plugin *p;
    otr_code rc = otr_plugin_new(f->host, &guest_ops, guest_ops.name, &p, err);
    if (rc == OTR_OK) {
        p->guest = true;
        ((guest *)p->state)->hooks[0] = (char *)hook;
    }
    return rc;
}

/* ---- a host ---- */

static void on_stopped(void *arg)
{
    fixture *f = arg;
    f->stopped = true;
}

static otr_code begin(fixture *f, otr_err *err)
{
    otr_log_set_level(OTR_LOG_ERROR + 1);
    otr_code rc = otr_loop_new(&f->loop, err);
    rc = rc == OTR_OK ? otr_bus_new(f->loop, &f->bus, err) : rc;
    otr_plugin_host_spec spec = { .loop = f->loop, .bus = f->bus, .guests = &guests };
    return rc == OTR_OK ? otr_plugin_host_new(&spec, &f->host, err) : rc;
}

static void teardown(fixture *f)
{
    if (f->host != NULL) {
        otr_plugin_host_stop(f->host, otr_now_ns() + OTR_NS_PER_S, on_stopped, f);
        for (int i = 0; i < 100 && !f->stopped; i++) {
            otr_loop_step(f->loop, ROUND_MS);
        }
    }
    otr_plugin_host_free(f->host);
    otr_bus_free(f->bus);
    otr_loop_free(f->loop);
}

#define BEGIN                                \
    OTR_CLEANUP(teardown) fixture f = { 0 }; \
    otr_err err = { 0 };                     \
    REQUIRE_OK(begin(&f, &err), err)

static bool count_unanswered(void *arg, const otr_plugin_view *view)
{
    *(uint64_t *)arg += view->stats.hooks_unanswered;
    return true;
}

T(nobody_to_ask_is_an_allow_that_comes_later)
{
    BEGIN;
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_ALLOW);
    CHECK_INT(a.n, 0);
    CHECK_STR(a.reason, "");
}

T(a_guest_that_does_not_run_counts_as_its_manifest_says)
{
    BEGIN;
    REQUIRE_OK(add_guest(&f, "x.*", &err), err);
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_DENY);
    CHECK_INT(a.n, 1);
    CHECK_HAS(a.reason, "\"stub\"");
    uint64_t unanswered = 0;
    otr_plugin_host_each(f.host, count_unanswered, &unanswered);
    CHECK_INT(unanswered, 1);
}

T(hooks_of_others_are_not_asked)
{
    BEGIN;
    REQUIRE_OK(add_guest(&f, "y.*", &err), err);
    ASK(a, LONG_MS);
    CHECK_INT(a.verdict, OTR_VERDICT_ALLOW);
    CHECK_INT(a.n, 0);
}

T(a_question_must_be_json_on_a_full_topic)
{
    BEGIN;
    otr_hook_spec spec = { .topic = "x.*", .payload = otr_bytes_of("1"), .done = take_verdict };
    CHECK(otr_plugin_host_ask(f.host, &spec, NULL, &err) == OTR_EINVAL);
    spec.topic = "x.y";
    spec.payload = otr_bytes_of("{");
    CHECK(otr_plugin_host_ask(f.host, &spec, NULL, &err) == OTR_EINVAL);
    CHECK_HAS(err.msg, "x.y");
}

T(a_result_is_told_as_json)
{
    otr_err err = { 0 };
    otr_buf out;
    otr_buf_init(&out, 4096);
    otr_hook_answer answer = { .plugin = "p", .verdict = OTR_VERDICT_DENY, .message = "no \"x\"" };
    otr_hook_result result = { .verdict = OTR_VERDICT_DENY, .answers = &answer, .n = 1 };
    otr_code rc = otr_hook_result_json(&result, "a.b", &out, &err);
    bool said = rc == OTR_OK &&
                strstr(otr_buf_text(&out), "{\"plugin\":\"p\",\"verdict\":\"deny\",\"how\":"
                                           "\"answered\",\"message\":\"no \\\"x\\\"\"") != NULL;
    otr_buf_deinit(&out);
    REQUIRE_OK(rc, err);
    CHECK(said);
}
