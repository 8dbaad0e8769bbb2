/* Hooks: a question, its deadline and its verdict, without a real guest. */
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "plugin/hook_call.h"
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

static otr_hook_call *asked; /* of the test that runs */

static void take_question(otr_plugin *p, otr_hook_call *call)
{
    (void)p;
    asked = call;
}

static const otr_guests_ops guests = { .open = open_all,
                                       .close = close_all,
                                       .end = end,
                                       .stop_more = end,
                                       .stop = stop,
                                       .describe = describe,
                                       .hooks = hooks,
                                       .ask = take_question,
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

typedef struct counts {
    uint64_t asked, unanswered;
} counts;

static bool count_hooks(void *arg, const otr_plugin_view *view)
{
    counts *c = arg;
    c->asked += view->stats.hooks_asked;
    c->unanswered += view->stats.hooks_unanswered;
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
    CHECK_STR(a.reason, "plugin \"stub\" is fail-closed and gave no answer: it is loading");
    ASK(b, LONG_MS);
    counts c = { 0 };
    otr_plugin_host_each(f.host, count_hooks, &c);
    CHECK_INT(c.asked, 2);
    CHECK_INT(c.unanswered, 2);
}

static otr_code add_running(fixture *f, otr_err *err)
{
    otr_code rc = add_guest(f, "x.*", err);
    if (rc == OTR_OK) {
        f->host->first->state_id = OTR_PLUGIN_RUNNING;
    }
    return rc;
}

static unsigned dropped;

static void drop_files(void *of)
{
    dropped += of == &dropped;
}

static otr_code get_file(void *of, otr_bytes in, otr_buf *out, otr_err *err)
{
    return of == &dropped ? otr_buf_add(out, in, err) : OTR_EINVAL;
}

static const otr_hook_files files = { get_file, drop_files, &dropped };

static otr_hook_spec with_files(outcome *a)
{
    return (otr_hook_spec){ .topic = "x.y",
                            .payload = otr_bytes_of("1"),
                            .source = "test",
                            .deadline_ns = otr_now_ns() + LONG_MS * OTR_NS_PER_MS,
                            .files = &files,
                            .done = take_verdict,
                            .arg = a };
}

T(files_of_a_question_stay_until_the_last_guest_is_done)
{
    BEGIN;
    outcome a = { 0 };
    otr_hook_spec spec = with_files(&a);
    char text[8] = "";
    dropped = 0;
    asked = NULL;
    REQUIRE_OK(add_running(&f, &err), err);
    spec.topic = "x.*";
    CHECK_INT(otr_plugin_host_ask(f.host, &spec, NULL, &err), OTR_EINVAL);
    CHECK_INT(dropped, 0); /* a question that was not taken leaves them */
    spec.topic = "x.y";
    otr_hook *h = NULL;
    REQUIRE_OK(otr_plugin_host_ask(f.host, &spec, &h, &err), err);
    REQUIRE(asked != NULL);
    otr_hook_cancel(h);
    CHECK_INT(dropped, 0);
    const otr_hook_files *got = otr_hook_files_of(asked->msg);
    bool served = false;
    if (got != NULL) {
        otr_buf out;
        otr_buf_init(&out, 100);
        served = got->get(got->of, otr_bytes_of("/f"), &out, &err) == OTR_OK;
        (void)snprintf(text, sizeof(text), "%s", otr_buf_text(&out));
        otr_buf_deinit(&out);
    }
    otr_hook_call_fail(asked, OTR_HOOK_FAILED, "late");
    CHECK_INT(dropped, 1);
    REQUIRE(served);
    CHECK_STR(text, "/f");
}

T(a_denial_tells_where)
{
    BEGIN;
    outcome a = { 0 };
    asked = NULL;
    REQUIRE_OK(add_running(&f, &err), err);
    REQUIRE_OK(ask(f.host, LONG_MS, &a, NULL, &err), err);
    REQUIRE(asked != NULL);
    CHECK(otr_hook_files_of(asked->msg) == NULL);
    otr_contract_verdict said = { .verdict = OTR_VERDICT_DENY, .message = "no", .n_findings = 1 };
    said.findings[0] = (otr_hook_finding){ .file = "/etc/nginx/a.conf", .line = 7 };
    otr_hook_call_answer(asked, &said);
    WAIT(a.times > 0);
    CHECK_STR(a.reason, "plugin \"stub\" denies: no (/etc/nginx/a.conf:7)");
    CHECK_INT(a.answers[0].n_findings + a.answers[0].more_findings, 1);
}

T(a_message_that_is_no_question_has_no_files)
{
    CHECK(otr_hook_files_of(NULL) == NULL);
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
    otr_hook_finding finding = {
        .file = "/f", .line = 3, .severity = OTR_FINDING_WARNING, .message = "y"
    };
    otr_hook_answer answer = { .plugin = "p",
                               .verdict = OTR_VERDICT_DENY,
                               .message = "no \"x\"",
                               .ns = 1234567,
                               .findings = &finding,
                               .n_findings = 1,
                               .more_findings = 2 };
    otr_hook_result result = {
        .verdict = OTR_VERDICT_DENY, .answers = &answer, .n = 1, .ns = 7654321
    };
    otr_code rc = otr_hook_result_json(&result, "a.b", &out, &err);
    bool said = rc == OTR_OK &&
                strcmp(otr_buf_text(&out),
                       "{\"topic\":\"a.b\",\"verdict\":\"deny\",\"reason\":\"\",\"ms\":7.654,"
                       "\"answers\":[{\"plugin\":\"p\",\"verdict\":\"deny\",\"how\":\"answered\","
                       "\"message\":\"no \\\"x\\\"\",\"ms\":1.234,\"findings\":[{\"file\":"
                       "\"/f\",\"line\":3,\"severity\":\"warning\",\"message\":\"y\"}],"
                       "\"findings_more\":2}]}") == 0;
    otr_buf_deinit(&out);
    REQUIRE_OK(rc, err);
    CHECK(said);
}
